# SPDX-License-Identifier: MIT
"""Programs: a Python function of t, y, p, ... is called once with variables that record what is done to them. From then on no
Python runs in the solve, and every derivative is exact."""
import ctypes

import numpy as np

from . import _library
from ._field import Field, letters, made
from ._library import double, struct


class Variable:
    """A value in a program: rows, or a matrix of rows. Arithmetic, comparisons (1 or 0), [ ], @ and NumPy's functions work."""

    def __init__(self, graph, id, shape):
        self.graph, self.id, self.shape = graph, id, shape

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def size(self):
        return int(np.prod(self.shape))

    def __len__(self):
        if not self.shape:
            raise TypeError("nde: a variable of one row has no len()")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        if type(index) is int and self.ndim == 1 and -self.size <= index < self.size: # as below, without arrays
            return self.graph.call("cut", self, index % self.size, 1, shape=())
        places = np.arange(self.size).reshape(self.shape)[index]
        flat = places.ravel()
        if flat.size and np.array_equal(flat, np.arange(flat[0], flat[0] + flat.size)):
            return self.graph.call("cut", self, int(flat[0]), flat.size, shape=places.shape)
        rows = (ctypes.c_size_t*flat.size)(*flat.tolist())
        return self.graph.call("gather", self, ctypes.addressof(rows), flat.size, shape=places.shape)

    def reshape(self, *shape):
        shape = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        return Variable(self.graph, self.id, np.empty(self.shape, "b").reshape(shape).shape)

    def sum(self):
        return self.graph.call("sum", self, shape=())

    def mean(self):
        return self.sum()/self.size

    def __bool__(self):
        raise TypeError("nde: a program is recorded once: no `if` on its variables; use nde.ops.select or numpy.where")

    def __float__(self):
        raise TypeError("nde: a variable of a program has no value yet: use numpy's or nde.ops' functions instead of math's")

    __hash__ = object.__hash__

    def __array_ufunc__(self, ufunc, method, *given, **more):
        if method != "__call__" or more or ufunc.__name__ not in UFUNCS:
            return NotImplemented
        return UFUNCS[ufunc.__name__](*given)

    def __array_function__(self, function, types, given, more):
        if function.__name__ not in ARRAY_FUNCTIONS or more:
            return NotImplemented
        return ARRAY_FUNCTIONS[function.__name__](*given)


class Graph:
    """A program while it is recorded."""

    def __init__(self, sizes, name):
        self.shape = struct("program_shape")(**sizes, name=name)
        self.program = ctypes.c_void_p()
        _library.check(double.program_create(ctypes.addressof(self.shape), ctypes.addressof(self.program)))

    def call(self, name, *given, shape=None):
        """An operation of the library. Its value has the shape of the operands, broadcast, unless one is given."""
        if shape is None:
            shape = np.broadcast_shapes(*[thing.shape for thing in given if isinstance(thing, Variable)])
        var = getattr(double, name)(self.program, *[thing.id if isinstance(thing, Variable) else thing for thing in given])
        return self.made(var, shape)

    def made(self, var, shape):
        """A value of the program as a variable; none is what a failure left."""
        if not var.id:
            text = ctypes.c_char_p()
            status = double.program_status(self.program, ctypes.addressof(text))
            raise _library.failure(status, text.value.decode())
        return Variable(self, var, shape)

    def variable(self, thing):
        """Numbers are constants; lists of variables and numbers are put one under the other."""
        if isinstance(thing, Variable):
            if thing.graph is not self:
                raise ValueError("nde: a variable of another program")
            return thing
        if isinstance(thing, (list, tuple)) or isinstance(thing, np.ndarray) and thing.dtype == object:
            parts = [self.variable(part) for part in (thing.ravel() if isinstance(thing, np.ndarray) else thing)]
            if not parts:
                raise ValueError("nde: an empty list in a program")
            ids = (struct("var")*len(parts))(*[part.id for part in parts])
            rows = sum(part.size for part in parts)
            same = len({part.shape for part in parts}) == 1 and parts[0].shape
            return self.call("concat", ctypes.addressof(ids), len(parts), shape=(len(parts), *same) if same else (rows,))
        found = _library.array("a constant", thing, float)
        shape = np.shape(thing)
        return self.call("constants", _library.address(found), found.size, shape=shape)


