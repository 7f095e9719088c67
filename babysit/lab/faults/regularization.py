"""The demo broken on purpose: faults of the regularization."""

from dataclasses import replace

from babysit.lab.broken import (
    PenaltyMinusSign,
    PenaltyWithoutGradient,
    RegularizationIgnored,
)
from babysit.lab.demo import DESIGN, assemble
from babysit.lab.faults.fault import breaks
from babysit.lab.trainer import LabTrainer


@breaks("regularization-without-effect")
def regularization_ignored(seed: int = 0) -> LabTrainer:
    """A strength is stated, but neither the loss nor the gradient uses it."""
    return assemble(seed=seed, network=RegularizationIgnored)


@breaks("regularization-lowers-loss")
def penalty_minus_sign(seed: int = 0) -> LabTrainer:
    """The penalty is subtracted, so that larger weights look better."""
    return assemble(seed=seed, network=PenaltyMinusSign)


@breaks("regularization-dominates")
def penalty_too_strong(seed: int = 0) -> LabTrainer:
    """A strength of 1 makes the penalty's gradient outweigh that of the data by far."""
    return assemble(replace(DESIGN, l2=1.0), seed=seed, learning_rate=0.1, optimizer="momentum")


@breaks("decay-not-applied")
def penalty_without_gradient(seed: int = 0) -> LabTrainer:
    """The penalty is in the loss but missing from the gradient: it is reported and never acts."""
    return assemble(seed=seed, network=PenaltyWithoutGradient)
