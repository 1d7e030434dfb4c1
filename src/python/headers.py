# SPDX-License-Identifier: MIT
"""Writes what the Python package knows of the library from the public headers, so that nothing of it is typed twice. Standard
library only.

headers.py python ROOT METHODS_H OUT    nde/_headers.py: structs with types and help of their members, functions, constants
headers.py layout ROOT METHODS_H OUT    core/layout.h: a list of all public structs
"""
import pprint
import re
import sys
from pathlib import Path

COMMENT = re.compile(r"/\*.*?\*/", re.S)
INCLUDE = re.compile(r'^#include "(nde/[^"]+)"', re.M)
STRUCT = re.compile(r"^(?:typedef )?struct (nde_\w+) \{\n(.*?)\n\}", re.M | re.S)
MEMBER = re.compile(r"\s*((?:/\*(?:(?!\*/).)*\*/\s*)*)((?:(?!/\*)[^;])+);(?:[ \t]*(/\*.*?\*/))?", re.S)
FUNCTION = re.compile(r"(/\*(?:(?!\*/).)*\*/\n)?NDE_API (?:NDE_CHECK )?([^;{]*?)\b(nde_\w+)\(([^;]*?)\);", re.S)
CALLBACK = re.compile(r"(.+?)\(\*(\w+)\)\((.*)\)$", re.S)
NUMBER = re.compile(r"\b(NDE_[A-Z0-9_]+) = (-?\d+)|^#define (NDE_[A-Z0-9_]+) \(?(-?\d+)u?\)?(?= |$)", re.M)
NOTE = "/* SPDX-License-Identifier: MIT\n * layout.h - by src/python/headers.py. */\n"
KINDS = {"unsigned": "uint", "unsigned char": "ubyte", "nde_status": "status", "nde_activation": "int", "nde_path_kind": "int",
         "uint32_t": "uint32", "int32_t": "int32", "int64_t": "int64", "uint64_t": "uint64"}
LIST = re.compile(r"X\((\w+), (-?\d+), \"")


def plain(comment):
    """The words of comments."""
    return re.sub(r"\s+", " ", re.sub(r"/\*|\*/|^ +\* ?", " ", comment or "", flags=re.M)).strip()


def kind(text, structs):
    """A C type in the words of nde/_library.py: a ctypes name without c_, "pointer", "text", a struct, [count]type."""
    text = " ".join(text.replace("const", " ").replace("*", " * ").split())
    text = re.sub(r"^(struct|enum) ", "", text)
    if text == "char *":
        return "text"
    if "*" in text or text.endswith("]"):
        return "pointer"
    if text in structs:
        return text
    return KINDS.get(text, text)


def arguments(text, structs):
    """Types of "const double *t, size_t n"; callbacks among them are pointers."""
    while (flat := re.sub(r"\(\*\w*\)\s*\([^()]*\)", "*", text)) != text:
        text = flat
    names = (re.sub(r"\b\w+$", "", part.strip()) or part for part in text.split(","))
    return [] if text.strip() in ("", "void") else [kind(name, structs) for name in names]


def members(body, structs):
    """(name, type, help); a callback's type is [result, arguments ...]."""
    found = []
    for before, declaration, after in MEMBER.findall(body):
        help, declaration = plain(before + after), " ".join(declaration.split())
        declaration = declaration.replace("unsigned char", "ubyte").replace("unsigned", "uint")
        if callback := CALLBACK.match(declaration):
            result, name, given = callback.groups()
            found.append((name, [kind(result, structs), *arguments(given, structs)], help))
            continue
        base = re.match(r"((?:const |struct )*\w+)", declaration)[1]
        for declarator in declaration[len(base):].split(","):
            stars, name, count = re.match(r"([\s*const]*?)(\w+)(?:\[(\d+)\])?$", declarator.strip()).groups()
            found.append((name, (f"[{count}]" if count else "") + kind(base + stars, structs), help))
    return found


class Headers:
    def __init__(self, root, methods, more=()):
        folder = Path(root, "include")
        self.text = {name: (folder/name).read_text() for name in [*INCLUDE.findall((folder/"nde.h").read_text()), *more]}
        self.methods = Path(methods).read_text()
        self.structs = {name: body for text in self.text.values() for name, body in STRUCT.findall(text)}

    def functions(self):
        """{name: [float too, help, result, arguments ...]}. Functions that follow each other share the first one's comment."""
        found = {}
        for name, text in self.text.items():
            precise = '#include "real.h"' in text
            for match in FUNCTION.finditer(text):
                comment, result, function, given = match.groups()
                result = "text" if "char" in result else kind(result, self.structs)
                found[function] = [precise, plain(comment), result, *arguments(COMMENT.sub("", given), self.structs)]
        return found

    def constants(self):
        found = {}
        for text in [*self.text.values(), self.methods]:
            for a, b, c, d in NUMBER.findall(COMMENT.sub("", text)):
                found[a or c] = int(b or d)
            found.update({f"NDE_{name}": int(value) for name, value in LIST.findall(text)})
        return found

    def python(self):
        numbers = self.constants()
        version = ".".join(str(numbers["NDE_VERSION_" + part]) for part in ("MAJOR", "MINOR", "PATCH"))
        structs = {name: members(body, self.structs) for name, body in self.structs.items()}
        parts = {"VERSION": version, "STRUCTS": structs, "FUNCTIONS": self.functions(), "CONSTANTS": numbers}
        text = "".join(f"{name} = {pprint.pformat(value, width=128, sort_dicts=False)}\n" for name, value in parts.items())
        return f'# SPDX-License-Identifier: MIT\n"""The public headers, by src/python/headers.py."""\n{text}'

    def layout(self):
        lines = "".join(f"    X({name}) \\\n" for name in self.structs)
        return f"{NOTE}#define NDE_STRUCTS(X) \\\n{lines}\n"


if __name__ == "__main__":
    what, root, methods, out = sys.argv[1:]
    more = ["nde/stiff.h"] if what == "python" else [] # of a library of its own, which nde.stiff opens
    Path(out).write_text(getattr(Headers(root, methods, more), what)())
