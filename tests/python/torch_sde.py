# SPDX-License-Identifier: MIT
"""nde.torch.sdeint on the problems of torchsde's tests (C. Rackauckas, Q. Nie, Discrete Contin. Dyn. Syst. B 22, 2017): against their exact
solutions on the same path, gradients against differences on it, and equal to torchsde's where that is installed. Without PyTorch it says so
and passes."""
import unittest

import numpy as np

from support import main
from torch_support import F8, face, peer, torch
from torch import nn

torchsde = peer("torchsde")
BATCH, DIM = 32, 3


class Wiener:
    """One path on a grid of 2^k cells in [0, 1], as a function of two of its times, with the integral U if wanted."""

    def __init__(self, m, k=9, levy=False):
        self.cells, self.levy_area_approximation = 2**k, "space-time" if levy else "none"
        self.shape, self.dtype, self.device = (BATCH, m), torch.float64, torch.device("cpu")
        draw = torch.Generator().manual_seed(5)
        w, h = torch.randn(2, self.cells, BATCH, m, generator=draw, **F8)
        w, h, cell = w/self.cells**0.5, h/(12*self.cells)**0.5, 1/self.cells
        zero = torch.zeros(1, BATCH, m, **F8)
        self.w = torch.cat([zero, w.cumsum(0)])
        self.u = torch.cat([zero, (cell*(self.w[:-1] + w/2 + h)).cumsum(0)])

    def __call__(self, a, b, return_U=False):
        a, b = (round(float(t)*self.cells) for t in (a, b))
        w = self.w[b] - self.w[a]
        return (w, self.u[b] - self.u[a] - (b - a)/self.cells*self.w[a]) if return_U else w


class Sde(nn.Module):
    def __init__(self):
        super().__init__()
        draw = torch.Generator().manual_seed(3)
        self.a, self.b = (nn.Parameter(torch.sigmoid(torch.randn(DIM, generator=draw, **F8))) for _ in range(2))


class X1(Sde):
    """Geometric Brownian motion."""
    noise_type, sde_type, m = "diagonal", "ito", DIM

    def f(self, t, y):
        return (-self.a**2 - self.b)*y

    def g(self, t, y):
        return self.a*y

    def exact(self, y0, t, w):
        return y0*torch.exp((-1.5*self.a**2 - self.b)*t + self.a*w)


class X2(Sde):
    noise_type, sde_type, m = "scalar", "ito", 1

    def f(self, t, y):
        return -self.a**2*torch.sin(y)*torch.cos(y)**3

    def g(self, t, y):
        return (self.a*torch.cos(y)**2).unsqueeze(-1)

    def exact(self, y0, t, w):
        return torch.arctan(self.a*w + torch.tan(y0))


class X3(Sde):
    noise_type, sde_type, m = "additive", "ito", DIM

    def f(self, t, y):
        return self.b/torch.sqrt(1 + t) - y/(2 + 2*t)

    def g(self, t, y):
        return torch.diag(self.a*self.b/torch.sqrt(1 + t)).expand(len(y), DIM, DIM)

    def exact(self, y0, t, w):
        return y0/np.sqrt(1 + t) + self.b*(t + self.a*w)/np.sqrt(1 + t)


class Drifted(X2):
    """X2 as Stratonovich has it: without a drift."""
    sde_type = "stratonovich"

    def f(self, t, y):
        return 0*y


class Neural(nn.Module):
    """A network whose noise is general: (dim, 2)."""
    noise_type, sde_type, m = "general", "stratonovich", 2

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.drift = nn.Sequential(nn.Linear(DIM + 1, 8, **F8), nn.Softplus(), nn.Linear(8, DIM, **F8))
        self.noise = nn.Sequential(nn.Linear(DIM + 1, 8, **F8), nn.Softplus(), nn.Linear(8, 2*DIM, **F8), nn.Sigmoid())

    def f(self, t, y):
        return self.drift(torch.cat([y, t.expand(len(y), 1)], dim=1))

    def g(self, t, y):
        return self.noise(torch.cat([y, t.expand(len(y), 1)], dim=1)).reshape(-1, DIM, 2)


class Guided(X1):
    """X1 with a drift to be near to."""

    def h(self, t, y):
        return -0.5*y


def start():
    return (0.5 + torch.rand(BATCH, DIM, generator=torch.Generator().manual_seed(7), **F8)).requires_grad_()


TS = torch.tensor([0, 0.25, 0.5], **F8)
PAIRS = [(X1, "milstein", 1.0), (X1, "srk", 1.5), (X1, "euler", 0.5), (X2, "milstein", 1.0), (X2, "srk", 1.5), (X3, "euler", 1.0), (X3, "srk", 1.5),
         (Drifted, "midpoint", 1.0), (Drifted, "heun", 1.0), (Drifted, "reversible_heun", 1.0)]


