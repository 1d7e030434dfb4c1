# SPDX-License-Identifier: MIT
"""Fields: dy = F(t, y; p, q) and everything else that is a function of the state. A field is bound to a solver: that makes the
C struct, and for a Python function the callbacks, whose exceptions are kept and raised again when C has returned."""
import ctypes
import inspect
import os
from _signal import SIGINT, getsignal, signal as set_signal # those of signal make an enumeration of every answer
from threading import current_thread, get_ident, main_thread
from types import FunctionType

import numpy as np

from . import _library
from ._library import CONSTANTS, ArgumentError, Status, activations, c_type, chosen, double, names_of, struct

STOP, RETRY, FAILED = CONSTANTS["NDE_FIELD_STOP"], CONSTANTS["NDE_FIELD_RETRY"], -1
IDLE = CONSTANTS["NDE_LANE_IDLE"]
MOST_SEEN = 500 # addresses whose views are kept
c_type(struct("options").kinds["progress"])(lambda *_: 0) # libffi's first callback takes 0.1 ms: now, not in the first solve


class Retry(Exception):
    """Raised in a field: it cannot be evaluated here, take a smaller step."""


class Stop(Exception):
    """Raised in a field or a progress function: end the solve here, with Status.STOPPED."""


class Calls:
    """What callbacks of one solver raised: the first exception, until it is raised again.

    A callback must never raise into C, where its exception would be lost and its value taken for success. Python can raise
    KeyboardInterrupt even before the callback's first line: so SIGINT has a handler of its own during a run, which raises only
    within the user's function, and else keeps the exception until C has returned.
    """

    def __init__(self):
        self.raised, self.inside, self.thread, self.handler = None, False, None, None

    def guard(self, function):
        """A callback that never raises into C."""
        def call(*given):
            try:
                if self.raised:
                    return FAILED
                self.inside = get_ident() == self.thread
                try:
                    code = function(*given) or 0
                finally:
                    self.inside = False
                return FAILED if self.raised else code
            except Retry:
                return RETRY
            except Stop:
                return STOP
            except BaseException as error:
                self.raised = self.raised or error
                return FAILED
        return call

    def __enter__(self):
        self.thread = get_ident()
        if current_thread() is main_thread() and callable(handler := getsignal(SIGINT)):
            self.handler = handler
            set_signal(SIGINT, self.interrupt)

    def __exit__(self, *_):
        handler, self.handler = self.handler, None
        if handler:
            set_signal(SIGINT, handler)
        raised, self.raised = self.raised, None
        if raised is not None:
            raise raised

    def interrupt(self, number, frame):
        try:
            self.handler(number, frame)
        except BaseException as error:
            if self.inside:
                raise
            self.raised = self.raised or error


class Shape:
    """What a field is bound to. out 0: as many rows as it has; of a Python function one."""

    def __init__(self, names, dim, np, nq, nu, out, calls):
        self.names, self.dim, self.np, self.nq, self.nu, self.out, self.calls = names, dim, np, nq, nu, out, calls


class Field:
    """A function of the state that a solver takes.

    p       parameters it begins with, or None
    bind    makes the nde_field for a Shape
    """
    p = None

    def bind(self, shape):
        raise NotImplementedError

    def __add__(self, other):
        """F + G: they share p from its first entry on, unless both have parameters of their own: then those of G follow."""
        return Combination("sum", [self, as_field(other)])

    def __radd__(self, other):
        return as_field(other) + self


def as_field(thing, **given):
    """A field as it is; a text is a program; any other callable is a Python field."""
    if isinstance(thing, Field):
        return thing
    if isinstance(thing, str):
        from ._program import program
        return program(thing)
    if callable(thing):
        return PythonField(thing, **given)
    raise TypeError(f"nde: {thing!r} is no field")


def made(field, *kept):
    """A field that a constructor of the library gave, alive as long as what it is made of."""
    if not field.eval:
        raise _library.failure(Status.E_ARG)
    field.kept = list(kept)
    return field


