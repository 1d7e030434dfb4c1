# SPDX-License-Identifier: MIT
"""What the tasks of compare.py are made of. As a program, one run of a task: kit.py TASK NUMBER

The process first solves once and prints a line of JSON: version, error, evaluations, first (seconds of that call), compile (seconds of
compilation, where it is a step of its own); or `absent`: why it cannot run. Then, for each line that it reads, it prints the
seconds of one solve, taken over as many as last SAMPLE seconds."""
import functools
import importlib
import itertools
import json
import math
import os
import sys
import time
from dataclasses import dataclass, field

SAMPLE = 0.02
BOTH, DOUBLE = ["float32", "float64"], ["float64"]
GROUP = ("case", "dtype", "threads") # settings that are the same problem; others are ways to solve it
RUNS = []


@dataclass
class Work:
    """call() solves once and returns its answer, error(answer) is a number. timed: call() returns its seconds."""
    call: object
    error: object = lambda answer: None
    version: str = ""
    evaluations: object = None
    compile: float = None
    timed: bool = False


@dataclass
class Run:
    peer: str
    make: object
    settings: dict = field(default_factory=dict)


def run(peer, **choices):
    """Registers a function that makes the Work of a peer, once for each combination of its settings."""
    choices = {"case": [""], "dtype": DOUBLE, "threads": [1], **choices}

    def register(make):
        for values in itertools.product(*choices.values()):
            RUNS.append(Run(peer, make, dict(zip(choices, values))))
        return make
    return register


@functools.cache # a module registers its runs only when it is first imported
def runs_of(task):
    RUNS.clear()
    importlib.import_module("tasks." + task)
    return list(RUNS)


# ---- the same numbers for every peer ------------------------------------------------------------------------------------


def uniform(seed, count):
    """splitmix64 in [0, 1)."""
    import numpy as np
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64)*np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30)))*np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27)))*np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11))*2.0**-53


def symmetric(shape, seed, bound=1.0):
    return (2*uniform(seed, math.prod(shape)) - 1).reshape(shape)*bound


def weights(widths, seed, bound=None):
    """All parameters of a network, layer by layer: weight [out][in], bias [out]; within +- bound, by default 1/sqrt(in)."""
    import numpy as np
    pairs = list(zip(widths, widths[1:]))
    scale = np.concatenate([np.full(o*(i + 1), bound or 1/math.sqrt(i)) for i, o in pairs])
    return (2*uniform(seed, len(scale)) - 1)*scale


def layers(p, widths):
    """[(weight, bias)], views of p."""
    found, at = [], 0
    for i, o in zip(widths, widths[1:]):
        found.append((p[at:at + o*i].reshape(o, i), p[at + o*i:at + o*i + o]))
        at += o*i + o
    return found


def away(answer, reference):
    """Relative distance of all numbers together."""
    import numpy as np
    answer, reference = np.asarray(answer, float).ravel(), np.asarray(reference, float).ravel()
    return float(np.linalg.norm(answer - reference)/np.linalg.norm(reference))


# ---- frameworks -----------------------------------------------------------------------------------------------------------


def torch_net(torch, p, widths, dtype, activation):
    """A Sequential of Linear layers with these parameters."""
    modules = []
    for weight, bias in layers(p, widths):
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
        linear.weight.data, linear.bias.data = torch.tensor(weight, dtype=dtype), torch.tensor(bias, dtype=dtype)
        modules += [linear, activation()]
    return torch.nn.Sequential(*modules[:-1])


def torch_gradient(torch, module):
    return torch.cat([p.grad.reshape(-1) for p in module.parameters()]).double().numpy()


def jax_for(dtype):
    """jax, jax.numpy, diffrax, with doubles where they are wanted."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    jax.config.update("jax_enable_x64", dtype == "float64")
    import diffrax
    return jax, jax.numpy, diffrax


def jax_compiled(jax, function, *example):
    """The compiled function, which waits for its results, and the seconds that took."""
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*example).compile()
    return (lambda *given: jax.block_until_ready(compiled(*given))), time.perf_counter() - start


def jax_gradient(np, gradient):
    """As one array, of [(weight, bias)]."""
    return np.concatenate([np.asarray(part, float).ravel() for layer in gradient for part in layer])


# ---- one run --------------------------------------------------------------------------------------------------------------


def serve(task, number):
    chosen = runs_of(task)[number]
    try:
        work = chosen.make(**chosen.settings)
        start = time.perf_counter()
        answer = work.call()
        first = time.perf_counter() - start
        print(json.dumps({"version": work.version, "error": work.error(answer), "evaluations": work.evaluations, "first": first,
                          "compile": work.compile}), flush=True)
    except Exception as error: # a peer that is absent, or broken, must not stop the others
        print(json.dumps({"absent": f"{type(error).__name__}: {error}".split("\n")[0][:200]}), flush=True)
        return
    times = 1
    for _ in sys.stdin:
        if work.timed:
            print(work.call(), flush=True)
            continue
        while True:
            start = time.perf_counter()
            for _ in range(times):
                work.call()
            seconds = time.perf_counter() - start
            if seconds > SAMPLE/2:
                break
            times = int(times*min(100, 1.2*SAMPLE/max(seconds, 1e-9))) + 1
        print(seconds/times, flush=True)


if __name__ == "__main__":
    sys.modules["kit"] = sys.modules["__main__"] # tasks import this module by its name
    serve(sys.argv[1], int(sys.argv[2]))
