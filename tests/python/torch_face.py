# SPDX-License-Identifier: MIT
"""nde.torch on problems with known solutions (those of torchdiffeq's tests: constant, sine, linear), gradients by gradcheck, and equal
to torchdiffeq's where that is installed. Without PyTorch it says so and passes."""
import gc
import unittest
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import nde
from support import main
from torch_support import F8, face, peer, torch
from torch import nn

import nde._torch_solve as solves

torchdiffeq = peer("torchdiffeq")


class Net(nn.Module):
    def __init__(self, dtype=torch.float64):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8, dtype=dtype), nn.Tanh(), nn.Linear(8, 2, dtype=dtype))

    def forward(self, t, y):
        return self.layers(torch.cat([y, torch.sin(t).expand(*y.shape[:-1], 1)], dim=-1))


class Solutions(unittest.TestCase):
    def test_published_problems(self):
        t = torch.linspace(1, 8, 10, **F8)
        a, b = 0.2, 3.0
        constant = (lambda t, y: a + (y - (a*t + b))**5, lambda t: a*t + b)
        sine = (lambda t, y: 2*y/t + t**4*torch.sin(2*t) - t**2 + 4*t**3,
                lambda t: -0.5*t**4*torch.cos(2*t) + 0.5*t**3*torch.sin(2*t) + 0.25*t**2*torch.cos(2*t) - t**3 + 2*t**4
                + (np.pi - 0.25)*t**2)
        matrix = torch.randn(10, 10, **F8)
        matrix = matrix - matrix.T
        linear = (lambda t, y: matrix @ y, lambda t: torch.stack([torch.matrix_exp(matrix*s) @ torch.ones(10, **F8) for s in t - t[0]]))
        for f, exact in (constant, sine, linear):
            want = exact(t)
            for method in ("dopri5", "dopri8", "bosh3", "tsit5", None):
                for times, values in ((t, want), (t.flip(0), want.flip(0))):
                    found = face.odeint(f, values[0], times, method=method, rtol=1e-8 if method == "bosh3" else 1e-9)
                    self.assertLess((found - values).abs().max()/values.abs().max(), 1e-5)

    def test_fixed_steps(self):
        t = torch.linspace(0, 1, 11, **F8)
        for method in ("euler", "midpoint", "rk4", "explicit_adams"):
            found = face.odeint(lambda t, y: -y, torch.ones(1, **F8), t, method=method, options={"step_size": 1e-3})
            self.assertLess(abs(found[-1, 0] - np.exp(-1)), 1e-3)
        euler = face.odeint(lambda t, y: -y, torch.ones(1, **F8), t, method="euler")
        self.assertAlmostEqual(float(euler[-1]), 0.9**10, places=12)
        with self.assertRaisesRegex(ValueError, "not even"):
            face.odeint(lambda t, y: -y, torch.ones(1, **F8), t**2, method="euler")

    def test_tuples_and_shapes(self):
        t = torch.linspace(0, 1, 5, **F8)
        x, v = face.odeint(lambda t, y: (y[1], -y[0]), (torch.ones(2, 3, **F8), torch.zeros(2, 3, **F8)), t)
        self.assertEqual(x.shape, (5, 2, 3))
        torch.testing.assert_close(x[:, 1, 2], torch.cos(t), rtol=1e-6, atol=1e-6)
        single = face.odeint(Net(torch.float32), torch.ones(4, 2), t.float(), rtol=1e-4, atol=1e-5)
        self.assertEqual((single.dtype, single.shape), (torch.float32, (5, 4, 2)))


