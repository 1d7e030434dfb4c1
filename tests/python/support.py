# SPDX-License-Identifier: MIT
"""Runs a file's tests and says how many, in cmocka's words, which support/report.py counts."""
import sys
import unittest


def main():
    result = unittest.main(argv=sys.argv[:1], exit=False, verbosity=1).result
    bad = len(result.failures) + len(result.errors)
    print(f"[  PASSED  ] {result.testsRun - bad} test(s).")
    if bad:
        print(f"[  FAILED  ] {bad} test(s)")
    sys.exit(bad > 0)
