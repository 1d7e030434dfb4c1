# SPDX-License-Identifier: MIT
"""The C library as it is: found, compared with the headers that this package was made from, and bound. What it offers (structs,
functions, constants, help) is reflected: _headers.py is written from the public headers by src/python/headers.py, and methods,
statuses and activations are asked of the library."""
import ctypes
import enum
import os

import numpy as np

from . import _headers

SIMPLE = {"void": None, "pointer": ctypes.c_void_p, "text": ctypes.c_char_p, "status": ctypes.c_int}
STRUCTS, CALLBACKS = {}, {}
CONSTANTS, VERSION = _headers.CONSTANTS, _headers.VERSION


def c_type(kind):
    """The ctypes type of a kind of _headers.py."""
    if isinstance(kind, list):
        key = tuple(kind)
        if key not in CALLBACKS:
            CALLBACKS[key] = ctypes.CFUNCTYPE(*map(c_type, kind))
        return CALLBACKS[key]
    if kind.startswith("["):
        count, kind = kind[1:].split("]")
        return c_type(kind)*int(count)
    if kind in SIMPLE:
        return SIMPLE[kind]
    return STRUCTS[kind] if kind.startswith("nde_") else getattr(ctypes, "c_" + kind)


def address(thing):
    """Where an array or a struct of the caller's begins; None is NULL."""
    if thing is None or isinstance(thing, int):
        return thing
    if isinstance(thing, np.ndarray):
        try:
            return ctypes.addressof(ctypes.c_char.from_buffer(thing)) # in a third of the time of what holds for all arrays
        except (TypeError, ValueError): # read-only, empty, or with strides
            return thing.__array_interface__["data"][0]
    return ctypes.addressof(thing)


class Struct(ctypes.Structure):
    """A public struct: `size` is filled in, arrays and structs are put into pointers and kept alive with it."""

    def __init__(self, **members):
        if "size" in self.kinds:
            self.size = ctypes.sizeof(self)
        self.kept = []
        self.put(**members)

    def put(self, **members):
        for name, value in members.items():
            if value is None:
                continue
            kind = self.kinds[name]
            if kind == "pointer":
                setattr(self, name, address(value))
            elif isinstance(kind, list):
                setattr(self, name, value if isinstance(value, c_type(kind)) else c_type(kind)(value))
            else:
                setattr(self, name, value)
                if kind not in ("text", "nde_field"):
                    continue
            self.kept.append(value)
        return self


for _name, _members in _headers.STRUCTS.items():
    STRUCTS[_name] = type(_name, (Struct,), {"_fields_": [(member, c_type(kind)) for member, kind, _ in _members],
                                             "kinds": {member: kind for member, kind, _ in _members},
                                             "help": {member: help for member, _, help in _members}})


def struct(name):
    return STRUCTS["nde_" + name]


# ---- the library ------------------------------------------------------------------------------------------------------


def places(library="libnde", variable="NDE_LIBRARY", folder="."):
    """Where a library may be: $NDE_LIBRARY alone if it is set; in a wheel; in the build folder; where the system has it."""
    if variable in os.environ:
        return [os.environ[variable]]
    here, short = os.path.dirname(os.path.realpath(__file__)), f"{library}.so.{VERSION.split('.')[0]}"
    above = os.path.dirname(here)
    folders = here, os.path.join(above, ".nde.mesonpy.libs"), os.path.join(os.path.dirname(above), folder)
    files = [os.path.join(folder, name) for folder in folders for name in (f"{library}.so.{VERSION}", short)]
    return [file for file in files if os.path.exists(file)] or [short]


