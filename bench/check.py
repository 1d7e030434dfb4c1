# SPDX-License-Identifier: MIT
"""check.py NDE-BENCH: what its output looks like and how it refuses; no time is judged."""
import json
import subprocess
import sys

KEYS = ["case", "who", "precision", "threads", "isa", "seconds_median", "seconds_min", "seconds_max", "evaluations",
        "error", "ratio", "bytes"]
wrong = []


def check(good, text):
    if not good:
        wrong.append(text)


def bench(*arguments):
    return subprocess.run([sys.argv[1], *arguments], text=True, capture_output=True)


names = [line.split()[0] for line in bench("--list").stdout.splitlines()]
check({"lorenz", "kepler", "spiral", "mid", "small", "ensemble", "gbm"} <= set(names), f"--list has {names}")

for precision, case in (("double", "lorenz"), ("double", "small"), ("single", "spiral")):
    done = bench("--case", case, "--precision", precision, "--pairs", "7", "--json")
    check(done.returncode == 0, f"{case}: exit {done.returncode}: {done.stderr}")
    check("reference/native/bench.h" in done.stderr, f"{case}: no hashes on standard error")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    check(rows and rows[0]["who"] == "libnde", f"{case}: libnde's line is not first")
    for row in rows:
        check(list(row) == KEYS, f"{case}: keys {list(row)}")
        check((row["case"], row["precision"], row["threads"]) == (case, precision, 1), f"{case}: {row}")
        check(0 < row["seconds_min"] <= row["seconds_median"] <= row["seconds_max"], f"{case}: seconds of {row}")
        check(row["evaluations"] > 0 and row["isa"] in ("baseline", "v3", "v4"), f"{case}: {row}")
    times = [row["seconds_median"] for row in rows if row["who"] == "reference"]
    expected = rows[0]["seconds_median"]/min(times) if times else None
    check(rows[0]["ratio"] == expected or abs(rows[0]["ratio"]/expected - 1) < 1e-3, f"{case}: ratio of {rows[0]}")
    check(all(row["ratio"] is None for row in rows[1:]), f"{case}: a ratio beside libnde's")

for arguments in (["--case", "nothing"], ["--pairs", "6"], ["--threads", "0"], ["--precision", "half"], ["lorenz"],
                  ["--precision", "single", "--case", "lorenz"], ["--none"]):
    done = bench(*arguments)
    check(done.returncode == 2 and done.stderr and not done.stdout, f"{arguments}: exit {done.returncode}")

print("\n".join(wrong))
sys.exit(1 if wrong else 0)
