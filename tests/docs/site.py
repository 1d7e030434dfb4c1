# SPDX-License-Identifier: MIT
"""The site: every page of the tutorials, every public function and struct, every name of the Python package is in it, and all links lead
somewhere. Without Debian's python3-markdown it says so and passes. site.py ROOT BUILD"""
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT, BUILD = (Path(given).resolve() for given in sys.argv[1:])
sys.path += [str(ROOT/"tests/python"), str(ROOT/"src/python")]
from headers import Headers # noqa: E402
from support import main # noqa: E402

import nde # noqa: E402

try:
    import markdown # noqa: F401
except ImportError:
    print("python3-markdown is not installed: not run")
    sys.exit(77)


class Site(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = Path(cls.folder.name)
        subprocess.run([sys.executable, ROOT/"docs/site.py", BUILD, root], check=True)
        cls.pages = {file.relative_to(root).as_posix(): file.read_text() for file in root.rglob("*.html")}
        cls.ids = {name: set(re.findall(r'id="([^"]*)"', text)) for name, text in cls.pages.items()}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_links(self):
        for name, text in self.pages.items():
            for link in re.findall(r'(?:href|src)="([^"]*)"', text):
                if link.startswith("http"):
                    continue
                page, _, anchor = link.partition("#")
                target = (Path("/", name).parent/page).resolve().relative_to("/").as_posix() if page else name
                self.assertTrue(target in self.pages or (Path(self.folder.name)/target).exists(), f"{name}: {link}")
                if anchor:
                    self.assertIn(anchor, self.ids[target], f"{name}: {link}")

    def test_tutorials(self):
        there = {f"tutorials/{file.stem}.html" for file in (ROOT/"docs/tutorials").glob("*.md")}
        self.assertLessEqual(there, self.pages.keys())
        self.assertTrue("nde_method_heun" in self.pages["tutorials/a_method.html"])

    def test_c(self):
        headers = Headers(ROOT, BUILD/"include/methods.h")
        known = set().union(*(ids for name, ids in self.ids.items() if name.startswith("c/")))
        self.assertLessEqual({*headers.structs, *headers.functions()}, known)

    def test_python(self):
        text = self.pages["python.html"]
        for name, thing in vars(nde).items():
            if not name.startswith("_") and callable(thing) and thing.__module__.startswith("nde"):
                self.assertIn(f"nde.{name}", self.ids["python.html"])
                self.assertTrue(thing.__doc__, name)
        for name in (*nde.methods, *nde.options()):
            self.assertTrue(f"<code>{name}</code>" in text, name)


main()