class MLP(Field):
    """A fully connected network.

    widths       of y, the hidden layers, and the value: MLP([2, 32, 2])
    activation   of hidden layers; `last` of the last layer: names of nde.activations
    time         t is an input too; inputs_u, inputs_q: so many rows of u and q
    residual     hidden layers of equal widths add their input
    layer_norm   hidden layers are normalised before their activation
    init, seed   how weights are drawn: "glorot_uniform", "he_normal" ..., "orthogonal"
    p            all parameters in one array: of each layer weight [out][in], then bias [out]
    """

    def __init__(self, widths, activation="tanh", last="identity", *, time=False, residual=False, layer_norm=False, inputs_u=0,
                 inputs_q=0, init="glorot_uniform", seed=0, dtype=np.float64):
        widths = [int(width) for width in widths]
        extra = inputs_u + inputs_q + bool(time)
        inner = (ctypes.c_size_t*len(widths))(widths[0] + extra, *widths[1:])
        self.widths, self.dim = widths, widths[0]
        self.mlp = struct("mlp")(layers=len(widths) - 1, width=inner, hidden=chosen("activation", activation, activations),
                                 last=chosen("last", last, activations), time_input=bool(time), residual=bool(residual),
                                 layer_norm=bool(layer_norm), inputs_u=inputs_u, inputs_q=inputs_q)
        self.bound = {}
        names = names_of(dtype)
        schemes = {name.lower(): CONSTANTS["NDE_" + name] for name in
                   ("GLOROT_UNIFORM", "GLOROT_NORMAL", "HE_UNIFORM", "HE_NORMAL", "ORTHOGONAL")}
        self.p = np.empty(self.of(names).np, names.dtype)
        scheme = chosen("init", init, schemes)
        _library.check(names.mlp_init(ctypes.addressof(self.mlp), scheme, seed, _library.address(self.p)))

    def of(self, names):
        if names.dtype not in self.bound:
            self.bound[names.dtype] = made(names.field_mlp(ctypes.addressof(self.mlp)), self.mlp)
        return self.bound[names.dtype]

    def bind(self, shape):
        return self.of(shape.names)

    @property
    def layers(self):
        """[(weight [out][in], bias [out]), ...]: views of p, to read and to fill (PyTorch's Linear.weight and .bias)."""
        found, at = [], 0
        inner = [int(width) for width in (ctypes.c_size_t*(self.mlp.layers + 1)).from_address(self.mlp.width)]
        for layer, (rows, columns) in enumerate(zip(inner[1:], inner)):
            weight = self.p[at:at + rows*columns].reshape(rows, columns)
            at += rows*columns + rows
            found.append((weight, self.p[at - rows:at]))
            if self.mlp.layer_norm and layer < self.mlp.layers - 1:
                at += 2*rows # gain, shift
        return found


class CField(Field):
    """A function in C, from a shared object or by its address (numba's cfunc(...).address, a ctypes function).

    library    file of the shared object; or the function itself, and no name
    name       of int name(double t, const real *y, const real *p, real *dy, void *ctx), real as dtype says; returns 0
    dim, np    rows of y and of p
    vjp, jvp   names or addresses of nde_pointwise's derivatives; None: no gradient through it
    dtype      of the function's arrays
    """

    def __init__(self, library, name=None, *, dim, np=0, vjp=None, jvp=None, dtype=float):
        self.names, self.dim = names_of(dtype), dim
        self.library = ctypes.CDLL(os.fspath(library)) if isinstance(library, (str, os.PathLike)) else None
        self.source = [thing for thing in (library, vjp, jvp) if not isinstance(thing, (str, int, type(None)))]

        def symbol(thing):
            if isinstance(thing, str):
                try:
                    thing = self.library[thing]
                except AttributeError as error:
                    raise ArgumentError(Status.E_ARG, f"nde: {error}") from None
            return thing if isinstance(thing, int) else ctypes.cast(thing, ctypes.c_void_p).value

        kinds = struct("pointwise").kinds
        given = {"f": name if self.library else library, "vjp": vjp, "jvp": jvp}
        self.pointwise = struct("pointwise")(**{member: c_type(kinds[member])(symbol(thing)) for member, thing in given.items()
                                                if thing is not None})
        self.field = made(self.names.field_pointwise(ctypes.addressof(self.pointwise), dim, np), self.pointwise)

    def bind(self, shape):
        if shape.names is not self.names:
            raise TypeError(f"nde: the C field is of {self.names.dtype}, the solve of {shape.names.dtype}")
        return self.field


class Combination(Field):
    """Fields made of others: "sum", "concatenation" (one under the other), "composition" (of the second in the first)."""

    def __init__(self, how, parts):
        self.how, self.parts = how, parts
        given = [part.p for part in parts if part.p is not None]
        self.p = np.concatenate(given) if given else None

    def bind(self, shape):
        fields, first = [], 0
        for part in self.parts:
            own = 0 if part.p is None else len(part.p)
            of_part = Shape(shape.names, shape.dim, own or shape.np, shape.nq, shape.nu, shape.out, shape.calls)
            bound = part.bind(of_part)
            copy = struct("field").from_buffer_copy(bound)
            copy.kept, copy.p_first = [bound], first if own else 0
            fields.append(copy)
            first += own
        pointers = (ctypes.c_void_p*len(fields))(*[ctypes.addressof(field) for field in fields])
        parts = struct("parts")(part=pointers, n=len(fields))
        return made(getattr(shape.names, "field_" + self.how)(ctypes.addressof(parts)), parts, fields)


def concatenate(*fields):
    """(F, G, ...): one under the other."""
    return Combination("concatenation", [as_field(field) for field in fields])


