# SPDX-License-Identifier: MIT
"""Solves from Python: shapes, arrays of any kind (P5), fields of every kind, gradients, events, ensembles, threads (P4)."""
import array
import ctypes
import subprocess
import sys
import tempfile
import threading
import unittest

import numpy as np

import nde
from support import main

DECAY = nde.program(lambda t, y, p: -p[0]*y)
PENDULUM = nde.program(lambda t, y, p: [y[1], -p[0]*np.sin(y[0])])
TIMES = np.linspace(0, 1, 5)


def differences(value, x, h=1e-3):
    """Differences of fourth order of value(x) by every entry of x."""
    found = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[i] = h
        found[i] = (8*(value(x + step) - value(x - step)) - value(x + 2*step) + value(x - 2*step))/(12*h)
    return found


class Shapes(unittest.TestCase):
    def test_one(self):
        found = nde.solve(DECAY, [1.0, 2.0], TIMES, [0.5], rtol=1e-9)
        self.assertEqual(found.y.shape, (5, 2))
        np.testing.assert_allclose(found.y, np.exp(-0.5*TIMES)[:, None]*[1, 2], rtol=1e-8)
        np.testing.assert_array_equal(found.y[-1], found.y_end)
        self.assertEqual((found.status, found.t_end, found.ok), (nde.Status.OK, 1.0, True))
        self.assertGreater(found.stats.accepted, 1)
        np.testing.assert_allclose(found([0.1, 0.7]), np.exp([[-0.05], [-0.35]])*[1, 2], rtol=1e-7)
        np.testing.assert_allclose(found(0.3, derivative=True), -0.5*found(0.3), rtol=1e-5)

    def test_many(self):
        y0 = np.arange(12.0).reshape(6, 2)
        found = nde.solve(DECAY, y0, TIMES, [0.5], rtol=1e-9)
        self.assertEqual(found.y.shape, (5, 6, 2))
        np.testing.assert_allclose(found.y, np.exp(-0.5*TIMES)[:, None, None]*y0, rtol=1e-8)
        self.assertEqual((found.y_end.shape, found.t_end.shape, found.stats.evals.shape), ((6, 2), (6,), (6,)))
        self.assertEqual(found([0.1, 0.2, 0.3]).shape, (3, 6, 2))
        self.assertEqual(found(0.1).shape, (6, 2))
        alone = nde.solve(DECAY, y0[3], TIMES, [0.5], rtol=1e-9)
        np.testing.assert_array_equal(found.y[:, 3], alone.y)

    def test_own_parameters_and_times(self):
        field, t = nde.program(lambda t, y, q: -q[0]*y), np.array([[0, 1.0, 2.0], [0, 0.5, 1.0]])
        found = nde.solve(field, [[1.0], [1.0]], t, q=[[1.0], [3.0]], rtol=1e-9)
        np.testing.assert_allclose(found.y[:, :, 0], np.exp(-t*[[1], [3]]).T, rtol=1e-8)
        self.assertEqual(found.t.shape, (3, 2))

    def test_every_step(self):
        found = nde.solve(DECAY, [1.0], (0, 1), [1.0], save_every=1)
        self.assertEqual(len(found.t), found.stats.accepted + 1)
        np.testing.assert_allclose(found.y[:, 0], np.exp(-found.t), rtol=1e-5)
        gradient = found.backward(found.y)
        self.assertEqual(gradient.p.shape, (1,))

    def test_backwards_in_time(self):
        np.testing.assert_allclose(nde.solve(DECAY, [1.0], (1, 0), [1.0], rtol=1e-9).y[-1], np.e, rtol=1e-8)

    def test_views_outlive_their_solution(self):
        rows = [nde.solve(DECAY, [float(i)], TIMES, [0.0]).y for i in range(50)]
        self.assertEqual([row[-1, 0] for row in rows], list(range(50)))
        self.assertFalse(rows[0].flags.writeable)


