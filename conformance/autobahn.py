"""Runs the Autobahn cases 1 to 10 against an echo server, or a client that echoes, and judges the
report.

`kosoku` runs the cases; this program decides which verdicts are good enough.
The cases 12 and 13 are about permessage-deflate, which is not negotiated.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

CASES = 301
REPORTS = Path(__file__).resolve().parent.parent / "target/conformance/autobahn"

# Seconds that all the cases may take.
LIMIT = 500


def kosoku(reports: Path, *arguments: str) -> list[str | Path]:
    """The command that runs the cases."""
    command = [Path(sys.executable).with_name("kosoku"), *arguments]
    return command + ["--exclude", "12.*", "--exclude", "13.*", "--outdir", reports]


def run_against_server(url: str, reports: Path) -> str:
    """Runs the cases against the server at `url`; returns what `kosoku` has to say."""
    command = kosoku(reports, "--parallelism", "2", urlsplit(url).netloc)
    # The exit status says no more than the report does, unless there is none.
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT).stderr


def run_against_client(command: list[str], reports: Path) -> str:
    """Lets a client, to which the server's address is given as last argument, run the cases; returns
    what `kosoku` has to say."""
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            kosoku(reports, "--mode", "fuzzingserver", "127.0.0.1:0"),
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


def complaints(verdicts: dict[str, dict]) -> list[str]:
    """What keeps the verdicts from being good enough."""
    found = [
        f"{case}: {kind} is {verdict[kind]}"
        for case, verdict in verdicts.items()
        for kind in ("behavior", "behaviorClose")
        if verdict[kind] not in ("OK", "INFORMATIONAL")
    ]
    if len(verdicts) != CASES:
        found.append(f"{len(verdicts)} cases were run instead of {CASES}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
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
    if options.side == "server":
        log = run_against_server(options.url, reports)
    else:
        log = run_against_client(options.command, reports)
    verdicts = verdicts_in(reports, log)
    counts = Counter(verdict["behavior"] for verdict in verdicts.values())
    summary = ", ".join(f"{count} {behavior}" for behavior, count in counts.most_common())
    print(f"autobahn {options.name}: {len(verdicts)} cases: {summary}")

    found = complaints(verdicts)
    if found:
        sys.exit("\n".join([*found, f"{len(found)} complaints; see {reports}/index.html"]))


main()