def compose(outer, inner):
    """F(t, G(t, y))."""
    return Combination("composition", [as_field(outer), as_field(inner)])


# ---- Python functions ---------------------------------------------------------------------------------------------------

LETTERS = ("t", "y", "p", "q", "u")


def letters(function):
    """Which of t, y, p, q, u a function takes: by the names of its arguments if all are among them, else in this order."""
    if type(function) is FunctionType and not vars(function): # as below, in a fiftieth of its time
        code = function.__code__
        given = code.co_varnames[:code.co_argcount - len(function.__defaults__ or ())]
    else:
        try:
            given = [name for name, kind in inspect.signature(function).parameters.items()
                     if kind.kind in (kind.POSITIONAL_ONLY, kind.POSITIONAL_OR_KEYWORD) and kind.default is kind.empty]
        except (TypeError, ValueError): # a function of another language
            return LETTERS[:2]
    return tuple(given) if set(given) <= set(LETTERS) else LETTERS[:len(given)]


class PythonField(Field):
    """A Python function. It is called for each evaluation: a program (nde.program) is a hundred times as fast.

    function     f(t, y), f(t, y, p), ...: dy [dim] of y [dim], p [np], q [nq], u [nu]
    vjp          vjp(t, y, p, a) -> ay [dim], or (ay, ap [np]): the cotangent a [dim] of dy carried to y and p; q and u after
                 p where the function has them. None: no gradient through it
    vectorised   True: called for many trajectories at once: t [n], y, a and the value [n, dim], q, u [n, ...]; ap is summed
    jvp          jvp(t, y, p, vt, vy, vp) -> [dim]: how the value moves as t, y, p move along these, each the size of its
                 argument. None: no forward mode, no methods that ask noise for it
    jacobian     jacobian(t, y, p) -> (dim, dim), d f_i/d y_j; vectorised (n, dim, dim): for stiff methods. None: they need
                 solve(..., jacobian="differences"), or a jvp
    """

    def __init__(self, function, vjp=None, vectorised=False, jvp=None, jacobian=None):
        self.function, self.vjp, self.jvp, self.jacobian, self.vectorised = function, vjp, jvp, jacobian, vectorised
        self.letters = letters(function)

    def bind(self, shape):
        shape.out = shape.out or 1
        field = struct("field")(name=b"the Python function", dim=shape.dim, np=shape.np, nq=shape.nq, nu=shape.nu,
                                out=shape.out)
        bridge = Bridge(self, shape)
        field.put(eval=shape.calls.guard(bridge.eval), vjp=self.vjp and shape.calls.guard(bridge.pull),
                  jvp=self.jvp and shape.calls.guard(bridge.push), jacobian=self.jacobian and shape.calls.guard(bridge.matrix))
        return field


