# SPDX-License-Identifier: MIT
"""src/python/manylinux.py: the tag is that of the newest symbol, RECORD has the new hash, and a library that needs others is refused.
wheel.py LAYOUT COMPILER..."""
import base64
import ctypes.util
import hashlib
import re
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

from support import main

COMPILER, SCRIPT = sys.argv[2:], Path(__file__).parents[2]/"src/python/manylinux.py"
INFO = b"Wheel-Version: 1.0\nTag: py3-none-linux_x86_64\n"


class Wheel(unittest.TestCase):
    def tagged(self, folder, *libraries):
        source, library, wheel = Path(folder, "a.c"), Path(folder, "liba.so"), Path(folder, "a-1-py3-none-linux_x86_64.whl")
        source.write_text("#include <math.h>\ndouble a(double x) { return exp(x); }\n")
        subprocess.run([*COMPILER, "-shared", "-fPIC", source, "-o", library, "-Wl,--no-as-needed", "-lm", *libraries], check=True)
        with zipfile.ZipFile(wheel, "w") as out:
            out.write(library, "a/liba.so")
            out.writestr("a-1.dist-info/WHEEL", INFO)
            out.writestr("a-1.dist-info/RECORD", f"a-1.dist-info/WHEEL,sha256=x,{len(INFO)}\na-1.dist-info/RECORD,,\n")
        return subprocess.run([sys.executable, SCRIPT, wheel], capture_output=True, text=True)

    def test_tag_and_record(self):
        with tempfile.TemporaryDirectory() as folder:
            done = self.tagged(folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            new = Path(done.stdout.strip())
            tag = re.fullmatch(r"a-1-(py3-none-manylinux_2_(\d+)_x86_64)\.whl", new.name)
            self.assertGreaterEqual(int(tag[2]), 2)
            with zipfile.ZipFile(new) as made:
                info, record = made.read("a-1.dist-info/WHEEL"), made.read("a-1.dist-info/RECORD").decode()
            self.assertIn(tag[1], info.decode())
            digest = base64.urlsafe_b64encode(hashlib.sha256(info).digest()).rstrip(b"=").decode()
            self.assertIn(f"a-1.dist-info/WHEEL,sha256={digest},{len(info)}\n", record)

    @unittest.skipUnless(ctypes.util.find_library("z"), "no library to need")
    def test_others_are_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            done = self.tagged(folder, "-l:" + ctypes.util.find_library("z"))
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("libz", done.stderr)


main()
