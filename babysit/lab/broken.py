"""Broken parts for `babysit.lab.faults`: small deviations from the healthy network and trainer, one mistake each."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from babysit.lab.layers import Array, Arrays, Cache
from babysit.lab.losses import Loss, softmax
from babysit.lab.network import Network
from babysit.lab.trainer import LabTrainer, quiet
from babysit.trainer import Batch, Output, State


@dataclass(frozen=True)
class Softmax:
    """Probabilities as a last layer, in front of a loss that takes the softmax itself."""

    kind: str = "softmax"

    def initial(self, _rng: np.random.Generator) -> dict[str, Array]:
        """Nothing to learn."""
        return {}

    def forward(self, x: Array, _own: Arrays, _training: bool) -> tuple[Array, Cache]:
        """(N, C) -> (N, C), rows that add up to 1."""
        probabilities = softmax(x)
        return probabilities, probabilities

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, dict[str, Array]]:
        """The Jacobian diag(p) - p p' applied to each row."""
        return cache * (dout - np.sum(dout * cache, axis=1, keepdims=True)), {}


def summed(loss: Loss) -> Loss:
    """The loss summed over examples where it should be their mean."""

    def total(scores: Array, targets: Array) -> tuple[float, Array]:
        mean, dscores = loss(scores, targets)
        return mean * len(targets), dscores * len(targets)

    return total


class RegularizationIgnored(Network):
    """States a strength that neither the loss nor the gradient uses."""

    def penalty(self, _scale: float = 1.0) -> float:
        """Nothing."""
        return 0.0

    def penalty_gradients(self, _scale: float = 1.0) -> dict[str, Array]:
        """Nothing."""
        return {}


class PenaltyMinusSign(Network):
    """Subtracts the penalty, so that larger weights lower the loss."""

    def penalty(self, scale: float = 1.0) -> float:
        """With the wrong sign."""
        return super().penalty(-scale)

    def penalty_gradients(self, scale: float = 1.0) -> dict[str, Array]:
        """With the same wrong sign."""
        return super().penalty_gradients(-scale)


class PenaltyWithoutGradient(Network):
    """Adds the penalty to the loss, and forgets it in the gradient."""

    def penalty_gradients(self, _scale: float = 1.0) -> dict[str, Array]:
        """Nothing."""
        return {}


class FrozenHead(LabTrainer):
    """Never gives the last layer to the optimizer."""

    def _update(self, gradients: Mapping[str, Array]) -> None:
        head = list(self.network.layers)[-1]
        super()._update({name: g for name, g in gradients.items() if not name.startswith(f"{head}.")})


class StepDoesNothing(LabTrainer):
    """Computes the gradients and leaves the parameters alone."""

    def _update(self, _gradients: Mapping[str, Array]) -> None:
        pass


class EvaluationMovesStatistics(LabTrainer):
    """Evaluates in training mode, so that batch norm takes the batch into its running statistics."""

    @quiet
    def evaluate(self, batch: Batch, *, training: bool = False) -> Output:  # noqa: ARG002  # that it is unused is the fault
        """Forward pass, always in training mode."""
        return self._forward(batch, training=True)[0]


class MomentumNotSaved(LabTrainer):
    """Saves the network and forgets the optimizer."""

    def save(self) -> State:
        """Everything but the optimizer's memory."""
        return {name: part for name, part in super().save().items() if name != "optimizer"}

    def load(self, state: State) -> None:
        """The memory stays as it is."""
        super().load({**state, "optimizer": self.memories})


def log_of_scores(scores: Array, targets: Array) -> tuple[float, Array]:
    """A cross-entropy that takes the scores, some of them negative, for probabilities."""
    rows = np.arange(len(targets))
    dscores = np.zeros_like(scores)
    dscores[rows, targets] = -1 / (len(targets) * scores[rows, targets])
    return float(-np.log(scores[rows, targets]).mean()), dscores
