"""Do verdicts that rest on samples raise false alarms as rarely as is stated?

    python benchmarks/false_alarms.py [--small] [--output docs/false-alarms.md]

Each row draws what has no effect: losses of pure noise, splits of one source, targets that no prediction knows, trials
of a hyperparameter that does nothing; and asks babysit's own functions and rules for their verdict, at their default
settings where nothing else is said. What is stated is read from the setting's own words, or is the constant that the
code names. A dash is a verdict of which no rate is stated.

Some rates are too small to be met, once in a billion times. Such a test is measured at a level at which it can be, too,
since what it computes is a level or a normal deviate: 1 in 100, or 3 standard errors.

Ends with 1 where a rate exceeds what is stated by more than chance explains: as many alarms or more come less than once
in 1,000 times at the rate that is stated, by the binomial law.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
from numpy.random import Generator
from scipy.stats import binom

from babysit.checks import check_activations, check_data, check_loss, check_parallel, lr_scan, search, train
from babysit.checks.check_data import leaks
from babysit.checks.check_data.input_rules import per_batch_preprocessing
from babysit.checks.check_data.label_rules import missing_classes, unshuffled_batches
from babysit.checks.check_data.split_comparison import LEVEL, compared
from babysit.checks.check_data.split_rules import split_statistics_differ
from babysit.checks.check_data.statistics.features import Features
from babysit.checks.check_data.statistics.labels import BatchOrder, LabelCounts
from babysit.checks.lr_scan.permutation_test import exchange, with_exchanged_targets
from babysit.checks.lr_scan.schema import Sweep, Trial, falls
from babysit.checks.lr_scan.usable_rates import confirmed, leading
from babysit.checks.search.rules import best_at_edge, one_seed_winner
from babysit.checks.train.gains import gains
from babysit.checks.train.schema import Moment
from babysit.measuring import curves, scores
from babysit.measuring.losses import mean_loss, standard_error
from babysit.measuring.significance import fall_error, normal_tail
from babysit.measuring.split_sample import Ignorance
from babysit.measuring.unit_statistics import LayerSummary
from babysit.report import Severity
from babysit.search.space import ALARM, LEADERS, Parameter, leaning
from babysit.search.stages import again, coarse, fine, grid
from babysit.search.trials import Outcome
from babysit.search.trials import Trial as Tried
from babysit.tasks.task import Classification, Regression, Task

optuna.logging.set_verbosity(optuna.logging.WARNING)
SURE = 1e-3  # chance at which so many alarms are more than the rate that is stated explains
SMALL = 50  # times fewer trials, for CI
SAID = re.compile(r"\b(?:1|once)(?: chance| false alarm)? in (?:a )?([\d,]+|billion)")
MEASURABLE = 0.01  # a level that can be met, in place of 1 in a million
BLOWN_UP = 1 / 50  # by rate_search.NOISY
CURVES = 1 / 100  # by train.sigmas, of normal noise
HALVES = 1 / 92_378  # by targets.ENOUGH
AGREEING = 2.0**-49  # by leaks.FEWEST
OWN = 1e-6  # by splits.OWN
ABSENT = 1e-6  # of a class, by check_data.Measurement.telling
Array = np.ndarray
Drawn = Callable[[Generator], bool]


def said(check: Any, name: str) -> float:
    """The rate in the words of a setting; NaN where they name none."""
    words = next(field.metadata["doc"] for field in fields(check.Settings) if field.name == name)
    found = SAID.search(words)
    if found is None:
        return math.nan
    return 1e-9 if found[1] == "billion" else 1 / float(found[1].replace(",", ""))


@dataclass(frozen=True)
class Row:
    """One verdict in one situation.

    Args:
        verdict: What is judged.
        drawn: What is drawn.
        place: Where the rate is stated.
        stated: The rate; NaN where none is.
        alarm: Draws once, and says whether an alarm was raised.
        trials: How often.
    """

    verdict: str
    drawn: str
    place: str
    stated: float
    alarm: Drawn
    trials: int


# Learning rates


def run_of(rate: float, before: Array, after: Array) -> Trial:
    """A short run that took the losses of some batches from these to those."""
    one, other = before.tolist(), after.tolist()
    fall = float(np.mean(before) - np.mean(after))
    return Trial(rate, float(np.mean(after)), fall, fall_error(one, other), math.nan, 16)


def false_fall(batches: int) -> Drawn:
    """Normal noise of losses, before and after a run that changes nothing."""
    settings = lr_scan.Settings()

    def alarm(draw: Generator) -> bool:
        before, after = 2 + 0.3 * draw.standard_normal((2, batches))
        return falls(run_of(0.1, before, after), settings.sigmas)

    return alarm


def confirmed_fall(batches: int, rates: int = 7) -> Drawn:
    """The same for the best of several rates, and again in repeats of whichever leads, until one is confirmed."""
    settings = lr_scan.Settings()

    def alarm(draw: Generator) -> bool:
        before, *after = 2 + 0.3 * draw.standard_normal((1 + rates, batches))
        runs, repeats = [run_of(10.0**k, before, losses) for k, losses in enumerate(after)], []
        while (top := leading(runs, repeats, settings)) is not None and confirmed(runs, repeats, settings) is None:
            repeats.append(run_of(top.learning_rate, before, 2 + 0.3 * draw.standard_normal(batches)))
        return confirmed(runs, repeats, settings) is not None

    return alarm


def blow_up(noise: float, spread: float) -> Drawn:
    """Losses of batches that differ by this spread, and come with this noise at each look; updates move nothing."""
    steps = lr_scan.Settings().sweep

    def alarm(draw: Generator) -> bool:
        levels = spread * draw.standard_normal(steps)
        first, later = levels + noise * draw.standard_normal((2, steps))
        sweep = Sweep(tuple(range(1, steps + 1)), tuple((later - first).tolist()), float(np.std(first)))
        return math.isfinite(sweep.blow_up)

    return alarm


def softmax_losses(logits: Array, labels: Array) -> Array:
    """Of each example."""
    return np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]


def squared_losses(predictions: Array, targets: Array) -> Array:
    """Of each example."""
    return (predictions - targets) ** 2


def of_classes(shares: Sequence[float]) -> Callable:
    """Labels of these shares; scores know the shares, and nothing of the inputs."""

    def targets(draw: Generator, n: int) -> tuple[Array, Array, Callable]:
        scores_ = np.log(shares) + draw.standard_normal((n, len(shares)))
        return scores_, draw.choice(len(shares), size=n, p=shares), softmax_losses

    return targets


def heavy_tailed(draw: Generator, n: int) -> tuple[Array, Array, Callable]:
    """Targets by Student's t with 2 degrees of freedom, and predictions beside them, under squared error."""
    return draw.standard_normal(n), draw.standard_t(2, size=n), squared_losses


