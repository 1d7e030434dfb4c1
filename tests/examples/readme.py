# SPDX-License-Identifier: MIT
"""Every C program of the README compiles without a warning and runs. readme.py README LIBRARY COMPILER... FLAGS"""
import os
import re
import sys
import tempfile
from pathlib import Path

from support import check, finish, run

readme, library, *compiler = sys.argv[1:]
library = Path(library).resolve()
blocks = re.findall(r"^```c\n(.*?)^```", Path(readme).read_text(), re.S | re.M)
check(len(blocks) >= 2, f"{len(blocks)} programs")
with tempfile.TemporaryDirectory() as scratch:
    for number, block in enumerate(blocks, 1):
        source, program = Path(scratch, "program.c"), Path(scratch, "program")
        source.write_text(block)
        done = run(*compiler, "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", source, "-o", program, library,
                   f"-Wl,-rpath,{library.parent}", "-lm")
        check(done.returncode == 0, f"program {number} does not compile: {done.stderr}")
        if done.returncode:
            continue
        done = run(program, cwd=scratch, env={**os.environ, "ASAN_OPTIONS": "verify_asan_link_order=0"})
        check(done.returncode == 0 and done.stdout and not done.stderr, f"program {number}: exit {done.returncode} {done.stderr}")
        print(done.stdout, end="")
finish()