class Solutions(unittest.TestCase):
    def test_known_solutions(self):
        for kind, method, order in PAIRS:
            with self.subTest(kind=kind.__name__, method=method), torch.no_grad():
                sde, bm, y0, errors = kind(), Wiener(kind.m, levy=method == "srk"), start(), []
                for steps in (16, 64):
                    y = face.sdeint(sde, y0, TS, bm=bm, method=method, dt=0.5/steps)
                    errors.append((y[-1] - sde.exact(y0, 0.5, bm(0, 0.5))).square().mean().sqrt())
                self.assertEqual(y.shape, (3, BATCH, DIM))
                self.assertLess(errors[1], 0.05/4**order)
                self.assertGreater(np.log(errors[0]/errors[1])/np.log(4), order - 0.3)

    def test_paths_of_its_own(self):
        sde, y0 = X1(), start()
        y = [face.sdeint(sde, y0, TS, seed=seed, dt=1/64) for seed in (1, 1, 2)]
        self.assertTrue(torch.equal(y[0], y[1]) and not torch.equal(y[0], y[2]))
        with torch.no_grad(): # a solver for all of them
            again = [face.sdeint(sde, y0, TS, seed=seed, dt=1/64) for seed in (2, 1, 2)]
        self.assertTrue(all(map(torch.equal, again, (y[2], y[0], y[2]))))
        for state in (1, 1):
            torch.manual_seed(state)
            y.append(face.sdeint(sde, y0, TS, dt=1/64))
        self.assertTrue(torch.equal(y[3], y[4]))
        self.assertFalse(torch.equal(y[3], face.sdeint(sde, y0, TS, dt=1/64)))
        single = face.sdeint(X1().float(), y0.float(), TS.float(), seed=1, dt=1/64)
        self.assertEqual(single.dtype, torch.float32)
        torch.testing.assert_close(single.double(), y[0], rtol=1e-4, atol=1e-4)

    def test_names(self):
        class Together:
            noise_type, sde_type, other = "diagonal", "ito", X1().f
            f_and_g = staticmethod(lambda t, y: (X1().f(t, y), X1().g(t, y)))
        y = [face.sdeint(sde, start(), TS, seed=1, dt=1/16, adjoint_params=X1().parameters(), **more)
             for sde, more in ((X1(), {}), (Together(), {}), (Together(), {"names": {"drift": "other"}}))]
        self.assertTrue(torch.equal(y[0], y[1]) and torch.equal(y[0], y[2]))

    def test_log_ratio(self):
        sde, y0, bm = Guided(), start(), Wiener(DIM)
        y, ratio = face.sdeint(sde, y0, TS, bm=bm, method="euler", dt=1/64, logqp=True)
        self.assertTrue(torch.equal(y, face.sdeint(sde, y0, TS, bm=bm, method="euler", dt=1/64)))
        u = (-sde.a**2 - sde.b + 0.5)/sde.a # of f - h, the same everywhere
        torch.testing.assert_close(ratio, (0.25*0.5*u.square().sum()).expand(2, BATCH), rtol=1e-12, atol=0)

    def test_refusals(self):
        sde, y0 = X1(), start()
        for more, text in (({"method": "log_ode"}, "log_ode"), ({"bm": Wiener(DIM), "adaptive": True}, "adaptive"),
                           ({"adjoint_params": ()}, "adjoint_params")):
            with self.assertRaisesRegex(ValueError, text):
                face.sdeint(sde, y0, TS, **more)
        sde.noise_type = "loud"
        with self.assertRaisesRegex(ValueError, "loud"):
            face.sdeint(sde, y0, TS)


class Gradients(unittest.TestCase):
    def gradients(self, sdeint, sde, bm, method, dt=1/16, **more):
        y0 = start()
        sde.zero_grad()
        y = sdeint(sde, y0, TS, bm=bm, method=method, dt=dt, **more)
        (y[1].sum() + y[2].square().sum()).backward()
        return [y.detach(), y0.grad, *[torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in sde.parameters()]]

    def test_against_differences(self):
        for kind, method, _ in [*PAIRS, (Neural, "midpoint", 0)]:
            with self.subTest(kind=kind.__name__, method=method):
                sde, bm = kind(), Wiener(kind.m, levy=method == "srk")
                found, h = self.gradients(face.sdeint, sde, bm, method), 1e-5
                torch.manual_seed(0)
                along = [torch.randn_like(x) for x in found[1:]]
                values = []
                for sign in (1, -1):
                    with torch.no_grad():
                        moved = start().detach() + sign*h*along[0]
                        for p, v in zip(sde.parameters(), along[1:]):
                            p.add_(sign*h*v)
                        y = face.sdeint(sde, moved, TS, bm=bm, method=method, dt=1/16)
                        for p, v in zip(sde.parameters(), along[1:]):
                            p.sub_(sign*h*v)
                    values.append(float(y[1].sum() + y[2].square().sum()))
                want = (values[0] - values[1])/(2*h)
                self.assertLess(abs(sum(float((g*v).sum()) for g, v in zip(found[1:], along)) - want), 1e-6*(1 + abs(want)))

    def test_reversible(self):
        sde, bm = Neural(), Wiener(2)
        found, other = (self.gradients(sdeint, sde, bm, "reversible_heun") for sdeint in (face.sdeint, face.sdeint_adjoint))
        for a, b in zip(found, other):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)

    @unittest.skipUnless(torchsde, "torchsde is not installed")
    def test_same_as_torchsde(self):
        for kind, method in ((X1, "euler"), (X1, "milstein"), (X2, "milstein"), (X3, "euler"), (Drifted, "heun"), (Drifted, "midpoint"),
                             (Neural, "midpoint"), (Neural, "euler_heun"), (Neural, "reversible_heun")):
            with self.subTest(kind=kind.__name__, method=method):
                sde, bm = kind(), Wiener(kind.m)
                found, other = (self.gradients(sdeint, sde, bm, method) for sdeint in (face.sdeint, torchsde.sdeint))
                for a, b in zip(found, other):
                    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)

    @unittest.skipUnless(torchsde, "torchsde is not installed")
    def test_log_ratio_as_torchsde(self):
        sde, bm = Guided(), Wiener(DIM + 1) # torchsde wants noise for the ratio's row too
        found, other = (sdeint(sde, start(), TS, bm=bm, method="euler", dt=1/16, logqp=True) for sdeint in (face.sdeint, torchsde.sdeint))
        for a, b in zip(found, other):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


main()
