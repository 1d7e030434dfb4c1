# SPDX-License-Identifier: MIT
"""Three flows of a kind learn as much: their likelihoods of points not seen are within 0.1 of the best. flows.py CNF"""
import re
import sys
import tempfile
from pathlib import Path

from support import NUMBER, check, finish, run

with tempfile.TemporaryDirectory() as scratch:
    done = run(Path(sys.argv[1]).resolve(), 800, 3, cwd=scratch, timeout=1700)
check(done.returncode == 0 and not done.stderr, f"cnf: exit {done.returncode} {done.stderr}")
rows = re.findall(rf"^(two moons|checkerboard) +(exact|probe, RNODE) +[123] +{NUMBER} +{NUMBER} +{NUMBER}$", done.stdout, re.M)
check(len(rows) == 12, f"cnf: {done.stdout}")
for kind in sorted({row[:2] for row in rows}):
    behind = [float(row[3]) for row in rows if row[:2] == kind]
    check(len(behind) == 3 and max(behind) - min(behind) < 0.1, f"cnf: {kind}: {behind} of the truth")
    check(min(behind) > (-0.2 if kind[0] == "two moons" else -0.5), f"cnf: {kind}: {behind} of the truth")
finish()
