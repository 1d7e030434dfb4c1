# SPDX-License-Identifier: MIT
"""Programs recorded from Python functions have the values that NumPy gives, and exact derivatives."""
import unittest

import numpy as np

import nde
from nde import ops
from support import main

Y = np.array([0.3, -0.7, 1.2, 0.5])
P = np.array([1.5, 0.25, -0.4])


def value(function, y=Y, p=P, t=0.6):
    """F(t, y, p) of a program, read off one Euler step of length 1."""
    field = nde.program(function)
    found = nde.solve(field, y, (t, t + 1), p, method="euler", steps=1, adjoint="none")
    return found.y_end - y


class Values(unittest.TestCase):
    def same(self, function):
        np.testing.assert_allclose(value(function), np.broadcast_to(np.ravel(function(0.6, Y, P)), (4,)), rtol=1e-13, atol=1e-14)

    def test_arithmetic(self):
        for f in (lambda t, y, p: y + p[0], lambda t, y, p: 2 - y*t, lambda t, y, p: 1/(y + 3), lambda t, y, p: y**2 - y**3.0,
                  lambda t, y, p: +y - (-y), lambda t, y, p: abs(y), lambda t, y, p: 2.0**y, lambda t, y, p: (y + 2)**p[0],
                  lambda t, y, p: (y > 0) + 2*(y <= 0.5) + 3*(y < t) + 4*(y >= p[1]), lambda t, y, p: np.array([1, 2, 3, 4.0])*y,
                  lambda t, y, p: [y[0]*y[1], 3.0, p[2], t], lambda t, y, p: np.float64(2)*y[::-1]):
            self.same(f)

    def test_rows(self):
        matrix = np.arange(16.0).reshape(4, 4)/7
        for f in (lambda t, y, p: y[[3, 1, 1, 0]], lambda t, y, p: [y[-1], *y[:3]], lambda t, y, p: np.concatenate([y[2:], y[:2]]),
                  lambda t, y, p: matrix @ y, lambda t, y, p: y @ matrix, lambda t, y, p: np.stack([y[:2], y[2:]]),
                  lambda t, y, p: np.ravel(np.outer(y[:2], y[2:])) if isinstance(y, np.ndarray) else np.outer(y[:2], y[2:]),
                  lambda t, y, p: np.sum(y) + np.dot(y, y) + y.mean() + 0*y,
                  lambda t, y, p: y.reshape(2, 2).sum() + y.reshape(2, 2) @ y[:2] @ y[2:] + 0*y,
                  lambda t, y, p: np.array([y[0], 1.0, y[1], t]) if isinstance(y, np.ndarray) else np.array([y[0], 1.0, y[1], t]),
                  lambda t, y, p: y.reshape(2, 2)*np.array([[2.0], [3.0]]), lambda t, y, p: np.where(y > 0, y, np.exp(y)),
                  lambda t, y, p: [*np.cross(y[:3], p), y[3]]):
            self.same(f)

    def test_functions(self):
        for name in ("sqrt", "square", "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sign"):
            numpy, own = getattr(np, name), getattr(ops, name)
            self.same(lambda t, y, p: numpy(y*y + 0.1))
            np.testing.assert_array_equal(value(lambda t, y, p: own(y*y + 0.1)), value(lambda t, y, p: numpy(y*y + 0.1)))
        self.same(lambda t, y, p: np.maximum(y, 0.4) - np.minimum(t, y))
        for name in nde.activations:
            layer = nde.MLP([4, 4], last=name, seed=2)
            np.testing.assert_allclose(value(lambda t, y, p: ops.dense(name, 0, 4, y), p=layer.p),
                                       value(lambda t, y, p: getattr(ops, name)(p[:16].reshape(4, 4) @ y + p[16:]), p=layer.p),
                                       rtol=1e-12)

    def test_jets(self):
        def coefficients(t, y, p):
            x = ops.independent(y)
            return ops.concatenate(*[ops.jet(np.sin(x[0]), x, [2.0, 0, 0, 0], 3)[k] for k in range(4)])
        a = Y[0]
        np.testing.assert_allclose(value(coefficients), [np.sin(a), 2*np.cos(a), -2*np.sin(a), -4/3*np.cos(a)], rtol=1e-12)

        def mixed(t, y, p):
            x = ops.independent(y)
            f = x[0]*x[0]*x[1]*p[0]
            one, two = [1.0, 0, 0, 0], [0, 1.0, 0, 0]
            return ops.concatenate(ops.mixed(f, (x, one)), ops.mixed(f, (x, one), (x, two)), ops.mixed(f, (x, one), (x, one), (x, two)),
                                   ops.mixed(f, (x, one), (p, [1.0, 0, 0])))
        np.testing.assert_allclose(value(mixed), [2*Y[0]*Y[1]*P[0], 2*Y[0]*P[0], 2*P[0], 2*Y[0]*Y[1]], rtol=1e-12)

        def traces(t, y, p):
            x = ops.independent(y)
            f = np.arange(16.0).reshape(4, 4)/7 @ (x*x)
            signs = np.eye(4).ravel()*2 # four probes, two each: their mean is the trace
            return ops.concatenate(ops.divergence(f, x), ops.divergence_by(f, x, signs), 0*y[:2])
        trace = 2*(np.arange(0, 16, 5)/7*Y).sum()
        np.testing.assert_allclose(value(traces), [trace, trace, 0, 0], rtol=1e-12, atol=1e-14)
        for wrong in (lambda t, y, p: ops.jet(y, y, 1.0, 9)[0], lambda t, y, p: ops.mixed(y, *[(y, 1.0)]*4), lambda t, y, p: ops.jet(y, y*2, 1.0, 1)[1]):
            with self.assertRaises(ValueError):
                value(wrong)

    def test_derivatives(self):
        def grad(t, y, p):
            x = ops.independent(y)
            return ops.grad(np.sum(np.sin(x)*x), x)
        np.testing.assert_allclose(value(grad), np.cos(Y)*Y + np.sin(Y), rtol=1e-13)
        np.testing.assert_allclose(value(lambda t, y, p: ops.jvp(y*y, y, [1.0, 0, 0, 2])), 2*Y*[1, 0, 0, 2], rtol=1e-13)
        np.testing.assert_allclose(value(lambda t, y, p: ops.divergence(y*y*y, y) + 0*y), 3*(Y*Y).sum() + 0*Y, rtol=1e-12)
        np.testing.assert_allclose(value(lambda t, y, p: ops.clip(y, 0.0, 0.4)), np.clip(Y, 0, 0.4))
        np.testing.assert_allclose(value(lambda t, y, p: ops.scatter(y, [0, 0, 3, 3], 4)), [-0.4, 0, 0, 1.7], rtol=1e-14)

    def test_recorded_once(self):
        count = []
        field = nde.program(lambda t, y: count.append(1) or -y)
        for _ in range(3):
            nde.solve(field, [1.0], (0, 1))
            nde.solve(field, np.ones((3, 1), "f4"), (0, 1))
        self.assertEqual(len(count), 1)

    def test_text(self):
        text = nde.program("state x[2]; param k, m[3]; dx = -k*x")
        self.assertEqual(text.find("m"), ("p", 1, 3))
        with self.assertRaisesRegex(ValueError, "line 1"):
            nde.program("state x; dx = ")

    def test_refused(self):
        import math
        for f in (lambda t, y: math.sin(y[0]), lambda t, y: [1.0 if y[0] > 0 else 2.0], lambda t, y: np.linalg.norm(y),
                  lambda t, y: y[7], lambda t, y: y @ np.ones((3, 3)), lambda t, y: y + np.ones(3), lambda t, y: np.arctan(y)):
            with self.assertRaises((TypeError, ValueError, IndexError)):
                nde.solve(nde.program(f), Y, (0, 1))


main()
