"""Python's `websockets` as a peer of the matrix."""

import asyncio
import ssl

from common import (
    CLIENT_CLOSE,
    GOODBYE,
    HEADERS,
    OFFERED,
    PING,
    PROTOCOL,
    SERVER_CLOSE,
    listening,
    messages,
    run,
    same,
    say,
)
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import PerMessageDeflate


def record(socket: Connection, count: int) -> dict:
    """How a conversation went, once it is over."""
    extensions = socket.protocol.extensions
    return {
        "protocol": socket.subprotocol or "",
        "compressed": any(isinstance(each, PerMessageDeflate) for each in extensions),
        "messages": count,
        "code": socket.close_code,
        "reason": socket.close_reason,
    }


async def converse(socket: ServerConnection) -> None:
    """Echoes messages. A text `goodbye` is answered with a Close."""
    count = 0
    try:
        while (message := await socket.recv()) != GOODBYE:
            await socket.send(message)
            count += 1
        await socket.close(*SERVER_CLOSE)
    except ConnectionClosed:
        pass
    authorization = socket.request.headers.get("Authorization", "")
    say(record(socket, count) | {"authorization": authorization})


async def serve(has_deflate: bool, tls: ssl.SSLContext | None) -> None:
    async with listen(
        converse,
        "127.0.0.1",
        0,
        ssl=tls,
        compression="deflate" if has_deflate else None,
        subprotocols=[PROTOCOL],
        max_size=None,
        ping_interval=None,
    ) as server:
        listening(server.sockets[0].getsockname()[1], tls)
        await server.serve_forever()


async def talk(url: str, tls: ssl.SSLContext | None, closes: bool) -> None:
    """Holds one conversation, and closes it or lets the server do so."""
    async with connect(
        url,
        ssl=tls,
        subprotocols=OFFERED,
        additional_headers=HEADERS,
        proxy=None,
        ping_interval=None,
        max_size=None,
    ) as socket:
        sent = messages()

        async def receive() -> None:
            for message in sent:
                same(await socket.recv(), message)

        receiving = asyncio.create_task(receive())
        for message in sent:
            await socket.send(message)
        await receiving
        await (await socket.ping(PING))
        if closes:
            await socket.close(*CLIENT_CLOSE)
        else:
            await socket.send(GOODBYE)
            await socket.wait_closed()
        say(record(socket, len(sent)))


run(serve, talk)
