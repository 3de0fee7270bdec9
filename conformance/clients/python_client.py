"""Checks an echo server with Python's `websockets`: python_client.py [--deflate] ws://ADDR/

With `--deflate`, the server has to agree to compression, otherwise to decline it.
"""

import asyncio
import random
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable
from urllib.parse import urljoin

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

SECONDS = 10
passed = 0


def open_socket(url: str) -> connect:
    """Connects without proxy and without pings of the library's own."""
    return connect(url, proxy=None, ping_interval=None, max_size=None)


def payload(size: int) -> bytes:
    """Bytes without a pattern, the same in every run."""
    return random.Random(size).randbytes(size)


async def echo(socket: ClientConnection, message: str | bytes) -> None:
    """Sends a message and checks what comes back."""
    await socket.send(message)
    same(await socket.recv(), message)


def same(got: str | bytes, wanted: str | bytes) -> None:
    """Equal in type and content, without a dump of a megabyte when not."""
    assert got == wanted, (
        f"got {type(got).__name__} of {len(got)}, wanted {type(wanted).__name__} of {len(wanted)}"
    )


async def close(socket: ClientConnection, code: int = 1000, reason: str = "") -> None:
    """Closes and checks that the server answers with the same code."""
    await socket.close(code, reason)
    assert socket.close_code == code, f"closed with {socket.close_code}, wanted {code}"


async def check(name: str, run: Awaitable[None]) -> None:
    """Runs one check within its time; the first failure ends the program."""
    global passed
    try:
        await asyncio.wait_for(run, SECONDS)
    except Exception:
        traceback.print_exc()
        sys.exit(f"FAILED {name}")
    print(f"ok {name}", flush=True)
    passed += 1


async def comes_back(url: str, message: str | bytes) -> None:
    async with open_socket(url) as socket:
        await echo(socket, message)
        await close(socket)


async def pipelined(url: str) -> None:
    sent = [f"message {i}" if i % 2 else payload(i * 20) for i in range(100)]
    async with open_socket(url) as socket:
        for message in sent:
            await socket.send(message)
        for message in sent:
            same(await socket.recv(), message)
        await close(socket)


async def ping(socket: ClientConnection, data: bytes) -> None:
    """Pings and waits for the pong, which the library matches by its payload."""
    await (await socket.ping(data))


async def pings(url: str) -> None:
    async with open_socket(url) as socket:
        for data in (b"", b"ping", b"p" * 125):
            await ping(socket, data)
        await close(socket)


async def fragments(url: str) -> None:
    async with open_socket(url) as socket:

        async def parts() -> AsyncIterator[str]:
            yield "one, "
            await ping(socket, b"between")
            yield "two"

        await socket.send(parts())
        same(await socket.recv(), "one, two")
        await close(socket)


async def closing(url: str, code: int, reason: str) -> None:
    async with open_socket(url) as socket:
        await close(socket, code, reason)


async def offers_deflate(url: str, is_accepted: bool) -> None:
    async with open_socket(url) as socket:
        assert "permessage-deflate" in socket.request.headers["Sec-WebSocket-Extensions"]
        answer = socket.response.headers.get("Sec-WebSocket-Extensions", "")
        assert answer.startswith("permessage-deflate") == is_accepted, f"answered {answer!r}"
        await echo(socket, "compressible " * 1000)
        await close(socket)


async def another_path(url: str) -> None:
    try:
        await comes_back(urljoin(url, "no/such/path"), "another path")
    except InvalidStatus as refused:
        assert refused.response.status_code == 404, refused
    await comes_back(url, "the server lives on")


async def vanishing(url: str) -> None:
    async with open_socket(url) as socket:
        socket.transport.abort()
    await comes_back(url, "still there")


async def main(url: str, has_deflate: bool) -> None:
    await check("text", comes_back(url, "hello"))
    await check("empty text", comes_back(url, ""))
    await check("unicode text", comes_back(url, "κόσμε 世界 🦀 \U0010ffff e\u0301 \0"))
    for size in (0, 125, 126, 127, 65_535, 65_536, 1 << 20):
        await check(f"binary of {size} bytes", comes_back(url, payload(size)))
    await check("100 messages sent at once come back in order", pipelined(url))
    await check("ping is answered with its payload", pings(url))
    await check("ping between two fragments is answered before the second", fragments(url))
    for code, reason in ((1000, ""), (3000, "enough of it")):
        await check(f"close with code {code} is answered with it", closing(url, code, reason))
    outcome = "accepted" if has_deflate else "declined"
    await check(
        f"an offer of permessage-deflate is {outcome}", offers_deflate(url, is_accepted=has_deflate)
    )
    await check("another path is served or not found, and the server lives on", another_path(url))
    await check("a client that vanishes does no harm", vanishing(url))
    print(f"python client: {passed} checks passed")


*flags, url = sys.argv[1:] or [""]
if not url or flags not in ([], ["--deflate"]):
    sys.exit("usage: python_client.py [--deflate] ws://ADDR/")
asyncio.run(main(url, bool(flags)))
