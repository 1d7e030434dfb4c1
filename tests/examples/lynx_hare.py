# SPDX-License-Identifier: MIT
"""The main job: wrong options and wrong files are refused, with the number of the line; a quick run learns, and leaves a
picture and parameters. lynx_hare.py PROGRAM CSV"""
import random
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from support import Picture, check, finish, refuses, run

program, csv = (Path(argument).resolve() for argument in sys.argv[1:])
good = Path(csv).read_text().splitlines()
HEADER = good.index("year,lynx,hare") # rows begin in line HEADER + 2, counted from 1


def parameters(file):
    """The numbers of a .npy file of doubles."""
    data = file.read_bytes()
    check(data[:8] == b"\x93NUMPY\x01\x00", f"{file.name}: not .npy 1.0")
    start = 10 + struct.unpack("<H", data[8:10])[0]
    check(b"'<f8'" in data[10:start], f"{file.name}: not double")
    return struct.unpack(f"<{(len(data) - start)//8}d", data[start:])


def wrong_files(scratch):
    """Line by line: what it is replaced with, and what the message says."""
    row = HEADER + 3
    bad = {
        "three columns": (row, "1902,9.8", f":{row + 1}: expected three numbers"),
        "a column more": (row, "1902,9.8,70.2,1", f":{row + 1}: more than three columns"),
        "no year": (row, ",9.8,70.2", f":{row + 1}: the year is not a number"),
        "a word": (row, "1902,many,70.2", f":{row + 1}: lynx is not a number"),
        "two numbers": (row, "1902,9.8,70.2 3", f":{row + 1}: hare is not a number"),
        "nan": (row, "1902,nan,70.2", f":{row + 1}: lynx is not a number"),
        "infinite": (row, "1902,9.8,1e999", f":{row + 1}: hare is not a number"),
        "hexadecimal": (row, "1902,0x10,70.2", f":{row + 1}: lynx is not a number"),
        "zero": (row, "1902,0,70.2", f":{row + 1}: a population must be positive"),
        "negative": (row, "1902,9.8,-70.2", f":{row + 1}: a population must be positive"),
        "the same year": (row, "1901,9.8,70.2", f":{row + 1}: years must increase"),
        "long": (row, "1902,9.8," + "7"*400, f":{row + 1}: the line is too long"),
        "a byte 0": (row, "1902,9.8\0,70.2", f":{row + 1}: the line is too long, or holds"),
        "a return": (row, "1902,9.8,70.2\r9", f":{row + 1}: the line is too long, or holds"),
        "the last line": (len(good) - 1, "1920,8.6", f":{len(good)}: expected three numbers"),
        "header": (HEADER, "year,hare,lynx", f":{HEADER + 1}: expected the header"),
    }
    file = Path(scratch, "bad.csv")
    for name, (at, text, said) in bad.items():
        file.write_bytes("\n".join([*good[:at], text, *good[at + 1:]]).encode())
        refuses(run(program, "--quick", "--csv", file, "--out", scratch), f"{file}{said}", name)
    file.write_text("\n".join(good[:HEADER + 11]) + "\n")
    refuses(run(program, "--quick", "--csv", file, "--out", scratch), f"{file}:{HEADER + 11}: the file ends after 10 rows", "short")
    file.write_text("")
    refuses(run(program, "--quick", "--csv", file, "--out", scratch), f"{file}:0: the file ends after 0 rows", "empty")
    refuses(run(program, "--csv", Path(scratch, "none.csv")), "No such file", "no file")
    refuses(run(program, "--csv", scratch), "directory", "a directory")


def wrong_options(scratch):
    for arguments, said in {
        ("--what",): "usage", ("what",): "what is what?", ("--seed",): "usage", ("--seed", "-1"): "--seed -1", ("--seed", "1x"): "1x",
        ("--iterations", "0"): "--iterations 0", ("--iterations", "many"): "many", ("--iterations", "9"*30): "--iterations",
    }.items():
        refuses(run(program, "--quick", *arguments, cwd=scratch), said, " ".join(arguments))
    refuses(run(program, "--quick", "--out", Path(scratch, "none", "out"), cwd=scratch), "No such file", "no folder for --out")
    refuses(run(program, "--quick", "--every", "0", cwd=scratch), "--every 0", "--every 0")
    refuses(run(program, "--quick", "--out", Path(scratch, "out"), "--state", Path(scratch, "none", "state")), "none/state",
            "no folder for --state")
    Path(scratch, "file").write_text("")
    refuses(run(program, "--quick", "--iterations", "10", "--out", Path(scratch, "file")), "file", "--out names a file")
    done = run(program, "--help")
    check(done.returncode == 0 and "--quick" in done.stdout, "--help")