class Gradients(unittest.TestCase):
    t = torch.linspace(0, 1, 4, **F8)

    def check(self, func, y0, t=None, **more):
        t = (self.t if t is None else t).clone().requires_grad_()
        parameters = list(func.parameters())
        tight = {"rtol": 1e-11, "atol": 1e-12, **more}
        self.assertTrue(torch.autograd.gradcheck(lambda y0, t, *p: face.odeint(func, y0, t, **tight), (y0.requires_grad_(), t, *parameters),
                                                 rtol=1e-4, atol=1e-6))

    def test_modules(self):
        self.check(Net(), torch.randn(3, 2, **F8))

    def test_in_c(self):
        func = nn.Sequential(nn.Linear(2, 5, **F8), nn.Softplus(), nn.Linear(5, 2, **F8))
        self.assertIsNotNone(face.mlp(func))
        y0 = torch.randn(3, 2, **F8)
        self.check(func, y0)
        other = face.odeint(lambda t, y: func(y), y0, self.t, adjoint_params=func.parameters(), rtol=1e-10)
        torch.testing.assert_close(face.odeint(func, y0, self.t, rtol=1e-10), other, rtol=1e-7, atol=1e-9)

    def test_continuous_adjoint(self):
        func, y0 = Net(), torch.randn(2, 2, **F8)
        gradients = []
        for more in ({}, {"adjoint": "backsolve", "adjoint_rtol": 1e-10}):
            func.zero_grad()
            face.odeint_adjoint(func, y0, self.t, rtol=1e-10, atol=1e-12, **more)[-1].square().sum().backward()
            gradients.append(torch.cat([p.grad.reshape(-1) for p in func.parameters()]))
        torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-8)

    def test_hidden_tensors_are_refused(self):
        k = torch.ones(1, **F8, requires_grad=True)
        with self.assertRaisesRegex(ValueError, "adjoint_params"):
            face.odeint(lambda t, y: -k*y, torch.ones(1, **F8), self.t)
        face.odeint(lambda t, y: -k*y, torch.ones(1, **F8), self.t, adjoint_params=[k])[-1].sum().backward()
        self.assertAlmostEqual(float(k.grad), -np.exp(-1), places=5)

    def test_exceptions(self):
        for wrong in (lambda t, y: 1/0, lambda t, y: None, lambda t, y: y[:1]):
            with self.assertRaises((ZeroDivisionError, TypeError, ValueError)):
                face.odeint(wrong, torch.ones(2, **F8), self.t)

    def test_weights_there_and_back(self):
        net = nde.MLP([2, 4, 3, 2], "silu", seed=1)
        there = face.sequential(net)
        np.testing.assert_array_equal(face.mlp(there).p, net.p)
        y = torch.randn(2, **F8)
        slope = nde.solve(net, y.numpy(), (0, 1), steps=1, method="euler").y_end - y.numpy()
        torch.testing.assert_close(there(y).detach(), torch.from_numpy(slope), rtol=1e-12, atol=1e-12)
        self.assertIsNone(face.mlp(nn.Sequential(nn.Linear(2, 2, bias=False))))
        self.assertIsNone(face.mlp(nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))))
        with self.assertRaises(ValueError):
            face.sequential(nde.MLP([2, 2], time=True))

    @unittest.skipUnless(torchdiffeq, "torchdiffeq is not installed")
    def test_same_as_torchdiffeq(self):
        func, y0, found = Net(), torch.randn(3, 2, **F8), []
        for odeint in (face.odeint, torchdiffeq.odeint, face.odeint_adjoint, torchdiffeq.odeint_adjoint):
            func.zero_grad()
            start = y0.clone().requires_grad_()
            y = odeint(func, start, self.t, rtol=1e-11, atol=1e-13, method="dopri5")
            y[-1].square().sum().backward()
            found.append([y.detach(), start.grad, *[p.grad.clone() for p in func.parameters()]])
        for other in found[1:]:
            for a, b in zip(found[0], other):
                torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)

    @unittest.skipUnless(torchdiffeq, "torchdiffeq is not installed")
    def test_events_same_as_torchdiffeq(self):
        found = []
        for module in (torchdiffeq, face):
            for interface in (module.odeint, module.odeint_adjoint):
                fall, y0, t0 = Fall(), torch.tensor([10.0, 1.0], **F8, requires_grad=True), torch.tensor(0.3, **F8, requires_grad=True)
                t, y = module.odeint_event(fall, y0, t0, event_fn=lambda t, y: y[0] - 2*torch.sin(t), odeint_interface=interface,
                                           rtol=1e-10, atol=1e-12)
                (1.3*t + y[-1, 1]**2).backward()
                found.append([t.detach(), y.detach(), y0.grad, t0.grad, *[p.grad for p in fall.parameters()]])
        for other in found[1:]:
            for a, b in zip(found[0], other):
                torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


