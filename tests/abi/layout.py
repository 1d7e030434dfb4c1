# SPDX-License-Identifier: MIT
"""A3: sizes and offsets of the public structs equal layout.txt (64-bit; the same on every such machine).
layout.py COMPILER layout.txt FOLDER...     (--write as last argument: writes layout.txt)"""
import re
import sys
import tempfile
from pathlib import Path

from checks import check, finish, includes, output, public_headers, without_comments

compiler, listed, folders = sys.argv[1], Path(sys.argv[2]), [a for a in sys.argv[3:] if a != "--write"]


def members(body):
    while (flat := re.sub(r"\(\*(\w+)\)\s*\([^()]*\)", r"\1", body)) != body: # function pointers, innermost first
        body = flat
    for declaration in body.split(";"):
        for declarator in declaration.split(","):
            if found := re.search(r"(\w+)\s*(\[\w+\])?\s*$", declarator):
                yield found[1]


lines = []
for name, path in public_headers(folders).items():
    for struct, body in re.findall(r"struct (\w+) \{(.*?)\n\}", without_comments(path.read_text()), re.S):
        lines.append(f'printf("{struct} %zu\\n", sizeof(struct {struct}));')
        lines += [f'printf("{struct}.{m} %zu %zu\\n", offsetof(struct {struct}, {m}), sizeof(((struct {struct} *)0)->{m}));'
                  for m in members(body)]
program = '#include <stdio.h>\n#include "nde.h"\n#include "ndef.h"\n#include "nde/stiff.h"\nint main(void) {\n' + "\n".join(lines) + "\nreturn 0; }\n"
with tempfile.TemporaryDirectory() as folder:
    source = Path(folder, "layout.c")
    source.write_text(program)
    output(compiler, "-std=c11", *includes(folders), source, "-o", source.with_suffix(""))
    today = output(source.with_suffix(""))
if sys.argv[-1] == "--write":
    listed.write_text(today)
before, now = (dict(line.split(" ", 1) for line in text.splitlines()) for text in (listed.read_text(), today))
check(len(now) > 100, "the headers were not understood")
for name in sorted(before.keys() | now.keys()):
    check(before.get(name) == now.get(name), f"{name}: {before.get(name)} in layout.txt, {now.get(name)} now")
finish()
