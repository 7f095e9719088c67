"""Initial weights, by name: what CS231n, lecture 6, "weight initialization" tries one after the other.

Each takes a generator and the numbers of inputs and units, and gives W of shape (fan_in, units).
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Initializer: TypeAlias = Callable[[np.random.Generator, int, int], Array]


def _normal(deviation: Callable[[int], float]) -> Initializer:
    return lambda rng, fan_in, units: deviation(fan_in) * rng.standard_normal((fan_in, units))


INITIALIZERS: Mapping[str, Initializer] = {
    "zeros": lambda _rng, fan_in, units: np.zeros((fan_in, units)),  # no gradient reaches any weight
    "constant": lambda _rng, fan_in, units: np.full((fan_in, units), 0.01),  # all units of a layer stay the same
    "small-normal": _normal(lambda _fan_in: 0.01),  # fine for shallow nets; deep ones fade to zero
    "large-normal": _normal(lambda _fan_in: 1.0),  # bounded units saturate, others explode
    "xavier": _normal(lambda fan_in: (1 / fan_in) ** 0.5),  # Glorot and Bengio 2010, in the lecture's form
    "xavier-sigmoid": _normal(lambda fan_in: 4 * (1 / fan_in) ** 0.5),  # a sigmoid's slope is 1/4 at most
    "he": _normal(lambda fan_in: (2 / fan_in) ** 0.5),  # He et al. 2015: ReLU halves the variance
}
