"""Runs the Autobahn cases against an echo server, or a client that echoes, and judges the report.

`kosoku` runs the cases; this program decides which verdicts are good enough. The cases 12 and 13
are about permessage-deflate and take most of the time, so a run may do with a share of the quicker
ones.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

PLAIN = [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 9, 10)]
PLAIN_CASES = 301
SUBGROUPS = [f"12.{i + 1}" for i in range(5)] + [f"13.{i + 1}" for i in range(7)]
"""Those about compression."""
SIZES = 18
"""The cases of a subgroup: messages of 16 bytes to 128 KiB, then of 8 to 128 KiB in fragments."""
QUICK = 14
"""Those but the ones with 128 KiB in fragments, which take half of the time."""
INCOMPRESSIBLE = ("12.2.", "12.5.")
"""A picture and a PDF."""
SHORT = 3
"""The first cases of a subgroup have messages of at most 256 bytes, which may stay as they are."""
SMALLER = 0.8
"""What others may be on the wire, compared with the messages."""
REPORTS = Path(__file__).resolve().parent.parent / "target/conformance/autobahn"

# Seconds that all the cases may take.
LIMIT = 1200


def share(text: str) -> list[str]:
    """Share K of N of the quicker cases about compression, given as `K/N`. It has each size and each
    subgroup as often as any other share, give or take one."""
    share, count = map(int, text.split("/"))
    if not 1 <= share <= count:
        raise ValueError
    return [
        f"{subgroup}.{size + 1}"
        for (i, subgroup), size in product(enumerate(SUBGROUPS), range(QUICK))
        if (i + size) % count == share - 1
    ]


def kosoku(reports: Path, cases: list[str], *arguments: str) -> list[str | Path]:
    """The command that runs the cases."""
    command = [Path(sys.executable).with_name("kosoku"), *arguments]
    for case in cases:
        command += ["--include", case]
    return command + ["--outdir", reports]


def run_against_server(url: str, cases: list[str], reports: Path) -> str:
    """Runs the cases against the server at `url`; returns what `kosoku` has to say."""
    command = kosoku(reports, cases, "--parallelism", "2", urlsplit(url).netloc)
    # The exit status says no more than the report does, unless there is none.
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT).stderr


def run_against_client(command: list[str], cases: list[str], reports: Path) -> str:
    """Lets a client, to which the server's address is given as last argument, run the cases; returns
    what `kosoku` has to say."""
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            kosoku(reports, cases, "--mode", "fuzzingserver", "127.0.0.1:0"),
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            # It is the first line, and comes once the server listens.
            line = server.stderr.readline()
            address = line.rpartition("ws://")[2].strip()
            if not address:
                sys.exit(f"kosoku does not listen: {line}{server.stderr.read()}")
            client = subprocess.run([*command, address], timeout=LIMIT)
            if client.returncode != 0:
                sys.exit(f"the client ended with status {client.returncode}")
            # It writes the report and ends, as the client has asked it to.
            return line + server.communicate(timeout=60)[1]
        finally:
            server.kill()
            server.wait()


def verdicts_in(reports: Path, log: str) -> dict[str, dict]:
    """The verdict of each case by its id."""
    index = reports / "index.json"
    if not index.exists():
        sys.exit(f"kosoku made no report:\n{log}")
    agents = json.loads(index.read_text())
    return {case: verdict for cases in agents.values() for case, verdict in cases.items()}


def size_on_the_wire(reports: Path, verdict: dict) -> float | None:
    """How large what came from the other end was, compared with the messages in it."""
    report = json.loads((reports / verdict["reportfile"]).read_text())
    return (report["trafficStats"] or {}).get("incomingCompressionRatio")


def complaints(verdicts: dict[str, dict], compressed: list[str], reports: Path) -> list[str]:
    """What keeps the verdicts from being good enough."""
    found = [
        f"{case}: {kind} is {verdict[kind]}"
        for case, verdict in verdicts.items()
        for kind in ("behavior", "behaviorClose")
        if verdict[kind] not in ("OK", "INFORMATIONAL")
    ]
    for case in compressed:
        if case.startswith(INCOMPRESSIBLE) or int(case.rpartition(".")[2]) <= SHORT:
            continue
        size = case in verdicts and size_on_the_wire(reports, verdicts[case])
        if not size or size > SMALLER:
            found.append(f"{case}: the messages had {size} of their size on the wire")
    if len(verdicts) != PLAIN_CASES + len(compressed):
        found.append(f"{len(verdicts)} cases were run, not {PLAIN_CASES} + {len(compressed)}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--share", type=share, help="K/N of the quicker cases about compression, instead of all"
    )
    sides = parser.add_subparsers(dest="side", required=True)
    server = sides.add_parser("server", help="run the cases against an echo server")
    server.add_argument("name", help="for the report")
    server.add_argument("url", help="of the server, ws://HOST:PORT/")
    client = sides.add_parser("client", help="run the cases against a client that echoes")
    client.add_argument("name", help="for the report")
    client.add_argument("command", nargs="+", help="of the client, but for the server's address")
    options = parser.parse_args()

    reports = REPORTS / options.name
    shutil.rmtree(reports, ignore_errors=True)
    every = [f"{subgroup}.{size + 1}" for subgroup, size in product(SUBGROUPS, range(SIZES))]
    compressed = every if options.share is None else options.share
    cases = PLAIN + compressed
    if options.side == "server":
        log = run_against_server(options.url, cases, reports)
    else:
        log = run_against_client(options.command, cases, reports)
    verdicts = verdicts_in(reports, log)
    counts = Counter(verdict["behavior"] for verdict in verdicts.values())
    summary = ", ".join(f"{count} {behavior}" for behavior, count in counts.most_common())
    print(f"autobahn {options.name}: {len(verdicts)} cases: {summary}")

    found = complaints(verdicts, compressed, reports)
    if found:
        sys.exit("\n".join([*found, f"{len(found)} complaints; see {reports}/index.html"]))


main()
