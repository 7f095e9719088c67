"""Is there a learning rate at which the loss falls, and is yours one?

Short runs from one saved state over learning rates in log space: too low and the loss hardly moves, too high and it
explodes; the useful range lies between (CS231n, lecture 6, "babysitting the learning process", step 4). A range is
named only where the loss falls by more than noise explains; the answer may be "none".
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from babysit.check import rule, setting
from babysit.errors import Skip
from babysit.report import Curve, Exhibit, Fact, Finding
from babysit.short_runs import Scan, Trial, best, beyond, compared_batches, grid, total_losses

if TYPE_CHECKING:
    from babysit.bench import Bench

ORDER = 90
BLOCKED_BY = (
    "state-not-restored",
    "ranks-diverge",
    "non-finite-loss",
    "step-changes-nothing",
    "task-mismatch",
)


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
    steps: int = setting(20, "updates at each learning rate", least=5, option=True, measures=True)
    examples: int = setting(256, "examples whose loss is compared before and after", least=4, measures=True)
    widen: int = setting(2, "times that the range may be widened by two decades, at either end", least=0, measures=True)
    sigmas: float = setting(
        3.0,
        "errors by which the loss must fall; they are widened for few batches and many rates, so that 3 are 1 chance "
        "in 740 for the whole scan",
        above=0.0,
    )
    usable: float = setting(
        0.05, "share of the best fall from where a rate is usable; at a twentieth, training takes 20 times as long",
        above=0.0, most=1.0,
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
        "times as many steps that the user's learning rate gets where it lies above the best and the loss has not "
        "fallen yet: optimizers may throw the loss up first and bring it down later",
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
    margin: float = setting(
        3.0,
        "how far below the best rate the suggestion lies: short runs prefer rates too high for long ones",
        least=1.0,
    )

    def __post_init__(self) -> None:
        """Hold the ends of the range against each other.

        Raises:
            ValueError: There is no range between them.
        """
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be less than high ({self.high:g})")


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
        updates: Steps that reported an update, of all runs together.
        longer: A longer run at the user's learning rate, where it lies above the best and the loss had not fallen.
    """

    metric: str
    own: float
    examples: int
    first_loss: float
    first_score: float
    trials: tuple[Trial, ...]
    updates: int
    longer: Trial | None = None


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Run at each rate of a log-spaced grid and at the user's own; widen where the best lies at an end."""
    from babysit import arrays, scores

    own = bench.trainer.learning_rate
    if own == 0:
        raise Skip("the learning rate is 0 at the start (a warm-up?), so there is nothing to scan around")
    scores.require_fit(bench)
    compared = compared_batches(bench, settings.examples)
    with bench.borrowed() as trainer:
        before, first_score = total_losses(trainer, compared)
    spaced = grid(settings.low, settings.high, settings.per_decade)
    rates = sorted([own, *(rate for rate in spaced if not math.isclose(rate, own))])
    scan = Scan(bench, compared, before, settings)
    scan.run(rates)
    for _ in range(settings.widen):
        scan.run(beyond(scan.trials, settings))
    trials = tuple(sorted(scan.trials, key=lambda t: t.learning_rate))
    return Measurement(
        metric=bench.task.metric,
        own=own,
        examples=sum(arrays.count(batch) for batch in compared),
        first_loss=sum(before) / len(before),
        first_score=first_score,
        trials=trials,
        updates=scan.updates,
        longer=scan.trial(own, settings.steps * settings.patience) if _seems_too_high(trials, own, settings) else None,
    )


def _seems_too_high(trials: tuple[Trial, ...], own: float, settings: Settings) -> bool:
    """Whether the user's rate lies above the best, and its loss stayed finite and fell by next to nothing."""
    top, mine = best_fall(trials, settings), next(t for t in trials if t.learning_rate == own)
    if top is None or own <= top.learning_rate or not math.isfinite(mine.loss):
        return False
    return mine.fall < settings.usable * top.fall


def falls(trial: Trial, settings: Settings) -> bool:
    """Whether the loss fell by more than its noise."""
    return math.isfinite(trial.loss) and trial.fall > settings.sigmas * trial.error and trial.fall > 0


def best_fall(trials: tuple[Trial, ...], settings: Settings) -> Trial | None:
    """The trial with the lowest loss of those whose loss fell by more than noise; None if none did."""
    return best(tuple(trial for trial in trials if falls(trial, settings)))