def load():
    """The library, or ImportError: it is not there, or is not the one of these headers."""
    place = places()[0]
    try:
        found = ctypes.CDLL(place)
    except OSError as error:
        raise ImportError(f"nde: {error}") from None
    try:
        found.nde_version.restype = ctypes.c_char_p
        version = found.nde_version().decode()
    except AttributeError:
        raise ImportError(f"nde: {place} is no libnde") from None
    if version != VERSION:
        raise ImportError(f"nde: this package is {VERSION}, {place} is {version}")
    try:
        found.nde_size_of.restype, found.nde_size_of.argtypes = ctypes.c_size_t, [ctypes.c_char_p]
    except AttributeError:
        raise ImportError(f"nde: {place} is older than this package {VERSION}: it has no nde_size_of") from None
    for name, layout in STRUCTS.items():
        if name.startswith("nde_stiff_"): # of another library
            continue
        ours, theirs = ctypes.sizeof(layout), found.nde_size_of(name.encode())
        if ours != theirs:
            raise ImportError(f"nde: {name} has {ours} bytes in this package and {theirs} in {place}")
    return found


LIBRARY = load()


class Names:
    """The functions of one precision, without nde_ and ndef_: double.solver_run(...)."""

    def __init__(self, prefix, dtype, library=LIBRARY):
        self.prefix, self.dtype, self.library = prefix, np.dtype(dtype), library

    def __getattr__(self, name):
        if "nde_" + name not in _headers.FUNCTIONS:
            raise AttributeError(name)
        precise, _, result, *given = _headers.FUNCTIONS["nde_" + name]
        function = self.library[(self.prefix if precise else "nde_") + name]
        function.restype, function.argtypes = c_type(result), [c_type(kind) for kind in given]
        setattr(self, name, function)
        return function


double, single = Names("nde_", np.float64), Names("ndef_", np.float32)


def names_of(dtype):
    dtype = np.dtype(dtype)
    if dtype not in (double.dtype, single.dtype):
        raise TypeError(f"nde: dtype is {dtype}; float64 and float32 are known")
    return double if dtype == double.dtype else single


# ---- statuses and errors ----------------------------------------------------------------------------------------------

Status = enum.IntEnum("Status", {name: i for i in range(-64, 64)
                                 if (name := double.status_name(i).decode()) != "?"}, module="nde")
Status.__doc__ = "How a call or a trajectory ended: 0 done, > 0 a good reason to stop early, < 0 a failure."


class Error(Exception):
    """A call failed: status, and solution (what there is of it, or None)."""

    def __init__(self, status, text="", solution=None):
        super().__init__(text or double.status_text(status).decode())
        self.status, self.solution = Status(status), solution


class ArgumentError(Error, ValueError):
    """An argument is wrong; the text names it and its value."""


class OutOfMemory(Error, MemoryError):
    """Memory could not be had."""


class FileError(Error, OSError):
    """Reading or writing failed, or a file is damaged."""


KINDS = {Status.E_ARG: ArgumentError, Status.E_SIZE: ArgumentError, Status.E_CALCULUS: ArgumentError,
         Status.E_NOMEM: OutOfMemory, Status.E_IO: FileError}


def failure(status, text=None, solution=None):
    """The exception of a status; the text is that of the last call without an object if none is given."""
    text = double.error().decode() if text is None else text
    return KINDS.get(status, Error)(status, text, solution)


def check(status):
    """For calls without an object."""
    if status < 0:
        raise failure(status)
    return status


# ---- methods and options ----------------------------------------------------------------------------------------------


def _methods():
    facts = ("source", "kind", "order", "error_order", "dense_order", "stages", "evaluations")
    found = {}
    for i in range(double.method_count()):
        method = double.method_at(i)
        fact = {name: getattr(double, "method_" + name)(method) for name in facts}
        found[double.method_name(method).decode()] = {"id": double.method_id(method), **fact, "source": fact["source"].decode()}
    return found


methods = _methods() # {name: facts}
activations = {name: i for i in range(64) if (name := double.activation_name(i).decode()) != "?"}


def group(prefix):
    """{"pi34": 3 ...} of NDE_CONTROLLER_PI34 = 3 ..."""
    return {name[len(prefix):].lower(): value for name, value in CONSTANTS.items() if name.startswith(prefix)}


