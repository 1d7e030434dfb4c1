# SPDX-License-Identifier: MIT
"""Training from Python: optimisers, whole fits, early stopping, a fit that goes on after it was ended, files; solve_ivp."""
import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import numpy as np

import nde
from support import main

T = np.linspace(0, 2, 9)
TRUE = np.array([1.5, 0.7])


def field():
    return nde.program(lambda t, y, p: [y[1], -p[0]*y[0] - p[1]*y[1]], p=np.array([1.0, 0.2]))


def data(n=6):
    y0 = np.random.default_rng(1).normal(size=(n, 2))
    return nde.solve(field(), y0, T, TRUE, rtol=1e-9).y.copy()


class Fits(unittest.TestCase):
    def test_finds_the_parameters(self):
        f = field()
        fit = nde.fit(f, T, data(), rate=0.05, iterations=300, rtol=1e-8)
        np.testing.assert_allclose(fit.p, TRUE, rtol=2e-2)
        np.testing.assert_array_equal(f.p, fit.p)
        self.assertEqual((fit.iterations, fit.stopped, fit.best), (300, False, fit.loss.min()))
        one = nde.fit(field(), T, data()[:, 0], rate=0.05, iterations=300, rtol=1e-8)
        np.testing.assert_allclose(one.p, TRUE, rtol=5e-2)

    def test_batches(self):
        fit = nde.fit(field(), T, data(), rate=0.05, iterations=300, batch=2, seed=4)
        np.testing.assert_allclose(fit.p, TRUE, rtol=5e-2)

    def test_missing_and_weights(self):
        holes = data()
        holes[3, 2, 1] = holes[5, :, 0] = np.nan
        wrong = data()
        wrong[4] = 99
        weight = np.ones((len(T), 1, 1))
        weight[4] = 0
        for given in ({"data": holes}, {"data": wrong, "weight": weight}):
            fit = nde.fit(field(), T, rate=0.05, iterations=300, **given)
            np.testing.assert_allclose(fit.p, TRUE, rtol=5e-2)

    def test_networks(self):
        for dtype in ("f8", "f4"):
            net = nde.MLP([2, 8, 2], seed=1, dtype=dtype)
            fit = nde.fit(net, T, data().astype(dtype), rate=0.02, iterations=100)
            self.assertLess(fit.loss[-1], 0.1*fit.loss[0])
            self.assertEqual(fit.p.dtype, dtype)

    def test_stops(self):
        fit = nde.fit(field(), T, data(), rate=0.5, iterations=1000, patience=5)
        self.assertTrue(fit.stopped)
        self.assertEqual(fit.iterations, int(np.argmin(fit.loss)) + 1 + 5)
        seen = []
        fit = nde.fit(field(), T, data(), callback=lambda i, loss, p: seen.append((i, loss)) or i == 3)
        self.assertEqual(([i for i, _ in seen], fit.iterations), ([0, 1, 2, 3], 4))

    def test_goes_on_with_the_same_bits(self):
        for more in ({}, {"batch": 2, "seed": 3}, {"optimiser": "sgd"}, {"optimiser": "rmsprop"}):
            whole = nde.fit(field(), T, data(), iterations=40, **more)
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "fit.safetensors")
                for end in (7, 23):
                    nde.fit(field(), T, data(), iterations=40, resume=file, callback=lambda i, *_: i + 1 == end, **more)
                again = nde.fit(field(), T, data(), iterations=40, resume=file, **more)
            np.testing.assert_array_equal(again.p, whole.p)
            np.testing.assert_array_equal(again.loss, whole.loss)

    def test_bar(self):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            nde.fit(field(), T, data(), iterations=3, progress=True)
        self.assertRegex(said.getvalue(), r"3/3 \[#+\] loss .* best .*\n$")

    def test_refused(self):
        for more in ({"optimiser": "adamm"}, {"batch": 7}, {"batch": -1}, {"optimiser": nde.Optimiser("adam", beta1=2.0)}):
            with self.assertRaises(ValueError):
                nde.fit(field(), T, data(), **more)
        with self.assertRaises(ValueError):
            nde.fit(nde.program(lambda t, y, p: -p[0]*y), T, data())
        with self.assertRaises(TypeError):
            nde.Optimiser("sgd", momentun=0.9)
        with self.assertRaises(nde.Error):
            nde.Optimiser().step([np.nan], np.ones(1))