def knows(targets: Callable, size: int, batches: int, looks: int = 1) -> Drawn:
    """Predictions that have nothing to do with the inputs, looked at so many times, each time anew."""
    settings = lr_scan.Settings()

    def alarm(draw: Generator) -> bool:
        for _ in range(looks):
            predictions, y, losses = targets(draw, size * batches)
            parts = [(predictions[k : k + size], y[k : k + size]) for k in range(0, len(y), size)]
            others = np.concatenate([part[1] for part in with_exchanged_targets(parts, int(draw.integers(2**32)))])
            both = (losses(predictions, labels).reshape(batches, size).mean(axis=1).tolist() for labels in (y, others))
            if exchange(0.1, 16, [0.0], *both).tells(settings.known):
                return True
        return False

    return alarm


# Data

NORMAL = "8 normal columns"
SOURCES: dict[str, Callable[[Generator, int], Array]] = {
    NORMAL: lambda r, n: r.standard_normal((n, 8)),
    "8 lognormal columns": lambda r, n: r.lognormal(size=(n, 8)),
    "8 columns of rare amounts": lambda r, n: (r.random((n, 8)) < 0.1) * r.exponential(size=(n, 8)),
}


def read(x: Array, size: int = 32) -> Features:
    """As a split is read, batch by batch."""
    found = Features()
    for k in range(0, len(x), size):
        found.add(x[k : k + size])
    return found


