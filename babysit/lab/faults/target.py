"""The demo broken on purpose: faults of the program itself: state, steps and evaluations."""

from dataclasses import replace

from babysit.lab.broken import (
    EvaluationMovesStatistics,
    MomentumNotSaved,
    StepDoesNothing,
)
from babysit.lab.demo import DESIGN, assemble
from babysit.lab.faults.fault import breaks
from babysit.lab.trainer import LabTrainer


@breaks("evaluate-changes-state")
def evaluation_moves_statistics(seed: int = 0) -> LabTrainer:
    """Evaluation runs in training mode, so that batch norm takes validation data into its running statistics."""
    return assemble(replace(DESIGN, batch_norm=True), seed=seed, trainer=EvaluationMovesStatistics)


@breaks("state-not-restored")
def momentum_not_saved(seed: int = 0) -> LabTrainer:
    """The checkpoint holds the network without the optimizer's momentum."""
    return assemble(seed=seed, trainer=MomentumNotSaved, learning_rate=0.1, optimizer="momentum")


@breaks("step-changes-nothing")
def step_does_nothing(seed: int = 0) -> LabTrainer:
    """Gradients are computed, and the update is forgotten."""
    return assemble(seed=seed, trainer=StepDoesNothing)