class Bridge:
    """Between C's blocks of lanes and one Python function: arrays are copied, so that it may keep them."""

    def __init__(self, field, shape):
        self.function, self.vjp, self.jvp, self.jacobian = field.function, field.vjp, field.jvp, field.jacobian
        self.vectorised = field.vectorised
        self.shape, self.dtype, self.out = shape, shape.names.dtype, (shape.out,)
        self.letters = field.letters
        self.sizes = {"y": shape.dim, "p": shape.np, "q": shape.nq, "u": shape.nu}
        self.real = ctypes.c_float if self.dtype.itemsize == 4 else ctypes.c_double
        self.sites, self.vectors, self.alone = {}, {}, {}
        self.others = [letter for letter in self.letters if letter in "pqu"]

    def site(self, at):
        """The nde_site at an address; solvers use few addresses."""
        if at not in self.sites:
            if len(self.sites) > MOST_SEEN:
                self.sites.clear()
            self.sites[at] = struct("site").from_address(at)
        return self.sites[at]

    def vector(self, where, count, real=None):
        """`count` numbers at an address, to read and to write."""
        real = real or self.real
        key = where, count, real
        if key not in self.vectors:
            if len(self.vectors) > MOST_SEEN:
                self.vectors.clear()
            self.vectors[key] = np.ctypeslib.as_array((real*count).from_address(where)) if count else np.empty(0)
        return self.vectors[key]

    def rows(self, where, rows, n, ld):
        """The block [rows][ld] at an address as (n, rows), to read and to write."""
        return self.vector(where, rows*ld).reshape(rows, ld)[:, :n].T

    def arguments(self, site, y):
        """The arguments of the block: lists of t, and of each letter's rows (n, rows)."""
        given = {"t": self.vector(site.t, site.n, ctypes.c_double).copy(),
                 "y": self.rows(y, self.shape.dim, site.n, site.ld).copy()}
        for letter in self.letters:
            if letter == "p":
                given["p"] = self.vector(site.p, self.shape.np).copy()
            elif letter in "qu":
                given[letter] = self.rows(getattr(site, letter), self.sizes[letter], site.n, site.ld).copy()
        return given

    def single(self, key, site, y, dy):
        """Of one trajectory alone: functions that give its arguments, and its value, to be written; kept under the key."""
        if len(self.alone) > MOST_SEEN:
            self.alone.clear()
        self.alone[key] = [self.vector(site.t, 1, ctypes.c_double).item if letter == "t" else
                           self.vector(y if letter == "y" else getattr(site, letter), self.sizes[letter]).copy
                           for letter in self.letters], self.vector(dy, self.shape.out)
        return self.alone[key]

    def each(self, site, given):
        """(lanes, arguments) of each call of the function."""
        if self.vectorised:
            yield slice(0, site.n), [given[letter] for letter in self.letters]
            return
        idle = (ctypes.c_ubyte*site.n).from_address(site.lane) if site.lane else bytes(site.n)
        for b in range(site.n):
            if idle[b] != IDLE:
                yield b, [given[letter] if letter == "p" else float(given["t"][b]) if letter == "t" else given[letter][b]
                          for letter in self.letters]

    def value(self, found, shape, what):
        if found is None:
            raise TypeError(f"nde: {what} returned None")
        found = np.asarray(found)
        if found.dtype.kind not in "fiu":
            raise TypeError(f"nde: {what} returned {found.dtype}, not real numbers")
        if found.shape != shape and not (found.ndim == 0 and shape == (1,)):
            raise ValueError(f"nde: {what} returned shape {found.shape}, not {shape}")
        return found

    def eval(self, _, at, y, dy):
        site = self.sites.get(at) or self.site(at)
        if site.ld == 1 and not self.vectorised:
            key = (y, dy, site.t, *[getattr(site, letter) for letter in self.others]) if self.others else (y, dy, site.t)
            given, out = self.alone.get(key) or self.single(key, site, y, dy)
            found = self.function(*[argument() for argument in given])
            known = type(found) is np.ndarray and found.dtype is self.dtype and found.shape == self.out
            out[:] = found if known else self.value(found, self.out, "the function")
            return
        out, given = self.rows(dy, self.shape.out, site.n, site.ld), self.arguments(site, y)
        out[...] = 0
        for lanes, arguments in self.each(site, given):
            out[lanes] = self.value(self.function(*arguments), out[lanes].shape, "the function")

    def matrix(self, _, at, y, j):
        site, rows, dim = self.site(at), self.shape.out, self.shape.dim
        out = self.rows(j, rows*dim, site.n, site.ld).reshape(site.n, rows, dim)
        for lanes, arguments in self.each(site, self.arguments(site, y)):
            out[lanes] = self.value(self.jacobian(*arguments), out[lanes].shape, "the jacobian")

    def pull(self, _, at, y, a, to):
        site, to = self.site(at), struct("cotangent").from_address(to)
        n, ld, shape = site.n, site.ld, self.shape
        given, cotangent = self.arguments(site, y), self.rows(a, shape.out, n, ld).copy()
        letters = [letter for letter in self.letters if letter != "t"]
        for lanes, arguments in self.each(site, given):
            found = self.vjp(*arguments, cotangent[lanes])
            found = found if isinstance(found, tuple) else (found,)
            if len(found) > len(letters):
                raise ValueError(f"nde: the vjp returned {len(found)} cotangents for {', '.join(letters)}")
            for letter, value in zip(letters, found):
                self.add(to, letter, lanes, value, n, ld)

    def push(self, _, at, y, v, dv):
        site, v = self.site(at), struct("tangent").from_address(v)
        out, n = self.rows(dv, self.shape.out, site.n, site.ld), site.n
        moved = {"t": self.vector(v.t, n, ctypes.c_double).copy() if v.t else np.zeros(n)}
        for letter in {"y", *self.letters} - {"t"}:
            size, where = self.sizes[letter], getattr(v, letter)
            if letter == "p":
                moved["p"] = self.vector(where, size).copy() if where else np.zeros(size, self.dtype)
            else:
                moved[letter] = self.rows(where, size, n, site.ld).copy() if where else np.zeros((n, size), self.dtype)
        out[...] = 0
        for (lanes, arguments), (_, along) in zip(self.each(site, self.arguments(site, y)), self.each(site, moved)):
            out[lanes] = self.value(self.jvp(*arguments, *along), out[lanes].shape, "the jvp")

    def add(self, to, letter, lanes, value, n, ld):
        where, shape = getattr(to, letter), self.shape
        if not where:
            return
        if letter == "p":
            self.vector(where, shape.np, ctypes.c_double)[:] += self.value(value, (shape.np,), "the vjp, for p,")
            return
        block = self.rows(where, self.sizes[letter], n, ld)
        block[lanes] += self.value(value, block[lanes].shape, f"the vjp, for {letter},")
