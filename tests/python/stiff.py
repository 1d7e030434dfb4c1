# SPDX-License-Identifier: MIT
"""Stiff problems from Python: the library's own methods with each source of Jacobians, solve_ivp's stiff names, and nde.stiff where
libnde-stiff was built. Reference: Robertson's problem at t = 40 (E. Hairer, G. Wanner, Solving Ordinary Differential Equations II,
IV.10, solved by rodas5p at 1e-12)."""
import os
import subprocess
import sys
import unittest

import numpy as np

import nde
from support import main

try:
    import nde.stiff as stiff
except ImportError:
    stiff = None


def rates(t, y, p):
    return [-p[0]*y[0] + 1e4*y[1]*y[2], p[0]*y[0] - 1e4*y[1]*y[2] - 3e7*y[1]**2, 3e7*y[1]**2]


def values(t, y):
    return np.array(rates(t, y, [0.04]))


def matrix(t, y):
    return np.array([[-0.04, 1e4*y[2], 1e4*y[1]], [0.04, -1e4*y[2] - 6e7*y[1], -1e4*y[1]], [0, 6e7*y[1], 0]])


ROBERTSON = nde.program(rates, p=[0.04])
Y0, TIGHT = [1.0, 0.0, 0.0], {"rtol": 1e-8, "atol": 1e-12}
EXACT = nde.solve(ROBERTSON, Y0, (0, 40), method="rodas5p", rtol=1e-12, atol=1e-16).y_end


class Methods(unittest.TestCase):
    def test_by_name(self):
        for method, tolerance in (("rosenbrock23", 1e-3), ("rodas4", 1e-6), ("rodas5p", 1e-6)):
            found = nde.solve(ROBERTSON, Y0, (0, 40), method=method, rtol=1e-6, atol=1e-10)
            np.testing.assert_allclose(found.y_end, EXACT, rtol=tolerance)
            self.assertGreater(found.stats.jacobians, 0)

    def test_jacobians_of_python_functions(self):
        how = {"method": "rodas5p", **TIGHT}
        steps = nde.solve(ROBERTSON, Y0, (0, 40), **how).stats.accepted # a wrong matrix would need others
        for field, more in ((nde.PythonField(values, jacobian=matrix), {}), (values, {"jacobian": "differences"}),
                            (nde.PythonField(lambda t, y: np.stack([values(t, row) for row in y]), vectorised=True,
                                             jacobian=lambda t, y: np.stack([matrix(t, row) for row in y])), {})):
            found = nde.solve(field, Y0, (0, 40), **how, **more)
            np.testing.assert_allclose(found.y_end, EXACT, rtol=1e-6)
            both = nde.solve(field, [Y0, [0.9, 0.0, 0.1]], (0, 40), **how, **more)
            np.testing.assert_allclose(both.y_end[0], EXACT, rtol=1e-6)
            self.assertLess(abs(found.stats.accepted - steps) + abs(both.stats.accepted[0] - steps), 4)
        few = nde.solve(nde.PythonField(values, jacobian=matrix), Y0, (0, 40), **how).stats.evals
        self.assertLess(few, nde.solve(values, Y0, (0, 40), **how, jacobian="differences").stats.evals)
        with self.assertRaisesRegex(nde.Error, "jacobian"):
            nde.solve(values, Y0, (0, 40), **how)
        with self.assertRaisesRegex(ValueError, r"shape \(2, 2\), not \(3, 3\)"):
            nde.solve(nde.PythonField(values, jacobian=lambda t, y: np.zeros((2, 2))), Y0, (0, 40), **how)

    def test_solve_ivp(self):
        for method in ("Radau", "BDF", "LSODA"):
            for jac in (None, matrix):
                found = nde.solve_ivp(values, (0, 40), Y0, method=method, jac=jac, **TIGHT)
                np.testing.assert_allclose(found.y[:, -1], EXACT, rtol=1e-6)
                self.assertTrue(found.njev and found.nlu)
        linear = np.array([[-1e4, 0.0], [1.0, -1.0]])
        found = nde.solve_ivp(lambda t, y: linear @ y, (0, 1), [1.0, 1.0], method="BDF", jac=linear, **TIGHT)
        self.assertAlmostEqual(found.y[1, -1], np.exp(-1)*(1 + 1/9999), places=7)


