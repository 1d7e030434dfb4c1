# SPDX-License-Identifier: MIT
"""A5: each public header alone, and nde.h with ndef.h in either order: C11, C17, C++17; gcc, clang; pedantic; no warning.
headers.py FOLDER..."""
import shutil
import subprocess
import sys

from checks import check, finish, includes, public_headers

WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-qual -Wdouble-promotion -Werror -fsyntax-only".split()
LANGUAGES = [(["-x", "c", "-std=c11", "-Wstrict-prototypes"], ("gcc", "clang")),
             (["-x", "c", "-std=c17", "-Wstrict-prototypes"], ("gcc", "clang")),
             (["-x", "c++", "-std=c++17"], ("g++", "clang++"))]
folders = sys.argv[1:]

alone = [[path] for path in public_headers(folders).values()]
alone += [[f"nde/{name}.h"] for name in ("inline", "inlinef", "formula", "formulaf")] # nothing in them is ABI
texts = ["".join(f'#include "{name}"\n' for name in group) + "int main(void) { return 0; }\n"
         for group in alone + [["nde.h", "ndef.h"], ["ndef.h", "nde.h"]]]
runs = 0
for language, compilers in LANGUAGES:
    for compiler in filter(shutil.which, compilers):
        for text in texts:
            done = subprocess.run([compiler, *language, *WARNINGS, *includes(folders), "-"], input=text, text=True,
                                  capture_output=True)
            check(done.returncode == 0, f"{compiler} {' '.join(language)}\n{text}{done.stderr}")
            runs += 1
check(runs >= 2*len(texts), "no compiler was found")
finish()
