# SPDX-License-Identifier: MIT
"""Python functions that C calls: P1, P2, P3."""
import gc
import os
import signal
import threading
import time
import unittest
import weakref

import numpy as np

import nde
from support import main


class Boom(Exception):
    pass


class Raises(unittest.TestCase):
    def calls(self, **more):
        counted = []
        nde.solve(lambda t, y: counted.append(t) or -y, [1.0], (0, 1), **more)
        return len(counted)

    def test_at_every_call(self):
        for more in ({}, {"steps": 7}, {"method": "vern7"}, {"save_every": 1}):
            for k in range(self.calls(**more)):
                count, boom = 0, Boom(k)

                def f(t, y):
                    nonlocal count
                    count += 1
                    if count == k + 1:
                        raise boom
                    return -y
                with self.assertRaises(Boom) as caught:
                    nde.solve(f, [1.0], (0, 1), **more)
                self.assertIs(caught.exception, boom)
                self.assertEqual(count, k + 1)

    def test_in_ensembles_and_threads(self):
        def f(t, y):
            if y[0] > 150:
                raise Boom
            return -y
        for more in ({}, {"threads": 3, "group": 16}, {"stepping": "joint"}):
            with self.assertRaises(Boom):
                nde.solve(f, np.arange(200.0)[:, None], (0, 1), **more)

    def test_in_the_vjp(self):
        for wrong in (lambda a: 1/0, lambda a: None, lambda a: [1, 2, 3], lambda a: "a", lambda a: (a, a, a)):
            found = nde.solve(nde.PythonField(lambda t, y: -y, lambda t, y, a: wrong(a)), [1.0, 2.0], (0, 1))
            with self.assertRaises((ZeroDivisionError, TypeError, ValueError)):
                found.backward(found.y)

    def test_in_events_and_progress(self):
        def raises(*_):
            raise Boom
        with self.assertRaises(Boom):
            nde.solve(lambda t, y: -y, [1.0], (0, 1), events=lambda t, y: raises())
        with self.assertRaises(Boom):
            nde.solve(lambda t, y: -y, [1.0], (0, 1), steps=1000, progress=raises)

    def test_wrong_values(self):
        wrong = {"None": lambda y: None, "length": lambda y: [1.0], "longer": lambda y: [1.0]*3, "text": lambda y: "ab",
                 "texts": lambda y: ["a", "b"], "complex": lambda y: y*1j, "object": lambda y: [object(), 1], "number": lambda y: 1.0,
                 "matrix": lambda y: [[1.0, 2.0]], "ragged": lambda y: [[1.0], 2.0]}
        for name, value in wrong.items():
            with self.subTest(name), self.assertRaises((TypeError, ValueError)):
                nde.solve(lambda t, y: value(y), [1.0, 2.0], (0, 1))

    def test_nan(self):
        with self.assertRaises(nde.Error) as caught:
            nde.solve(lambda t, y: [np.nan, 1.0], [1.0, 2.0], (0, 1))
        self.assertLess(caught.exception.status, 0)

    def test_in_programs(self):
        with self.assertRaises(Boom):
            def f(t, y):
                raise Boom
            nde.solve(nde.program(f), [1.0], (0, 1))
        for wrong in (lambda t, y: None, lambda t, y: [1.0, 2.0], lambda t, y: "a", lambda t, y: y if y > 0 else -y,
                      lambda t, y: [float(y[0])]):
            with self.assertRaises((TypeError, ValueError)):
                nde.solve(nde.program(wrong), [1.0], (0, 1))

    def test_retry_and_stop(self):
        def f(t, y):
            if t > 0.5:
                raise nde.Stop
            return -y
        found = nde.solve(f, [1.0], (0, 1))
        self.assertEqual(found.status, nde.Status.STOPPED)
        self.assertLessEqual(found.t_end, 0.5)

        def domain(t, y):
            if y[0] > 1.0:
                raise nde.Retry
            return [1.0 - y[0]]
        self.assertLess(nde.solve(domain, [0.0], (0, 3)).y_end[0], 1)

    def test_arguments_may_be_kept(self):
        kept = []
        nde.solve(lambda t, y: kept.append(y) or -y, [1.0], (0, 1))
        first = kept[0].copy()
        nde.solve(lambda t, y: -2*y, [3.0], (0, 1))
        np.testing.assert_array_equal(kept[0], first)


class Interrupts(unittest.TestCase):
    """P2. Solves that would take hours end; how soon is said, not judged."""

    def interrupted(self, field, **more):
        began = []
        timer = threading.Timer(0.2, lambda: (began.append(time.monotonic()), os.kill(os.getpid(), signal.SIGINT)))
        timer.start()
        try:
            with self.assertRaises(KeyboardInterrupt):
                nde.solve(field, [1.0], (0, 1e9), adjoint="none", max_steps=-1, h_max=1e-3, **more)
            print(f"KeyboardInterrupt after {1e3*(time.monotonic() - began[0]):.1f} ms")
        finally:
            timer.join()

    def test_python_field(self):
        self.interrupted(lambda t, y: -y)

    def test_c_code(self):
        self.interrupted(nde.program(lambda t, y: -y))

    def test_function_that_never_returns(self):
        def f(t, y):
            while True:
                pass
        self.interrupted(f)

    def test_exception_of_the_handler(self):
        def alarm(*_):
            raise Boom
        before = signal.signal(signal.SIGINT, alarm)
        try:
            with self.assertRaises(Boom):
                threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
                nde.solve(nde.program(lambda t, y: -y), [1.0], (0, 1e9), adjoint="none", max_steps=-1, h_max=1e-3)
            self.assertIs(signal.getsignal(signal.SIGINT), alarm)
        finally:
            signal.signal(signal.SIGINT, before)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])*os.sysconf("SC_PAGE_SIZE")


class Leaks(unittest.TestCase):
    """P3, 2,000 solves of each kind; 100,000 with NDE_TEST_LONG."""
    COUNT = 100_000 if os.environ.get("NDE_TEST_LONG") else 2_000

    def grows(self, solve):
        for _ in range(200):
            solve()
        gc.collect()
        before = resident()
        for i in range(self.COUNT):
            solve()
            if i % 500 == 0:
                gc.collect()
        gc.collect()
        return resident() - before

    def test_nothing_grows(self):
        class Model:
            def field(self, t, y):
                return -y
        program = nde.program(lambda t, y: -y)

        def closure():
            k = np.ones(1000)
            nde.solve(lambda t, y: -k[0]*y, [1.0], (0, 1), steps=2)

        def raising():
            try:
                nde.solve(lambda t, y: 1/0, [1.0], (0, 1))
            except ZeroDivisionError:
                pass

        def gradient():
            found = nde.solve(program, [1.0], (0, 1), steps=2)
            found.backward(found.y)
        for solve in (closure, lambda: nde.solve(Model().field, [1.0], (0, 1), steps=2), raising, gradient,
                      lambda: nde.solve(nde.program(lambda t, y: -y), [1.0], (0, 1), steps=2)):
            self.assertLess(self.grows(solve), 4 << 20)

    def test_solvers_go_when_unused(self):
        for name in ("y", "y_end"):
            found = nde.solve(lambda t, y: -y, [1.0], (0, 1))
            solver, rows = weakref.ref(found.solver), getattr(found, name)
            del found
            self.assertIsNotNone(solver())
            self.assertEqual(rows.shape[-1], 1)
            del rows
            self.assertIsNone(solver())


main()