class Arrays(unittest.TestCase):
    """P5: accepted with the right answer, or TypeError or ValueError."""

    def test_accepted(self):
        want = nde.solve(DECAY, np.array([1.0, 2.0]), (0, 1), np.array([1.0])).y
        strided = np.array([1.0, 9.0, 2.0, 9.0])[::2]
        fixed = np.array([1.0, 2.0])
        fixed.flags.writeable = False
        for y0 in ([1, 2], (1.0, 2), array.array("d", [1, 2]), memoryview(np.array([1.0, 2.0])), np.array([1, 2]),
                   np.array([1, 2], "u1"), np.array([1, 2], ">f8"), strided, fixed, np.array([1, 2], np.longdouble)):
            np.testing.assert_array_equal(nde.solve(DECAY, y0, (0, 1), [1]).y, want)
        single = nde.solve(DECAY, np.array([1, 2], np.float32), (0, 1), [1.0])
        self.assertEqual(single.y.dtype, np.float32)
        np.testing.assert_allclose(single.y, want, rtol=1e-3)
        self.assertEqual(nde.solve(DECAY, [1, 2], (0, 1), [1], dtype="float32").y.dtype, np.float32)

    def test_layouts(self):
        y0 = np.arange(6.0).reshape(3, 2)
        want = nde.solve(DECAY, y0, (0, 1), [1]).y
        for other in (np.asfortranarray(y0), y0.tolist(), np.repeat(y0, 2, axis=0)[::2], y0[::-1][::-1]):
            np.testing.assert_array_equal(nde.solve(DECAY, other, (0, 1), [1]).y, want)

    def test_without_copy(self):
        y0, p = np.asfortranarray(np.ones((3, 2))), np.ones(1)
        solver = nde.Solver(DECAY, y0, (0, 1), p)
        before = solver.run().y_end.copy()
        y0[...], p[...] = 2, 0
        np.testing.assert_array_equal(solver.run().y_end, 2)
        self.assertTrue(np.shares_memory(y0, solver.y0) and np.shares_memory(p, solver.p))
        self.assertTrue((before < 1).all())

    def test_refused(self):
        for y0 in (["a"], [1j, 2], [None], [True], [[1], [2, 3]], object(), {}, "12", b"12"):
            with self.subTest(y0=y0), self.assertRaises((TypeError, ValueError)):
                nde.solve(DECAY, y0, (0, 1), [1.0])
        for y0 in ([], np.zeros((0, 2)), np.zeros((2, 0)), np.zeros((1, 1, 1)), 1.0):
            with self.subTest(y0=y0), self.assertRaises(ValueError):
                nde.solve(DECAY, y0, (0, 1), [1.0])
        for t in ((0,), 3, [], [0, 1, 0.5], [[0, 1], [0, 1]], "01"):
            with self.subTest(t=t), self.assertRaises((TypeError, ValueError)):
                nde.solve(DECAY, [1.0], t, [1.0])
        for p in (["a"], [[1.0]], [1j]):
            with self.subTest(p=p), self.assertRaises((TypeError, ValueError)):
                nde.solve(DECAY, [1.0], (0, 1), p)
        with self.assertRaises(ValueError):
            nde.solve(DECAY, np.ones((3, 2)), (0, 1), [1.0], q=np.ones((2, 1)))
        with self.assertRaises(TypeError):
            nde.solve(DECAY, [1.0], (0, 1), [1.0], dtype="int")
        with self.assertRaisesRegex(ValueError, r"atol_each has shape \(3,\), not \(1,\)"):
            nde.solve(DECAY, [1.0], (0, 1), [1.0], atol_each=[1, 2, 3])

    def test_numbers_that_are_not_finite(self):
        with self.assertRaises(nde.Error) as caught:
            nde.solve(DECAY, [np.nan], (0, 1), [1.0])
        self.assertIn("E_", caught.exception.status.name)