class Files(unittest.TestCase):
    def test_round_trip(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "a.safetensors")
            arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.float32([1, 2]), "n": np.array(7), "e": np.empty((0, 3)),
                      "u": np.uint8([1, 255])}
            nde.save(file, **arrays)
            back = {name: np.zeros_like(a) for name, a in arrays.items()}
            nde.load(file, **back)
            for name in arrays:
                np.testing.assert_array_equal(back[name], arrays[name])
            with self.assertRaises(OSError):
                nde.load(file, a=np.zeros(6))
            with self.assertRaises(OSError):
                nde.load(Path(folder, "none"), a=np.zeros(6))
            with self.assertRaises(TypeError):
                nde.save(file, a=np.zeros(2, complex))
            file.write_bytes(file.read_bytes()[:-1])
            before = back["a"].copy()
            with self.assertRaises(nde.FileError):
                nde.load(file, **back)
            np.testing.assert_array_equal(back["a"], before)


class SciPy(unittest.TestCase):
    def test_plain(self):
        for method in ("RK45", "RK23", "DOP853", "vern7"):
            found = nde.solve_ivp(lambda t, y: [y[1], -y[0]], (0, 10), [1, 0], method=method, rtol=1e-6, atol=1e-9)
            self.assertEqual((found.status, found.success, found.y.shape[0]), (0, True, 2))
            self.assertEqual((found.t[0], found.t[-1], found.y.shape[1]), (0, 10, len(found.t)))
            np.testing.assert_allclose(found.y[0], np.cos(found.t), atol=1e-4)

    def test_times_arguments_and_dense(self):
        t = np.linspace(1, 2, 5)
        found = nde.solve_ivp(lambda t, y, k, c: -k*y + c, (0, 3), [2.0], t_eval=t, args=(2.0, 1.0), dense_output=True, rtol=1e-9,
                              atol=[1e-12])
        np.testing.assert_array_equal(found.t, t)
        np.testing.assert_allclose(found.y, [0.5 + 1.5*np.exp(-2*t)], rtol=1e-7)
        np.testing.assert_allclose(found.sol(t), found.y, rtol=1e-6)
        self.assertEqual(found.sol(0.5).shape, (1,))
        field = nde.solve_ivp(nde.program(lambda t, y, p: -p[0]*y), (0, 3), [2.0], t_eval=t, args=([2.0],), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(field.y, [2*np.exp(-2*t)], rtol=1e-6)

    def test_events(self):
        def hit(t, y, g):
            return y[0]

        def top(t, y, g):
            return y[1]
        hit.terminal, hit.direction = True, -1
        found = nde.solve_ivp(lambda t, y, g: [y[1], -g], (0, 100), [0.0, 10.0], events=[hit, top], args=(10.0,), rtol=1e-8)
        self.assertEqual((found.status, len(found.t_events)), (1, 2))
        np.testing.assert_allclose(found.t_events[0], [2], rtol=1e-7)
        np.testing.assert_allclose(found.t_events[1], [1], rtol=1e-7)
        self.assertAlmostEqual(found.y_events[1][0, 0], 5, places=6)
        self.assertAlmostEqual(found.t[-1], 2, places=6)

    def test_many_steps_and_failures(self):
        found = nde.solve_ivp(lambda t, y: -y, (0, 1), [1.0], max_step=1e-4)
        self.assertGreater(len(found.t), 9000)
        self.assertEqual(found.t[-1], 1)
        found = nde.solve_ivp(nde.program(lambda t, y: y*y), (0, 2), [1.0])
        self.assertEqual((found.status, found.success), (-1, False))
        self.assertIn("trajectory", found.message)
        with self.assertRaisesRegex(ValueError, "known are RK45"):
            nde.solve_ivp(lambda t, y: y, (0, 1), [1.0], method="Radau5")


main()
