# SPDX-License-Identifier: MIT
"""Counts what Meson's test logs say: report.py LOG... prints the tests that failed and a last line "N passed, N failed";
exit 1 when one failed. A cmocka program counts as many as it holds, any other program as one."""
import json
import re
import sys
from pathlib import Path

passed = failed = 0
for log in sys.argv[1:]:
    for line in Path(log).read_text().splitlines():
        test = json.loads(line)
        text = test.get("stdout", "") + test.get("stderr", "")
        good, bad = (sum(map(int, re.findall(rf"\[  {word}  \] (\d+) test\(s\)", text))) for word in ("PASSED", "FAILED"))
        if test["result"] == "SKIP":
            continue
        if test["result"] == "OK":
            passed += max(good, 1)
        else:
            print(f"failed: {test['name']} ({test['result']}, {log})")
            passed, failed = passed + good, failed + max(bad, 1)
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed or not passed else 0)
