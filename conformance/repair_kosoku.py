"""Repairs `kosoku` 0.1.0, the program that runs the Autobahn cases.

Its cases 12 and 13 crash on a message that comes back uncompressed on a connection that agreed to
compression, because they then get text instead of bytes. RFC 7692, section 6, allows such messages.
"""

import importlib.util
import sys
from pathlib import Path

BEFORE = """\
def onMessage(self, msg, binary):
   m = hashlib.sha1()
"""
AFTER = """\
def onMessage(self, msg, binary):
   msg = msg.encode('latin-1' if binary else 'utf-8') if isinstance(msg, str) else msg
   m = hashlib.sha1()
"""


def main() -> None:
    package = importlib.util.find_spec("kosoku").submodule_search_locations[0]
    file = Path(package) / "cases/case12_x_x.py"
    text = file.read_text()
    if text.count(AFTER) == 0 and text.count(BEFORE) == 1:
        file.write_text(text.replace(BEFORE, AFTER))
    if file.read_text().count(AFTER) != 1:
        sys.exit(f"{file} is not the file that this repair is for")


main()
