# SPDX-License-Identifier: MIT
"""scipy.integrate.solve_ivp's signature, so that a script changes one import."""
import numpy as np

from . import _library
from ._field import Field, PythonField
from ._problem import Event
from ._solve import solve

METHODS = {"RK45": "dopri5", "RK23": "bosh3", "DOP853": "dop853", "Radau": "rodas5p", "BDF": "rodas5p", "LSODA": "rodas5p"}
STIFF = "Radau", "BDF", "LSODA"
FIRST_ROWS = 1 << 12


class Result(dict):
    """As scipy's: t (k,), y (dim, k), sol, t_events, y_events, nfev, njev, nlu, status (0 end, 1 event, -1 failed), message,
    success; nde: the nde.Solution."""
    __getattr__, __setattr__, __delattr__ = dict.__getitem__, dict.__setitem__, dict.__delitem__

    def __dir__(self):
        return [*self]


def method_of(name):
    if name in METHODS or name in _library.methods:
        return METHODS.get(name, name)
    raise ValueError(f"nde: method is {name!r}; known are {', '.join([*METHODS, *_library.methods])}")


def jacobian_of(jac, args):
    if jac is None or callable(jac):
        return jac and (lambda t, y: dense(jac(t, y, *args)))
    return lambda t, y, matrix=dense(jac): matrix


def dense(matrix):
    return matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)


def event_of(event, args):
    """scipy's events carry .terminal and .direction."""
    if isinstance(event, Event):
        return event
    terminal, direction = getattr(event, "terminal", False), getattr(event, "direction", 0)
    g = event if isinstance(event, Field) else PythonField(lambda t, y: event(t, y, *args))
    return Event(g, terminal=int(terminal), direction=direction)


def solve_ivp(fun, t_span, y0, method="RK45", t_eval=None, dense_output=False, events=None, vectorized=False, args=None, *,
              rtol=1e-3, atol=1e-6, max_step=np.inf, first_step=None, min_step=0, jac=None, **options):
    """scipy.integrate.solve_ivp by libnde. fun(t, y, *args), or a field of nde's: then args is (p,).
    method: RK45, RK23, DOP853, Radau, BDF and LSODA (all three: rodas5p), or one of nde.methods; **options: those of nde.solve.
    jac: jac(t, y, *args), a matrix, or None: a Jacobian by differences where fun is a Python function."""
    args = tuple(args or ())
    if isinstance(fun, Field):
        field, p = fun, args[0] if args else None
    else:
        field, p = PythonField(lambda t, y: fun(t, y, *args), jacobian=jacobian_of(jac, args)), None
        if method in STIFF and jac is None:
            options.setdefault("jacobian", "differences")
    y0, (t0, t1) = np.asarray(y0), map(float, t_span)
    if y0.dtype.kind == "c":
        raise TypeError("nde: y0 is complex")
    listed = [] if events is None else events if isinstance(events, (list, tuple)) else [events]
    more = {"method": method_of(method), "rtol": rtol or -1, "h_max": 0 if np.isinf(max_step) else max_step,
            "h0": first_step or 0, "h_min": min_step, "events": [event_of(event, args) for event in listed],
            "event_rows": FIRST_ROWS, "adjoint": "discrete" if dense_output else "none", "check": False, "max_steps": -1,
            **options}
    more.update({"atol": atol or -1} if np.ndim(atol) == 0 else {"atol_each": atol})
    if t_eval is None:
        found = solve(field, y0, (t0, t1), p, save_every=1, save_rows=FIRST_ROWS, **more)
        if (rows := int(found.stats.accepted) + 1) > FIRST_ROWS:
            found = solve(field, y0, (t0, t1), p, save_every=1, save_rows=rows, **more)
    else:
        t_eval = np.asarray(t_eval, float)
        found = solve(field, y0, np.concatenate([[t0], t_eval, [t1]]), p, **more)
    t, y = found.t, found.y.T
    if t_eval is not None:
        reached = ~np.isnan(y).any(axis=0)
        reached[[0, -1]] = False
        t, y = t[reached], y[:, reached]
    hits = found.events
    status = 1 if found.status == _library.Status.EVENT else 0 if found.ok else -1
    return Result(t=t, y=y, sol=(lambda t: np.moveaxis(found(t), -1, 0)) if dense_output else None,
                  t_events=[t for t, _ in hits] if events is not None else None,
                  y_events=[y for _, y in hits] if events is not None else None,
                  nfev=int(found.stats.evals), njev=int(found.stats.jacobians), nlu=int(found.stats.factorisations),
                  status=status, success=status >= 0, nde=found,
                  message=found.error or _library.double.status_text(found.status).decode())