def usable_range(measured: Measurement, settings: Settings) -> tuple[Trial, ...]:
    """The trials around the best one at which the loss falls, by more than noise and by enough; empty if none does."""
    top = best_fall(measured.trials, settings)
    if top is None:
        return ()

    def good(trial: Trial) -> bool:
        return falls(trial, settings) and trial.fall >= settings.usable * top.fall

    middle = measured.trials.index(top)
    below = tuple(takewhile(good, reversed(measured.trials[:middle])))
    above = tuple(takewhile(good, measured.trials[middle + 1 :]))
    return (*reversed(below), top, *above)


def suggestion(measured: Measurement, settings: Settings) -> float:
    """A rate inside the usable range, below the best; NaN where there is none."""
    usable = usable_range(measured, settings)
    top = best_fall(measured.trials, settings)
    if not usable or top is None:
        return math.nan
    return max(usable[0].learning_rate, top.learning_rate / settings.margin)


def diverges_from(measured: Measurement, settings: Settings) -> float:
    """The lowest rate above the best at which the loss rises by more than noise, or explodes; NaN where none does."""
    top = best_fall(measured.trials, settings)
    above = [t for t in measured.trials if top is None or t.learning_rate > top.learning_rate]
    rising = (t.learning_rate for t in above if not math.isfinite(t.loss) or -t.fall > settings.sigmas * t.error)
    return next(rising, math.nan)


def _own_trial(measured: Measurement) -> Trial:
    unknown = Trial(measured.own, math.nan, math.nan, math.nan, math.nan, 0)
    return next((t for t in measured.trials if t.learning_rate == measured.own), unknown)


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """The scan, and what it answers."""
    usable = usable_range(measured, settings)
    own = _own_trial(measured)
    if usable:
        yield Fact("usable range", f"{usable[0].learning_rate:.2g} to {usable[-1].learning_rate:.2g}")
        yield Fact("suggestion", f"{suggestion(measured, settings):.2g}")
    else:
        yield Fact("usable range", "none")
    limit = diverges_from(measured, settings)
    yield Fact("the loss rises at and above", f"{limit:.2g}" if math.isfinite(limit) else "no rate tried")
    fell = f"{measured.first_loss:.4g} to {own.loss:.4g}" if math.isfinite(own.loss) else "the loss explodes"
    yield Fact(f"your learning rate, {measured.own:.3g}", f"{fell} in {own.steps} steps")
    marks = {"yours": measured.own}
    if usable:
        marks["suggestion"] = suggestion(measured, settings)
    finite = [t.loss for t in measured.trials if math.isfinite(t.loss)]
    yield Curve(
        f"loss after {settings.steps} steps",
        tuple(t.learning_rate for t in measured.trials),
        {"loss": tuple(t.loss if math.isfinite(t.loss) else math.nan for t in measured.trials)},
        x_label="learning rate",
        y_label="loss",
        log_x=True,
        log_y=bool(finite) and min(finite) > 0 and max(finite) > 10 * min(finite),
        marks=marks,
    )


def _decades(low: float, high: float) -> float:
    """How many factors of ten lie between two rates; NaN where one is none."""
    ratio = high / low if low else math.nan
    return math.log10(ratio) if 0 < ratio < math.inf else math.nan


