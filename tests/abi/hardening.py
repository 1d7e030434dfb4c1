# SPDX-License-Identifier: MIT
"""A7: RELRO, BIND_NOW, no executable stack, no text relocations, stack protector, soname. hardening.py LIBRARY"""
import re
import sys

from checks import check, finish, output

library = sys.argv[1]
dynamic = output("readelf", "-dW", library)
segments = output("readelf", "-lW", library)
check("GNU_RELRO" in segments, "no RELRO")
check(re.search(r"BIND_NOW|Flags: NOW", dynamic), "lazy binding")
check(re.search(r"GNU_STACK.* RW +0x", segments), "the stack is executable")
check("TEXTREL" not in dynamic, "text relocations")
stiff = "libnde-stiff" in library
check(re.search(r"SONAME.*\[libnde" + ("-stiff" if stiff else "") + r"\.so\.\d+\]", dynamic), "no soname")
check("__stack_chk_fail" in output("nm", "-D", "-u", library), "no stack protector")
needed = set(re.findall(r"NEEDED.*\[([a-z_-]+)", dynamic))
check(needed <= {"libm", "libc", "liblbfgs", "libklu", "libfftw", "libpthread", "libdl", "ld-linux-x"} |
      ({"libopenblas", "libsundials_cvodes", "libsundials_idas", "libsundials_core"} if stiff else set()), f"needs {needed}")
finish()