class SecondOrder(unittest.TestCase):
    field = nde.program(lambda t, y, p: [p[0]*y[1], -p[1]*np.sin(y[0])])
    given = {"steps": 40, "method": "rk4", "adjoint": "discrete"}

    def gradient(self, y0, p):
        found = nde.solve(self.field, y0, (0, 1), p, **self.given)
        return found.backward(y_end=2*found.y_end)

    def test_hessian(self):
        y0, p, v, h = np.array([0.5, 0.3]), np.array([1.2, 2.0]), {"y0": np.array([1.0, -2.0]), "p": np.array([0.3, 0.7])}, 1e-5
        found = nde.solve(self.field, y0, (0, 1), p, curvature=1, **self.given)
        moved = found.forward(**v).y_end
        product = found.hessian_product(**v, y_end=2*found.y_end, tangent={"y_end": 2*moved})
        ends = [self.gradient(y0 + s*h*v["y0"], p + s*h*v["p"]) for s in (1, -1)]
        for name in ("y0", "p"):
            want = (getattr(ends[0], name) - getattr(ends[1], name))/(2*h)
            np.testing.assert_allclose(getattr(product, name), want, rtol=1e-7)
        with self.assertRaises(ValueError):
            nde.solve(self.field, y0, (0, 1), p, **self.given).hessian_product(**v, y_end=found.y_end)

    def test_gauss_newton(self):
        y0, p = np.array([0.5, 0.3]), np.array([1.2, 2.0])
        found = nde.solve(self.field, y0, (0, 0.5, 1), p, **self.given)
        jacobian = np.stack([found.forward(p=e).y.ravel() for e in np.eye(2)], axis=1)
        weight = np.arange(6.0).reshape(3, 2)
        for more, w in (({}, np.ones(6)), ({"weight": {"y": weight}}, weight.ravel())):
            product = np.stack([found.gauss_newton_product(p=e, **more).p for e in np.eye(2)])
            np.testing.assert_allclose(product, jacobian.T @ (w[:, None]*jacobian), rtol=1e-12)
        with self.assertRaisesRegex(ValueError, "outputs"):
            found.gauss_newton_product(p=[1.0, 0], outputs=("z",))

    def test_python_jvp(self):
        def f(t, y, p):
            return np.stack([p[0]*y[..., 1] + t, -p[1]*np.sin(y[..., 0])], axis=-1)
        def jvp(t, y, p, vt, vy, vp):
            return np.stack([vp[0]*y[..., 1] + p[0]*vy[..., 1] + vt, -vp[1]*np.sin(y[..., 0]) - p[1]*np.cos(y[..., 0])*vy[..., 0]], axis=-1)
        y0, p = np.array([[0.5, 0.3], [0.1, -0.4], [1.0, 0.0]]), np.array([1.2, 2.0])
        moved = {"y0": y0[::-1]*0.5, "p": np.array([0.3, 0.7])}
        for vectorised in (False, True):
            field, found, h = nde.PythonField(f, jvp=jvp, vectorised=vectorised), [], 1e-6
            tangent = nde.solve(field, y0, (0, 1), p, **self.given).forward(**moved).y_end
            for s in (1, -1):
                found.append(nde.solve(field, y0 + s*h*moved["y0"], (0, 1), p + s*h*moved["p"], **self.given).y_end)
            np.testing.assert_allclose(tangent, (found[0] - found[1])/(2*h), rtol=1e-7, atol=1e-9)
        single = nde.solve(nde.PythonField(f, jvp=jvp), y0[0], (0, 1), p, **self.given).forward(y0=moved["y0"][0], p=moved["p"]).y_end
        np.testing.assert_allclose(single, tangent[0], rtol=1e-14)


