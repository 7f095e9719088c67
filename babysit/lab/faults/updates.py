"""The demo broken on purpose: faults of the updates."""

from dataclasses import replace

from babysit.lab.broken import (
    FrozenHead,
)
from babysit.lab.demo import DESIGN, assemble
from babysit.lab.faults.fault import breaks
from babysit.lab.trainer import LabTrainer


@breaks("learning-rate-too-low")
def learning_rate_too_low(seed: int = 0) -> LabTrainer:
    """At 1e-6, the lecture's own example, the loss hardly moves."""
    return assemble(seed=seed, learning_rate=1e-6)


@breaks("learning-rate-too-high")
def learning_rate_too_high(seed: int = 0) -> LabTrainer:
    """At 100 with momentum the loss blows up within a few steps."""
    return assemble(replace(DESIGN, activation="leaky-relu"), seed=seed, learning_rate=100.0, optimizer="momentum")


@breaks("frozen-parameters")
def frozen_layer(seed: int = 0) -> LabTrainer:
    """The last layer, a new head on an old network, was never given to the optimizer."""
    return assemble(seed=seed, trainer=FrozenHead, learning_rate=0.3, optimizer="momentum")