def graph_of(*given):
    for thing in given:
        if isinstance(thing, Variable):
            return thing.graph
        if isinstance(thing, (list, tuple)):
            if (found := graph_of(*thing)) is not None:
                return found
    return None


def broadcast(graph, a, shape):
    """Rows of a, repeated as NumPy would: the library lets one row go with any number."""
    if a.shape == shape or a.size == 1:
        return a
    return a.reshape(a.size)[np.broadcast_to(np.arange(a.size).reshape(a.shape), shape)]


def operation(name, count):
    """An entrywise operation of `count` operands."""
    def call(*given):
        if len(given) != count:
            raise TypeError(f"nde: {name} takes {count} operands, not {len(given)}")
        graph = graph_of(*given)
        if graph is None:
            raise TypeError(f"nde: {name} of numbers: at least one operand is a variable of a program")
        given = [graph.variable(thing) for thing in given]
        shape = np.broadcast_shapes(*[thing.shape for thing in given])
        return graph.call(name, *[broadcast(graph, thing, shape) for thing in given], shape=shape)
    call.__name__ = call.__qualname__ = name
    call.__doc__ = _library._headers.FUNCTIONS["nde_" + name][1]
    return call


def _entrywise():
    """nde_sin(g, x) and nde_add(g, a, b) ... as the headers declare them; those that are not by rows are below."""
    kinds = {1: ["nde_var"], 2: ["nde_var"]*2, 3: ["nde_var"]*3}
    rows = ("sum", "dot", "cross", "outer", "matvec", "matvec_transposed", "independent", "divergence_of", "jvp_of", "vjp_of")
    found = {}
    for name, (_, _, result, first, *rest) in ((n, f) for n, f in _library._headers.FUNCTIONS.items() if len(f) > 3):
        for count, operands in kinds.items():
            if result == "nde_var" and first == "pointer" and rest == operands and name[4:] not in rows:
                found[name[4:]] = operation(name[4:], count)
    return found


OPERATIONS = _entrywise()


def matmul(a, b):
    graph = graph_of(a, b)
    a, b = graph.variable(a), graph.variable(b)
    if (a.ndim, b.ndim) == (2, 1) and a.shape[1] == b.shape[0]:
        return graph.call("matvec", a, b, shape=a.shape[:1])
    if (a.ndim, b.ndim) == (1, 2) and a.shape[0] == b.shape[0]:
        return graph.call("matvec_transposed", b, a, shape=b.shape[1:])
    if (a.ndim, b.ndim) == (1, 1) and a.shape == b.shape:
        return graph.call("dot", a, b, shape=())
    raise ValueError(f"nde: shapes {a.shape} @ {b.shape} in a program")


def concatenate(things):
    graph = graph_of(*things)
    return graph.variable([graph.variable(thing) for thing in things]).reshape(-1)


def not_less(a, b):
    return OPERATIONS["less_equal"](b, a)


def greater(a, b):
    return OPERATIONS["less"](b, a)


def _rows(name, rows):
    def call(a, b):
        graph = graph_of(a, b)
        a, b = graph.variable(a), graph.variable(b)
        return graph.call(name, a, b, shape=rows(a, b))
    call.__name__ = name
    return call


outer, cross = _rows("outer", lambda a, b: (a.size, b.size)), _rows("cross", lambda a, b: a.shape)
UFUNCS = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "negative": "neg", "power": "pow",
          "absolute": "abs", "less": "less", "less_equal": "less_equal", "maximum": "maximum", "minimum": "minimum",
          **{name: name for name in OPERATIONS if isinstance(vars(np).get(name), np.ufunc)}}
UFUNCS = {name: OPERATIONS[here] for name, here in UFUNCS.items()}
UFUNCS.update({"true_divide": UFUNCS["divide"], "fabs": UFUNCS["absolute"], "float_power": UFUNCS["power"], "greater": greater,
               "greater_equal": not_less, "matmul": matmul, "positive": lambda a: a})