def splits(draw: Generator, source: Callable, n: int, m: int, arrays_: int) -> Iterator[Any]:
    """The comparisons of two splits of one source, standardized by the first, whatever the effect."""
    for _ in range(arrays_):
        x = source(draw, n + m)
        spread = x[:n].std(axis=0)
        x = (x - x[:n].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        both = (
            SimpleNamespace(inputs={"inputs": read(part)}, distinct=len(part), whole=True) for part in (x[:n], x[n:])
        )
        yield compared("inputs", *both, shift=1e-9, ratio=1 + 1e-9)


def apart(source: str, n: int, m: int, arrays_: int = 1) -> Drawn:
    """Training examples and validation examples of one source, in one array or several."""
    return lambda draw: any(found.different for found in splits(draw, SOURCES[source], n, m, arrays_))


def own_statistics(n: int, m: int) -> Drawn:
    """The same, of a single column: its mean and its spread are nearest to 0 and 1 by chance."""
    return lambda draw: any(found.own for found in splits(draw, lambda r, k: r.standard_normal((k, 1)), n, m, 1))


def data(**seen: Any) -> check_data.Measurement:
    """What `check-data` measures, of which this alone was seen."""
    nothing = dict.fromkeys(("inputs", "targets", "labels", "whole", "comparisons", "holding", "ties"), ())
    others = {"order": None, "overlap": None, "sight": None, "is_regression": False, "is_text": False}
    return check_data.Measurement(**nothing | others | seen)


def labels_of(task: Task, split: str, y: Array) -> Any:
    """The labels of a split, counted."""
    counts = LabelCounts(task)
    counts.add(y)
    return counts.summary(split)


def ordered(task: Task, targets: Callable, size: int, batches: int, settings: check_data.Settings) -> Drawn:
    """Targets in random order, in batches."""

    def alarm(draw: Generator) -> bool:
        order = BatchOrder(task)
        y = targets(draw, size * batches)
        for k in range(0, len(y), size):
            order.add(y[k : k + size])
        return bool(unshuffled_batches(data(order=order.summary()), settings))

    return alarm


def half_and_half(draw: Generator, n: int) -> Array:
    """As many examples of one class as of the other."""
    return draw.permutation(np.arange(n) % 2)


def centered(features: int, batches: int) -> Drawn:
    """Batches of 32, dealt out at random, whose means come to vary little."""
    settings = check_data.Settings(unlikely=MEASURABLE, batch_variation=1.0)

    def alarm(draw: Generator) -> bool:
        leaf = read(draw.standard_normal((32 * batches, features))).summary("inputs", "train")
        return bool(per_batch_preprocessing(data(inputs=(leaf,)), settings))

    return alarm


def scarce(classes: int, n: int, m: int) -> Drawn:
    """Labels of both splits, drawn alike."""
    settings, task = check_data.Settings(unlikely=MEASURABLE, scarce=1.0), Classification(classes)

    def alarm(draw: Generator) -> bool:
        y = draw.integers(classes, size=n + m)
        both = labels_of(task, "train", y[:n]), labels_of(task, "val", y[n:])
        return bool(split_statistics_differ(data(labels=both, whole=("train", "val")), settings))

    return alarm


def absent(classes: int) -> Drawn:
    """14 examples a class, expected, of a split that was not seen to its end; the first class alone is looked at."""
    settings, task = check_data.Settings(), Classification(classes)

    def alarm(draw: Generator) -> bool:
        y = draw.integers(classes, size=14 * classes)
        order = BatchOrder(task)
        for k in range(0, len(y), 14):
            order.add(y[k : k + 14])
        measured = data(labels=(labels_of(task, "train", y),), order=order.summary())
        return any("0" in found.evidence.get("missing", ()) for found in missing_classes(measured, settings))

    return alarm


HEAVY = "Student's t, 3 (a known gap)"
TIED: dict[str, Callable[[Generator], Array]] = {
    "normal": lambda r: r.standard_normal((2, 500)),
    "Student's t, 5": lambda r: r.standard_t(5, size=(2, 500)),
    HEAVY: lambda r: r.standard_t(3, size=(2, 500)),
}


def lost_tie(kind: str, settings: check_data.Settings) -> Drawn:
    """A column that is tied to the targets in both splits, by the same correlation of 0.8: 400 examples, and 100."""

    def alarm(draw: Generator) -> bool:
        x, noise = TIED[kind](draw)
        y = 0.8 * x + 0.6 * noise
        both = [[(x[part, None], y[part])] for part in (slice(400), slice(400, None))]
        return bool(split_statistics_differ(data(ties=leaks.lost_ties(*both, Regression())), settings))

    return alarm


def holding(draw: Generator) -> bool:
    """50 labels and 8 columns, all of them yes or no."""
    x, y = draw.integers(2, size=(leaks.FEWEST, 8)) * 1.0, draw.integers(2, size=leaks.FEWEST)
    return bool(leaks.columns([(x, y)], Classification(2)))


# Loss and network


def unexpected(size: int, batches: int, classes: int = 10) -> Drawn:
    """Scores of a spread of 0.3 against labels drawn beside them: the whole rule."""
    settings, task = check_loss.Settings(), Classification(classes)

    def alarm(draw: Generator) -> bool:
        z, y = 0.3 * draw.standard_normal((batches, size, classes)), draw.integers(classes, size=(batches, size))
        losses, sizes = [task.reference_loss(*pair) for pair in zip(z, y, strict=True)], [size] * batches
        parts = slice(size // 2), slice(size // 2, size)
        halves = (
            task.reference_loss(z[0][parts[0]], y[0][parts[0]]),
            task.reference_loss(z[0][parts[1]], y[0][parts[1]]),
        )
        loss = mean_loss(losses, sizes)
        seen = scores.look(task, list(z), list(y), loss)
        error = standard_error(losses, sizes, halves)
        measured = SimpleNamespace(**vars(seen), training_loss=loss, evaluation_loss=loss, standard_error=error)
        measured.metric, measured.examples = task.metric, size * batches
        return bool(check_loss.unexpected_initial_loss(measured, settings))

    return alarm


def dead(units: int, layers: int = 1) -> Drawn:
    """Layers whose units are dead as often as is nothing to worry about."""
    settings = check_activations.Settings()
    numbers = dict.fromkeys((field.name for field in fields(LayerSummary)), 0.0)

    def alarm(draw: Generator) -> bool:
        counts = (draw.random((layers, units)) < settings.some_dead).sum(axis=1)
        named = {"name": "relu", "kind": "relu", "units": units}
        found = [LayerSummary(**numbers | named | {"dead": int(n)}) for n in counts]
        measured = SimpleNamespace(at_start=found, after=found, killed=[0] * layers, examples=512, steps=50)
        return bool(check_activations.dead_relu(measured, settings))

    return alarm


NOISES: dict[str, Callable[[Generator, int], Array]] = {
    "normal noise": lambda r, n: r.standard_normal(n),
    "Student's t, 3": lambda r, n: r.standard_t(3, size=n),
    "lognormal noise": lambda r, n: r.lognormal(size=n),
}


def falling(steps: int, noise: str = "normal noise") -> Drawn:
    """So many losses of one mean: a curve of noise."""
    settings = train.Settings()

    def alarm(draw: Generator) -> bool:
        course = curves.course((2 + 0.1 * NOISES[noise](draw, steps)).tolist())
        return course is not None and course.falls(settings.sigmas)

    return alarm


def guessed(classes: int, examples: int = 512) -> Drawn:
    """Labels, and predictions that are drawn beside them."""
    settings, task = train.Settings(), Classification(classes)

    def alarm(draw: Generator) -> bool:
        y, z = draw.integers(classes, size=examples), draw.standard_normal((examples, classes))
        known = Ignorance(examples, task.constant_loss(y), task.best_constant_score(y))
        moment = Moment(0, task.reference_loss(z, y), 0.0, task.score(z, y), math.nan, math.nan, math.nan)
        return gains([moment], known, task.metric)[0].shows(settings.sigmas)

    return alarm


def shared(examples: int, values: int, ranks: int) -> Drawn:
    """Examples of so many different values, dealt out to ranks at random."""
    settings = check_parallel.Settings()

    def alarm(draw: Generator) -> bool:
        seen = draw.integers(values, size=(ranks, examples)).astype(str)
        surprise = check_parallel._surprise([Counter(own.tolist()) for own in seen])
        measured = SimpleNamespace(surprise=surprise, common=0.0, examples=examples)
        return bool(check_parallel.ranks_share_data(measured, settings))

    return alarm


# Search


def leans(places: Callable[[Generator], Array]) -> Drawn:
    """The places of trials, and any five of them as the best."""

    def alarm(draw: Generator) -> bool:
        tried = draw.permutation(places(draw)).tolist()
        return leaning(tried[:LEADERS], tried) != 0

    return alarm


WHOLE = Parameter("units", "int", 1, 5)
RATE = Parameter("learning_rate", "log", 1e-6, 1e-1)
THREE = tuple(Parameter(name, "uniform", 0.0, 0.8) for name in "abc")


def whole_numbers(draw: Generator) -> Array:
    """30 trials of 1 to 5."""
    return np.array([WHOLE.place(int(value)) for value in draw.integers(1, 6, size=30)])


def levels(space: Sequence[Parameter]) -> Callable[[Generator], Array]:
    """The first parameter's places in a grid of 30 trials, or as many as fit."""
    places = np.array([space[0].place(configuration[space[0].name]) for configuration in grid(space, 30)])
    return lambda draw: places


def searched(draw: Generator, gain: float, seeds: int) -> search.Measurement:
    """A search for a learning rate that has no effect, on scores of noise; longer trials score higher by a gain."""
    settings, space, seed = search.Settings(seeds=seeds), (RATE,), int(draw.integers(2**31))
    trials: list[Tried] = []

    def make(stage: Any) -> None:
        for e in stage.entries:
            score = 0.5 + 0.01 * draw.standard_normal() + gain * (e.epochs > settings.coarse_epochs)
            tried = Tried(stage.name, e.number, dict(e.configuration), e.seed, e.epochs, Outcome.FINISHED, score=score)
            trials.append(tried)

    make(coarse(space, settings, seed))
    second = fine(space, trials, settings, seed, higher=True)
    make(second)
    make(again(trials, settings, seed, higher=True))
    return search.Measurement("accuracy", 0.0, "random", len(trials), 0, space, second.space, tuple(trials), {}, "")


def at_edge(gain: float) -> Drawn:
    """The whole rule, after a coarse and a fine stage."""
    return lambda draw: bool(best_at_edge(searched(draw, gain, seeds=0), search.Settings()))


def other_winner(gain: float) -> Drawn:
    """The best three trials of such a search, with two other seeds: another one than the first is called better."""
    settings = search.Settings()

    def alarm(draw: Generator) -> bool:
        found = one_seed_winner(searched(draw, gain, seeds=settings.seeds), settings)
        return any(finding.severity is Severity.WARNING for finding in found)

    return alarm


def all_rows() -> Iterator[Row]:
    """Every verdict on samples."""
    yield from rows_of_rates()
    yield from rows_of_data()
    yield from rows_of_targets()
    yield from rows_of_losses()
    yield from rows_of_search()


def rows_of_rates() -> Iterator[Row]:
    """Those of `lr-scan`."""
    fell, knew = said(lr_scan, "sigmas"), said(lr_scan, "known")
    verdict, place = "the loss falls beyond noise", "`lr-scan.sigmas`"
    for batches in (8, 16, 64):
        yield Row(verdict, f"{batches} batches", place, fell, false_fall(batches), 50_000)
    verdict = "the best of 7 rates is confirmed"
    for batches in (8, 16):
        yield Row(verdict, f"{batches} batches", place, fell, confirmed_fall(batches), 20_000)
    verdict, place = "predictions know the targets", "`lr-scan.known`"
    balanced, rare = of_classes([0.1] * 10), of_classes([0.98, 0.02])
    for words, targets in (("10 classes", balanced), ("a class of 2 %", rare), ("Student's t, 2", heavy_tailed)):
        for size, batches in ((32, 16), (1, 128)):
            drawn = f"{words}, {batches} batches of {size}"
            yield Row(verdict, drawn, place, knew, knows(targets, size, batches), 2_500)
    yield Row(verdict, "10 classes, four looks", place, knew, knows(balanced, 32, 16, looks=4), 600)
    verdict, place = "the sweep blows up", "`rate_search.NOISY`"
    for words, spread in (("nothing but noise", 0.0), ("batches that differ by three times as much", 0.3)):
        yield Row(verdict, words, place, BLOWN_UP, blow_up(0.1, spread), 10_000)


def rows_of_data() -> Iterator[Row]:
    """Those of `check-data` on inputs and splits."""
    verdict, place = "the splits differ", "`splits.LEVEL`"
    for source in SOURCES:
        yield Row(verdict, f"{source}, 60 and 30 examples", place, LEVEL, apart(source, 60, 30), 5_000)
    yield Row(verdict, f"{NORMAL}, 300 and 300 examples", place, LEVEL, apart(NORMAL, 300, 300), 4_000)
    place = "`split-statistics-differ`"
    yield Row(verdict, f"two arrays of {NORMAL}, 300 and 300", place, LEVEL, apart(NORMAL, 300, 300, 2), 3_000)
    verdict, words = "validation is scaled by its own statistics", "1 normal column, 60 and 30 examples"
    yield Row(verdict, words, "`splits.OWN`", OWN, own_statistics(60, 30), 5_000)
    verdict, place = "batches are centered", f"`check-data.unlikely`, at {MEASURABLE}"
    for batches in (4, 16):
        yield Row(verdict, f"{batches} batches, 1 column", place, MEASURABLE, centered(1, batches), 4_000)
    verdict, place, sigmas = "a column loses its tie", "`check-data.sigmas`", said(check_data, "sigmas")
    for kind in TIED:
        stated = math.nan if kind == HEAVY else sigmas  # whose error Fisher's z takes for too small
        yield Row(verdict, kind, place, stated, lost_tie(kind, check_data.Settings()), 5_000)
    relaxed = check_data.Settings(sigmas=3.0, tied=1e-9, lost=1.0)
    yield Row(verdict, "normal", f"{place}, at 3", normal_tail(3), lost_tie("normal", relaxed), 10_000)
    verdict, words = "a column holds the labels", "50 examples of 8 columns, yes or no"
    yield Row(verdict, words, "`leaks.FEWEST`", AGREEING, holding, 5_000)
    verdict, place, surprise = "ranks share their data", "`check-parallel.surprise`", said(check_parallel, "surprise")
    for examples, values, ranks in ((512, 40, 2), (512, 20_000, 2), (128, 2_000, 8)):
        words = f"{ranks} ranks of {examples} examples, {values:,} different ones"
        yield Row(verdict, words, place, surprise, shared(examples, values, ranks), 10_000)


def rows_of_targets() -> Iterator[Row]:
    """Those of `check-data` on targets."""
    verdict, place, sigmas = "batches come in an order", "`check-data.sigmas`", said(check_data, "sigmas")
    usual, relaxed = check_data.Settings(), check_data.Settings(sigmas=3.0, partly_ordered=1e-9)
    for words, task, drawn in (
        ("10 classes", Classification(10), lambda r, n: r.integers(10, size=n)),
        ("a class of 2 %", Classification(2), lambda r, n: r.choice(2, size=n, p=[0.98, 0.02])),
        ("lognormal targets", Regression(), lambda r, n: r.lognormal(size=(n, 1))),
    ):
        words = f"{words}, 64 batches of 32"
        yield Row(verdict, words, place, sigmas, ordered(task, drawn, 32, 64, usual), 1_500)
        yield Row(verdict, words, f"{place}, at 3", normal_tail(3), ordered(task, drawn, 32, 64, relaxed), 5_000)
    halves = ordered(Classification(2), half_and_half, 10, 2, usual)
    yield Row(verdict, "10 of each class in 2 batches", "`targets.ENOUGH`", HALVES, halves, 40_000)
    verdict, place = "training lacks a class of validation", f"`check-data.unlikely`, at {MEASURABLE}"
    for classes in (2, 10):
        words = f"{classes} classes, 200 and 100 labels"
        yield Row(verdict, words, place, MEASURABLE, scarce(classes, 200, 100), 10_000)
    yield Row("a class is missing", "10 classes, 14 examples each", "`check_data.telling`", ABSENT, absent(10), 10_000)


def rows_of_losses() -> Iterator[Row]:
    """Those of `check-loss`, `check-activations` and `train`."""
    place, noise = "`check-loss.sigmas`", said(check_loss, "sigmas")
    for batches in (16, 4, 1):
        words = f"{batches} batch{'es' * (batches > 1)}, 512 examples"
        yield Row("the first loss is unexpected", words, place, noise, unexpected(512 // batches, batches), 1_500)
    verdict, place, unlikely = "units are dead", "`check-activations.unlikely`", check_activations.Settings().unlikely
    for units in (5, 16, 64):
        yield Row(verdict, f"one layer of {units}", place, unlikely, dead(units), 10_000)
    yield Row(verdict, "five layers of 64", place, math.nan, dead(64, 5), 2_000)
    verdict, place, noise = "the curve falls", "`train.sigmas`", said(train, "sigmas")
    for steps, trials in ((30, 60_000), (60, 50_000), (300, 10_000)):
        yield Row(verdict, f"{steps} losses, normal noise", place, CURVES, falling(steps), trials)
    for words in list(NOISES)[1:]:
        yield Row(verdict, f"300 losses, {words}", place, math.nan, falling(300, words), 5_000)
    for classes in (2, 10):
        words = f"{classes} classes, 512 guesses"
        yield Row("the metric shows a gain", words, place, noise, guessed(classes), 8_000)


def rows_of_search() -> Iterator[Row]:
    """Those of `search`."""
    verdict, place = "the best lie at an edge", "`space.ALARM`"
    for words, places in (
        ("30 trials of a range", lambda draw: draw.random(30)),
        ("30 trials of 1 to 5", whole_numbers),
        ("a grid of 3 levels, 27 trials", levels(THREE)),
        ("a grid of 5 levels, 25 trials", levels(THREE[:2])),
        ("a grid of 30 levels", levels(THREE[:1])),
    ):
        yield Row(verdict, words, place, ALARM, leans(places), 30_000)
    for gain, words in ((0.0, "a coarse and a fine stage"), (0.1, "the same, all fine trials better")):
        yield Row(verdict, words, "`best-at-edge`", ALARM, at_edge(gain), 600)
    verdict, words = "another is better over seeds", "three equal ones, three seeds each"
    yield Row(verdict, words, "`search.noise`", said(search, "noise"), other_winner(0.1), 600)


def main() -> int:
    """Draw all, print the table row by row, write it where wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="few trials, for CI")
    parser.add_argument("--output", type=Path, help="a Markdown file for the table")
    arguments = parser.parse_args()
    lines = ["# False alarms", "", "<!-- made by benchmarks/false_alarms.py -->", ""]
    lines += ["| alarm | drawn, without effect | stated by | stated | measured | alarms |"]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    print(*lines, sep="\n")
    bad = []
    for row in all_rows():
        draw, trials = np.random.default_rng(0), row.trials // SMALL if arguments.small else row.trials
        alarms = sum(row.alarm(draw) for _ in range(trials))
        stated = "-" if math.isnan(row.stated) else f"{row.stated:.2g}"
        told = f"{alarms / trials:.2g} | {alarms} of {trials:,}"
        lines.append(f"| {row.verdict} | {row.drawn} | {row.place} | {stated} | {told} |")
        print(lines[-1], flush=True)
        if binom.sf(alarms - 1, trials, row.stated) < SURE:
            bad.append(f"{row.verdict}, {row.drawn}: {alarms} of {trials:,}; {row.place} states {stated}")
    if arguments.output:
        arguments.output.write_text("\n".join([*lines, ""]), encoding="utf-8")
    print(*bad, sep="\n", file=sys.stderr)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
