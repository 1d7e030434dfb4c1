# SPDX-License-Identifier: MIT
"""Every block of the tutorials runs, page by page and in order: Python's in one namespace, C's written to the file that its first comment
names, the shell's with a pkg-config file for this build. blocks.py DOCS BUILD"""
import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TUTORIALS, BUILD = Path(sys.argv[1]).resolve()/"tutorials", Path(sys.argv[2]).resolve()
sys.path.insert(0, str(Path(__file__).parents[1]/"python"))
from support import main # noqa: E402

BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)


PC = f"""Name: nde
Description: this build
Version: 0
Cflags: -I{TUTORIALS.parents[1]}/include -I{BUILD}/include
Libs: -L{BUILD}/src -lnde
"""


def shell(text):
    Path("nde.pc").write_text(PC)
    environment = {**os.environ, "PKG_CONFIG_PATH": os.getcwd(), "LD_LIBRARY_PATH": str(BUILD/"src")}
    done = subprocess.run(["sh", "-eu", "-c", text], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    return done.stdout


class Blocks(unittest.TestCase):
    def page(self, file):
        values, said = {}, io.StringIO()
        for kind, text in BLOCK.findall(file.read_text()):
            with self.subTest(page=file.stem, block=text.split("\n")[0]), contextlib.redirect_stdout(said):
                if kind == "python":
                    exec(compile(text, f"{file.name}: {text[:40]}", "exec"), values)
                elif kind == "c":
                    Path(re.match(r"/\* (\w+\.c) \*/\n", text)[1]).write_text(text)
                elif kind == "sh":
                    print(shell(text))
                else:
                    self.assertTrue(kind.startswith("source ") and (TUTORIALS.parents[1]/kind.split()[1]).exists(), kind)
        return said.getvalue()


def of(file):
    def test(self):
        here = os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            try:
                os.chdir(folder)
                said = self.page(file)
            finally:
                os.chdir(here)
        self.assertTrue(said)
        if file.stem == "embedding":
            self.assertIn("y(4) = 0.270671, by p -1.082682", said)
    return test


for file in sorted(TUTORIALS.glob("*.md")):
    setattr(Blocks, f"test_{file.stem}", of(file))
main()
