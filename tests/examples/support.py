# SPDX-License-Identifier: MIT
"""What the tests of the examples share."""
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

SVG = "{http://www.w3.org/2000/svg}"
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


def finish():
    for text in wrong:
        print(text)
    sys.exit(1 if wrong else 0)
