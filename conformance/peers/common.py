"""What the two peers in Python share: the messages, the records, TLS and the command line.

conformance/README.md says what their two roles do, and what they print.
"""

import asyncio
import json
import random
import ssl
import sys
from collections.abc import Awaitable, Callable

SECONDS = 15
"""What a client's conversations may take together."""

PROTOCOL = "interop.v1"
OFFERED = ["other.v1", PROTOCOL]
HEADERS = {"Authorization": "Bearer interop"}
PING = b"are you there?"
GOODBYE = "goodbye"
CLIENT_CLOSE = (4001, "the client is done")
SERVER_CLOSE = (4002, "the server is done")


def messages() -> list[str | bytes]:
    source = random.Random(6455)
    text = ("Words that are easy to compress. " * 3000)[:70_000]
    short = [f"message {i}" if i % 2 else source.randbytes(i) for i in range(200)]
    noise = source.randbytes(1 << 20)
    return ["Grüße, κόσμε 🦀", source.randbytes(300), "", b"", text, noise, *short]


def same(got: str | bytes, wanted: str | bytes) -> None:
    """Equal in type and content, without a dump of a megabyte when not."""
    assert got == wanted, f"{len(got)} came back for {len(wanted)} others"


def say(record: dict) -> None:
    print(json.dumps(record), flush=True)


def listening(port: int, tls: ssl.SSLContext | None) -> None:
    print(f"listening on {'wss' if tls else 'ws'}://127.0.0.1:{port}/", flush=True)


Serve = Callable[[bool, ssl.SSLContext | None], Awaitable[None]]
"""Serves for ever, with or without compression."""
Talk = Callable[[str, ssl.SSLContext | None, bool], Awaitable[None]]
"""Holds a conversation, which the client closes or lets the server close."""


def run(serve: Serve, talk: Talk) -> None:
    """Plays the role that the command line asks for."""

    async def connect(url: str, ca: str) -> None:
        tls = ssl.create_default_context(cafile=ca) if url.startswith("wss:") else None
        for closes in (True, False):
            await talk(url, tls, closes)

    match sys.argv[1:]:
        case ["serve", "plain" | "deflate" as deflate, *pem] if len(pem) < 2:
            tls = None
            if pem:
                tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                tls.load_cert_chain(*pem)
            asyncio.run(serve(deflate == "deflate", tls))
        case ["connect", url, ca]:
            asyncio.run(asyncio.wait_for(connect(url, ca), SECONDS))
        case _:
            sys.exit("usage: serve (plain | deflate) [PEM], or connect URL CA")
