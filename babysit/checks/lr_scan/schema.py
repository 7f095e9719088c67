"""What can be set of `lr-scan`, and what it measures."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from babysit.check import setting
from babysit.checks.lr_scan.permutation_test import Exchange

STILL = 5  # updates at the sweep's start, in the lowest of its rates, that show what noise there is when nothing moves
# Spreads of that noise by which the loss must have risen to have blown up. It is known from few updates, and compared
# with many: 1 sweep in 100 of nothing but noise seems to blow up, which costs a few runs more.
NOISY = 4.0
SMOOTHED = 3  # updates, over whose mean it must have


@dataclass(frozen=True)
class Settings:
    """Settings of `lr-scan`."""

    low: float = setting(
        1e-6, "lowest learning rate; the lecture's 'loss barely changing'", above=0.0, option=True, measures=True
    )
    high: float = setting(
        10.0, "highest learning rate; widened where the best lies at an end", above=0.0, option=True, measures=True
    )
    per_decade: int = setting(2, "learning rates in each decade", least=1, most=10, measures=True)
    sweep: int = setting(20, "updates of the sweep that brackets the best rate", least=10, most=1000, measures=True)
    steps: int = setting(16, "updates at each learning rate", least=5, option=True, measures=True)
    examples: int = setting(512, "examples whose loss is compared before and after", least=4, measures=True)
    widen: int = setting(2, "times that the range may be widened by two decades, at either end", least=0, measures=True)
    sigmas: float = setting(
        3.0,
        "errors by which the loss must fall, in the run and in its repeat; they are widened for few batches, so that 3 "
        "are 1 chance in 740",
        above=0.0,
        measures=True,
    )
    known: float = setting(
        4.0,
        "errors by which targets of other inputs must raise the loss behind the best run; more than for a fall, since "
        "rare targets make losses skewed, and up to four looks are taken; so that a network that knows nothing passes "
        "by less than 1 chance in 740",
        above=0.0,
        measures=True,
    )
    usable: float = setting(
        0.05, "share of the best fall from where a rate is usable; at a twentieth, training takes 20 times as long",
        above=0.0, most=1.0, measures=True,
    )  # fmt: skip
    hopeless: float = setting(
        0.01, "share of the best fall below which the user's learning rate is an error: a hundred times as long",
        above=0.0, most=1.0,
    )  # fmt: skip
    explosion: float = setting(
        3.0, "multiple of the first loss that counts as diverged (CS231n, lecture 6)", above=1.0, measures=True
    )
    patience: int = setting(
        5,
        "times as many steps for what may need them: the user's learning rate, where it lies above the best and the "
        "loss has not fallen yet (optimizers may throw it up first), runs where nothing falls, and the last run where "
        "nothing of the inputs is known",
        least=1,
        measures=True,
    )
    recovered: float = setting(
        0.5, "share of the best fall that the user's learning rate has to reach in that time", above=0.0, most=1.0
    )
    climb: float = setting(
        0.05,
        "rise of the accuracy, beside a loss that hardly moves, that is explained; the lecture's goes from 0.1 to 0.2",
        above=0.0,
        most=1.0,
    )
    lasting: float = setting(
        0.1,
        "share of its fall by which the loss goes on falling in as many updates again, at a rate that lasts. Tuned, as "
        "the next, on the tuned half of benchmarks/tasks.py",
        above=0.0,
    )
    calm: float = setting(
        0.25, "share of the root below that the suggestion is lowered by at a rate that lasts; all of it at one that "
        "does not fall on", above=0.0, most=1.0,
    )  # fmt: skip
    horizon: int = setting(
        200,
        "updates of the training that the suggestion is for: the best constant rate falls with the square root of "
        "their number, at most (Nemirovski et al. 2009)",
        least=1,
        option=True,
    )
    plot: bool = setting(True, "show the scan", option=True)

    def __post_init__(self) -> None:
        """Hold the ends of the range against each other.

        Raises:
            ValueError: There is no range between them.
        """
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be less than high ({self.high:g})")


@dataclass(frozen=True)
class Trial:
    """One short run.

    Args:
        learning_rate: Its rate.
        loss: Mean loss afterwards; infinite or NaN where the run was ended by an explosion.
        fall: By how much the loss fell.
        error: Standard error of the fall, as `fall_error` widens it.
        score: The task's metric afterwards; NaN where there is none.
        steps: Updates made.
    """

    learning_rate: float
    loss: float
    fall: float
    error: float
    score: float
    steps: int


def falls(trial: Trial, sigmas: float) -> bool:
    """Whether the loss fell by more than its noise."""
    return math.isfinite(trial.loss) and trial.fall > sigmas * trial.error and trial.fall > 0


def best(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the lowest loss; None where every run exploded."""
    return min((t for t in trials if math.isfinite(t.loss)), key=lambda t: t.loss, default=None)


@dataclass(frozen=True)
class Sweep:
    """One run with a growing learning rate.

    Args:
        rates: The rate of each update.
        changes: By how much the batch's loss differed from what it was at the start, before that update.
        scatter: Spread of the batches' losses at the start.
    """

    rates: tuple[float, ...]
    changes: tuple[float, ...]
    scatter: float

    @property
    def blow_up(self) -> float:
        """The rate at which the loss has risen for good: not finite, or its smoothed change above three limits.

        These are the noise of updates that move nothing, the scatter of the batches' losses, and what the loss had
        fallen by before: what goes up beside a fall of some size may come down again. NaN where it never has.
        """
        still = [change for change in self.changes[:STILL] if math.isfinite(change)]
        limit = max(NOISY * statistics.pstdev(still or (0.0,)), self.scatter)
        for k, change in enumerate(self.changes):
            if not math.isfinite(change):
                return self.rates[k]
            if k + 1 >= SMOOTHED:
                smooth = sum(self.changes[k + 1 - SMOOTHED : k + 1]) / SMOOTHED
                if smooth > limit:
                    return self.rates[k + 2 - SMOOTHED]
                limit = max(limit, -smooth)
        return math.nan


@dataclass(frozen=True)
class Measurement:
    """Short runs from one state, in ascending order of the learning rate.

    Args:
        metric: Name of the task's metric.
        own: The user's own learning rate; one of the trials has it.
        examples: Examples whose loss is compared.
        first_loss: Their mean loss at the start.
        first_score: Their metric at the start.
        trials: The runs.
        repeats: A run on other batches for each rate that seemed the best, where the loss fell.
        updates: Updates that all runs made together.
        swept: The run with a growing rate that came first.
        onward: The repeat at the best rate, gone on for as many updates again.
        exchange: What exchanging the targets changes behind a run at the best rate; None where targets play no part.
        obstacle: What keeps every update from lowering the loss, where none does and that can be seen.
        longer: A longer run at the user's learning rate, where it lies above the best and the loss had not fallen.
        widened: Why the search went beyond a few runs below the blow-up; empty where it didn't.
        compared: Batches evaluated after each run.
    """

    metric: str
    own: float
    examples: int
    first_loss: float
    first_score: float
    trials: tuple[Trial, ...]
    repeats: tuple[Trial, ...]
    updates: int
    swept: Sweep | None = None
    onward: Trial | None = None
    exchange: Exchange | None = None
    obstacle: str = ""
    longer: Trial | None = None
    widened: str = ""
    compared: int = 0