class Fall(nn.Module):
    """A stone in air that moves."""

    def __init__(self):
        super().__init__()
        self.g, self.drag = nn.Parameter(torch.tensor(9.8, **F8)), nn.Parameter(torch.tensor(0.1, **F8))

    def forward(self, t, y):
        return torch.stack([y[1], -self.g - self.drag*y[1]*y[1].abs()*(1 + 0.1*torch.sin(t))])


class Events(unittest.TestCase):
    zero = torch.zeros((), **F8)

    def test_where_a_stone_lands(self):
        for reverse in (False, True):
            y0, ground = torch.tensor([10.0, 0.0], **F8, requires_grad=True), torch.tensor(1.0, **F8, requires_grad=True)
            t, y = face.odeint_event(lambda t, y: torch.stack([y[1], -9.8 + 0*y[0]]), y0, self.zero, reverse_time=reverse,
                                     event_fn=lambda t, y: y[0] - ground, adjoint_params=[ground])
            landed = (1 - 2*reverse)*(2*9/9.8)**0.5
            torch.testing.assert_close(t, torch.tensor(landed, **F8))
            torch.testing.assert_close(y, torch.stack([y0, torch.stack([ground, -9.8*t])]))
            t.backward()
            torch.testing.assert_close(y0.grad[0], torch.tensor(1/(9.8*landed), **F8))
            torch.testing.assert_close(ground.grad, -y0.grad[0])

    def test_forms(self):
        turn = {"event_fn": lambda t, y: torch.stack([y[0], y[0] - 5]), "rtol": 1e-9, "atol": 1e-11}
        for method, options in ((None, None), ("rk4", {"step_size": 0.01})):
            t, (x, v) = face.odeint((lambda t, y: (y[1], -y[0])), (torch.ones(3, **F8), torch.zeros(3, **F8)), torch.linspace(0, 1, 2, **F8),
                                    event_fn=lambda t, y: y[0].sum(), method=method, options=options)
            torch.testing.assert_close(t, torch.tensor(np.pi/2, **F8), rtol=1e-7, atol=0)
            self.assertEqual((x.shape, v.shape), ((2, 3), (2, 3)))
        t, _ = face.odeint_event(lambda t, y: torch.stack([y[1], -y[0]]), torch.tensor([1.0, 0.0], **F8), self.zero, **turn)
        torch.testing.assert_close(t, torch.tensor(np.pi/2, **F8))
        with self.assertRaisesRegex(ValueError, "step_size"):
            face.odeint_event(lambda t, y: -y, torch.ones(1, **F8), self.zero, event_fn=lambda t, y: y[0] - 0.5, method="rk4")
        k = torch.ones((), **F8, requires_grad=True)
        with self.assertRaisesRegex(ValueError, "adjoint_params"):
            face.odeint_event(lambda t, y: -y, torch.ones(1, **F8), self.zero, event_fn=lambda t, y: y[0] - k/2)


