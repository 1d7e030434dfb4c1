# SPDX-License-Identifier: MIT
"""Training: the library's optimisers, early stopping and files around a solver that is made once."""
import ctypes
import os
import sys

import numpy as np

from . import _library
from ._field import as_field
from ._library import CONSTANTS, ArgumentError, Status, address, array, check, chosen, double, group, names_of, struct
from ._solve import Solver, mse

KINDS = {name.lower(): CONSTANTS["NDE_" + name] for name in ("ADAM", "ADAMW", "SGD", "RMSPROP", "ADADELTA")}
TYPES = {np.dtype("f8"): "NDE_F64", np.dtype("f4"): "NDE_F32", np.dtype("i8"): "NDE_I64", np.dtype("u1"): "NDE_U8"}


def tensors(arrays):
    """nde_tensor[] of {name: array}."""
    found = (struct("tensor")*len(arrays))()
    for tensor, (name, a) in zip(found, arrays.items()):
        if a.dtype not in TYPES or not a.flags.c_contiguous or a.ndim > 8:
            raise TypeError(f"nde: {name!r} is {a.dtype} of {a.ndim} dimensions; contiguous float64, float32, int64, uint8 are "
                            "known")
        tensor.name, tensor.type, tensor.rank = name.encode(), CONSTANTS[TYPES[a.dtype]], a.ndim
        tensor.shape[:a.ndim] = a.shape
        tensor.data = address(a) if a.size else None
    return found


def save(file, **arrays):
    """Writes named arrays as a safetensors file, complete or not at all (nde_tensors_save)."""
    arrays = {name: np.ascontiguousarray(a).reshape(np.shape(a)) for name, a in arrays.items()}
    check(double.tensors_save(os.fsencode(file), ctypes.addressof(made := tensors(arrays)), len(made)))


def load(file, **arrays):
    """Fills arrays of the same names, types and shapes from a safetensors file; nothing is written unless all is good."""
    for name, a in arrays.items():
        if not a.flags.writeable:
            raise TypeError(f"nde: {name!r} is read-only")
    check(double.tensors_load(os.fsencode(file), ctypes.addressof(made := tensors(arrays)), len(made)))


class Optimiser:
    """ADAM and others (nde_optimiser).

    kind      "adam", "adamw", "sgd", "rmsprop", "adadelta"
    rate      0: the kind's usual one; schedule: "constant", "exponential", "cosine"
    others    members of nde_optimiser: momentum, beta1, weight_decay, clip_norm, decay, decay_steps, warmup_steps ...
    """

    def __init__(self, kind="adam", rate=0.0, schedule="constant", **others):
        for name in others:
            if name not in struct("optimiser").kinds or name in ("size", "kind", "step", "state"):
                raise TypeError(f"nde: an optimiser has no {name!r}")
        self.struct = struct("optimiser")(kind=chosen("optimiser", kind, KINDS), rate=rate,
                                          schedule=chosen("schedule", schedule, group("NDE_SCHEDULE_")), **others)
        self.state = None

    def begin(self, count):
        if self.state is None:
            self.state = np.zeros(double.optimiser_length(ctypes.addressof(self.struct), count))
            self.struct.put(state=self.state if self.state.size else None)

    def step(self, gradient, p):
        """p is updated in place."""
        names = names_of(p.dtype)
        gradient = array("the gradient", gradient, p.dtype, 1)
        if not p.flags.c_contiguous or not p.flags.writeable or p.shape != gradient.shape:
            raise ArgumentError(Status.E_ARG, f"nde: p has shape {p.shape}, the gradient {gradient.shape}; p is written")
        self.begin(len(p))
        check(names.optimiser_step(ctypes.addressof(self.struct), len(p), address(gradient), address(p)))

    @property
    def rate(self):
        """Of the next step."""
        return double.optimiser_rate(ctypes.addressof(self.struct))


class Fit:
    """What a fit came to: p (of the best loss), loss (of each iteration), best, iterations, stopped (early)."""

    def __init__(self, p, loss, best, stopped):
        self.p, self.loss, self.best, self.iterations, self.stopped = p, loss, best, len(loss), stopped

    def __repr__(self):
        return f"<nde.Fit: {self.iterations} iterations, best loss {self.best:.4g}{', stopped early' if self.stopped else ''}>"