def quick_run(scratch):
    out = Path(scratch, "out")
    done = run(program, "--quick", "--out", out)
    check(done.returncode == 0 and not done.stderr, f"--quick: exit {done.returncode} {done.stderr}")
    report = {name: [float(n) for n in re.findall(r"\d+\.\d+", line)] for name, line in
              re.findall(r"^(neural ODE|Lotka-Volterra|persistence|periodic repeat) {2,}(.*)$", done.stdout, re.M)}
    check(sorted(map(len, report.values())) == [2, 2, 6, 6], f"--quick: report {report}")
    check(report["neural ODE"][0] < report["Lotka-Volterra"][0] < report["persistence"][0], f"--quick: training errors {report}")
    check(report["neural ODE"][0] < 0.22, f"--quick: training error {report['neural ODE'][0]}")
    for said in ("iteration", "horizon", "loss", "evaluations", " s\n", f"picture: {out}/lynx_hare.svg"):
        check(said in done.stdout, f"--quick does not say {said!r}")

    picture = Picture(out/"lynx_hare.svg")
    check(picture.points == [17, 4, 17, 4], f"data points {picture.points}")
    check(picture.texts["label"] == ["year", "pelts, thousands a year"]*2, f"labels {picture.texts['label']}")
    for name in ("neural ODE", "Lotka-Volterra", "periodic repeat", "data", "held out"):
        check(picture.texts["legend"].count(name) == 2, f"legend {picture.texts['legend']}")
    check(min(picture.lines) == 5 and sorted(picture.lines)[2:] == [301]*4, f"lines {picture.lines}")
    check(picture.bands == 10, f"{picture.bands} bands")

    network, rates = parameters(out/"neural_ode.npy"), parameters(out/"lotka_volterra.npy")
    check(len(network) == 2*32 + 32 + 32*2 + 2 + 2 and len(rates) == 4 + 2, f"{len(network)} and {len(rates)} parameters")
    check(all(abs(p) < 100 for p in network + rates), "parameters are not finite")

    # the same seed gives the same bits; lines may end with \r\n
    Path(scratch, "crlf.csv").write_bytes("\r\n".join(good).encode())
    for name, more in {"again": [], "other": ["--seed", "7"], "crlf": ["--csv", Path(scratch, "crlf.csv")]}.items():
        done = run(program, "--quick", "--iterations", "50", *more, "--out", Path(scratch, name))
        check(done.returncode == 0, f"{name}: exit {done.returncode} {done.stderr}")
    files = {name: Path(scratch, name, "neural_ode.npy").read_bytes() for name in ("again", "other", "crlf")}
    check(files["again"] == files["crlf"], "the same seed gave other parameters")
    check(files["again"] != files["other"], "another seed gave the same parameters")


def killed_run(scratch):
    """With --state, a run that is killed goes on where it was, to the same bits and the same report."""
    quick = [program, "--quick", "--iterations", "100"]
    alone = run(*quick, "--out", Path(scratch, "alone"))
    state, out = Path(scratch, "state"), Path(scratch, "killed")
    command = [str(part) for part in [*quick, "--out", out, "--state", state, "--every", "20"]]
    chance, kills = random.Random(1), 0
    while kills < 8:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            child.wait(chance.uniform(0, 0.3))
            state.unlink() # it was too fast
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            kills += 1
    done = run(*command)
    check(alone.returncode == done.returncode == 0, f"--state: exit {done.returncode} {done.stderr}")
    for name in ("neural_ode.npy", "lotka_volterra.npy", "lynx_hare.svg"):
        check(Path(out, name).read_bytes() == Path(scratch, "alone", name).read_bytes(), f"--state: another {name}")
    report = [text[text.index("\nRMSE"):text.index("\nparameters")] for text in (alone.stdout, done.stdout)]
    check(report[0] == report[1], "--state: another report")

    for more in (["--seed", "2"], ["--iterations", "200"], ["--csv", Path(scratch, "other.csv")]):
        Path(scratch, "other.csv").write_text("\n".join(good[:-1]) + "\n")
        refuses(run(*command, *more), "other settings or data", f"the state of another run: {more}")
    content = state.read_bytes()
    for name, damaged in {"cut": content[:-1], "changed": content[:-1] + bytes([content[-1] ^ 1]), "empty": b""}.items():
        state.write_bytes(damaged)
        refuses(run(*command), str(state), f"a state that is {name}")


with tempfile.TemporaryDirectory() as folder:
    wrong_files(folder)
    wrong_options(folder)
    quick_run(folder)
    killed_run(folder)
finish()
