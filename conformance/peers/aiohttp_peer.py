"""Python's `aiohttp` as a peer of the matrix."""

import asyncio
import ssl
from functools import partial

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web
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

Socket = web.WebSocketResponse | ClientWebSocketResponse

DATA = (WSMsgType.TEXT, WSMsgType.BINARY)


def record(socket: Socket, count: int, reason: str) -> dict:
    """How a conversation went, once it is over."""
    is_server = isinstance(socket, web.WebSocketResponse)
    return {
        "protocol": socket.ws_protocol if is_server else socket.protocol,
        "compressed": bool(socket.compress),
        "messages": count,
        "code": socket.close_code,
        "reason": reason,
    }


async def send(socket: Socket, message: str | bytes) -> None:
    if isinstance(message, str):
        await socket.send_str(message)
    else:
        await socket.send_bytes(message)


async def converse(has_deflate: bool, request: web.BaseRequest) -> web.WebSocketResponse:
    """Echoes messages. A text `goodbye` is answered with a Close."""
    socket = web.WebSocketResponse(protocols=[PROTOCOL], compress=has_deflate, max_msg_size=0)
    await socket.prepare(request)
    count = 0
    message = await socket.receive()
    while message.type in DATA and message.data != GOODBYE:
        await send(socket, message.data)
        count += 1
        message = await socket.receive()
    reason = ""
    if message.type in DATA:
        code, text = SERVER_CLOSE
        await socket.close(code=code, message=text.encode())
    else:
        # It has been answered, with 1000: aiohttp does not send the peer's code back.
        assert message.type is WSMsgType.CLOSE, message
        reason = message.extra
    authorization = request.headers.get("Authorization", "")
    say(record(socket, count, reason) | {"authorization": authorization})
    return socket


async def serve(has_deflate: bool, tls: ssl.SSLContext | None) -> None:
    runner = web.ServerRunner(web.Server(partial(converse, has_deflate)))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    listening(runner.addresses[0][1], tls)
    await asyncio.Event().wait()


async def talk(url: str, tls: ssl.SSLContext | None, closes: bool) -> None:
    """Holds one conversation, and closes it or lets the server do so."""
    async with (
        ClientSession() as session,
        session.ws_connect(
            url,
            ssl=tls or True,
            protocols=OFFERED,
            headers=HEADERS,
            compress=15,
            max_msg_size=0,
            # Else no pong is shown.
            autoping=False,
        ) as socket,
    ):
        sent = messages()

        async def receive() -> None:
            for message in sent:
                got = await socket.receive()
                assert got.type in DATA, got
                same(got.data, message)

        receiving = asyncio.create_task(receive())
        for message in sent:
            await send(socket, message)
        await receiving
        await socket.ping(PING)
        pong = await socket.receive()
        assert pong.type is WSMsgType.PONG and pong.data == PING, pong
        reason = ""
        if closes:
            code, text = CLIENT_CLOSE
            await socket.close(code=code, message=text.encode())
        else:
            await send(socket, GOODBYE)
            close = await socket.receive()
            assert close.type is WSMsgType.CLOSE, close
            reason = close.extra
        say(record(socket, len(sent), reason))


run(serve, talk)
