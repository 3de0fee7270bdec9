"""Runs the Autobahn cases 1 to 10 against an echo server and judges the report.

`kosoku` runs the cases; this program decides which verdicts are good enough.
The cases 12 and 13 are about permessage-deflate, which the echo servers decline.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

CASES = 301
REPORTS = Path(__file__).resolve().parent.parent / "target/conformance/autobahn"


def run(address: str, reports: Path) -> dict[str, dict]:
    """Runs the cases and returns the verdict of each by its id."""
    shutil.rmtree(reports, ignore_errors=True)
    command = [Path(sys.executable).with_name("kosoku"), "--parallelism", "2"]
    command += ["--exclude", "12.*", "--exclude", "13.*", "--outdir", reports, address]
    # The exit status says no more than the report does, unless there is none.
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    index = reports / "index.json"
    if not index.exists():
        sys.exit(f"kosoku made no report:\n{done.stderr}")
    agents = json.loads(index.read_text())
    return {case: verdict for cases in agents.values() for case, verdict in cases.items()}


def complaints(verdicts: dict[str, dict], allowed: set[str]) -> list[str]:
    """What keeps the verdicts from being good enough."""
    found = [
        f"{case}: {kind} is {verdict[kind]}"
        for case, verdict in verdicts.items()
        for kind in ("behavior", "behaviorClose")
        if verdict[kind] not in ("OK", "INFORMATIONAL")
        and not (kind == "behavior" and verdict[kind] == "NON-STRICT" and case in allowed)
    ]
    if len(verdicts) != CASES:
        found.append(f"{len(verdicts)} cases were run instead of {CASES}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the server, for the report")
    parser.add_argument("url", help="of the server, ws://HOST:PORT/")
    parser.add_argument(
        "--allow-non-strict",
        metavar="CASE,...",
        default="",
        help="cases whose behaviour may be NON-STRICT",
    )
    options = parser.parse_args()

    reports = REPORTS / options.name
    verdicts = run(urlsplit(options.url).netloc, reports)
    counts = Counter(verdict["behavior"] for verdict in verdicts.values())
    summary = ", ".join(f"{count} {behavior}" for behavior, count in counts.most_common())
    print(f"autobahn {options.name}: {len(verdicts)} cases: {summary}")

    found = complaints(verdicts, set(options.allow_non_strict.split(",")))
    if found:
        sys.exit("\n".join([*found, f"{len(found)} complaints; see {reports}/index.html"]))


main()
