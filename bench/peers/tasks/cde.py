# SPDX-License-Identifier: MIT
"""A training step of a neural controlled equation dz = F(z) dX: F a matrix (8, 3) from an MLP 8-32-24 with tanh at its end, X linear through
32 knots, batch 64, 31 steps of the explicit midpoint rule (one between knots), mean z(end)^2. Error: of the gradient by all parameters, against
libnde's in double on the same steps."""
import numpy as np

from kit import BOTH, Work, away, layers, run, symmetric, torch_gradient, torch_net, weights

BATCH, HIDDEN, CHANNELS, KNOTS = 64, 8, 3, 32
WIDTHS = (HIDDEN, 32, HIDDEN*CHANNELS)
EVERY = {"dtype": BOTH, "threads": [1]}


def data():
    """Parameters, z0, t, x (knots, batch, channels) with time as its first channel."""
    x = np.cumsum(symmetric((KNOTS, BATCH, CHANNELS), 5, 0.3), axis=0)
    x[:, :, 0] = np.linspace(0, 1, KNOTS)[:, None]
    return weights(WIDTHS, 41), symmetric((BATCH, HIDDEN), 99), np.arange(float(KNOTS)), x


def step(dtype):
    import nde
    import nde.ops as ops
    p, z0, t, x = data()

    def field(t, y, p, u):
        matrix = ops.dense("tanh", WIDTHS[1]*(HIDDEN + 1), HIDDEN*CHANNELS, ops.dense("tanh", 0, WIDTHS[1], y))
        return matrix.reshape(HIDDEN, CHANNELS) @ u
    solver = nde.Solver(None, z0.astype(dtype), (t[0], t[-1]), p, terms=[nde.Control(nde.program(field), nde.Path(t, x))], method="midpoint",
                        steps=KNOTS - 1, adjoint="discrete")

    def call():
        found = solver.run()
        return found.backward(y_end=2/found.y_end.size*found.y_end, wanted=("p",)).p
    return call


def error(gradient):
    return away(gradient, step("float64")())


@run("libnde", **EVERY)
def libnde(dtype, **_):
    import nde
    return Work(step(dtype), error, nde.__version__)


@run("torchcde", **EVERY, mode=["backprop", "adjoint"])
def torchcde(dtype, mode, **_):
    import torch
    import torchcde as tc
    p, z0, t, x = data()
    dtype = getattr(torch, dtype)
    net = torch_net(torch, p, WIDTHS, dtype, torch.nn.Tanh)

    class Field(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, t, z):
            return torch.tanh(self.net(z)).view(-1, HIDDEN, CHANNELS)
    field, z0, t = Field(), torch.tensor(z0, dtype=dtype), torch.tensor(t, dtype=dtype)
    path = tc.LinearInterpolation(torch.tensor(x.swapaxes(0, 1).copy(), dtype=dtype), t=t)

    def call():
        net.zero_grad()
        z = tc.cdeint(X=path, func=field, z0=z0, t=path.interval, method="midpoint", adjoint=mode == "adjoint", options={"step_size": 1.0, "perturb": True})
        z[:, -1].pow(2).mean().backward()
        return torch_gradient(torch, net)
    return Work(call, error, tc.__version__)
