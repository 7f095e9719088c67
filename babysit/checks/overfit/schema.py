"""What can be set of `overfit`, and what it measures."""

from dataclasses import dataclass
from enum import StrEnum

from babysit.check import setting
from babysit.measuring.treatments import Treated

LOW = 0.5  # of the best constant prediction's loss; label smoothing of 0.1 leaves 0.25 of it, a softmax too many 0.7


@dataclass(frozen=True)
class Settings:
    """Settings of `overfit`."""

    examples: int = setting(
        20,
        "examples to memorize (the lecture's number); fewer where it has less than two parameters a target, and "
        "where batches are small: four batches of them or 8 examples, or one batch where that holds as many targets",
        least=2,
        option=True,
        measures=True,
    )
    steps: int = setting(500, "updates at one learning rate, at most", least=10, option=True, measures=True)
    memorized: float = setting(
        0.02,
        "share of the best constant prediction's loss that may be left of examples that are memorized; for ten classes "
        "the right one then has a probability of 0.95. The metric must be as near to 1. What soft or contradictory "
        "targets leave in any case is not counted",
        above=0.0,
        most=0.5,
        measures=True,
    )
    window: int = setting(50, "steps over which progress is judged", least=5, measures=True)
    progress: float = setting(
        0.01,
        "relative fall of the loss that counts as progress; less than that over three windows together is a stall, and "
        "over one and a half where the slope of the log loss leaves no hope",
        above=0.0,
        measures=True,
    )
    explosion: float = setting(
        3.0, "multiple of the first loss that counts as diverged (CS231n, lecture 6)", above=1.0, measures=True
    )
    constant: float = setting(
        0.01,
        "variation of the predictions over the examples, in logits or in spreads of the targets, that counts as none: "
        "it moves a probability by at most 0.0025",
        above=0.0,
    )
    frozen: float = setting(
        0.1,
        "share of all parameter values, never moved, that is an error though the examples are memorized; less is a "
        "warning, as unused parts of pretrained networks are (BERT's pooler is 0.5 %)",
        above=0.0,
        most=1.0,
    )
    halfway: float = setting(
        0.5,
        "share of the best constant prediction's loss under which the loss is well on its way: slow is then a warning",
        above=0.0,
        most=1.0,
    )
    nearly: float = setting(
        0.1,
        "the same, under which it is as good as memorized, and only told: a decade of the loss is what 100 steps more "
        "commonly bring. An attempt that won't come so far, falling twice as fast as it does, is ended early",
        above=0.0,
        most=1.0,
        measures=True,
    )
    pressed: float = setting(
        0.9, "share of a squashed output's range that scores fill when they are pressed against it", above=0.0, most=1.0
    )
    beyond: float = setting(
        0.01, "share of the targets' range by which they must lie beyond what the output reaches", above=0.0, most=1.0
    )
    treatment: bool = setting(
        True,
        "where the user's learning rate fails, try others from the same start, and what else may cure it",
        option=True,
        measures=True,
    )


class Outcome(StrEnum):
    """How an attempt to memorize ended."""

    MEMORIZED = "memorized"
    AT_FLOOR = "at the floor"  # every prediction right, the loss flat above zero
    DIVERGED = "diverged"
    BY_LOSS_ALONE = "memorized in the loss alone"
    STALLED = "stalled"
    UNFINISHED = "unfinished"


LEARNED = (Outcome.MEMORIZED, Outcome.AT_FLOOR)


@dataclass(frozen=True)
class Attempt:
    """One attempt at one learning rate.

    Args:
        learning_rate: The rate.
        outcome: How it ended.
        losses: Loss before each update.
        score: The task's metric at the end; NaN where there is none.
    """

    learning_rate: float
    outcome: Outcome
    losses: tuple[float, ...]
    score: float

    def cures(self, constant_loss: float) -> bool:
        """Whether what it changed is a remedy: at a floor, only where that is a low one."""
        low = self.losses[-1] < LOW * constant_loss
        return self.outcome is Outcome.MEMORIZED or (self.outcome is Outcome.AT_FLOOR and low)


@dataclass(frozen=True)
class Measurement:
    """Attempts to memorize, the user's own learning rate first.

    Args:
        metric: Name of the task's metric.
        examples: Examples to memorize.
        constant_loss: Loss of the best constant prediction for them.
        squashed_loss: Least loss that scores between 0 and 1 leave, as behind a softmax or sigmoid; NaN where unknown.
        aim: Loss from where on they are memorized.
        attempts: The user's learning rate, then the ones tried since that failed.
        treated: What else was tried since that failed, at the user's learning rate.
        explained: The certain finding of an earlier check that explains the failure, so that nothing else was tried.
        frozen: Parameters that did not move in the first attempt.
        frozen_share: Their share of all parameter values.
        parameters: Number of named parameters; 0 where the trainer can't name them.
        variation: Spread of the predictions over the examples at the end of the first attempt, in logits or in
            spreads of the targets; NaN where there are no scores.
        least_score: Smallest score at the end of the first attempt.
        largest_score: Largest.
        least_target: Smallest target, for a regression; else NaN.
        largest_target: Largest.
    """

    metric: str
    examples: int
    constant_loss: float
    squashed_loss: float
    aim: float
    attempts: tuple[Attempt, ...]
    treated: tuple[Treated, ...]
    frozen: tuple[str, ...]
    frozen_share: float
    parameters: int
    variation: float
    least_score: float
    largest_score: float
    least_target: float
    largest_target: float
    explained: str = ""

    @property
    def own(self) -> Attempt:
        """The attempt at the user's learning rate."""
        return self.attempts[0]

    @property
    def cures(self) -> tuple[Attempt, ...]:
        """Other learning rates that memorized."""
        return tuple(a for a in self.attempts[1:] if a.cures(self.constant_loss))
