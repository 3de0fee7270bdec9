"""Runs every cell of the matrix and prints the table: matrix.py BINARY FOLDER

BINARY is the example `interop`, and FOLDER has the certificates.
"""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gateways import Haproxy, Nginx
from processes import Failure, connecting, gateway, run_client, serving

HERE = Path(__file__).resolve().parent
NODE_MODULES = HERE.parents[1] / "target/conformance/node_modules"
COLUMNS = {
    "plain": (False, False),
    "deflate": (True, False),
    "TLS": (False, True),
    "TLS + deflate": (True, True),
}
"""Whether with compression, and whether with TLS."""
RUNTIMES = ["tokio", "smol"]
CELLS = 64
"""Of the whole table: none may be lost unnoticed."""
AT_ONCE = 2
LIMIT = 240
"""Seconds that all may take."""

PROTOCOL = "interop.v1"
AUTHORIZATION = "Bearer interop"
MESSAGES = 206
CLIENT_CLOSE = (4001, "the client is done")
SERVER_CLOSE = (4002, "the server is done")


@dataclass
class Peer:
    """A program that is not ours, or ours on one runtime."""

    name: str
    command: list[str]
    answer: int | None = None
    """The code with which it answers every Close; without it, it sends the code back."""


PEERS = [
    Peer("ws", ["node", str(HERE / "ws.mjs")]),
    Peer("websockets", [sys.executable, str(HERE / "websockets_peer.py")]),
    Peer("aiohttp", [sys.executable, str(HERE / "aiohttp_peer.py")], answer=1000),
]
GATEWAYS = [Nginx, Haproxy]


def versions() -> dict[str, str]:
    """The versions of all peers. Ends the program if one is missing."""
    try:
        package = json.loads((NODE_MODULES / "ws/package.json").read_text())
        found = {"ws": package["version"]}
        for name in ("websockets", "aiohttp"):
            found[name] = version(name)
        for kind in GATEWAYS:
            command = [kind.binary, "-v"]
            told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
            number = re.search(r"\d+\.\d+\.\d+", told.stdout + told.stderr)
            found[kind.name] = number.group()
        return found
    except (OSError, PackageNotFoundError) as missing:
        sys.exit(f"interop: {missing}: run conformance/setup")


