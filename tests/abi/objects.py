# SPDX-License-Identifier: MIT
"""A8, D4, R7: what the object files hold. No writable section but .data.rel.ro*, and one .tbss in all (the error text of a
thread); nothing undefined that prints, exits or sets something for the whole process; no fused product where the source
says none. objects.py ARCHIVE"""
import re
import sys

from checks import check, finish, output

archive = sys.argv[1]
FORBIDDEN = re.compile(r"(__)?v?f?d?printf(_chk)?|f?put[sc]|putchar|perror|stdout|stderr|_?_?exit|_Exit|quick_exit|abort|atexit|rand|srand|"
                       r"setlocale|fesetround|signal|sigaction|setenv|putenv|(openblas|goto|mkl|MKL)_set_\w+|omp_\w+|GOMP_\w+|"
                       r"malloc|calloc|realloc|posix_memalign")

member, tbss = "", []
for line in output("readelf", "-SW", archive).splitlines():
    if found := re.match(r"File: .*\((.*)\)", line):
        member = found[1]
    elif found := re.match(r"\s*\[ *\d+\] (\S+)\s+\S+\s+\S+ \S+ (\S+) \S+ ([A-Za-z]*)", line):
        section, size, flags = found[1], int(found[2], 16), found[3]
        if "W" not in flags or size == 0 or section.startswith(".data.rel.ro"):
            continue
        if section == ".tbss":
            tbss.append(member)
        else:
            check(False, f"{member}: writable section {section}, {size} bytes")
check(tbss == ["core_status.c.o"], f".tbss in {tbss}, not in core/status.c alone")

members = 0
for line in output("nm", "-u", "-A", archive).splitlines():
    member, name = line.split(":")[1], line.split()[-1]
    check(not FORBIDDEN.fullmatch(name), f"{member}: uses {name}")
    check(not re.fullmatch(r"aligned_alloc|free", name) or member == "core_memory.c.o", f"{member}: uses {name}")

fused = {}
for line in output("objdump", "-d", "--no-show-raw-insn", archive).splitlines():
    if line.endswith(" file format elf64-x86-64"):
        member = line.split(":")[0]
    elif re.search(r"\tv?fn?m(add|sub)", line):
        fused[member] = fused.get(member, 0) + 1
for member in fused:
    check(member in ("core_dense.c.o", "core_activation.c.o", "noise_halve.c.o", "program_kernel.c.o"),
          f"{member}: {fused[member]} fused products: -ffp-contract=off is not in force")
finish()
