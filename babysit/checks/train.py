"""Does a short run of training go as it should?

A monitored run at the user's own settings, on what the program's own loader gives (CS231n, course notes "neural
networks 3", "babysitting the learning process"): the loss of every update and, at some moments, loss and metric of
both splits, how far each update moves the weights, the gradients, dead and saturated units. It ends early where the
loss passes three times what it began with, and behind two thirds of the updates where all goes well. Where it comes to
nothing, short runs from the same start show what cures it: other rates, no regularization, standardized inputs, weights
drawn anew, plain gradients. `--record FILE` keeps all of it, a JSON object a line, while the run goes.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from babysit.check import setting
from babysit.curve_rules import (
    loss_diverges,
    loss_not_falling,
    loss_plateau,
    noisy_loss,
    ratio,
    slow_start,
    update_ratio_out_of_range,
)
from babysit.driving.budget import Needs, evaluations
from babysit.errors import OverBudget
from babysit.explains import explained_by
from babysit.gap_rules import loss_flat_accuracy_rising, loss_metric_disagree, overfitting_gap, underfitting
from babysit.measuring import curves
from babysit.measuring.split_sample import Ignorance
from babysit.measuring.treatments import Treated
from babysit.monitoring import LOOKS, Run, Weights
from babysit.report import Exhibit, Fact, Severity, Table
from babysit.settled import WELL

if TYPE_CHECKING:
    from babysit.driving.bench import Bench

ORDER = 100
BLOCKED_BY = ("state-not-restored", "ranks-diverge", "non-finite-loss", "step-changes-nothing", "task-mismatch")
ROWS = 10  # of a table of parameters or layers
RATIO = 1e-3  # the update over the weights that the course notes want to see
RULES = (
    loss_diverges,
    loss_not_falling,
    slow_start,
    loss_plateau,
    noisy_loss,
    update_ratio_out_of_range,
    overfitting_gap,
    underfitting,
    loss_metric_disagree,
    loss_flat_accuracy_rising,
)


@dataclass(frozen=True)
class Settings:
    """Settings of `train`."""

    steps: int = setting(
        300,
        "updates of the run; means over 20 of them then draw a curve of 15 points, and small networks are past their "
        "first steep fall. A run that goes well by then ends behind two thirds of them",
        least=1,
        option=True,
        measures=True,
    )
    epochs: int = setting(
        0,
        "passes through the training data, in place of `steps`; 0 to go by those. The loader is gone through once "
        "more, to count its batches",
        least=0,
        option=True,
        measures=True,
    )
    record: str = setting(
        "", "file for the record of the run, JSON lines, overwritten; none where empty", option=True, measures=True
    )
    treatment: bool = setting(
        True,
        "where the run comes to nothing, try from the same start what may cure it",
        option=True,
        measures=True,
    )
    treated: int = setting(
        100,
        "updates under one treatment; what cures a run shows in its first steep fall, a third of the run",
        least=10,
        measures=True,
    )
    examples: int = setting(
        512,
        "examples of each split that are looked at in evaluation mode, in whole batches, 24 at most; an accuracy is "
        "then known to 2 %, one standard error",
        least=2,
        measures=True,
    )
    explosion: float = setting(
        3.0,
        "multiple of the first loss (of what it costs to know nothing, if that is more) where the run is given up "
        "(CS231n, lecture 6: 'if cost > 3 * original cost, break')",
        above=1.0,
        measures=True,
    )
    sigmas: float = setting(
        3.0,
        "standard errors that noise explains; a normal variable is further off once in 370 times, and a curve of "
        "normal noise falls once in 100 times at most; one of heavier tails more often, which keeps findings back",
        above=0.0, measures=True,
    )  # fmt: skip
    little: float = setting(
        0.05,
        "share of the loss under which a fall has to show in the metric or on the validation split: a few examples "
        "learned by heart lower the training loss as much",
        above=0.0,
        most=1.0,
    )
    nothing: float = setting(
        0.01,
        "the same where neither metric nor validation split could show it: a hundredth is 'barely changing'",
        above=0.0,
        most=1.0,
    )
    trained: float = setting(
        0.1,
        "share of the loss by which the start lies below what it costs to know nothing, from where on the program is "
        "taken to start trained, and may stand still",
        above=0.0,
    )
    straight: float = setting(
        0.35,
        "share of the run behind which half of the fall has come, from where on it is no curve that levels out; a "
        "straight line has 0.5, and a decay that covers half of the way 0.42",
        above=0.0,
        most=1.0,
        measures=True,
    )
    covered: float = setting(
        0.5,
        "share of the loss that a fall in a straight line has to cover, or the run is too slow: another as long would "
        "still not do",
        above=0.0,
        most=1.0,
    )
    slow: float = setting(
        0.2,
        "share of the run before the first tenth of the fall, from where on the start is slow; a straight line has "
        "0.1, and curves that level out less",
        above=0.0,
        most=1.0,
        measures=True,
    )
    drop: float = setting(
        0.2,
        "share of the first loss that makes a fall a clear one, beyond noise in any case",
        above=0.0,
        most=1.0,
        measures=True,
    )
    warmed: float = setting(
        0.5,
        "power of the number of updates by which updates outgrow their gradients until the loss drops: 1 in a linear "
        "warm-up of the learning rate, 0 at a constant one",
        above=0.0,
    )
    flat: float = setting(
        0.1,
        "share of the loss that the second half of the run brings at most, noise included, where it is flat",
        above=0.0,
        most=1.0,
        measures=True,
    )
    high: float = setting(
        0.1,
        "share of what it costs to know nothing, above which a flat loss may be stuck",
        above=0.0,
        most=1.0,
        measures=True,
    )
    cured: float = setting(
        0.5,
        "share of the loss that must go within a fifth of the run at a tenth of the learning rate, from where on the "
        "rate was too high: more than all else that the network lacks. Noise of the updates, which is in proportion "
        "to the rate, then makes most of the loss",
        above=0.0,
        most=1.0,
    )
    drowned: float = setting(
        1.0,
        "spread of single losses, as a share of the whole fall, from where on noise hides it: no single loss then "
        "tells the end of the run from its start",
        above=0.0,
    )
    small_batch: int = setting(16, "examples up to which a batch is small, and its loss noisy for that", least=1)
    large_ratio: float = setting(
        0.1,
        "median of update over weights that earns a warning; the notes want about 1e-3, and small healthy networks "
        "under Adam reach 0.05",
        above=0.0,
        measures=True,
    )
    absurd_ratio: float = setting(
        0.5, "the same, for an error: half of the weights are new with each update", above=0.0
    )
    grown: float = setting(
        1000.0,
        "times its own norm at the start, for a weight matrix that began no smaller than others, for an error: weights "
        "drawn for their layer need not grow by more than a small factor, those drawn a hundred times too small, as "
        "normals of spread 0.001 are in layers of 100, not by more than that and a small factor",
        above=1.0,
    )
    small_ratio: float = setting(
        1e-6,
        "largest such median of all weight matrices that earns a warning; fine-tuning goes down to 1e-5, and at 1e-6 "
        "a weight needs a million updates to change",
        above=0.0,
    )
    tiny_ratio: float = setting(
        1e-7, "the same, for an error where the loss doesn't fall: the resolution of single precision", above=0.0
    )
    carried: float = setting(
        0.1,
        "share of the training split's gain over knowing nothing that has to show on the validation split in the "
        "second half of the run",
        above=0.0,
        most=1.0,
    )
    power: float = setting(
        4.0,
        "standard errors of the validation split that such a gain must amount to, so that it could not be missed there",
        above=0.0,
    )
    mixed: float = setting(
        0.5,
        "what it costs to know nothing on the validation part, as a share of that on the training part, under which it "
        "holds hardly more than one class, as the first examples of a split in order do, and tells little of the rest",
        above=0.0,
        most=1.0,
    )
    agree: float = setting(
        2.0, "standard errors by which the training metric has to bear out the gain in the loss", above=0.0
    )
    gap: float = setting(
        0.2,
        "training metric less validation metric that is a wide gap; the notes' picture of strong overfitting has more",
        above=0.0,
        most=1.0,
    )
    far: float = setting(0.9, "training metric under which a network without a gap could take more capacity",
        above=0.0, most=1.0,
    )  # fmt: skip
    disagree: float = setting(
        0.2,
        "share of what it costs to know nothing by which the loss falls below that, from where on the metric has to "
        "show it",
        above=0.0,
        most=1.0,
    )
    far_apart: float = setting(
        0.5,
        "the same, for an error: predictions that have half of the loss of knowing nothing and are right no more often "
        "are answers to another question",
        above=0.0,
        most=1.0,
    )
    even: float = setting(
        0.6,
        "accuracy of always answering the commonest class, above which accuracy is blind: a classifier can know much "
        "of rare classes and still never name one",
        above=0.0,
        most=1.0,
    )
    climb: float = setting(
        0.1, "rise of the accuracy, beside a loss that hardly moves, that is told; the lecture's goes from 0.1 to 0.2",
        above=0.0, most=1.0,
    )  # fmt: skip


LEAST_STEPS = 60  # in which means over 20 updates make three points, the least that a course has
WATCHED = 1.1  # times the updates: traces, and sometimes further updates at a tenth of the rate


def needs(settings: Settings, batch: int) -> Needs:
    """The updates, watched, and the evaluations of both splits at a dozen moments."""
    looks = 2 * len(LOOKS) * evaluations(settings.examples, batch)
    return Needs(*(WATCHED * steps + looks for steps in (min(LEAST_STEPS, settings.steps), settings.steps)))


def shortened(settings: Settings, steps: float, batch: int) -> Settings:
    """With fewer updates, where it doesn't go by epochs; without treatments where there is no room for them."""
    room = (steps - 2 * len(LOOKS) * evaluations(settings.examples, batch)) / WATCHED
    fewer = settings if settings.epochs else replace(settings, steps=max(1, int(min(settings.steps, room))))
    return fewer if room >= fewer.steps + 6 * settings.treated else replace(fewer, treatment=False)