@rule
def no_usable_learning_rate(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """At no learning rate does the loss fall.

    What it finds: in short runs from the same state over many decades of learning rates, the loss never falls by more
    than the difference between batches explains.

    Why it matters: if no learning rate works, the learning rate is not the problem: the gradient is zero, wrong or
    pointed elsewhere, the parameters aren't the model's, or the inputs say nothing about the targets.

    What to try: read `overfit` and `check-activations` first; compare the gradient with a numeric one.

    When it is wrong: a program that starts trained, at its floor; or one that needs more `steps` to leave a plateau.

    References: CS231n, lecture 6, "loss barely changing"; a scan must be able to answer "none".
    """
    if usable_range(measured, settings):
        return
    top = best(measured.trials)
    low, high = measured.trials[0].learning_rate, measured.trials[-1].learning_rate
    seen = "every run explodes" if top is None else f"the best run, at {top.learning_rate:.2g}, ends at {top.loss:.4g}"
    if not measured.updates:
        seen += "; no step reported an update"
    yield no_usable_learning_rate.error(
        f"from {low:.2g} to {high:.2g} the loss, {measured.first_loss:.4g}, falls nowhere by more than noise: {seen}.",
        suggestion="Leave the learning rate alone; find out why the gradient does not lower the loss.",
        low=low,
        high=high,
        first_loss=measured.first_loss,
        best_loss=top.loss if top else math.nan,
    )


@rule
def learning_rate_too_low(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The learning rate is too low for the loss to move.

    What it finds: at the user's learning rate the loss falls by less than a twentieth (warning) or a hundredth (error)
    of what a higher one reaches in as many steps.

    Why it matters: "loss barely changing: learning rate is probably too low". Training then takes 20 or 100 times as
    long as it need, and is usually given up before. Accuracy may climb all the same: each score moves a little, in the
    right direction, and accuracy counts only which one is largest, while the loss stays where it was.

    What to try: the suggestion, or a rate a factor of 3 to 10 below the one at which the loss explodes.

    When it is wrong: fine-tuning with a deliberately small rate, or a schedule that warms up from it.

    References: CS231n, lecture 6, slides on learning rate 1e-6 and its question "why did the accuracy rise to 20 %?".
    """
    usable, own, top = usable_range(measured, settings), _own_trial(measured), best_fall(measured.trials, settings)
    if not usable or top is None or own.learning_rate >= top.learning_rate or not math.isfinite(own.loss):
        return
    if own.fall >= settings.usable * top.fall:
        return
    find = learning_rate_too_low.error if own.fall < settings.hopeless * top.fall else learning_rate_too_low.warning
    climbed = ""
    if measured.metric == "accuracy" and own.score > measured.first_score + settings.climb:
        climbed = (
            f" Accuracy climbs from {measured.first_score:.2f} to {own.score:.2f} all the same: each score moves a "
            "little in the right direction, and accuracy counts only which is largest."
        )
    yield find(
        f"at {own.learning_rate:.3g} the loss hardly moves, from {measured.first_loss:.4g} to {own.loss:.4g} in "
        f"{own.steps} steps; at {top.learning_rate:.2g} it reaches {top.loss:.4g}.{climbed}",
        suggestion=f"Raise the learning rate to about {suggestion(measured, settings):.2g}.",
        learning_rate=own.learning_rate,
        suggestion_rate=suggestion(measured, settings),
        decades=_decades(own.learning_rate, suggestion(measured, settings)),
    )


@rule
def learning_rate_too_high(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The learning rate is too high for the loss to fall.

    What it finds: at the user's learning rate the loss explodes; or it hardly falls while it does at a lower one, and
    does not make up for that in five times as many steps.

    Why it matters: steps that are too long jump over the valley and up its other side; the loss explodes, or units are
    thrown to where no gradient reaches them and the loss stays high for good.

    What to try: the suggestion, or a rate a factor of 3 to 10 below the one at which the loss explodes.

    When it is wrong: programs that warm the learning rate up from much lower.

    References: CS231n, lecture 6, "cost: NaN almost always means high learning rate".
    """
    usable, own, top = usable_range(measured, settings), _own_trial(measured), best_fall(measured.trials, settings)
    if not usable or top is None or own.fall >= settings.usable * top.fall:
        return
    if own.learning_rate <= top.learning_rate and math.isfinite(own.loss):
        return
    if measured.longer is not None:
        own = measured.longer
        if own.fall >= settings.recovered * top.fall:
            return
    seen = f"goes from {measured.first_loss:.4g} to {own.loss:.4g}"
    yield learning_rate_too_high.error(
        f"at {own.learning_rate:.3g} the loss {seen if math.isfinite(own.loss) else 'explodes'} in {own.steps} steps; "
        f"at {top.learning_rate:.2g} it reaches {top.loss:.4g}.",
        suggestion=f"Lower the learning rate to about {suggestion(measured, settings):.2g}.",
        learning_rate=own.learning_rate,
        suggestion_rate=suggestion(measured, settings),
        decades=_decades(suggestion(measured, settings), own.learning_rate),
    )


@rule
def range_edge(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The best learning rate lies at the end of the range that was scanned.

    What it finds: after widening the range as often as allowed, the lowest loss is still that of the lowest or the
    highest learning rate tried.

    Why it matters: the lecture's warning for every search: when the best result is at the edge, there may be better
    ones beyond it. It also hints at updates of an odd size: a loss scaled up, a clipping limit that always acts.

    What to try: another range (`low`, `high`), and a look at how long the updates are.

    When it is wrong: where the range was narrowed on purpose.

    References: CS231n, lecture 6, hyperparameter search: "be careful with best values on border".
    """
    usable, top = usable_range(measured, settings), best_fall(measured.trials, settings)
    ends = (measured.trials[0].learning_rate, measured.trials[-1].learning_rate)
    if usable and top is not None and top.learning_rate in ends:
        yield range_edge.warning(
            f"the lowest loss, {top.loss:.4g}, is reached at {top.learning_rate:.2g}, the end of the range "
            f"{ends[0]:.2g} to {ends[1]:.2g}.",
            suggestion="Scan beyond that end, and look at how long the updates are.",
            learning_rate=top.learning_rate,
        )