def demand(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise Failure(f"{what} is {got!r}, not {wanted!r}")


def judge(
    has_deflate: bool, ends: tuple[Peer, Peer], client: list[dict], server: list[dict]
) -> None:
    """Compares what client and server know of their conversations with what has to be."""
    connecting, serving = ends
    demand("the number of the client's conversations", len(client), 2)
    # The server may be late with the first of them.
    server.sort(key=lambda record: record["code"] != CLIENT_CLOSE[0])
    for side, records in (("client", client), ("server", server)):
        for record in records:
            demand(f"the {side}'s subprotocol", record["protocol"], PROTOCOL)
            demand(f"the {side}'s compression", record["compressed"], has_deflate)
            demand(f"the {side}'s count of messages", record["messages"], MESSAGES)
    for record in server:
        demand("the header `Authorization`", record["authorization"], AUTHORIZATION)
    demand("the client's Close", (server[0]["code"], server[0]["reason"]), CLIENT_CLOSE)
    demand("the answer to it", client[0]["code"], serving.answer or CLIENT_CLOSE[0])
    demand("the server's Close", (client[1]["code"], client[1]["reason"]), SERVER_CLOSE)
    demand("the answer to it", server[1]["code"], connecting.answer or SERVER_CLOSE[0])


class Matrix:
    """The files that all cells use, and what has become of the cells."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.binary = binary
        self.ca = folder / "ca.pem"
        self.stranger = folder / "stranger.pem"
        self.pem = folder / "both.pem"
        self.failures: list[str] = []
        self.turns = asyncio.Semaphore(AT_ONCE)

    def ours(self, runtime: str) -> Peer:
        return Peer("ours", [self.binary, runtime])

    async def direct(self, client: Peer, server: Peer, column: str) -> None:
        """A client talks to a server, by name if the certificate has to fit."""
        has_deflate, has_tls = COLUMNS[column]
        tls = self.pem if has_tls else None
        async with serving(server.command, has_deflate, tls) as (process, url):
            url = url.replace("wss://127.0.0.1", "wss://localhost")
            known = await connecting(client.command, url, self.ca)
            judge(has_deflate, (client, server), known, await process.records())

    async def through(self, kind: type, ours: Peer, column: str) -> None:
        """We talk to ourselves through a gateway, by address."""
        has_deflate, has_tls = COLUMNS[column]
        async with (
            serving(ours.command, has_deflate, None) as (process, upstream),
            gateway(kind, upstream, self.pem if has_tls else None) as url,
        ):
            known = await connecting(ours.command, url, self.ca)
            judge(has_deflate, (ours, ours), known, await process.records())

    async def refusal(self, ours: Peer) -> None:
        """We must not talk to a server whose certificate another CA has signed."""
        async with serving(PEERS[0].command, True, self.pem) as (_, url):
            status, _, errors = await run_client(ours.command, url, self.stranger)
            refused = (status, "UnknownIssuer" in errors)
            demand("the client's status, and whether it names the CA,", refused, (1, True))

    async def verdict(self, name: str, cell: Callable[[], Coroutine]) -> str:
        async with self.turns:
            try:
                await cell()
                return "ok"
            except Failure as failure:
                self.failures.append(f"{name}: {failure}")
            except (OSError, ValueError, KeyError) as error:
                self.failures.append(f"{name}: {error!r}")
            return "FAILED"

    async def row(self, name: str, cell: Callable[[str], Coroutine]) -> tuple[str, list[str]]:
        verdicts = [self.verdict(f"{name}, {column}", partial(cell, column)) for column in COLUMNS]
        return name, await asyncio.gather(*verdicts)


def rows(matrix: Matrix, found: dict[str, str]) -> Iterator[Coroutine]:
    """The rows of the table, which have not begun."""
    for runtime in RUNTIMES:
        ours = matrix.ours(runtime)
        for peer in PEERS:
            name = f"{peer.name} {found[peer.name]}"
            connect = partial(matrix.direct, ours, peer)
            yield matrix.row(f"we connect on {runtime} to {name}", connect)
            serve = partial(matrix.direct, peer, ours)
            yield matrix.row(f"we serve on {runtime} for {name}", serve)
        for kind in GATEWAYS:
            name = f"{kind.name} {found[kind.name]}"
            through = partial(matrix.through, kind, ours)
            yield matrix.row(f"we connect on {runtime} through {name}", through)


def show(table: list[tuple[str, list[str]]]) -> None:
    width = max((len(name) for name, _ in table), default=0)
    print(f"{'':{width}}", *(f"{column:>13}" for column in COLUMNS))
    for name, verdicts in table:
        print(f"{name:{width}}", *(f"{verdict:>13}" for verdict in verdicts))


async def run(matrix: Matrix, found: dict[str, str]) -> int:
    """Runs all cells; returns how many are ok."""
    table = sorted(await asyncio.gather(*rows(matrix, found)))
    show(table)
    for runtime in RUNTIMES:
        name = f"a strange CA is refused on {runtime}"
        refusal = partial(matrix.refusal, matrix.ours(runtime))
        print(f"{name}: {await matrix.verdict(name, refusal)}")
    cells = [verdict for _, verdicts in table for verdict in verdicts]
    if len(cells) != CELLS:
        matrix.failures.append(f"the table has {len(cells)} cells, not {CELLS}")
    return cells.count("ok")


def main(binary: str, folder: Path) -> None:
    matrix = Matrix(binary, folder)
    try:
        ok = asyncio.run(asyncio.wait_for(run(matrix, versions()), LIMIT))
    except asyncio.TimeoutError:
        sys.exit(f"interop: the cells took more than {LIMIT} s")
    if matrix.failures:
        count = f"interop: {len(matrix.failures)} failures"
        sys.exit("\n\n".join(["", *matrix.failures, count]))
    print(f"interop: {ok} cells are ok")


if len(sys.argv) != 3:
    sys.exit("usage: matrix.py BINARY FOLDER")
main(sys.argv[1], Path(sys.argv[2]))