class Training:
    """Where a fit stands: all that a resumed one needs, as arrays."""

    def __init__(self, p, optimiser, patience, iterations):
        self.p, self.best_p, self.optimiser = p, p.copy(), optimiser
        optimiser.begin(len(p))
        self.loss = np.full(iterations, np.nan)
        self.done = 0
        self.patience = struct("patience")(patience=patience or max(1, iterations) + 1, best_p=self.best_p)

    def arrays(self):
        k = self.patience
        numbers = np.array([self.done, self.optimiser.struct.step, k.count, k.waited, k.best_at], np.int64)
        return {"p": self.p, "best_p": self.best_p, "state": self.optimiser.state, "loss": self.loss,
                "numbers": numbers, "best": np.array([k.best])}

    def save(self, file):
        save(file, **self.arrays())

    def load(self, file):
        arrays, k = self.arrays(), self.patience
        load(file, **arrays)
        self.done, self.optimiser.struct.step, k.count, k.waited, k.best_at = map(int, arrays["numbers"])
        k.best = float(arrays["best"][0])


def bar(done, iterations, loss, best, width=30):
    filled = width*done//iterations
    sys.stderr.write(f"\r{done:6d}/{iterations} [{'#'*filled}{'.'*(width - filled)}] loss {loss:.4g} best {best:.4g} "
                     + ("\n" if done == iterations else ""))
    sys.stderr.flush()


def fit(field, t, data, y0=None, p=None, *, loss=mse, weight=None, optimiser="adam", rate=0.0, iterations=1000, batch=0, seed=0,
        patience=0, progress=None, callback=None, resume=None, resume_every=100, **more):
    """Trains a field's parameters on trajectories.

    t, data      times (k,) and values (k, dim) or (k, n, dim); NaN: missing. y0: the first of them, data[0]
    p            where to begin; None: field.p, which the best parameters are written to
    loss         loss(data, weight) -> (y -> (value, dvalue/dy)); nde.mse
    optimiser    a name, with `rate`, or an nde.Optimiser
    batch        > 0: so many trajectories in each iteration, drawn anew in each epoch from `seed`
    patience     > 0: stop after so many iterations without a better loss
    progress     True: a bar; None: one where the error stream is a terminal
    callback     callback(iteration, loss, p) after each iteration; True: stop
    resume       file: where the training stands is written to it every resume_every iterations and at the end, and it goes on
                 from it if it is there, to the same bits
    **more       options of nde.solve
    """
    field = as_field(field)
    begin = field.p if p is None else p
    if begin is None:
        raise ArgumentError(Status.E_ARG, "nde: the field has no parameters of its own: p is needed")
    data = np.asarray(data)
    y0 = data[0] if y0 is None else np.asarray(y0)
    weight = None if weight is None else np.broadcast_to(weight, data.shape)
    if batch and (data.ndim != 3 or not 0 < batch <= data.shape[1]):
        raise ArgumentError(Status.E_ARG, f"nde: batch is {batch}, the data has shape {data.shape}")
    solver = Solver(field, y0[:batch] if batch else y0, t, np.array(begin, copy=True), **more)
    optimiser = optimiser if isinstance(optimiser, Optimiser) else Optimiser(optimiser, rate)
    training = Training(solver.p, optimiser, patience, iterations)
    if resume and os.path.exists(resume):
        training.load(resume)
    progress, stopped = sys.stderr.isatty() if progress is None else progress, False
    whole = None if batch else loss(data, weight)
    while training.done < iterations and not stopped:
        chosen = None
        if batch:
            chosen = draw(seed, training.done, batch, data.shape[1])
            solver.y0[...] = y0[chosen]
        of_batch = whole or loss(data[:, chosen], None if weight is None else weight[:, chosen])
        value, gradient = solver.value_and_grad(of_batch, wanted=("p",))
        status = check(solver.names.patience_update(ctypes.addressof(training.patience), value, len(solver.p),
                                                    address(solver.p)))
        optimiser.step(gradient.p, solver.p)
        training.loss[training.done] = value
        training.done += 1
        stopped = status == Status.STOPPED or bool(callback and callback(training.done - 1, value, solver.p))
        if resume and (training.done % resume_every == 0 or stopped or training.done == iterations):
            training.save(resume)
        if progress:
            bar(training.done, iterations, value, training.patience.best)
    best = np.array(training.best_p)
    if p is None:
        field.p[...] = best
    return Fit(best, training.loss[:training.done].copy(), training.patience.best, stopped)


def draw(seed, iteration, batch, n):
    """The trajectories of an iteration: those of an epoch come in a random order, the same for a resumed training."""
    epoch, place = divmod(iteration, n//batch)
    order = np.empty(n, np.uintp)
    check(_library.double.shuffle(seed, epoch, n, address(order)))
    return order[place*batch:(place + 1)*batch].astype(np.intp)
