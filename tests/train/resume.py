# SPDX-License-Identifier: MIT
"""A training run that is killed at random moments, again and again, ends with the bits of one that was left alone; every piece
of its state is needed for that. resume.py PROGRAM RUNS"""
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

program, runs = sys.argv[1], int(sys.argv[2])
chance = random.Random(1)
wrong = []


def check(good, text):
    if not good:
        wrong.append(text)
        print(text)


def whole(folder, *options):
    """Runs to the end. The result's bytes, the seconds, what it said."""
    start = time.monotonic()
    done = subprocess.run([program, Path(folder, "state"), Path(folder, "result"), *map(str, options)], text=True,
                          capture_output=True)
    check(done.returncode == 0 or "--forget" in options, f"exit {done.returncode}: {done.stderr}")
    result = Path(folder, "result")
    return result.read_bytes() if result.exists() else b"", time.monotonic() - start, done.stdout.strip()


def killed(folder, seconds):
    """Kills it until it is faster. The result, how often it was killed, and how often while it wrote its state."""
    kills = writing = 0
    while True:
        delay = chance.uniform(0, seconds)
        child = subprocess.Popen([program, Path(folder, "state"), Path(folder, "result")], stdout=subprocess.DEVNULL)
        try:
            status = child.wait(delay)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            status = child.wait()
        left = list(Path(folder).glob(".nde-*.tmp"))
        check(len(left) <= 1, f"{len(left)} files were left behind")
        writing += bool(left)
        if status == 0:
            return Path(folder, "result").read_bytes(), kills, writing
        check(status == -signal.SIGKILL, f"exit {status}")
        kills += 1
        if wrong:
            return b"", kills, writing


def forgotten(reference, iterations):
    """What is not brought back changes the result: while it trains, when early stopping has said so, in the long solve."""
    training = ["iteration", "p", "optimiser.step", "optimiser.state", "average.count", "average.mean", "patience.count",
                "patience.waited", "patience.best_at", "patience.best", "patience.best_p", "loss"]
    moments = {name: iterations - 4 for name in training} | {"over": iterations}
    moments |= {name: iterations + 9 for name in ("pieces", "paused", "solver")}
    for name, states in moments.items():
        with tempfile.TemporaryDirectory(dir=place) as folder:
            whole(folder, "--stop", states)
            check(not Path(folder, "result").exists(), f"it was over before state {states}")
            result, _, _ = whole(folder, "--forget", name)
            check(result != reference, f"the result does not depend on {name}")


# in memory where there is such a folder: what is tested is a process that dies, not a disk that does
place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
with tempfile.TemporaryDirectory(dir=place) as folder:
    reference, _, said = whole(folder)
    print(said)
with tempfile.TemporaryDirectory(dir=place) as folder:
    again, seconds, _ = whole(folder)
    check(again == reference, "two runs differ")

count = same = kills = writing = 0
while count < runs and not wrong:
    with tempfile.TemporaryDirectory(dir=place) as folder:
        result, k, w = killed(folder, 0.6*seconds)
    if k == 0: # it was faster than all kills
        seconds *= 0.8
        continue
    count, same, kills, writing = count + 1, same + (result == reference), kills + k, writing + w
check(same == runs, f"{same} of {runs} runs end with the same bits")
forgotten(reference, int(said.split()[0]))
print(f"{same} of {runs} runs end with the same bits, after {kills} kills, {writing} of them while the state was written; "
      f"a run takes {1000*seconds:.0f} ms")
sys.exit(1 if wrong else 0)
