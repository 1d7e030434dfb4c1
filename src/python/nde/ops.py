# SPDX-License-Identifier: MIT
"""Functions for programs (nde.program) beside NumPy's: those of the library under their names, and activations. Operands are
variables, numbers and arrays; at least one is a variable."""
import ctypes

from . import _library
from ._library import double, struct
from ._program import OPERATIONS, cross, graph_of, matmul, outer

globals().update(OPERATIONS)
dot = matmul
__all__ = [*OPERATIONS, *_library.activations, "blend", "clip", "concatenate", "cross", "dense", "divergence", "divergence_by",
           "dot", "grad", "independent", "jet", "jvp", "matmul", "mixed", "outer", "scatter", "vjp"]


def _activation(name, number):
    def activate(x):
        return x.graph.call("activate", number, x, shape=x.shape)
    activate.__name__, activate.__doc__ = name, f"The activation {name}."
    return activate


for _name, _number in _library.activations.items():
    globals().setdefault(_name, _activation(_name, _number))


def blend(c, a, b, width):
    """The smooth select: b + sigmoid(c/width) (a - b)."""
    return b + sigmoid(c/width)*(a - b) # noqa: F821


def clip(x, low, high):
    """x within [low, high]."""
    return minimum(maximum(x, low), high) # noqa: F821


def concatenate(*things):
    """One under the other."""
    graph = graph_of(*things)
    return graph.variable([graph.variable(thing) for thing in things]).reshape(-1)


def scatter(x, index, rows):
    """[rows]: row i of x is added to row index[i]."""
    places = (ctypes.c_size_t*len(index))(*map(int, index))
    return x.graph.call("scatter", x, ctypes.addressof(places), rows, shape=(rows,))


def dense(activation, p_first, out, x):
    """s(W x + b): W [out][in] at p_first, b behind it, as in MLP.p."""
    return x.graph.call("dense", _library.activations[activation], p_first, out, x, shape=(out,))


def independent(x):
    """x itself, as something that others may be differentiated by."""
    return x.graph.call("independent", x)


def jvp(f, x, v):
    """The derivative of f along v, where x moves by v; x is an argument of the program or independent(...)."""
    return f.graph.call("jvp_of", f, x, f.graph.variable(v), shape=f.shape)


def vjp(f, x, a):
    """(df/dx)' a."""
    return f.graph.call("vjp_of", f, x, f.graph.variable(a), shape=x.shape)


def grad(f, x):
    """The gradient of an f of one row by x."""
    return vjp(f, x, 1.0)


def divergence(f, x):
    """The sum of df_i/dx_i, exact."""
    return f.graph.call("divergence_of", f, x, shape=())


def divergence_by(f, x, v):
    """The same by probes v, the rows of x once or more: the mean of v' (df/dx) v."""
    return f.graph.call("divergence_by", f, x, f.graph.variable(v), shape=())


def jet(f, x, v, order):
    """[f, ...]: coefficients of the powers of s, up to s^order, of f along x + s v."""
    g, found = f.graph, (struct("var")*(order + 1))()
    double.jet_of(g.program, f.id, x.id, g.variable(v).id, order, ctypes.addressof(found))
    return [g.made(var, f.shape) for var in found]


def mixed(f, *along):
    """The mixed derivative of f, once along each (x, v), x moving by v; one to three of them."""
    g = f.graph
    x, v = ((struct("var")*len(along))(*[g.variable(pair[k]).id for pair in along]) for k in (0, 1))
    return g.call("mixed_of", f, ctypes.addressof(x), ctypes.addressof(v), len(along), shape=f.shape)
