# SPDX-License-Identifier: MIT
"""Writes optimiser_torch.h, which tests/train/optimiser.c compares with: what PyTorch's optimisers and schedules make of 200
steps on a function that is not quadratic. Needs torch (made with 2.13.0 on a CPU) and no more:

    python3 optimiser_torch.py >optimiser_torch.h

Clipping by the norm alone is written out here: torch divides by the norm plus 1e-6, libnde by the norm."""
import textwrap

import torch
from torch.optim import lr_scheduler

STEPS, SHOWN = 200, (20, 200)
START = [-1.25, 1.0, 0.75, 2.0]
WEIGHT = torch.tensor([0.5, -1.0, 1.5, -2.0], dtype=torch.float64)
CENTRE = torch.tensor([-2.0, 1.5, 0.25, 3.0], dtype=torch.float64)

KINDS = {"ADAM": torch.optim.Adam, "ADAMW": torch.optim.AdamW, "SGD": torch.optim.SGD, "RMSPROP": torch.optim.RMSprop,
         "ADADELTA": torch.optim.Adadelta}
DEFAULT_RATE = {"ADAM": 1e-3, "ADAMW": 1e-3, "SGD": 1e-2, "RMSPROP": 1e-2, "ADADELTA": 1.0}
RATE = {"ADAM": 0.05, "ADAMW": 0.05, "SGD": 0.02, "RMSPROP": 0.015, "ADADELTA": 2.0}


def function(p):
    """It has no minimum: around one, RMSprop and Adadelta swing in cycles that make much of every rounding."""
    return (WEIGHT*(p + (1 + (p - CENTRE)**2).sqrt()*0.75)).sum() + (1 + (p[1:] - p[:-1])**2).sqrt().sum()/8


def make(kind, case, p):
    """The optimiser of torch with the case's numbers; 0 and absent are its defaults."""
    names = {"rate": "lr", "epsilon": "eps", "momentum": "momentum", "weight_decay": "weight_decay",
             "rho": "alpha" if kind == "RMSPROP" else "rho"}
    options = {names[name]: value for name, value in case.items() if name in names}
    options.setdefault("lr", DEFAULT_RATE[kind])
    if "beta1" in case:
        options["betas"] = (case["beta1"], case["beta2"])
    if "nesterov" in case:
        options["nesterov"] = True
    return KINDS[kind]([p], foreach=False, **options)


def schedule(optimiser, case):
    """The rate of k = 0, 1, ... by torch's own schedulers."""
    rate = optimiser.param_groups[0]["lr"]  # a scheduler changes it when it is made
    warmup, steps, decay = case.get("warmup_steps", 0), case.get("decay_steps", 0), case.get("decay", 0.1)
    main = {"EXPONENTIAL": lambda: lr_scheduler.ExponentialLR(optimiser, decay**(1/steps)),
            "COSINE": lambda: lr_scheduler.CosineAnnealingLR(optimiser, steps, decay*rate),
            None: lambda: lr_scheduler.ConstantLR(optimiser, 1.0, 1)}[case.get("schedule")]
    if not warmup:
        return main()
    rise = lr_scheduler.LinearLR(optimiser, 1/warmup, 1.0, warmup - 1)
    return lr_scheduler.SequentialLR(optimiser, [rise, main()], [warmup])


def run(kind, case):
    p = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimiser = make(kind, case, p)
    rates, shown = schedule(optimiser, case), []
    for k in range(1, STEPS + 1):
        optimiser.zero_grad()
        function(p).backward()
        if "clip_value" in case:
            torch.nn.utils.clip_grad_value_([p], case["clip_value"])
        norm = p.grad.norm()
        if "clip_norm" in case and norm > case["clip_norm"]:
            p.grad *= case["clip_norm"]/norm
        optimiser.step()
        rates.step()
        if k in SHOWN:
            shown.append(p.tolist())
    return shown


def cases():
    for kind, rate in RATE.items():
        decay = {"weight_decay": 0.1}
        yield kind, {}
        yield kind, {"rate": rate}
        yield kind, {"rate": rate, **decay}
        yield kind, {"rate": rate, "clip_value": 0.75}
        yield kind, {"rate": rate, "clip_norm": 0.75}
        yield kind, {"rate": rate, "clip_value": 1.5, "clip_norm": 2.0, **decay}
        yield kind, {"rate": rate, "schedule": "EXPONENTIAL", "decay_steps": 150}
        yield kind, {"rate": rate, "schedule": "COSINE", "decay": 0.05, "decay_steps": 200}
        yield kind, {"rate": rate, "warmup_steps": 30}
        yield kind, {"rate": rate, "schedule": "EXPONENTIAL", "decay": 0.5, "decay_steps": 40, "warmup_steps": 10}
        own = {"clip_norm": 3.0, "schedule": "COSINE", "decay": 0.25, "decay_steps": 175, "warmup_steps": 25, **decay}
        if kind in ("ADAM", "ADAMW"):
            yield kind, {"rate": rate, "beta1": 0.75, "beta2": 0.9375, "epsilon": 0.125, **own}
        else:
            if kind != "SGD":
                yield kind, {"rate": rate, "rho": 0.75, "epsilon": 0.0625, **own}
            if kind != "ADADELTA":
                yield kind, {"rate": rate, "momentum": 0.75}
                yield kind, {"rate": rate, "momentum": 0.75, **own}
    yield "SGD", {"rate": 0.02, "momentum": 0.75, "nesterov": 1}
    yield "SGD", {"rate": 0.02, "momentum": 0.75, "nesterov": 1, **own}


def member(name, value):
    return f".{name} = " + (f"NDE_SCHEDULE_{value}" if name == "schedule" else repr(value))


print(f"""/* SPDX-License-Identifier: MIT
 * optimiser_torch.h - p after {SHOWN[0]} and {SHOWN[1]} steps by PyTorch {torch.__version__.split('+')[0]}.
 * Written by optimiser_torch.py. */
static const struct {{
    nde_optimiser how;
    double p[{len(SHOWN)}][{len(START)}];
}} torch_cases[] = {{""")
for kind, case in cases():
    members = "{ { " + ", ".join([f".kind = NDE_{kind}"] + [member(*item) for item in case.items()]) + " },"
    print(textwrap.fill(members.replace(" = ", "~"), 112, initial_indent=" "*4, subsequent_indent=" "*8).replace("~", " = "))
    print("      { " + ",\n        ".join("{ " + ", ".join(repr(x) for x in row) + " }" for row in run(kind, case)) + " } },")
print("};")