ARRAY_FUNCTIONS = {"concatenate": concatenate, "hstack": concatenate,
                   "stack": lambda things: graph_of(*things).variable(list(things)), "sum": Variable.sum, "mean": Variable.mean,
                   "dot": matmul, "where": OPERATIONS["select"], "outer": outer, "cross": cross, "reshape": Variable.reshape}
_OPERATORS = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power", "matmul": "matmul"}
for _name, _ufunc in _OPERATORS.items():
    setattr(Variable, f"__{_name}__", lambda a, b, f=UFUNCS[_ufunc]: f(a, b))
    setattr(Variable, f"__r{_name}__", lambda a, b, f=UFUNCS[_ufunc]: f(b, a))
for _name, _ufunc in {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}.items():
    setattr(Variable, f"__{_name}__", lambda a, b, f=UFUNCS[_ufunc]: f(a, b))
for _name, _ufunc in {"neg": "negative", "pos": "positive", "abs": "absolute"}.items():
    setattr(Variable, f"__{_name}__", lambda a, f=UFUNCS[_ufunc]: f(a))


class Program(Field):
    """See nde.program."""

    def __init__(self, function, p=None):
        self.function, self.letters, self.traced, self.p = function, letters(function), {}, p

    def bind(self, shape):
        sizes = {"dim": shape.dim, "np": shape.np, "nq": shape.nq, "nu": shape.nu}
        key = tuple(sizes.values()), shape.out
        if key not in self.traced:
            self.traced[key] = Recorded(self.record(sizes, shape.out))
        return self.traced[key].field(shape.names)

    def record(self, sizes, out):
        graph = Graph(sizes, b"the program")
        rows = {letter: sizes[name] for letter, name in {"y": "dim", "p": "np", "q": "nq", "u": "nu"}.items()}
        given = [graph.call("t", shape=()) if letter == "t" else
                 graph.call(letter, 0, rows[letter], shape=(rows[letter],)) if rows[letter] else np.empty(0)
                 for letter in self.letters]
        try:
            found = self.function(*given)
            if found is None:
                raise TypeError("nde: the program returned None")
            found = graph.variable(found)
            if out and found.size != out:
                raise ValueError(f"nde: the program returned {found.size} rows, not {out}")
            _library.check(double.program_finish(graph.program, found.id))
        except BaseException:
            double.program_destroy(graph.program)
            raise
        return graph.program, graph.shape


class Text(Field):
    """A program written as text: see nde.program. names: {"sigma": ("p", 0, 1), ...}."""

    def __init__(self, text, p=None):
        self.p, program = p, ctypes.c_void_p()
        _library.check(double.program_parse(text.encode(), None, ctypes.addressof(program)))
        self.recorded = Recorded((program, None))
        self.dim = self.recorded.field(double).dim

    def bind(self, shape):
        return self.recorded.field(shape.names)

    def find(self, name):
        """("p", 0, 1): of which array the text's name is, from which row on, how many."""
        kind, first, rows = ctypes.c_int(), ctypes.c_size_t(), ctypes.c_size_t()
        _library.check(double.program_find(self.recorded.program, name.encode(), *map(ctypes.addressof, (kind, first, rows))))
        return chr(kind.value), first.value, rows.value


class Recorded:
    """A finished program, and its fields in both precisions."""

    def __init__(self, made_of):
        self.program, self.kept = made_of
        self.fields = {}

    def field(self, names):
        if names.prefix not in self.fields:
            self.fields[names.prefix] = made(names.field_program(self.program))
        return self.fields[names.prefix]

    def __del__(self, destroy=double.program_destroy):
        destroy(self.program)


def program(function, p=None):
    """A field from a Python function or a text, compiled once and differentiated exactly.

    function   f(t, y), f(t, y, p), ...: called once with variables, at the first solve; returns rows or a list of them.
               Arguments are told by their names among t, y, p, q, u, or come in this order. NumPy's functions work and
               nde.ops.
               Or a text: "state x, v; param k; dx = v; dv = -k*x" (nde/program.h)
    p          parameters it begins with
    Also as a decorator: @nde.program
    """
    return Text(function, p) if isinstance(function, str) else Program(function, p)
