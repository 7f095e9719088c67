"""Is there a learning rate at which the loss falls, and is yours one?

A sweep with a growing rate finds where the loss blows up; short runs below it, each from the saved state, find where it
falls furthest: too low and it hardly moves, too high and it explodes (CS231n, lecture 6, "babysitting the learning
process", step 4). A range is named only where the loss falls by more than noise explains, twice, on examples that the
runs did not train on, and where targets that belong to other inputs fit worse; the answer may be "none".
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from babysit.check import setting
from babysit.driving.budget import Needs, evaluations
from babysit.errors import Skip
from babysit.exchange import Exchange
from babysit.obstacles import obstacle
from babysit.rate_rules import learning_rate_too_high, learning_rate_too_low, no_usable_learning_rate, range_edge
from babysit.rate_search import BELOW, Search, Sweep, sweep
from babysit.report import Curve, Exhibit, Fact
from babysit.short_runs import FEW_TARGETS, Runs, Trial, most_compared
from babysit.usable_rates import confirmed, decades, diverges_from, own_trial, spread, suggestion, usable_range

if TYPE_CHECKING:
    from babysit.driving.bench import Bench

ORDER = 90
BLOCKED_BY = (
    "state-not-restored",
    "ranks-diverge",
    "non-finite-loss",
    "step-changes-nothing",
    "task-mismatch",
)
SAME_SCALE = (
    1.5  # times the first loss, that a chance loss may be; half of an error, or a weighted one, is another scale
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


RUNS = 9  # short ones, those that confirm the best among them, where the loss falls


def needs(settings: Settings, batch: int) -> Needs:
    """The sweep, the runs, and each one's examples evaluated ahead and behind."""
    usual = settings.sweep + RUNS * settings.steps + 2 * RUNS * evaluations(settings.examples, batch) / 2
    return Needs(0.9 * usual, usual)


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


MANY = 24  # batches, whose evaluation takes half as long as a run
UNSURE = "no rate was sure at first, so more of the data were compared"
EVERYWHERE = "no rate was sure at first, so every decade was tried, on all of the data"
LONGER = f"{EVERYWHERE}, and then longer runs"


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Sweep, search around a tenth of where the loss blows up, and everywhere if nothing falls there; then confirm."""
    from babysit import arrays
    from babysit.measuring import scores

    own = bench.trainer.learning_rate
    if own == 0:
        raise Skip("the learning rate is 0 at the start (a warm-up?), so there is nothing to scan around")
    scores.require_fit(bench)
    runs = Runs(bench, settings, targets=FEW_TARGETS)
    swept = sweep(runs, settings)
    runs, search, widened = _searched(runs, own, swept, settings)
    trials, repeats = search.trials, tuple(search.repeats.values())
    top = confirmed(trials, repeats, settings)
    return Measurement(
        metric=bench.task.metric,
        own=own,
        examples=sum(arrays.count(batch) for part in runs.parts for batch in part.compared),
        first_loss=runs.start,
        first_score=runs.score,
        trials=trials,
        repeats=repeats,
        updates=runs.updates,
        swept=swept,
        onward=search.onward[top.learning_rate] if top else None,
        exchange=_exchange(runs, search, top, settings) if top else None,
        obstacle="" if top else obstacle(runs, settings.high),
        longer=_longer(runs, trials, top, own, settings) if top else None,
        widened=widened,
        compared=sum(len(part.compared) for part in runs.parts),
    )


def _searched(runs: Runs, own: float, swept: Sweep, settings: Settings) -> tuple[Runs, Search, str]:
    """Runs around a tenth of the blow-up; where nothing falls, in every decade, crossed; longer ones; lower rates.

    Where a few targets don't make sure, more are compared before that.
    """
    blow_up = swept.blow_up if math.isfinite(swept.blow_up) else settings.high
    first = _about(runs, own, blow_up, settings)
    if first.is_sure() or not runs.updates:
        return runs, first, ""
    pool = runs.bench.pool()
    if most_compared(pool) > most_compared(pool, FEW_TARGETS):
        runs = Runs(runs.bench, settings, updates=runs.updates)
        first = _about(runs, own, blow_up, settings)
        if first.is_sure():
            return runs, first, UNSURE
    crossed = Runs(runs.bench, settings, crossed=True, updates=runs.updates)
    second = Search(crossed, own, settings)
    second.run(0)
    second.everywhere()
    second.around(second.middle)
    if second.confirms():
        return crossed, second, EVERYWHERE
    longer = Search(crossed, own, replace(settings, steps=settings.steps * settings.patience))
    longer.run(0)
    longer.around(second.middle * math.sqrt(10))  # higher rates are the first to leave a plateau
    if longer.confirms():
        return crossed, longer, LONGER
    return crossed, next((search for search in (second, longer) if search.confirms(lower=True)), second), LONGER


def _about(runs: Runs, own: float, blow_up: float, settings: Settings) -> Search:
    """The user's rate, and those around a tenth of the blow-up."""
    search = Search(runs, own, settings)
    search.run(0)
    if runs.updates:
        search.around(blow_up / BELOW)
    return search


