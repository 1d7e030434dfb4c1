# SPDX-License-Identifier: MIT
"""Fields that solve something of their own, and expectations: values against what is known, gradients against differences."""
import math
import unittest

import numpy as np

import nde
from support import main

W = np.array([[0.2, 0.1], [-0.1, 0.3]])


def fixed_point(x):
    y = np.zeros(2)
    for _ in range(100):
        y = np.tanh(W @ y + x)
    return y


class Implicit(unittest.TestCase):
    equation = nde.program(lambda t, y, u: np.tanh(W @ y + u))
    tight = {"rtol": 1e-12, "atol": 1e-12}

    def test_fixed_points(self):
        want = nde.solve(lambda t, y: fixed_point(y), [1.0, 0.5], (0, 1), rtol=1e-10).y_end
        root = nde.program(lambda t, y, u: np.tanh(W @ y + u) - y)
        for kind in ("anderson", "broyden", "newton", "newton_krylov"):
            for field, more in ((self.equation, {}), (root, {"root": True})):
                if more and kind == "anderson":
                    continue
                layer = nde.Implicit(field, inputs=2, iteration=kind, start=[0.1, 0.1], **more, **self.tight)
                np.testing.assert_allclose(nde.solve(layer, [1.0, 0.5], (0, 1), rtol=1e-10).y_end, want, rtol=1e-9)
        single = nde.solve(nde.Implicit(self.equation, inputs=2), np.ones((3, 2), np.float32), (0, 1)).y_end
        self.assertEqual((single.shape, single.dtype), ((3, 2), np.float32))

    def test_gradient(self):
        layer = nde.Implicit(nde.program(lambda t, y, p, u: np.tanh(p*(W @ y) + u)), inputs=2, **self.tight)
        found = nde.solve(layer, [1.0, 0.5], (0, 1), [1.0, 0.5], method="rk4", steps=10, adjoint="discrete")
        gradient = found.backward(y_end=[1.0, 2.0])
        for k in range(2):
            moved = [nde.solve(layer, [1.0, 0.5], (0, 1), np.array([1.0, 0.5]) + h*np.eye(2)[k], method="rk4", steps=10).y_end @ [1, 2]
                     for h in (1e-5, -1e-5)]
            self.assertAlmostEqual(gradient.p[k], (moved[0] - moved[1])/2e-5, places=7)

    def test_what_is_wrong(self):
        for text, more in (("iteration is 'guess'", {"iteration": "guess"}), ("start has shape", {"start": [1.0]}), ("mixing", {"mixing": 3.0})):
            with self.assertRaisesRegex(nde.ArgumentError, text):
                nde.solve(nde.Implicit(self.equation, inputs=2, **more), [1.0, 0.5], (0, 1))
        with self.assertRaises(TypeError):
            nde.Implicit(self.equation, size=3)


class Exponential(unittest.TestCase):
    def solve(self, linear, rest, **more):
        field = nde.Exponential(nde.program(rest), linear, **more)
        return nde.solve(field, [1.0, 1.0], (0, 1), steps=40, method="lie", second=nde.program(lambda t, y: 0*y)).y_end

    def test_linear_parts_are_exact(self):
        stiff = np.array([[-1e4, 0.0], [1.0, -2.0]])
        for scheme in ("etdrk2", "etdrk3", "etdrk4", "krogstad4", "lawson4"):
            found = self.solve(stiff, lambda t, y: 0*y, scheme=scheme)
            np.testing.assert_allclose(found, [0, math.exp(-2)*(1 + 1/9998)], rtol=1e-8, atol=1e-12)
            np.testing.assert_allclose(self.solve([-1.0, -3.0], lambda t, y: 0*y, scheme=scheme, h=1/40), np.exp([-1, -3]), rtol=1e-12)

    def test_the_rest(self):
        want = nde.solve(nde.program(lambda t, y: [-y[0] + np.sin(y[1]), -3*y[1] + np.cos(t)]), [1.0, 1.0], (0, 1), rtol=1e-12).y_end
        np.testing.assert_allclose(self.solve([-1.0, -3.0], lambda t, y: [np.sin(y[1]), np.cos(t)]), want, rtol=1e-7)
        with self.assertRaisesRegex(nde.ArgumentError, r"linear has shape \(3,\), y 2 rows"):
            self.solve([1.0, 2.0, 3.0], lambda t, y: 0*y)


class Multilevel(unittest.TestCase):
    """A European call on geometric Brownian motion: F. Black, M. Scholes, J. Polit. Econ. 81 (1973) 637-654."""
    mu, sigma = 0.05, 0.2

    def price(self, value, seed=1, **more):
        noise = nde.Noise(nde.program(lambda t, y: self.sigma*y), seed=seed)
        return nde.multilevel(value, nde.program(lambda t, y: self.mu*y), np.ones((500, 1)), (0, 1), terms=[noise], calculus="ito",
                              method="milstein", **{"steps": 2, "error": 2e-3, "weak": 1, **more})

    def pay(self, sol):
        return math.exp(-self.mu)*np.maximum(sol.y_end[:, 0] - 1, 0)

    def test_option(self):
        d = (self.mu + self.sigma**2/2)/self.sigma
        below = [0.5*(1 + math.erf(x/math.sqrt(2))) for x in (d, d - self.sigma)]
        exact = below[0] - math.exp(-self.mu)*below[1]
        found = self.price(self.pay)
        self.assertTrue(found.reached)
        self.assertLess(abs(found.value - exact), 3*2e-3)
        self.assertGreater(abs(found.value - self.price(self.pay, seed=2).value), 0)
        self.assertEqual(found.value, self.price(self.pay, threads=2).value)
        np.testing.assert_array_equal(found.levels.steps, 2*2**np.arange(len(found.levels)))
        self.assertGreater(found.levels.variance[0], 10*found.levels.variance[1])
        self.assertLess(found.cost, found.plain_cost)

    def test_what_is_wrong(self):
        with self.assertRaises(ZeroDivisionError):
            self.price(lambda sol: 1/0)
        with self.assertRaisesRegex(ValueError, r"shape \(1,\), not \(500,\)"):
            self.price(lambda sol: np.zeros(1))
        for text, more in (("error", {"error": -1.0}), ("levels", {"levels": 99}), ("no option", {"nothing": 1})):
            with self.assertRaisesRegex((ValueError, TypeError), text):
                self.price(self.pay, **more)


main()
