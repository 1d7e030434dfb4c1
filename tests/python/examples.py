# SPDX-License-Identifier: MIT
"""The examples run, in under 30 lines each, and say what they should. examples.py LAYOUT FOLDER_OF_EXAMPLES"""
import re
import runpy
import contextlib
import io
import sys
import unittest
from pathlib import Path

from support import main

FOLDER = Path(sys.argv[2])
README = FOLDER.parents[1]/"README.md"
sys.argv = sys.argv[:1]


class Examples(unittest.TestCase):
    def said(self, name):
        file = FOLDER/f"{name}.py"
        self.assertLess(len(file.read_text().splitlines()), 30, name)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            values = runpy.run_path(str(file))
        return said.getvalue(), values

    def test_lorenz(self):
        text, values = self.said("lorenz")
        self.assertTrue(0.7 < float(re.search(r"exponent about (\S+)", text)[1]) < 1.1, text)
        self.assertEqual(values["sol"].y.shape, (17, 2000, 3))

    def test_kepler(self):
        text, values = self.said("kepler")
        self.assertLess(abs(values["energy"](values["verlet"].y)/values["energy"](values["verlet"].y[:1]) - 1).max(), 0.02)
        self.assertEqual(len(text.splitlines()), 2)

    def test_lynx_hare(self):
        text, values = self.said("lynx_hare")
        self.assertTrue((values["rates"].p > 0).all())
        self.assertLess(values["fit"].best, 0.06)

    def test_readme(self):
        blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
        self.assertEqual(len(blocks), 1)
        values = {}
        with contextlib.redirect_stdout(io.StringIO()):
            exec(blocks[0], values)
        self.assertEqual(values["gradient"].p.shape, (2,))
        self.assertLess(values["fit"].loss[-1], values["fit"].loss[0])

    def test_all_are_tested(self):
        self.assertEqual({file.stem for file in FOLDER.glob("*.py")}, {"lorenz", "kepler", "lynx_hare"})


main()
