"""What can be set of `check-target`, and what it measures."""

import math
from dataclasses import dataclass

from babysit.check import setting


@dataclass(frozen=True)
class Settings:
    """Settings of `check-target`."""

    steps: int = setting(4, "updates on one batch, made twice from one saved state", least=2, measures=True)
    tolerance: float = setting(
        1e-4,
        "relative gap between two evaluations that counts as different, and share of what the steps move (of a tenth "
        "of the loss at least) for two replays; float32 sums in another order differ by about 1e-6",
        above=0.0,
    )


@dataclass(frozen=True)
class Measurement:
    """What driving the program a few steps, twice, has shown.

    Args:
        examples: Examples in the batch used.
        learning_rate: The user's learning rate.
        evaluation_changed: Names in the state that an evaluation (evaluation mode) changed.
        training_evaluation_changed: The same for an evaluation in training mode.
        reseeded_losses: Losses in evaluation mode, each with the global generators seeded otherwise.
        unregularized_losses: The same with all regularization off; empty where the generators make no difference.
        evaluation_losses: Losses of one batch, evaluated again and again in evaluation mode.
        parameters: Number of named arrays that a step could move.
        moved: How many of them the steps moved.
        gradients_zero: Whether every gradient is zero, where no parameter moved.
        steps_skipped: Steps that said they updated nothing.
        not_restored: Names that differ after `load` from what was saved.
        aliased: "save" or "load" where a state that was saved, or loaded, changes as the trainer steps; else empty.
        first_losses: Loss before each step.
        replayed_losses: The same after `load`.
        output_problem: What is wrong with scores or penalty; empty if nothing is.
        placement: Where states are saved, if not beside the program's own, and why; empty otherwise.
    """

    examples: int
    learning_rate: float
    evaluation_changed: tuple[str, ...]
    training_evaluation_changed: tuple[str, ...]
    reseeded_losses: tuple[float, ...]
    unregularized_losses: tuple[float, ...]
    evaluation_losses: tuple[float, ...]
    parameters: int
    moved: int
    gradients_zero: bool
    steps_skipped: int
    not_restored: tuple[str, ...]
    aliased: str
    first_losses: tuple[float, ...]
    replayed_losses: tuple[float, ...]
    output_problem: str
    placement: str = ""


def relative_gap(a: float, b: float) -> float:
    """The relative gap; 0 for two NaN, infinite for one."""
    if math.isfinite(a) and math.isfinite(b):
        return abs(a - b) / max(abs(a), abs(b), 1e-30)
    return 0.0 if str(a) == str(b) else math.inf
