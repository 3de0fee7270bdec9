"""Checks compression with Python's `websockets`, as client and as server: deflate_python.py BINARY"""

import asyncio
import json
import random
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from itertools import product

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)

SECONDS = 20
VARIANTS = [
    (9, 15, 1, 0, "tokio"),
    (10, 12, 3, 0, "smol"),
    (12, 10, 6, 128, "tokio"),
    (15, 9, 9, 128, "smol"),
    (15, 15, 1, 128, "tokio"),
]
"""The window that our end sends, the peer's, the level, the threshold, and the runtime."""

OFFERS = [
    {},
    {"server_no_context_takeover": True, "client_no_context_takeover": True},
    {"server_max_window_bits": 9, "client_max_window_bits": 15},
    {"server_max_window_bits": 12, "client_max_window_bits": 9},
    {"client_no_context_takeover": True, "server_max_window_bits": 10},
    {"client_max_window_bits": None},
]
"""The settings of `websockets` as a client."""

ANSWERS = [
    {},
    {"server_no_context_takeover": True, "client_no_context_takeover": True},
    {"server_max_window_bits": 9, "client_max_window_bits": 9},
    {"server_max_window_bits": 15, "client_max_window_bits": 12},
]
"""The settings of `websockets` as a server, which never takes a larger window than was offered."""

JSON_MESSAGES = 60
ALL_MESSAGES = 240


class Settings:
    """Those of our end: what it takes over, whether the peer may, and the variant."""

    def __init__(self, takeover: str, peer_takeover: bool, variant: tuple) -> None:
        self.takeover = takeover
        self.peer_takeover = peer_takeover
        self.bits, self.peer_bits, self.level, self.threshold, self.runtime = variant

    def arguments(self) -> list[str]:
        """The end of a command of the example `deflate`."""
        windows = [self.bits, str(self.peer_takeover).lower(), self.peer_bits]
        return [str(each) for each in [self.takeover, *windows, self.level, self.threshold]]

    def answer_to(self, offer: dict) -> dict:
        """What our server has to answer."""
        answer = {}
        if self.takeover == "none" or "server_no_context_takeover" in offer:
            answer["server_no_context_takeover"] = None
        # A client that cannot be told a window would refer back too far.
        can_be_told = "client_max_window_bits" in offer
        may_take_over = self.peer_takeover and (can_be_told or self.peer_bits == 15)
        if not may_take_over or "client_no_context_takeover" in offer:
            answer["client_no_context_takeover"] = None
        window = min(self.bits, int(offer.get("server_max_window_bits", 15)))
        if window < 15 or "server_max_window_bits" in offer:
            answer["server_max_window_bits"] = str(window)
        window = min(self.peer_bits, int(offer.get("client_max_window_bits") or 15))
        if can_be_told and window < 15:
            answer["client_max_window_bits"] = str(window)
        return answer

    def offer(self) -> dict:
        """What our client has to offer."""
        offer = {"client_max_window_bits": str(self.bits) if self.bits < 15 else None}
        if self.takeover == "none":
            offer["client_no_context_takeover"] = None
        if not self.peer_takeover:
            offer["server_no_context_takeover"] = None
        if self.peer_bits < 15:
            offer["server_max_window_bits"] = str(self.peer_bits)
        return offer


SETTINGS = [
    Settings(*settings)
    for settings in product(["none", "window", "dedicated"], [True, False], VARIANTS)
]


def parameters(headers) -> dict:
    """The parameters of the only extension, each with its value or None."""
    name, *found = (part.strip() for part in headers["Sec-WebSocket-Extensions"].split(";"))
    assert name == "permessage-deflate", name
    pairs = [parameter.partition("=") for parameter in found]
    parameters = {key: value or None for key, _, value in pairs}
    assert len(parameters) == len(found), f"doubled: {found}"
    return parameters


def messages() -> list[str | bytes]:
    """Messages of all kinds, after some of short JSON; the same in every run."""
    source = random.Random(7692)

    def offer() -> dict:
        return {
            "id": source.randrange(9_999_999),
            "title": f"Schöner Stuhl Nr. {source.randrange(999)}",
            "price": source.randrange(99_999),
            "currency": "EUR",
            "stock": source.randrange(999),
            "tags": ["Möbel", "Holz"],
            "sold": False,
        }

    def short_json() -> str:
        return json.dumps({"best": offer(), "others": [offer(), offer()]}, ensure_ascii=False)

    kinds = [
        *[lambda _: short_json()] * 4,
        lambda _: source.randbytes(source.randrange(1000)),
        lambda i: f"no {i}",
        lambda _: "",
        lambda _: b"",
        lambda _: "Grüße über 30 Flüsse und Bäche, ähnlich wie Öl. " * 30,
        lambda i: source.randbytes(70_000) if i % 20 == 9 else "".join(short_json() for _ in range(200)),
    ]
    return [
        short_json() if i < JSON_MESSAGES else kinds[i % len(kinds)](i) for i in range(ALL_MESSAGES)
    ]


MESSAGES = messages()


