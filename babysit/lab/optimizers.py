"""Update rules: CS231n, lecture 7 and course notes "neural networks 3", section "parameter updates".

Each takes one array w, its gradient dw, what it remembers of earlier steps (arrays by name, zero before the first) and
the learning rate, and gives the new array and the new memory. Nothing is written in place.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Memory: TypeAlias = Mapping[str, Array]
Memories: TypeAlias = dict[str, dict[str, Array]]  # by parameter, then by name


def sgd(w: Array, dw: Array, _memory: Memory, learning_rate: float) -> tuple[Array, dict[str, Array]]:
    """Downhill, and nothing else."""
    return w - learning_rate * dw, {}


def momentum(
    w: Array, dw: Array, memory: Memory, learning_rate: float, mu: float = 0.9
) -> tuple[Array, dict[str, Array]]:
    """A velocity that gathers gradients; `mu` is the share of it that friction leaves."""
    velocity = mu * memory["velocity"] - learning_rate * dw
    return w + velocity, {"velocity": velocity}


def nesterov(
    w: Array, dw: Array, memory: Memory, learning_rate: float, mu: float = 0.9
) -> tuple[Array, dict[str, Array]]:
    """Momentum with the gradient taken a step ahead; w is that look-ahead point, as in the course notes."""
    velocity = mu * memory["velocity"] - learning_rate * dw
    return w - mu * memory["velocity"] + (1 + mu) * velocity, {"velocity": velocity}


def rmsprop(
    w: Array, dw: Array, memory: Memory, learning_rate: float, decay: float = 0.99, epsilon: float = 1e-8
) -> tuple[Array, dict[str, Array]]:
    """Each number's step is divided by the running root mean square of its gradients (Tieleman and Hinton 2012)."""
    square = decay * memory["square"] + (1 - decay) * dw**2
    return w - learning_rate * dw / (np.sqrt(square) + epsilon), {"square": square}


def adam(
    w: Array,
    dw: Array,
    memory: Memory,
    learning_rate: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> tuple[Array, dict[str, Array]]:
    """Momentum and RMSprop together, both corrected for their start at zero (Kingma and Ba 2015)."""
    time = memory["time"] + 1
    mean = beta1 * memory["mean"] + (1 - beta1) * dw
    square = beta2 * memory["square"] + (1 - beta2) * dw**2
    unbiased_mean, unbiased_square = mean / (1 - beta1**time), square / (1 - beta2**time)
    step = learning_rate * unbiased_mean / (np.sqrt(unbiased_square) + epsilon)
    return w - step, {"time": time, "mean": mean, "square": square}


@dataclass(frozen=True)
class Optimizer:
    """An update rule and the names of what it remembers."""

    update: Callable[[Array, Array, Memory, float], tuple[Array, dict[str, Array]]]
    remembers: tuple[str, ...] = ()

    def start(self, params: Mapping[str, Array]) -> Memories:
        """The memory before the first step: zeros."""
        return {name: {memory: np.zeros_like(w) for memory in self.remembers} for name, w in params.items()}


OPTIMIZERS: Mapping[str, Optimizer] = {
    "sgd": Optimizer(sgd),
    "momentum": Optimizer(momentum, ("velocity",)),
    "nesterov": Optimizer(nesterov, ("velocity",)),
    "rmsprop": Optimizer(rmsprop, ("square",)),
    "adam": Optimizer(adam, ("time", "mean", "square")),
}