class Gradients(unittest.TestCase):
    def loss(self, field, t=TIMES, **more):
        weight = np.cos(np.arange(100.0))
        def value(y0, p):
            y = nde.solve(field, y0, t, p, rtol=1e-11, atol=1e-12, **more).y
            return float((weight[:y.size].reshape(y.shape)*y).sum())
        def gradient(y0, p):
            found = nde.solve(field, y0, t, p, rtol=1e-11, atol=1e-12, **more)
            return found.backward(weight[:found.y.size].reshape(found.y.shape))
        return value, gradient

    def check(self, field, y0, p, accuracy=1e-7, **more):
        value, gradient = self.loss(field, **more)
        found = gradient(y0, p)
        np.testing.assert_allclose(found.y0, differences(lambda x: value(x, p), y0), rtol=accuracy, atol=accuracy)
        np.testing.assert_allclose(found.p, differences(lambda x: value(y0, x), p), rtol=accuracy, atol=accuracy)

    def test_programs(self):
        self.check(PENDULUM, np.array([1.0, 0.5]), np.array([4.0]))
        self.check(PENDULUM, np.array([[1.0, 0.5], [0.2, -0.3], [0.0, 1.0]]), np.array([4.0]))
        self.check("state x, v; param k; dx = v; dv = -k*sin(x)", np.array([1.0, 0.5]), np.array([4.0]))

    def test_networks(self):
        for more in ({}, {"time": True}, {"residual": True, "layer_norm": True, "activation": "silu"}):
            net = nde.MLP([2, 4, 4, 2], seed=3, **more)
            self.check(net, np.array([[1.0, 0.5], [0.2, -0.3]]), net.p)

    def test_python_functions(self):
        def f(t, y, p):
            return [y[1], -p[0]*np.sin(y[0])]

        def vjp(t, y, p, a):
            return [-p[0]*np.cos(y[0])*a[1], a[0]], [-np.sin(y[0])*a[1]]
        for y0 in (np.array([1.0, 0.5]), np.array([[1.0, 0.5], [0.2, -0.3]])):
            self.check(nde.PythonField(f, vjp), y0, np.array([4.0]))

        def fs(t, y, p):
            return np.stack([y[:, 1], -p[0]*np.sin(y[:, 0])], axis=1)

        def vjps(t, y, p, a):
            return np.stack([-p[0]*np.cos(y[:, 0])*a[:, 1], a[:, 0]], axis=1), [-(np.sin(y[:, 0])*a[:, 1]).sum()]
        self.check(nde.PythonField(fs, vjps, vectorised=True), y0, np.array([4.0]))

    def test_c_functions(self):
        source = """#include <math.h>
            int f(double t, const REAL *y, const REAL *p, REAL *dy, void *ctx) {
                (void)t, (void)ctx; dy[0] = y[1]; dy[1] = -p[0]*sin(y[0]); return y[0] > 100 ? -7 : 0; }
            int pull(double t, const REAL *y, const REAL *p, const REAL *a, REAL *ay, double *ap, double *at, void *ctx) {
                (void)t, (void)at, (void)ctx; ay[0] += -p[0]*cos(y[0])*a[1]; ay[1] += a[0];
                if (ap) ap[0] += -sin(y[0])*a[1]; return 0; }"""
        with tempfile.TemporaryDirectory() as folder:
            for real, dtype in (("double", "f8"), ("float", "f4")):
                c, so = f"{folder}/{real}.c", f"{folder}/{real}.so"
                with open(c, "w") as file:
                    file.write(source)
                subprocess.run([*sys.argv[2:], "-shared", "-fPIC", f"-DREAL={real}", "-o", so, c, "-lm"], check=True)
                field = nde.CField(so, "f", dim=2, np=1, vjp="pull", dtype=dtype)
                y0, p = np.array([1.0, 0.5], dtype), np.array([4.0], dtype)
                found, want = (nde.solve(f, y0, TIMES, p) for f in (field, PENDULUM))
                near = {"rtol": 1e-12 if dtype == "f8" else 1e-4, "atol": 1e-12 if dtype == "f8" else 1e-5}
                np.testing.assert_allclose(found.y, want.y, **near)
                np.testing.assert_allclose(found.backward(found.y).p, want.backward(want.y).p, **near)
                with self.assertRaises(TypeError):
                    nde.solve(field, y0.astype("f4" if dtype == "f8" else "f8"), TIMES, p)
                with self.assertRaises(nde.Error) as caught:
                    nde.solve(field, [200, 0], TIMES, p, dtype=dtype)
                self.assertEqual(caught.exception.status.name[:7], "E_FIELD")
                with self.assertRaisesRegex(ValueError, "undefined symbol: g"):
                    nde.CField(so, "g", dim=2)
            address = ctypes.cast(ctypes.CDLL(f"{folder}/double.so").f, ctypes.c_void_p).value
            fields = nde.CField(address, dim=2, np=1), nde.CField(f"{folder}/double.so", "f", dim=2, np=1)
            np.testing.assert_array_equal(*[nde.solve(field, [1.0, 0.5], TIMES, [4.0]).y for field in fields])

    def test_same_bits_from_all_fields(self):
        def f(t, y, p):
            return [y[1], -p[0]*y[0]*y[0]]
        y0, p = [1.0, 0.5], [4.0]
        program = nde.solve(nde.program(f), y0, TIMES, p, steps=100)
        python = nde.solve(f, y0, TIMES, p, steps=100)
        np.testing.assert_allclose(python.y, program.y, rtol=1e-13)

    def test_without_vjp(self):
        found = nde.solve(lambda t, y: -y, [1.0], (0, 1))
        with self.assertRaises(nde.Error) as caught:
            found.backward(found.y)
        self.assertEqual(caught.exception.status, nde.Status.E_NO_VJP)

    def test_without_record(self):
        found = nde.solve(DECAY, [1.0], (0, 1), [1.0], adjoint="none")
        self.assertEqual(found.record, "none")
        with self.assertRaises(ValueError):
            found.backward(found.y)
        with self.assertRaises(ValueError):
            found(0.5)

    def test_forward_is_the_transpose_of_backward(self):
        chance = np.random.default_rng(5)
        for y0 in (np.array([1.0, 0.5]), np.array([[1.0, 0.5], [0.2, -0.3]])):
            found = nde.solve(PENDULUM, y0, TIMES, [4.0], adjoint="discrete")
            a, v, w = chance.normal(size=found.y.shape), chance.normal(size=y0.shape), chance.normal(size=1)
            gradient, tangent = found.backward(a), found.forward(y0=v, p=w)
            self.assertAlmostEqual((a*tangent.y).sum(), (gradient.y0*v).sum() + (gradient.p*w).sum(), places=11)
            np.testing.assert_array_equal(tangent.y[-1], tangent.y_end)
        with self.assertRaisesRegex(ValueError, "direction of p has shape"):
            found.forward(p=[1.0, 2.0])

    def test_gradient_check(self):
        found = nde.solve(PENDULUM, [1.0, 0.5], TIMES, [4.0])
        report = found.gradient_check(found.y)
        self.assertLess(max(report.difference_error, report.forward_error), 1e-8)
        for factor, low, high in ((1.0, 0, 1e-8), (1.1, 1e-3, 1)):
            field = nde.PythonField(lambda t, y, p: -p[0]*y, lambda t, y, p, a: (-p[0]*a*factor, [-(a*y).sum()]))
            found = nde.solve(field, [1.0, 0.5], TIMES, [4.0])
            error = found.gradient_check(found.y).difference_error
            self.assertTrue(low <= error < high, error)

    def test_solved_again_for_a_record(self):
        p = np.array([4.0])
        for y0 in ([1.0, 0.5], [[1.0, 0.5], [2.0, 0.1]]):
            later, once = nde.solve(PENDULUM, y0, TIMES, p), nde.solve(PENDULUM, y0, TIMES, p, adjoint="discrete")
            self.assertEqual((later.record, once.record), ("none", "tape"))
            np.testing.assert_array_equal(later(0.3), once(0.3))
            np.testing.assert_array_equal(later.backward(later.y).y0, once.backward(once.y).y0)
            self.assertEqual(later.record, "tape")
        later = nde.solve(PENDULUM, y0, TIMES, p)
        p[0] = 3
        with self.assertRaisesRegex(nde.Error, "another end"):
            later.backward(later.y)

    def test_of_times(self):
        found = nde.solve(DECAY, [1.0], (0, 1), [1.0], rtol=1e-10)
        gradient = found.backward(y_end=[1.0], wanted=("t0", "t1", "p"))
        self.assertAlmostEqual(gradient.t1, -np.exp(-1), places=7)
        self.assertAlmostEqual(gradient.t0, np.exp(-1), places=7)
        self.assertAlmostEqual(gradient.p[0], -np.exp(-1), places=7)

    def test_seeds_of_another_shape(self):
        found = nde.solve(DECAY, [[1.0], [2.0]], (0, 1), [1.0])
        for seed in (np.ones((2, 2)), 1.0, np.ones((3, 2, 1))):
            with self.assertRaisesRegex(ValueError, "shape"):
                found.backward(seed)
        with self.assertRaisesRegex(ValueError, "wanted has 'x'"):
            found.backward(found.y, wanted=["x"])

    def test_value_and_grad(self):
        data = np.full((5, 1), np.nan)
        data[2:] = 0.5
        value, gradient = nde.value_and_grad(nde.mse(data), DECAY, [1.0], TIMES, [1.0], rtol=1e-10)
        y = np.exp(-TIMES[2:])
        self.assertAlmostEqual(value, 0.5*((y - 0.5)**2).mean(), places=8)
        self.assertAlmostEqual(gradient.p[0], (-(y - 0.5)*TIMES[2:]*y).mean(), places=8)

    def test_sums_of_fields(self):
        network = nde.MLP([2, 3, 2], seed=1)
        physics = nde.program(lambda t, y, p: -p[0]*y, p=np.array([0.5]))
        both = physics + network
        self.assertEqual(len(both.p), 1 + len(network.p))
        self.check(both, np.array([1.0, -1.0]), both.p)
        alone = nde.solve(network, [1.0, -1.0], (0, 1)).y
        both.p[0] = 0
        np.testing.assert_allclose(nde.solve(both, [1.0, -1.0], (0, 1)).y, alone, rtol=1e-12)