@dataclass(frozen=True)
class Measurement:
    """A monitored run.

    Args:
        metric: Name of the task's metric.
        learning_rate: The user's.
        asked: Updates asked for; 0 where the budget was in epochs.
        run: What was seen.
        train: What is reached on the training part without knowing anything.
        val: The same on the validation part.
        treated: What was tried from the same start where the run came to nothing.
        explained: The certain finding of an earlier check that explains it, so that nothing was tried.
    """

    metric: str
    learning_rate: float
    asked: int
    run: Run
    train: Ignorance
    val: Ignorance
    treated: tuple[Treated, ...] = ()
    explained: str = ""


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Watch the run; where it ends flat, go on for a bit at a tenth of the learning rate; where it fails, treat it."""
    from babysit.measuring import scores
    from babysit.monitoring import monitored
    from babysit.treated_runs import treated_runs

    scores.require_fit(bench)
    run, train, val = monitored(bench, settings)
    asked = 0 if settings.epochs else settings.steps
    measured = Measurement(bench.task.metric, bench.trainer.learning_rate, asked, run, train, val)
    found = (*loss_diverges(measured, settings), *loss_not_falling(measured, settings))
    failures = {finding.rule for finding in found if finding.severity is Severity.ERROR}
    if not (settings.treatment and run.losses and failures):
        return measured
    if explained := explained_by(bench.known, failures):
        return replace(measured, explained=explained)
    treated: list[Treated] = []
    with contextlib.suppress(OverBudget):  # the program's own run has its verdict
        for one in treated_runs(bench, settings, run.losses, train):
            treated.append(one)
    return replace(measured, treated=tuple(treated))


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """The curves, what moved by how much, and what it took."""
    yield from _facts(measured)
    run = measured.run
    yield curves.drawn(run.losses, run.moments)
    yield from curves.scores_drawn(measured.metric, run.moments)
    if run.weights:
        yield Table("updates over weights", ("parameter", "norm", "update / weight", "gradient"), _moved(run))
    if run.units:
        yield Table("nonlinearities", ("layer", "kind", "dead", "saturated"), _units(run))


def _facts(measured: Measurement) -> Iterator[Fact]:
    run, val = measured.run, measured.val.examples > 0
    passes = f", {run.calls / run.batches:.1f} passes of {run.batches} batches" if run.batches else ""
    early = len(run.losses) < measured.asked
    asked = f" of {measured.asked}" if early else ""
    ended = "; all went well by then" if early and run.ended == WELL else ""
    yield Fact(
        "updates", f"{len(run.losses)}{asked} in {run.calls} steps{passes}, {run.batch_size} examples each{ended}"
    )
    yield Fact("to know nothing costs", f"{measured.train.loss:.4g}{f' / {measured.val.loss:.4g}' * val}")
    for last in run.moments[-1:]:
        yield Fact("loss at the end", f"{last.loss:.4g}{f' / {last.val_loss:.4g} on the validation split' * val}")
    if run.slower:
        after = curves.mean(run.slower[-curves.WINDOW :])
        yield Fact("at a tenth of the rate", f"{after:.4g} after {len(run.slower)} more updates")
    if measured.explained:
        yield Fact("not treated", f"{measured.explained} explains it")
    for treated in measured.treated:
        yield Fact(f"tried {treated.treatment}", str(treated))


def _course(values: tuple[float, ...], form: str) -> str:
    known = [v for v in values if math.isfinite(v)]
    return f"{known[0]:{form}} -> {known[-1]:{form}}" if known else "-"


def _moved(run: Run) -> tuple[tuple[str, ...], ...]:
    """The parameters whose updates are the furthest from the notes' 1e-3, matrices first, in their own order."""

    def distance(w: Weights) -> tuple[bool, float]:
        found = ratio(w)
        return w.axes > 1, abs(math.log(found / RATIO)) if 0 < found < math.inf else math.inf

    chosen = sorted(run.weights, key=distance, reverse=True)[:ROWS]
    rows = [w for w in run.weights if w in chosen]
    return tuple((w.name, _course(w.norms, ".3g"), f"{ratio(w):.1e}", _course(w.gradients, ".1e")) for w in rows)


def _units(run: Run) -> tuple[tuple[str, ...], ...]:
    """The layers with the largest shares, in their own order."""
    chosen = sorted(run.units, key=lambda u: max((*u.dead, *u.saturated), default=0.0), reverse=True)[:ROWS]
    rows = [u for u in run.units if u in chosen]
    shares = ((u, _course(u.dead, ".0%"), _course(u.saturated, ".0%")) for u in rows)
    return tuple(
        (u.name, u.kind, dead if u.kind == "relu" else "-", "-" if u.kind == "relu" else full)
        for u, dead, full in shares
    )
