from collections.abc import Callable

import numpy as np
import pytest


def _numerical_gradient(f, x, h=1e-5):
    """Centered differences of the number f() with respect to the array x, which f reads."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        here = x[index]
        x[index] = here + h
        above = f()
        x[index] = here - h
        below = f()
        x[index] = here
        gradient[index] = (above - below) / (2 * h)
    return gradient


@pytest.fixture
def numerical_gradient() -> Callable:
    return _numerical_gradient


@pytest.fixture
def rng():
    return np.random.default_rng(0)