def _exchange(runs: Runs, search: Search, top: Trial, settings: Settings) -> Exchange | None:
    """What the network knows of its inputs behind the repeated run; behind longer ones where that is nothing.

    Those are crossed, too, so that all of the pool is looked at.
    """
    rate = top.learning_rate
    found = search.exchanges[rate]
    if found is None or found.tells(settings.known):
        return found
    crossed = Runs(runs.bench, settings, crossed=True)
    looks = crossed.after(rate, (2 * top.steps, settings.patience * top.steps), again=True)
    known = [known for look in looks if (known := crossed.exchange(rate, look)) is not None]
    return max(known, key=lambda known: (known.tells(settings.known), known.updates), default=found)


def _longer(runs: Runs, trials: tuple[Trial, ...], top: Trial, own: float, settings: Settings) -> Trial | None:
    """A longer run at the user's rate, where that lies above the best and its loss fell by next to nothing."""
    mine = next(t for t in trials if t.learning_rate == own)
    if own <= top.learning_rate or not math.isfinite(mine.loss) or mine.fall >= settings.usable * top.fall:
        return None
    return runs.at(own, mine.steps * settings.patience)


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """The scan, and what it answers."""
    usable, advised = usable_range(measured, settings), suggestion(measured, settings)
    own = own_trial(measured)
    yield Fact("usable range", f"{usable[0]:.2g} to {usable[1]:.2g}" if usable else "none")
    if usable:
        yield Fact("suggestion", f"{advised:.2g}, for {settings.horizon} updates")
        yield Fact("confidence", f"{spread(measured, settings):.2f} decades between two runs on different batches")
    if measured.compared > MANY:
        yield Fact("compared", f"{measured.compared} batches after each run, since they hold few examples")
    if measured.widened:
        yield Fact("updates", f"{measured.updates}: {measured.widened}")
    limit = diverges_from(measured, settings)
    yield Fact("the loss rises at and above", f"{limit:.2g}" if math.isfinite(limit) else "no rate tried")
    fell = f"{measured.first_loss:.4g} to {own.loss:.4g}" if math.isfinite(own.loss) else "the loss explodes"
    yield Fact(f"your learning rate, {measured.own:.3g}", f"{fell} in {own.steps} steps{_distance(own, advised)}")
    if settings.plot:
        yield from _curves(measured, settings)


def _distance(own: Trial, advised: float) -> str:
    """How far the user's rate is from the suggestion, in words."""
    away = decades(advised, own.learning_rate)
    side = "above" if away > 0 else "below"
    return f", {abs(away):.1f} decades {side} the suggestion" if math.isfinite(away) else ""


def _curves(measured: Measurement, settings: Settings) -> Iterator[Curve]:
    """The loss after each run, with what its rates are good for."""
    usable = usable_range(measured, settings)
    marks, bands = {"yours": measured.own}, {}
    rates = tuple(t.learning_rate for t in measured.trials)
    if usable:
        marks["suggestion"] = suggestion(measured, settings)
        limit = diverges_from(measured, settings)
        bands = {"too low": (min(rates[0], usable[0] / 10), usable[0]), "usable": usable}
        bands |= {"too high": (limit, max(rates[-1], limit * 10))} if math.isfinite(limit) else {}
    finite = [t.loss for t in measured.trials if math.isfinite(t.loss)]
    yield Curve(
        f"loss after {max((t.steps for t in measured.trials), default=0)} updates",
        rates,
        {"loss": tuple(t.loss if math.isfinite(t.loss) else math.nan for t in measured.trials)},
        x_label="learning rate",
        y_label="loss",
        log_x=True,
        log_y=bool(finite) and min(finite) > 0 and max(finite) > 10 * min(finite),
        marks=marks,
        bands=bands,
    )


RULES = (no_usable_learning_rate, learning_rate_too_low, learning_rate_too_high, range_edge)
