"""The global random generators of Python and NumPy: seeded for a target, put back after it.

The legacy global generator of NumPy is meant: it is what programs written by hand draw from.
"""

import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class GlobalStates:
    """Where the global generators stand."""

    python: tuple[Any, ...]
    numpy: Mapping[str, Any]


def seed_everything(seed: int) -> None:
    """Seed Python's and NumPy's global generators, and PyTorch's if the program has imported it.

    Args:
        seed: 0 or more, modulo 2^32.
    """
    seed %= 2**32
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def capture() -> GlobalStates:
    """Where Python's and NumPy's global generators stand now."""
    return GlobalStates(random.getstate(), np.random.get_state(legacy=False))  # noqa: NPY002


def restore(states: GlobalStates) -> None:
    """Put them back."""
    random.setstate(states.python)
    np.random.set_state(dict(states.numpy))  # noqa: NPY002