class Problems(unittest.TestCase):
    def test_events(self):
        def bounce(t, y):
            return [y[0], -0.9*y[1]]
        ground = nde.Event(nde.program(lambda t, y: y[0]), direction=-1, reset=nde.program(bounce))
        found = nde.solve(nde.program(lambda t, y: [y[1], -10.0]), [5.0, 0.0], (0, 3), events=[ground], rtol=1e-9)
        (t, y), = found.events
        self.assertAlmostEqual(t[0], 1.0, places=9)
        self.assertAlmostEqual(t[1], 1.0 + 1.8, places=8)
        self.assertAlmostEqual(y[0, 1], -10.0, places=8)
        end = nde.solve(nde.program(lambda t, y: [y[1], -10.0]), [[5.0, 0.0], [20.0, 0.0]], (0, 3),
                        events=nde.Event(nde.program(lambda t, y: y[0]), terminal=1))
        self.assertEqual([status.name for status in end.status], ["EVENT", "EVENT"])
        np.testing.assert_allclose(end.t_end, [1, 2], rtol=1e-6)
        self.assertTrue(end.ok)
        self.assertEqual(len(end.events), 2)
        landing = end.backward(t_end=[1.0, 1.0]) # t = sqrt(2 y0/g) at v0 = 0, and dt/dv0 = 1/g
        np.testing.assert_allclose(landing.y0, [[0.1, 0.1], [0.05, 0.1]], rtol=1e-6)
        with self.assertRaisesRegex(nde.ArgumentError, r"t_end has shape \(3,\), t_end itself \(2,\)"):
            end.backward(t_end=[1.0, 1.0, 1.0])
        python = nde.solve(nde.program(lambda t, y: [y[1], -10.0]), [5.0, 0.0], (0, 3), events=lambda t, y: y[0])
        np.testing.assert_allclose(python.events[0][0], [1.0], rtol=1e-6)

    def test_quadrature_and_observation(self):
        found = nde.solve(DECAY, [1.0, 2.0], TIMES, [1.0], quadrature=nde.program(lambda t, y: y[0]*y[0]),
                          observe=nde.program(lambda t, y: y[0] + y[1]), rtol=1e-10)
        self.assertAlmostEqual(found.quadrature[0], (1 - np.exp(-2))/2, places=8)
        np.testing.assert_allclose(found.y[:, 0], 3*np.exp(-TIMES), rtol=1e-8)
        more = nde.solve(DECAY, [[1.0, 2.0]]*3, TIMES, [1.0], observe=nde.program(lambda t, y: [y[0], y[1], y[0]*y[1]]))
        self.assertEqual((more.y.shape, more.y_end.shape), ((5, 3, 3), (3, 2)))
        python = nde.solve(DECAY, [1.0, 2.0], TIMES, [1.0], observe=lambda t, y: [y[0], 7.0], observe_rows=2,
                           quadrature=lambda t, y: 1.0)
        self.assertEqual((python.y.shape, python.y[-1, 1]), ((5, 2), 7))
        self.assertAlmostEqual(python.quadrature[0], 1)

    def test_jumps(self):
        found = nde.solve(DECAY, [1.0], (0, 1), [1.0], jump=nde.program(lambda t, y, u: y + u), jump_t=[0.5], jump_u=[[2.0]],
                          rtol=1e-10)
        self.assertAlmostEqual(found.y_end[0], np.exp(-1) + 2*np.exp(-0.5), places=8)

    def test_controlled(self):
        knots = np.linspace(0, 1, 5)
        path = nde.Path(knots, np.stack([knots, knots**2], axis=1))
        term = nde.Control(nde.program(lambda t, y, u: y*u[1]), path) # y' = y dX_1/dt
        found = nde.solve(None, [[1.0], [2.0]], (0, 1), terms=[term], rtol=1e-10)
        np.testing.assert_allclose(found.y_end, [[np.e], [2*np.e]], rtol=1e-8)
        seen = nde.solve(nde.program(lambda t, y, u: [u[0]]), [0.0], (0, 1), input=path, rtol=1e-10)
        self.assertAlmostEqual(seen.y_end[0], 0.5, places=8)

    def test_noise(self):
        """Geometric Brownian motion: the mean over 4,000 paths within 5 standard errors; gradients along the same paths."""
        drift, g = nde.program(lambda t, y, p: p[0]*y), nde.program(lambda t, y, p: p[1]*y)
        more = {"terms": [nde.Noise(g, "diagonal", seed=3)], "calculus": "ito", "steps": 64, "p": [0.3, 0.4]}
        found = nde.solve(drift, np.ones((4000, 1)), (0, 1), **more)
        ends = found.y_end[:, 0]
        self.assertLess(abs(ends.mean() - np.exp(0.3)), 5*ends.std()/np.sqrt(len(ends)) + 0.01)
        np.testing.assert_array_equal(nde.solve(drift, np.ones((4000, 1)), (0, 1), **more).y_end, found.y_end)
        gradient = found.backward(y_end=np.full((4000, 1), 1/4000))
        want = differences(lambda p: nde.solve(drift, np.ones((4000, 1)), (0, 1), **{**more, "p": p}).y_end.mean(),
                           np.array([0.3, 0.4]))
        np.testing.assert_allclose(gradient.p, want, rtol=1e-8)
        scalar = nde.Noise(nde.program(lambda t, y, p, u: p[1]*y*u[0]), "scalar", seed=3)
        one = nde.solve(drift, [1.0], (0, 1), **{**more, "terms": [scalar]})
        np.testing.assert_allclose(one.y_end, found.y_end[0], rtol=1e-13)
        given = nde.Noise(g, seed=3)
        solver = nde.Solver(drift, np.ones((500, 1)), (0, 1), **{**more, "terms": [given]})
        first = solver.run().y_end.copy()
        given.seed = 4
        self.assertFalse((solver.run().y_end == first).any())
        w = np.random.default_rng(0).normal(size=(64, 1, 500))/8
        stored = nde.solve(drift, np.ones((500, 1)), (0, 1), **{**more, "terms": [nde.Noise(g, source="stored", w=w)]}).y_end
        np.testing.assert_allclose(stored[:, 0], np.prod(1 + 0.3/64 + 0.4*w[:, 0], axis=0), rtol=1e-12)
        with self.assertRaisesRegex(ValueError, r"w has shape \(64, 500\), not \(64, 1, 500\)"):
            nde.solve(drift, np.ones((500, 1)), (0, 1), **{**more, "terms": [nde.Noise(g, source="stored", w=w[:, 0])]})
        tree = nde.solve(drift, np.ones((500, 1)), (0, 1), **{**more, "terms": [nde.Noise(g, seed=3, source="tree")]}).y_end
        self.assertTrue(0.1 < tree.std() < 1 and not np.array_equal(tree, found.y_end[:500]))
        lean = nde.solve(drift, np.ones((4000, 1)), (0, 1), **{**more, "terms": [nde.Noise(g, seed=3, normals="single")]}).y_end
        self.assertLess(abs(lean.mean() - np.exp(0.3)), 5*lean.std()/np.sqrt(len(lean)) + 0.01)
        self.assertFalse(np.isclose(lean, found.y_end, rtol=1e-6).any())
        with self.assertRaisesRegex(ValueError, "source is 'trie'; known are grid"):
            nde.Noise(g, source="trie")
        with self.assertRaises(ValueError):
            nde.solve(drift, [1.0], (0, 1), **{**more, "calculus": None})
        with self.assertRaisesRegex(ValueError, "known are ito"):
            nde.solve(drift, [1.0], (0, 1), **{**more, "calculus": "it"})
        with self.assertRaisesRegex(ValueError, "known are diagonal"):
            nde.Noise(g, "diag")

    def test_tableaus_stores_and_blas(self):
        half = nde.Tableau([[0, 0], [0.5, 0]], [0, 1], order=2)
        np.testing.assert_allclose(nde.solve(PENDULUM, [1.0, 0.5], TIMES, [4.0], tableau=half, steps=64).y,
                                   nde.solve(PENDULUM, [1.0, 0.5], TIMES, [4.0], method="midpoint", steps=64).y, rtol=1e-14)
        with self.assertRaises(ValueError):
            nde.Tableau([[0, 1], [0.5, 0]], [0, 1], order=2)
        for dtype, rtol in ((np.float64, 1e-10), (np.float32, 1e-4)):
            wide = nde.MLP([64, 512, 512, 64], seed=1, dtype=dtype)
            y0 = np.random.default_rng(0).normal(size=(64, 64)).astype(dtype)
            own, blas = (nde.solve(wide, y0, (0, 1), steps=2, stepping="joint", **more).y
                         for more in ({"reproducible": 1}, {"blas": "numpy"}))
            np.testing.assert_allclose(blas, own, rtol=rtol, atol=rtol)
            self.assertFalse(np.array_equal(blas, own)) # sums in another order
        with tempfile.TemporaryDirectory() as folder:
            found = [nde.solve(PENDULUM, [1.0, 0.5], (0, 50), [4.0], adjoint="discrete", steps=5000, **more)
                     for more in ({}, {"store": nde.Store(f"{folder}/states"), "budget": 1 << 18})]
            np.testing.assert_array_equal(*[one.backward(y_end=[1, 0]).p for one in found])

    def test_splits(self):
        found = nde.solve(nde.program(lambda t, y: [y[1], -y[0]]), [1.0, 0.0], (0, 20*np.pi), split=1, steps=20000,
                          method="yoshida4")
        np.testing.assert_allclose(found.y_end, [1, 0], atol=1e-8)

    def test_failures_keep_what_there_is(self):
        explosion = nde.program(lambda t, y: y*y)
        with self.assertRaises(nde.Error) as caught:
            nde.solve(explosion, [1.0], [0, 0.5, 2.0])
        self.assertLess(caught.exception.status, 0)
        self.assertAlmostEqual(caught.exception.solution.y[1, 0], 2.0, places=4)
        self.assertIn("trajectory 0", str(caught.exception))
        found = nde.solve(explosion, [[1.0], [0.1]], [0, 0.5, 2.0], check=False)
        self.assertEqual([status < 0 for status in found.status], [True, False])
        self.assertFalse(found.ok)
        self.assertTrue(np.isnan(found.y[2, 0, 0]) and found.error)

    def test_threads(self):
        """P4: fields of every kind in eight threads, and many threads in one solve."""
        want = {kind: nde.solve(field, [1.0, 0.5], TIMES, [4.0]).y.copy() for kind, field in self.fields().items()}
        wrong = []

        def work():
            for kind, field in self.fields().items():
                for _ in range(10):
                    if not np.array_equal(nde.solve(field, [1.0, 0.5], TIMES, [4.0]).y, want[kind]):
                        wrong.append(kind)
        threads = [threading.Thread(target=work) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        self.assertEqual(wrong, [])
        y0 = np.random.default_rng(0).normal(size=(200, 2))
        for kind, field in self.fields().items():
            one, three = (nde.solve(field, y0, TIMES, [4.0], threads=n, group=16).y for n in (1, 3))
            np.testing.assert_array_equal(one, three)

    def fields(self):
        return {"program": PENDULUM, "python": nde.PythonField(lambda t, y, p: [y[1], -p[0]*np.sin(y[0])]),
                "text": nde.program("state x, v; param k; dx = v; dv = -k*sin(x)")}

    def test_one_thread_in_a_solver(self):
        def within(t, y):
            solver.run()
            return -y
        solver = nde.Solver(within, [1.0], (0, 1))
        with self.assertRaisesRegex(RuntimeError, "is running"):
            solver.run()


main()
