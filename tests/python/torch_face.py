# SPDX-License-Identifier: MIT
"""nde.torch on problems with known solutions (those of torchdiffeq's tests: constant, sine, linear), gradients by gradcheck, and equal
to torchdiffeq's where that is installed. Without PyTorch it says so and passes."""
import sys
import unittest

import numpy as np

import nde
from support import main

try:
    import torch
except ImportError:
    print("PyTorch is not installed: not run")
    sys.exit(77)
from torch import nn

import nde.torch as face

try:
    import torchdiffeq
except ImportError:
    torchdiffeq = None

torch.manual_seed(0)
torch.set_num_threads(1)
F8 = {"dtype": torch.float64}


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


main()
