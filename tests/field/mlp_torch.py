# SPDX-License-Identifier: MIT
"""Writes mlp_torch.h: what PyTorch makes of the networks that tests/field/mlp.c builds from the same numbers.

    python3 mlp_torch.py > mlp_torch.h        # PyTorch 1.13 or later, on the CPU

Every number that goes in is the test rig's (rig.h: splitmix64 of array, row, trajectory). Parameters are copied into
torch.nn.Linear and torch.nn.LayerNorm in the documented flat order; what comes out is F, J'a to all inputs and the gradient
of all parameters, in the same order, in double.
"""
import torch

torch.set_default_dtype(torch.float64)
Y, U, Q, P, T, A = range(6)
MASK = (1 << 64) - 1
LANES, WIDTHS = 2, (5, 4, 4, 3)


def number(array, row, trajectory):
    z = (array*1000003 + row*10007 + trajectory*0x9E3779B97F4A7C15 + 12345) & MASK
    z = ((z ^ (z >> 30))*0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27))*0x94D049BB133111EB) & MASK
    z ^= z >> 31
    return (z >> 11)*2.0**-52 - 1


F = torch.nn.functional
ACTIVATIONS = {
    "IDENTITY": lambda z: z, "TANH": torch.tanh, "SOFTPLUS": F.softplus, "RELU": F.relu, "SILU": F.silu, "GELU": F.gelu,
    "ELU": F.elu, "SIGMOID": torch.sigmoid, "SIN": torch.sin, "LIPSWISH": lambda z: F.silu(z)/1.1,
}
# hidden, last, residual, layer norm, its epsilon (0: the default of both)
NETS = [
    ("TANH", "IDENTITY", 0, 0, 0), ("SOFTPLUS", "TANH", 1, 0, 0), ("RELU", "SIGMOID", 1, 1, 0), ("SILU", "GELU", 0, 1, 0.01),
    ("GELU", "SIN", 1, 0, 0), ("ELU", "SOFTPLUS", 1, 1, 0), ("SIGMOID", "ELU", 0, 0, 0), ("SIN", "SILU", 1, 1, 0.01),
    ("LIPSWISH", "RELU", 0, 1, 0), ("IDENTITY", "LIPSWISH", 1, 1, 0), ("TANH", "LIPSWISH", 1, 1, 0),
]


class Net(torch.nn.Module):
    def __init__(self, hidden, last, residual, norm, epsilon):
        super().__init__()
        self.hidden, self.last, self.residual = ACTIVATIONS[hidden], ACTIVATIONS[last], residual
        self.linear = torch.nn.ModuleList(torch.nn.Linear(i, o) for i, o in zip(WIDTHS, WIDTHS[1:]))
        self.norm = torch.nn.ModuleList(torch.nn.LayerNorm(o, eps=epsilon or 1e-5) for o in WIDTHS[1:-1]) if norm else None

    def flat(self):
        """Parameters in the order of nde_mlp."""
        for l, linear in enumerate(self.linear):
            yield from (linear.weight, linear.bias)
            if self.norm and l + 1 < len(self.linear):
                yield from (self.norm[l].weight, self.norm[l].bias)

    def forward(self, x):
        for l, linear in enumerate(self.linear[:-1]):
            z = linear(x)
            s = self.hidden(self.norm[l](z) if self.norm else z)
            x = s + x if self.residual and s.shape == x.shape else s
        return self.last(self.linear[-1](x))


def evaluate(net):
    at = 0
    with torch.no_grad():
        for p in net.flat():
            p.copy_(torch.tensor([0.6*number(P, at + i, 0) for i in range(p.numel())]).reshape(p.shape))
            at += p.numel()
    # x = (y, u, q, t), of which y has the first rows
    rows = [(Y, i) for i in range(WIDTHS[0] - 3)] + [(U, 0), (Q, 0), (T, 0)]
    x = torch.tensor([[number(kind, i, b) for kind, i in rows] for b in range(LANES)], requires_grad=True)
    a = torch.tensor([[number(A, i, b) for i in range(WIDTHS[-1])] for b in range(LANES)])
    value = net(x)
    value.backward(a)
    return value.T.flatten(), x.grad.T.flatten(), torch.cat([p.grad.flatten() for p in net.flat()])


def write(values):
    lines, line = [], ""
    for value in values.tolist():
        text = f"{value:.17g}, "
        if len(line) + len(text) > 116:
            lines.append(line.rstrip())
            line = ""
        line += text
    lines.append(line.rstrip(", "))
    print("      { " + "\n        ".join(lines) + " },")


print(f"""/* SPDX-License-Identifier: MIT
 * mlp_torch.h - values of PyTorch {torch.__version__}, written by mlp_torch.py, which says what they are. */
#ifndef NDE_TESTS_MLP_TORCH_H
#define NDE_TESTS_MLP_TORCH_H

enum {{ TORCH_LANES = {LANES}, TORCH_LAYERS = {len(WIDTHS) - 1}, TORCH_MOST = 80 }};
static const size_t torch_widths[] = {{ {", ".join(map(str, WIDTHS))} }};

/* F [out][LANES], J'a [width[0]][LANES], gradient of the parameters [np]. */
static const struct torch_net {{
    int hidden, last, residual, norm;
    double epsilon, value[TORCH_MOST], x[TORCH_MOST], p[TORCH_MOST];
}} torch_nets[] = {{""")
for hidden, last, residual, norm, epsilon in NETS:
    print(f"    {{ NDE_{hidden}, NDE_{last}, {residual}, {norm}, {epsilon},")
    for values in evaluate(Net(hidden, last, residual, norm, epsilon)):
        write(values)
    print("    },")
print("""};

#endif""")