def _choices():
    """Words that an option knows: {"controller": {"pi34": 3 ...} ...}. The help names a constant of the group."""
    found = {"method": {name: fact["id"] for name, fact in methods.items()}}
    for name, kind in struct("options").kinds.items():
        constant = ctypes_help(name)
        if kind == "int32" and constant and name not in found:
            found[name] = group(constant)
    return found


def ctypes_help(name):
    """NDE_STEP_ of "NDE_STEP_INDEPENDENT: own t ..." and NDE_NORM_ of "NDE_NORM_*; 0: RMS"."""
    first = struct("options").help[name].replace("*", "").replace(":", ";").split(";")[0].split(" ")[0]
    return first[:first.rindex("_") + 1] if first.startswith("NDE_") else None


choices = _choices()


def chosen(what, word, known):
    """The number of a word among those that are known."""
    if word not in known:
        raise ArgumentError(Status.E_ARG, f"nde: {what} is {word!r}; known are {', '.join(known)}")
    return known[word]


def number(option, word):
    """The number of a word that an option knows; numbers are left as they are."""
    return chosen(option, word, choices.get(option, {})) if isinstance(word, str) else word


def numpy_blas():
    """nde_blas of the BLAS that NumPy has loaded (option blas="numpy"): that of a distribution, or of NumPy's own wheels."""
    with open("/proc/self/maps") as maps:
        files = {line.split(maxsplit=5)[5].strip() for line in maps if "blas" in line.rsplit("/", 1)[-1]}
    for file in sorted(files):
        for name in ("cblas_{}", "scipy_cblas_{}64_", "cblas_{}64_"):
            try:
                library = ctypes.CDLL(file)
                found = {gemm: library[name.format(gemm)] for gemm in ("dgemm", "sgemm")}
            except (OSError, AttributeError):
                continue
            return struct("blas")(**{gemm: product(function, gemm, "64_" in name) for gemm, function in found.items()})
    raise ArgumentError(Status.E_ARG, f"nde: NumPy has loaded no BLAS with cblas_dgemm; seen: {sorted(files)}")


def product(function, gemm, wide):
    """cblas_dgemm as nde_blas has it, also of a BLAS whose integers have 64 bits: by way of Python, a few microseconds of milliseconds."""
    kind = struct("blas").kinds[gemm]
    if not wide:
        return c_type(kind)(ctypes.cast(function, ctypes.c_void_p).value)
    sizes = {3, 4, 5, 8, 10, 13} # of the arguments: m, n, k, lda, ldb, ldc
    function.restype = None
    function.argtypes = [ctypes.c_int64 if place in sizes else c_type(given) for place, given in enumerate(kind[1:])]
    return c_type(kind)(lambda *given: function(*given))


# ---- arrays -----------------------------------------------------------------------------------------------------------


class _Memory:
    def __init__(self, where, shape, dtype, owner):
        self.__array_interface__ = {"data": (where, True), "shape": shape, "typestr": dtype, "version": 3}
        self.owner = owner


def view(where, shape, dtype, owner):
    """Read-only memory of the library's as an array that keeps its owner alive; None for NULL."""
    if not where:
        return None
    dtype = np.dtype(dtype)
    seen = np.asarray(_Memory(where, shape, dtype.str, owner))
    return seen.view(dtype) if dtype.names else seen


def array(what, given, dtype, ndim=None):
    """Numbers of the caller's as a contiguous array, without a copy where it is one. TypeError for what is no number."""
    found = np.asarray(given)
    if found.dtype.kind not in "fiu" and found.size:
        raise TypeError(f"nde: {what} holds {found.dtype}, not real numbers")
    if ndim is not None and found.ndim not in (ndim if isinstance(ndim, tuple) else (ndim,)):
        raise TypeError(f"nde: {what} has {found.ndim} dimensions")
    return np.ascontiguousarray(found, dtype)
