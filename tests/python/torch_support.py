# SPDX-License-Identifier: MIT
"""PyTorch for tests, on one thread. Where it is not installed, a test that imports this says so and is skipped."""
import importlib
import sys

try:
    import torch
except ImportError:
    print("PyTorch is not installed: not run")
    sys.exit(77)
import nde.torch as face

torch.manual_seed(0)
torch.set_num_threads(1)
F8 = {"dtype": torch.float64}
__all__ = ["F8", "face", "peer", "torch"]


def peer(name):
    """Another package, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