class Wire:
    """Counts the bytes that come, and the bytes of text in them."""

    def __init__(self, socket) -> None:
        self.bytes = self.text = 0
        receive = socket.protocol.receive_data

        def receive_and_count(data: bytes) -> None:
            self.bytes += len(data)
            receive(data)

        socket.protocol.receive_data = receive_and_count

    def check(self, takes_over: bool) -> float:
        """Checks that our end has compressed, and with takeover has done so better."""
        ratio = self.bytes / self.text
        assert ratio < (0.45 if takes_over else 0.8), f"{ratio:.2f} of the text is on the wire"
        return ratio


def same(got: str | bytes, wanted: str | bytes) -> None:
    assert got == wanted, f"{len(got)} come back for other {len(wanted)}"


async def exchange(socket, some: list[str | bytes]) -> None:
    """Sends messages and compares what comes back meanwhile."""

    async def send() -> None:
        for message in some:
            await socket.send(message)

    async def receive() -> None:
        for message in some:
            same(await socket.recv(), message)

    await asyncio.gather(send(), receive())


async def send(url: str, settings: Settings, options: dict) -> float:
    """Lets `websockets` send to our server; returns how large short JSON was on the wire."""
    extension = ClientPerMessageDeflateFactory(**options)
    async with connect(
        url, proxy=None, ping_interval=None, compression=None, extensions=[extension], max_size=None
    ) as socket:
        answer = parameters(socket.response.headers)
        wanted = settings.answer_to(parameters(socket.request.headers))
        assert answer == wanted, f"answered {answer}, wanted {wanted}"
        wire = Wire(socket)
        first = MESSAGES[:JSON_MESSAGES]
        wire.text = sum(len(message.encode()) for message in first)
        await exchange(socket, first)
        ratio = wire.check("server_no_context_takeover" not in answer)
        await exchange(socket, MESSAGES[JSON_MESSAGES:])
        await socket.close()
        assert socket.close_code == 1000, socket.close_code
        return ratio


async def run_ours(binary: str, address: str, settings: Settings) -> None:
    """Runs the example `deflate` as a client."""
    command = [binary, "connect", settings.runtime, address, *settings.arguments()]
    client = await asyncio.create_subprocess_exec(*command)
    try:
        assert await client.wait() == 0, "our client has failed"
    finally:
        if client.returncode is None:
            client.kill()


async def echo(binary: str, settings: Settings, options: dict) -> float:
    """Lets our client send to `websockets`; returns how large short JSON was on the wire."""
    outcome = asyncio.get_running_loop().create_future()

    async def converse(socket) -> float:
        offer = parameters(socket.request.headers)
        assert offer == settings.offer(), f"offered {offer}, wanted {settings.offer()}"
        answer = parameters(socket.response.headers)
        takes_over = settings.takeover != "none" and "client_no_context_takeover" not in answer
        wire = Wire(socket)
        ratio = None
        count = 0
        async for message in socket:
            count += 1
            if count <= JSON_MESSAGES:
                wire.text += len(message.encode())
            if count == JSON_MESSAGES:
                ratio = wire.check(takes_over)
            await socket.send(message)
        assert count == ALL_MESSAGES, f"{count} messages came"
        return ratio

    async def handle(socket) -> None:
        try:
            outcome.set_result(await converse(socket))
        except Exception as error:
            outcome.set_exception(error)

    extension = ServerPerMessageDeflateFactory(**options)
    async with serve(
        handle, "127.0.0.1", 0, ping_interval=None, compression=None, extensions=[extension],
        max_size=None,
    ) as server:
        host, port = server.sockets[0].getsockname()
        await run_ours(binary, f"{host}:{port}", settings)
        return await outcome


@asynccontextmanager
async def our_server(binary: str, settings: Settings) -> AsyncIterator[str]:
    """Runs the example `deflate` as a server, which ends at the first fault."""
    command = [binary, "serve", settings.runtime, "127.0.0.1:0", *settings.arguments()]
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        line = await asyncio.wait_for(server.stdout.readline(), SECONDS)
        yield line.decode().strip().removeprefix("listening on ")
        assert server.returncode is None, "the server has ended"
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()


async def within(settings: Settings, options: dict, conversation: Awaitable[float]) -> float:
    """Runs a conversation within its time."""
    try:
        return await asyncio.wait_for(conversation, SECONDS)
    except Exception:
        print(f"FAILED {settings.runtime}, {settings.arguments()}, {options}", file=sys.stderr)
        raise


async def main(binary: str) -> None:
    served = defaultdict(list)
    connected = defaultdict(list)
    for settings in SETTINGS:
        async with our_server(binary, settings) as url:
            for options in OFFERS:
                ratio = await within(settings, options, send(url, settings, options))
                served[settings.takeover].append(ratio)
        for options in ANSWERS:
            ratio = await within(settings, options, echo(binary, settings, options))
            connected[settings.takeover].append(ratio)
    for ours, all_ratios in (("server", served), ("client", connected)):
        for takeover, ratios in all_ratios.items():
            print(
                f"our {ours} and Python's websockets, takeover {takeover}: {len(ratios)} ok, "
                f"JSON sent at {min(ratios):.2f} to {max(ratios):.2f}"
            )


if len(sys.argv) != 2:
    sys.exit("usage: deflate_python.py BINARY")
asyncio.run(main(sys.argv[1]))