@unittest.skipUnless(stiff, "libnde-stiff is not built")
class Sundials(unittest.TestCase):
    def test_values(self):
        for more in ({}, {"linear": "krylov"}, {"method": "bdf", "linear": "dense"}):
            np.testing.assert_allclose(stiff.solve(ROBERTSON, Y0, (0, 40), **TIGHT, **more).y_end, EXACT, rtol=1e-6)
        many = stiff.solve(ROBERTSON, [Y0, Y0], [0, 1, 40], dense=1, **TIGHT)
        np.testing.assert_allclose(many.y[:, 1], many(many.t)[:, 0], rtol=1e-6, atol=1e-20)
        np.testing.assert_allclose(many(20.0, derivative=True)[0], values(20.0, many(20.0)[0]), rtol=1e-3)
        self.assertEqual(many.y.shape, (3, 2, 3))
        np.testing.assert_allclose(stiff.solve(lambda t, y: -y, [1.0], (0, 1), method="adams", linear="none", **TIGHT).y_end, np.exp([-1]),
                                   rtol=1e-7)

    def test_algebraic_equations(self):
        def whole(t, y):
            return [*rates(t, y, [0.04])[:2], y[0] + y[1] + y[2] - 1]
        for mass in ([1, 1, 0], np.diag([1, 1, 0])):
            found = stiff.solve(nde.program(whole), Y0, (0, 40), method="dae", mass=mass, **TIGHT)
            np.testing.assert_allclose(found.y_end, EXACT, rtol=1e-6)

    def test_gradient(self):
        seed = [0, 0, 1.0]
        want = nde.solve(ROBERTSON, Y0, (0, 40), method="rodas5p", adjoint="discrete", **TIGHT).backward(y_end=seed)
        found = stiff.solve(ROBERTSON, Y0, (0, 40), adjoint="interpolated", **TIGHT).backward(y_end=seed)
        np.testing.assert_allclose(found.p, want.p, rtol=1e-4)
        np.testing.assert_allclose(found.y0, want.y0, rtol=1e-4)

    def test_events_and_exceptions(self):
        half = nde.Event(nde.program(lambda t, y: y[0] - 0.9), terminal=1)
        found = stiff.solve(ROBERTSON, Y0, (0, 40), events=half, **TIGHT)
        self.assertEqual((found.status.name, round(found.y_end[0], 6)), ("EVENT", 0.9))
        with self.assertRaises(ZeroDivisionError):
            stiff.solve(lambda t, y: 1/0, [1.0], (0, 1), jacobian="differences")

    def test_what_is_refused(self):
        for error, text, more in ((ValueError, "method is 'radau'", {"method": "radau"}), (ValueError, "mass has shape", {"mass": [1, 1]}),
                                  (ValueError, "options.steps", {"steps": 10}), (TypeError, "no option 'nothing'", {"nothing": 1}),
                                  (ValueError, "max_order", {"max_order": 9})):
            with self.assertRaisesRegex(error, text):
                stiff.solve(ROBERTSON, Y0, (0, 40), **more)
        found = stiff.solve(ROBERTSON, Y0, (0, 40), **TIGHT)
        for call in (found.forward, found.hessian_product, found.gauss_newton_product, found.gradient_check):
            with self.assertRaises(NotImplementedError):
                call()
        with self.assertRaises(nde.ArgumentError):
            found.backward(y_end=[0, 0, 1.0])


class Absent(unittest.TestCase):
    def test_import_error_says_what_is_missing(self):
        env = {**os.environ, "NDE_STIFF_LIBRARY": "/nowhere/libnde-stiff.so"}
        said = subprocess.run([sys.executable, "-c", "import nde.stiff"], env=env, capture_output=True, text=True).stderr
        self.assertRegex(said, "ImportError: nde.stiff: libnde-stiff .* is not here")


main()
