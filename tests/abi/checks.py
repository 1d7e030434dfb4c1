# SPDX-License-Identifier: MIT
"""What the checks of this folder share: run a tool, collect what is wrong, say so and exit."""
import re
import subprocess
import sys
from pathlib import Path

wrong = []


def check(good, text):
    if not good:
        wrong.append(text)


def output(*command, **options):
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def public_headers(folders):
    """Every public header: name -> path. folders: of the source and of the build."""
    names = ["nde.h", "ndef.h", "nde/methods.h"] + [f"nde/{p.name}" for p in sorted(Path(folders[0], "nde").glob("*.h"))]
    found = {name: [p for f in folders for p in (Path(f, name), Path(f, Path(name).name)) if p.exists()] for name in names}
    return {name: paths[0] for name, paths in found.items()}


def includes(folders):
    return [part for folder in folders for part in ("-I", folder)]


def finish():
    for text in wrong:
        print(text)
    sys.exit(1 if wrong else 0)
