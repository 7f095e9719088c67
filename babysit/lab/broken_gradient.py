"""Broken backward passes for `babysit.lab.faults`: one mistake each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from babysit.lab.layers import Array, Arrays, Cache
from babysit.lab.losses import Loss
from babysit.lab.trainer import LabTrainer, quiet
from babysit.trainer import Batch, Output, State


@dataclass(frozen=True)
class MaskedByGradient:
    """A ReLU whose backward pass asks whether the gradient is positive, where it should ask the input."""

    kind: str = "relu"

    def initial(self, _rng: np.random.Generator) -> dict[str, Array]:
        """Nothing to learn."""
        return {}

    def forward(self, x: Array, _own: Arrays, _training: bool) -> tuple[Array, Cache]:
        """Any shape -> the same shape."""
        return np.maximum(0, x), None

    def backward(self, dout: Array, _cache: Cache) -> tuple[Array, dict[str, Array]]:
        """Through the wrong mask."""
        return dout * (dout > 0), {}


@dataclass(frozen=True)
class Detached:
    """Hands numbers on and no gradient back."""

    kind: str = ""

    def initial(self, _rng: np.random.Generator) -> dict[str, Array]:
        """Nothing to learn."""
        return {}

    def forward(self, x: Array, _own: Arrays, _training: bool) -> tuple[Array, Cache]:
        """Any shape -> the same array."""
        return x, None

    def backward(self, dout: Array, _cache: Cache) -> tuple[Array, dict[str, Array]]:
        """Zeros."""
        return np.zeros_like(dout), {}


def not_averaged(loss: Loss) -> Loss:
    """The loss as it is, a mean over examples, and the gradient of their sum."""

    def wrong(scores: Array, targets: np.ndarray[Any, Any]) -> tuple[float, Array]:
        mean, dscores = loss(scores, targets)
        return mean, dscores * len(targets)

    return wrong


class NeverCleared(LabTrainer):
    """Adds each step's gradients to those of all steps before."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sums: Mapping[str, Array] = {name: np.zeros_like(w) for name, w in self.network.params.items()}

    @quiet
    def step(self, batch: Batch) -> Output:
        """One update, by the sums."""
        output, gradients = self._gradients(batch)
        self.sums = {name: self.sums[name] + gradient for name, gradient in gradients.items()}
        self._last_gradients = dict(self.sums)
        self._update(self.sums)
        return output

    def save(self) -> State:
        """The sums as well."""
        return {**super().save(), "sums": {name: total.copy() for name, total in self.sums.items()}}

    def load(self, state: State) -> None:
        """Put them back, too."""
        super().load({name: part for name, part in state.items() if name != "sums"})
        self.sums = {name: total.copy() for name, total in state["sums"].items()}
