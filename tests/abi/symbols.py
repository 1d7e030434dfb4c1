# SPDX-License-Identifier: MIT
"""A1: what a shared library exports is what its list says and what its public headers declare, in both precisions.
symbols.py LIBRARY LIST FOLDER...     (--write as last argument: writes LIST)
A LIST called stiff.txt is that of libnde-stiff, whose header is nde/stiff.h."""
import re
import sys
from pathlib import Path

from checks import check, finish, output, public_headers, without_comments

library, listed, folders = sys.argv[1], Path(sys.argv[2]), [a for a in sys.argv[3:] if a != "--write"]

lines = [line.split() for line in output("nm", "-D", "--defined-only", library).splitlines()]
exported = {line[2].split("@")[0]: line for line in lines if line[1] != "A"}
declared = set()
stiff = listed.stem == "stiff"
for name, path in public_headers(folders).items():
    if (name == "nde/stiff.h") != stiff:
        continue
    declared.update(re.findall(r"NDE_API[^;{]*?\b(ndef?_[a-z0-9_]+)\(", without_comments(path.read_text())))
if sys.argv[-1] == "--write":
    listed.write_text("".join(f"{name}\n" for name in sorted(declared)))

for name, line in exported.items():
    check(re.fullmatch(r"ndef?_[a-z0-9_]+", name), f"exported under a name that is not ours: {name}")
    check(line[1] == "T", f"not a function: {name} ({line[1]})")
    check(line[2].endswith("@@NDE_STIFF_1" if stiff else "@@NDE_1"), f"without version: {name}")
expected = set(listed.read_text().split())
for name in sorted(expected ^ set(exported)):
    check(False, f"{name}: " + ("listed, not exported" if name in expected else "exported, not listed"))
for name in sorted(expected ^ declared):
    check(False, f"{name}: " + ("listed, not declared" if name in expected else "declared, not listed"))
finish()
