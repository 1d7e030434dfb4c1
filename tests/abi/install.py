# SPDX-License-Identifier: MIT
"""A6: installed to a scratch prefix, the README's first program is built with pkg-config alone, shared and static, and runs; and
two libnde in one process, each opened for itself, know nothing of each other.
install.py MESON BUILD COMPILER README"""
import ctypes
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from checks import check, finish, output

meson, build, compiler, readme = sys.argv[1:]
blocks = re.findall(r"^```c\n(.*?)^```", Path(readme).read_text(), re.S | re.M)
check(blocks, "README.md has no program")

with tempfile.TemporaryDirectory() as scratch:
    output(meson, "install", "--no-rebuild", "--quiet", "--destdir", scratch, cwd=build)
    config = next(Path(scratch).rglob("nde.pc"))
    library = config.parents[1]
    check(next(Path(scratch).rglob("nde-config.cmake"), None), "no CMake config")
    installed = {str(p.relative_to(p.parents[1])) for p in Path(scratch).rglob("*.h")}
    check("nde/methods.h" in installed and "include/ndef.h" in installed, f"headers installed: {sorted(installed)}")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(config.parent)}
    source, program = Path(scratch, "first.c"), Path(scratch, "first")
    source.write_text(blocks[0] if blocks else "")
    for static in ([], ["--static"]):
        flags = shlex.split(output("pkg-config", "--cflags", "--libs", *static, "nde", env=environment))
        if static: # the static libnde, everything else as the system has it
            flags = [str(library/"libnde.a") if flag == "-lnde" else flag for flag in flags]
        output(compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", source, "-o", program, *flags, *([] if static else ["-lm"]))
        done = subprocess.run([program], cwd=scratch, text=True, capture_output=True,
                              env={**os.environ, "LD_LIBRARY_PATH": "" if static else str(library)})
        check(done.returncode == 0 and done.stdout, f"first program {static}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        needed = output("readelf", "-d", program)
        check(("libnde.so" in needed) == (not static), f"{static or 'shared'}: linked the wrong library")

    if "libasan" not in output("readelf", "-d", library/"libnde.so"):
        one, other = (ctypes.CDLL(shutil.copy(library/"libnde.so", Path(scratch, name))) for name in ("one.so", "other.so")) # RTLD_LOCAL
        for copy in (one, other):
            copy.nde_error.restype = ctypes.c_char_p
        check(one.nde_tensors_load(b"/nowhere", None, ctypes.c_size_t(0)) < 0, "a file that is nowhere was read")
        check(one.nde_error() and not other.nde_error(), "two libraries share the text of an error")
        check(ctypes.cast(one.nde_version, ctypes.c_void_p).value != ctypes.cast(other.nde_version, ctypes.c_void_p).value,
              "two libraries are one")
finish()
