# SPDX-License-Identifier: MIT
"""What the tests of the examples share."""
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"
NUMBER = r"([-+.\de]+)"
wrong = []


def check(good, text):
    if not good:
        wrong.append(text)


def run(*command, timeout=250, **options):
    return subprocess.run([str(part) for part in command], text=True, capture_output=True, timeout=timeout, **options)


def refuses(done, said, where):
    """It ended with a failure and said so on stderr, in one line that holds `said`."""
    check(done.returncode > 0, f"{where}: exit {done.returncode}")
    check(said in done.stderr, f"{where}: {said!r} is not in {done.stderr!r}")


class Picture:
    """A picture of plot.c: its texts by class, numbers of points and of vertices of the longest line."""

    def __init__(self, file):
        root = ElementTree.parse(file).getroot() # raises when it is not well-formed
        check(root.tag == SVG + "svg", f"{file}: no svg")
        self.texts = {kind: [t.text for t in root.iter(SVG + "text") if t.get("class") == kind]
                      for kind in ("label", "tick", "legend", "title")}
        groups = {kind: [g for g in root.iter(SVG + "g") if g.get("class") == kind] for kind in ("line", "points", "band")}
        self.lines = [len(g.find(SVG + "path").get("d").replace("M", "L").split("L")) - 1 for g in groups["line"]]
        self.points = [len(g.findall(SVG + "circle")) for g in groups["points"]]
        self.bands = len(groups["band"])
        numbers = [n for g in root.iter(SVG + "path") for n in g.get("d").replace("M", " ").replace("L", " ").split()]
        check(not any("nan" in n or "inf" in n for n in numbers), f"{file}: a coordinate is not finite")


def study(program, *arguments, labels, lines, wrong):
    """Its report, with its picture checked and what it must refuse refused. lines: numbers of points of each line, or what
    says whether they are right."""
    with tempfile.TemporaryDirectory() as scratch:
        file, name = Path(scratch, "x.svg"), program.name
        done = run(program, *arguments, file)
        check(done.returncode == 0 and not done.stderr, f"{name}: exit {done.returncode} {done.stderr}")
        check(str(file) in done.stdout, f"{name} does not say where its picture is")
        picture = Picture(file)
        check(picture.texts["label"] == labels, f"{name}: labels {picture.texts['label']}")
        check(lines(picture.lines) if callable(lines) else picture.lines == lines, f"{name}: lines of {picture.lines} points")
        refuses(run(program, *arguments, Path(scratch, "none", "x.svg")), "cannot write", f"{name} without its folder")
        for these in (*wrong, [*arguments, file, file]):
            refuses(run(program, *these, cwd=scratch), "usage", f"{name} {these}")
        return done.stdout


def finish():
    for text in wrong:
        print(text)
    sys.exit(1 if wrong else 0)
