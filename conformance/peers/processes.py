"""The two ends of a conversation, as processes. Each is stopped with its cell."""

import asyncio
import json
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TextIO

from gateways import HOST, free_port

FOLDER = Path(__file__).resolve().parents[2] / "target/conformance/interop"
START = 10
"""Seconds in which a server has to listen."""
TALK = 20
"""Seconds that a client's two conversations may take."""
RECORD = 5
"""Seconds in which a server has to print what it knows of a conversation that is over."""


class Failure(Exception):
    """What is wrong with a cell."""


class Server:
    """A process that serves."""

    def __init__(self, child: asyncio.subprocess.Process, log: TextIO) -> None:
        self.child = child
        self.log = log

    def complain(self, what: str) -> Failure:
        self.log.seek(0)
        return Failure(f"{what}\n{self.log.read()[-2000:]}".rstrip())

    async def line(self, seconds: float) -> str:
        """The next line that the server prints."""
        try:
            line = await asyncio.wait_for(self.child.stdout.readline(), seconds)
        except asyncio.TimeoutError:
            raise self.complain("the server printed nothing in time") from None
        if not line:
            raise self.complain("the server has ended")
        return line.decode().strip()

    async def records(self) -> list[dict]:
        """What the server knows of two conversations."""
        return [json.loads(await self.line(RECORD)) for _ in range(2)]


@asynccontextmanager
async def running(command: list[str]) -> AsyncIterator[Server]:
    """Runs a server, which may not end by itself."""
    with tempfile.TemporaryFile("w+") as log:
        child = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, stderr=log
        )
        server = Server(child, log)
        try:
            yield server
            if child.returncode is not None:
                raise server.complain(f"the server ended with status {child.returncode}")
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()


@asynccontextmanager
async def serving(command: list[str], has_deflate: bool, tls: Path | None) -> AsyncIterator[tuple]:
    """Starts a server; yields it with its URL. `tls` is a file with its certificate and key."""
    arguments = ["deflate" if has_deflate else "plain", *([str(tls)] if tls else [])]
    async with running([*command, "serve", *arguments]) as server:
        yield server, (await server.line(START)).removeprefix("listening on ")


@asynccontextmanager
async def gateway(kind: type, upstream: str, tls: Path | None) -> AsyncIterator[str]:
    """Starts nginx or haproxy in front of the server with a URL; yields the URL of the gateway."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        port = free_port()
        path = Path(folder) / "configuration"
        address = upstream.removeprefix("ws://").removesuffix("/")
        path.write_text(kind.configuration(Path(folder), port, tls, address))
        async with running(kind.command(path)) as server:
            try:
                await asyncio.wait_for(listens(server, port), START)
            except asyncio.TimeoutError:
                raise server.complain("the gateway does not listen") from None
            yield f"{'wss' if tls else 'ws'}://{HOST}:{port}/ws"


async def listens(server: Server, port: int) -> None:
    """Waits until a gateway accepts connections."""
    while server.child.returncode is None:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
            writer.close()
            return
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)
    raise server.complain(f"the gateway ended with status {server.child.returncode}")


async def run_client(command: list[str], url: str, ca: Path) -> tuple[int, str, str]:
    """Lets a client hold its conversations; returns its status and what it prints."""
    child = await asyncio.create_subprocess_exec(
        *command, "connect", url, str(ca), stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    try:
        output, errors = await asyncio.wait_for(child.communicate(), TALK)
    except asyncio.TimeoutError:
        raise Failure(f"the client took more than {TALK} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return child.returncode, output.decode(), errors.decode()


async def connecting(command: list[str], url: str, ca: Path) -> list[dict]:
    """Lets a client hold its conversations; returns what it knows of them."""
    status, output, errors = await run_client(command, url, ca)
    if status != 0:
        raise Failure(f"the client ended with status {status}\n{errors[-2000:]}".rstrip())
    return [json.loads(line) for line in output.splitlines()]