class Solvers(unittest.TestCase):
    """Solvers that serve one call after the other: whatever they did before, the answer is that of a new one."""
    t = torch.linspace(0, 1, 5, **F8)

    def setUp(self):
        solves.IDLE.clear()

    def solve(self, func, y0=None, **more):
        y0 = torch.ones(3, 2, **F8) if y0 is None else y0
        y = face.odeint(func, y0, self.t, **{"rtol": 1e-8, "atol": 1e-8, **more})
        return [y.detach(), *torch.autograd.grad(y[-1].square().sum(), list(func.parameters()))]

    def same(self, found, func, **more):
        idle, solves.IDLE[:] = solves.IDLE[:], []
        for a, b in zip(found, self.solve(func, **more)):
            self.assertTrue(torch.equal(a, b))
        solves.IDLE[:] = idle

    def test_serve_again(self):
        in_c = [nn.Sequential(nn.Linear(2, 4, **F8), nn.Tanh(), nn.Linear(4, 2, **F8)) for _ in range(3)]
        for funcs in (in_c, [Net() for _ in range(3)]):
            solves.IDLE.clear()
            for func in funcs:
                self.same(self.solve(func), func)
                self.assertEqual(len(solves.IDLE), 1)
                solver = solves.IDLE[0][1]
                self.same(self.solve(func, 2*torch.ones(3, 2, **F8)), func, y0=2*torch.ones(3, 2, **F8))
                self.assertIs(solves.IDLE[0][1], solver)
            for more in ({"rtol": 1e-4}, {"method": "tsit5"}, {"y0": torch.ones(2, 2, **F8)}):
                self.same(self.solve(funcs[0], **more), funcs[0], **more)
        self.assertEqual(len(solves.IDLE), 4)
        for count in range(3, 15):
            self.solve(in_c[0], torch.ones(count, 2, **F8))
        self.assertEqual(len(solves.IDLE), solves.MOST_IDLE)

    def test_graphs_at_once(self):
        func, others = Net(), [torch.full((3, 2), 1.0*k, **F8, requires_grad=True) for k in range(4)]
        ends = [face.odeint(func, y0, self.t)[-1].square().sum() for y0 in others]
        for y0, end in zip(others, ends):
            alone, = torch.autograd.grad(face.odeint(func, y0, self.t)[-1].square().sum(), y0)
            again = [torch.autograd.grad(end, y0, retain_graph=True)[0] for _ in range(2)]
            self.assertTrue(torch.equal(alone, again[0]) and torch.equal(alone, again[1]))

    def test_solves_within_solves(self):
        inner, y = Net(), torch.ones(3, 2, **F8)

        def outer(t, y):
            return face.odeint(inner, y, self.t, adjoint_params=())[-1] if t > 0.5 else -y
        with torch.no_grad():
            first = face.odeint(outer, y, self.t)
            self.assertTrue(torch.equal(first, face.odeint(outer, y, self.t)))

    def test_threads(self):
        funcs = [Net() for _ in range(6)]
        want = [self.solve(func) for func in funcs]
        with ThreadPoolExecutor(6) as pool:
            for found in pool.map(lambda k: [self.solve(funcs[(k + i) % 6]) for i in range(10)], range(6)):
                self.assertEqual(len(found), 10)
            found = list(pool.map(self.solve, funcs*5))
        for a, b in zip(found, want*5):
            self.assertTrue(all(map(torch.equal, a, b)))

    def test_nobody_is_kept_alive(self):
        func = Net()
        self.solve(func)
        watched = weakref.ref(func)
        del func
        gc.collect()
        self.assertIsNone(watched())
        self.assertEqual(len(solves.IDLE), 1)

    def test_failures_leave_solvers_usable(self):
        func = Net()
        with self.assertRaises(ZeroDivisionError):
            face.odeint(lambda t, y: 1/0, torch.ones(3, 2, **F8), self.t, adjoint_params=func.parameters(), rtol=1e-8, atol=1e-8)
        self.same(self.solve(func), func)

    def test_weights_changed_in_between(self):
        func = Net()
        end = face.odeint(func, torch.ones(3, 2, **F8), self.t)[-1].sum()
        with torch.no_grad():
            func.layers[0].weight += 1
        with self.assertRaisesRegex(RuntimeError, "inplace"):
            end.backward()


main()
