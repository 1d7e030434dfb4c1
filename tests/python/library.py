# SPDX-License-Identifier: MIT
"""What the package knows of the library: P6, P8. library.py LAYOUT_TXT COMPILER..."""
import ast
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

import nde
from nde import _headers, _library
from support import main

LAYOUT, COMPILER = Path(sys.argv[1]), sys.argv[2:]


class Reflection(unittest.TestCase):
    def test_layouts_are_those_of_the_abi(self):
        listed = dict(line.split(" ", 1) for line in LAYOUT.read_text().splitlines())
        members = 0
        for name, layout in _library.STRUCTS.items():
            for known in (name, name.replace("nde_", "ndef_")):
                if known in listed:
                    self.assertEqual(int(listed[known]), ctypes.sizeof(layout), known)
            for member in layout.kinds:
                found = getattr(layout, member)
                known = f"{name}.{member}" if f"{name}.{member}" in listed else f"ndef{name[3:]}.{member}"
                self.assertEqual(listed[known], f"{found.offset} {found.size}", known)
                members += 1
        self.assertGreater(members, 300)

    def test_methods(self):
        self.assertEqual(len(nde.methods), _library.double.method_count())
        for name, fact in nde.methods.items():
            self.assertEqual(_library.CONSTANTS["NDE_" + name.upper()], fact["id"], name)
            self.assertEqual(_library.number("method", name), fact["id"])
            self.assertGreater(len(fact["source"]), 10, name)

    def test_statuses(self):
        known = {name[4:]: value for name, value in _library.CONSTANTS.items() if name.startswith("NDE_E_")}
        self.assertGreater(len(known), 10)
        for name, value in known.items():
            self.assertEqual(nde.Status[name], value)
            self.assertNotEqual(_library.double.status_text(value), b"")

    def test_activations(self):
        self.assertIn("tanh", nde.activations)
        for name in nde.activations:
            nde.MLP([1, 2, 1], activation=name, last=name)
            self.assertTrue(callable(getattr(nde.ops, name)), name)

    def test_options_have_help_and_words(self):
        help = nde.options()
        for name, text in help.items():
            self.assertGreater(len(text), 10, name)
        for name in ("method", "controller", "adjoint", "stepping", "norm", "error", "record", "isa", "estimates",
                     "h_min_policy"):
            self.assertGreater(len(_library.choices[name]), 1, name)
            self.assertIn("One of:", help[name])

    def test_every_option_is_taken(self):
        """Each number by its name, with the value it has already."""
        for name, kind in _library.struct("options").kinds.items():
            if name in nde.options() and kind in ("int32", "int64", "double", "size_t"):
                nde.solve("state x; dx = -x", [1.0], (0, 1), **{name: 0})

    def test_controllers_solve(self):
        for name in _library.choices["controller"]:
            pid = {"pid": [0.3, 0, 0, 0, 0]} if name == "pid" else {}
            found = nde.solve("state x; dx = -x", [1.0], (0, 1), controller=name, rtol=1e-6, **pid)
            self.assertAlmostEqual(found.y[-1, 0], np.exp(-1), places=5, msg=name)

    def test_words_that_are_none(self):
        with self.assertRaisesRegex(ValueError, "method is 'tsit6'; known are .*tsit5"):
            nde.solve("state x; dx = -x", [1.0], (0, 1), method="tsit6")
        with self.assertRaisesRegex(TypeError, "no option 'rtoll'"):
            nde.solve("state x; dx = -x", [1.0], (0, 1), rtoll=1)
        with self.assertRaisesRegex(ValueError, "known are .*silu"):
            nde.MLP([1, 1], activation="tanhh")


class Package(unittest.TestCase):
    def test_syntax_of_python_3_9(self):
        files = list(Path(nde.__file__).parent.glob("*.py"))
        self.assertGreater(len(files), 7)
        for file in files:
            ast.parse(file.read_text(), feature_version=(3, 9))

    def test_import_is_lean(self):
        code = "import sys, nde; print(sorted({'torch', 'scipy', 'matplotlib'} & sys.modules.keys()))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "[]\n")

    def test_everything_public_has_help(self):
        for name in dir(nde):
            thing = getattr(nde, name)
            if not name.startswith("_") and callable(thing):
                self.assertGreater(len(thing.__doc__ or ""), 10, name)
        for name in nde.ops.__all__:
            self.assertTrue(callable(getattr(nde.ops, name)), name)


class Mismatch(unittest.TestCase):
    """A package and a library that do not go together: ImportError with both numbers."""

    def imported(self, library=None, change=None):
        """What `import nde` says on a copy of the package whose _headers.py was changed."""
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(Path(nde.__file__).parent, Path(folder, "nde"), ignore=shutil.ignore_patterns("__pycache__"))
            if change:
                headers = Path(folder, "nde", "_headers.py")
                text = headers.read_text()
                self.assertNotEqual(text.replace(*change), text)
                headers.write_text(text.replace(*change))
            surroundings = {**os.environ, "PYTHONPATH": folder, "NDE_LIBRARY": str(library or _library.LIBRARY._name)}
            done = subprocess.run([sys.executable, "-c", "import nde"], env=surroundings, capture_output=True, text=True)
            return done.stderr.strip().splitlines()[-1] if done.returncode else ""

    def fake(self, folder, source):
        Path(folder, "fake.c").write_text(source)
        subprocess.run([*COMPILER, "-shared", "-fPIC", "-o", Path(folder, "fake.so"), Path(folder, "fake.c")], check=True)
        return Path(folder, "fake.so")

    def test_the_real_one(self):
        self.assertEqual(self.imported(), "")

    def test_missing(self):
        self.assertRegex(self.imported("/none/libnde.so.0"), "ImportError.*libnde.so.0.*No such file")

    def test_not_libnde(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertRegex(self.imported(self.fake(folder, "int x;")), "ImportError.*is no libnde")

    def test_another_version(self):
        change = f"VERSION = '{_headers.VERSION}'", "VERSION = '0.0.9'"
        self.assertRegex(self.imported(change=change), rf"ImportError.*package is 0.0.9, .* is {_headers.VERSION}")

    def test_older(self):
        with tempfile.TemporaryDirectory() as folder:
            fake = self.fake(folder, f'const char *nde_version(void) {{ return "{_headers.VERSION}"; }}')
            self.assertRegex(self.imported(fake), f"ImportError.*older than this package {_headers.VERSION}")

    def test_another_layout(self):
        size = ctypes.sizeof(_library.struct("options"))
        change = "'nde_options': [('size', 'size_t', ''),", "'nde_options': [('size', 'size_t', ''), ('more', 'double', ''),"
        self.assertRegex(self.imported(change=change),
                         f"ImportError.*nde_options has {size + 8} bytes in this package and {size} in")


main()
