"""The field's learning-rate finders, written out from their published rules, for anything that is a babysit trainer.

    for finder in FINDERS:
        rate, steps = suggestion(finder, trainer, batches)

A finder is a range test (the rate grows step by step until the loss has grown out of hand) and a rule that reads one
rate off the curve. fastai's four rules share one range test, so `sweep` once and `suggest` by each:

    curve = sweep(trainer, batches, FASTAI)
    rates = {finder.name: suggest(finder, curve) for finder in FINDERS if finder.test is FASTAI}

Rules are kept as they are published, oddities included. Where a library computes in single precision, so does this:
a rule that looks for the steepest place divides tiny differences of losses by tiny differences of rates.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from babysit.trainer import Batch, Trainer

Numbers: TypeAlias = np.ndarray[Any, Any]

BETA = 0.98  # the share of the past in the running mean, in fastai and Lightning alike
SLIDE_WIDTH, SLIDE_THRESHOLD = 15, 0.005  # what fastai's slide calls lr_diff and thresh


@dataclass(frozen=True)
class Curve:
    """What a range test measured.

    Args:
        asked: How many steps it was to take.
        rates: The rate of each step that it took.
        losses: The loss of each, smoothed as the finder smooths it.
    """

    asked: int
    rates: Sequence[float]
    losses: Sequence[float]


@dataclass(frozen=True)
class RangeTest:
    """How a library raises the rate, smooths the loss, when it stops, and what it keeps for its rules.

    Args:
        low: The first rate.
        high: The rate it makes for.
        steps: How many steps it takes, unless told otherwise.
        way: How far from low to high (0 to 1, in orders of magnitude) step i of n is, from i = 0.
        smoothed: The smoothed losses, one as each loss arrives.
        diverged: Whether the smoothed losses so far call for an end.
        kept: Rates and smoothed losses that the rules get to see.
    """

    low: float
    high: float
    steps: int
    way: Callable[[int, int], float]
    smoothed: Callable[[Iterable[float]], Iterator[float]]
    diverged: Callable[[Sequence[float]], bool]
    kept: Callable[[Curve], tuple[Numbers, Numbers]]

    def rate(self, step: int, steps: int) -> float:
        """The rate of a step, counted from 0."""
        return self.low * (self.high / self.low) ** self.way(step, steps)


@dataclass(frozen=True)
class Finder:
    """A rule on a range test's curve.

    Args:
        name: What to call it.
        test: The range test.
        fewest: With fewer kept points than this the library gives no rate, or raises.
        rule: The rate, from kept rates and losses.
    """

    name: str
    test: RangeTest
    fewest: int
    rule: Callable[[Numbers, Numbers], float]


def sweep(trainer: Trainer, batches: Iterable[Batch], test: RangeTest, steps: int | None = None) -> Curve:
    """Run the range test; the trainer is left where it ends, for the caller to put back.

    Args:
        trainer: What to train.
        batches: One for each step, over and over if there are too few.
        test: The range test.
        steps: In place of the test's own number.
    """
    asked = test.steps if steps is None else steps
    rates = [test.rate(step, asked) for step in range(asked)]
    losses: list[float] = []
    for loss in test.smoothed(_losses(trainer, batches, rates)):
        losses.append(loss)
        if test.diverged(losses):
            break
    return Curve(asked, rates[: len(losses)], losses)


def _losses(trainer: Trainer, batches: Iterable[Batch], rates: Sequence[float]) -> Iterator[float]:
    for rate, batch in zip(rates, itertools.cycle(batches), strict=False):
        trainer.learning_rate = rate
        yield float(trainer.step(batch).loss)


def suggest(finder: Finder, curve: Curve) -> float:
    """The rate that the finder's rule reads off its test's curve; NaN where the library gives none or raises."""
    rates, losses = finder.test.kept(curve)
    if len(rates) < finder.fewest:
        return math.nan
    with np.errstate(invalid="ignore"):  # infinite losses stay in some curves
        return float(finder.rule(rates, losses))


def suggestion(
    finder: Finder, trainer: Trainer, batches: Iterable[Batch], steps: int | None = None
) -> tuple[float, int]:
    """The finder's rate (NaN for none) and the steps it took; as `sweep` otherwise."""
    curve = sweep(trainer, batches, finder.test, steps)
    return suggest(finder, curve), len(curve.rates)


# fastai


def fastai_smoothed(losses: Iterable[float]) -> Iterator[float]:
    """A running mean from 0, divided by the weight it has gathered; in single precision.

    Source: fastai 2.8, `AvgSmoothLoss` of learner.py, as its `Recorder` uses it.
    """
    mean, new = np.float32(0), float(np.float32(1) - np.float32(BETA))
    for count, loss in enumerate(losses, start=1):
        with np.errstate(over="ignore", invalid="ignore"):  # a loss past single precision is infinite there
            mean = np.float32(float(mean) - float(mean - np.float32(loss)) * new)  # rounded once, as torch.lerp is
            smoothed = mean / np.float32(1 - BETA**count)
        yield float(smoothed)


def fastai_kept(curve: Curve) -> tuple[Numbers, Numbers]:
    """All but the first tenth of the steps asked for and the last five taken, up to the first loss that is NaN.

    Source: fastai 2.8, `Learner.lr_find` of callback/schedule.py.
    """
    window = slice(curve.asked // 10, -5)
    rates, losses = np.asarray(curve.rates[window], np.float32), _single(curve.losses[window])
    undefined = np.flatnonzero(np.isnan(losses))
    end = undefined[0] if len(undefined) else len(losses)
    return rates[:end], losses[:end]


def fastai_minimum(rates: Numbers, losses: Numbers) -> float:
    """A tenth of the rate at which the loss is lowest.

    Source: fastai 2.8, `minimum` of callback/schedule.py.
    """
    return float(rates[np.argmin(losses)]) / 10


def fastai_steep(rates: Numbers, losses: Numbers) -> float:
    """The rate from which the loss falls most to the next, per order of magnitude of the rate.

    Source: fastai 2.8, `steep` of callback/schedule.py.
    """
    return float(rates[np.argmin(np.diff(losses) / np.diff(np.log(rates)))])


def fastai_valley(rates: Numbers, losses: Numbers) -> float:
    """About half way down the longest valley: the longest run of ever lower losses, which may leave points out.

    The valley of L losses is taken to begin L points ahead of its last, whichever points it left out; the rate is a
    third and a sixth of L after that, each rounded down. So it may begin one point ahead of the curve, and then a
    valley of two losses means the curve's last rate, as the published rule has it.

    Source: fastai 2.8, `valley` of callback/schedule.py, the default of `Learner.lr_find`.
    """
    lengths: list[int] = []  # of the longest such run that ends at each point
    for i, loss in enumerate(losses):
        higher = np.flatnonzero(losses[:i] > loss)
        lengths.append(1 + max((lengths[j] for j in higher), default=0))
    length = max(lengths)
    if length == 1:
        return float(rates[0])
    start = lengths.index(length) - length
    return float(rates[start + int(length / 3) + int(length / 3 / 2)])


def fastai_slide(rates: Numbers, losses: Numbers) -> float:
    """The last left end of an interval that slides down from the highest rates while the slopes at its ends differ.

    The slope is the loss per step. If they don't differ at the outset, the rate is the first left end.

    Source: fastai 2.8, `slide` of callback/schedule.py.
    """
    slopes = np.gradient(losses)
    first = len(rates) - 1 - SLIDE_WIDTH
    chosen = first
    for left in range(first, -1, -1):
        if not abs(slopes[left + SLIDE_WIDTH] - slopes[left]) > SLIDE_THRESHOLD:
            break
        chosen = left
    return float(rates[chosen])


# Lightning


def lightning_way(step: int, steps: int) -> float:
    """The second step is two parts of the way on, since the schedule counts from one after its first rate.

    Source: Lightning 2.6, `_ExponentialLR` of pytorch/tuner/lr_finder.py.
    """
    return (step + 1) / steps if step else 0.0


def lightning_smoothed(losses: Iterable[float]) -> Iterator[float]:
    """A running mean from 0, divided by the weight it will have gathered one step later.

    The step is counted once it is made, and then one is added; so the first losses look lower than they are.

    Source: Lightning 2.6, `_LRCallback.on_train_batch_end` of pytorch/tuner/lr_finder.py.
    """
    mean = 0.0
    for count, loss in enumerate(losses, start=1):
        mean = BETA * mean + (1 - BETA) * loss
        yield mean / (1 - BETA ** (count + 1))


def lightning_kept(curve: Curve) -> tuple[Numbers, Numbers]:
    """All but the first ten and the last, without losses that are not finite.

    Source: Lightning 2.6, `_LRFinder.suggestion` of pytorch/tuner/lr_finder.py.
    """
    rates, losses = np.asarray(curve.rates[10:-1]), _single(curve.losses[10:-1])
    finite = np.isfinite(losses)
    return rates[finite], losses[finite]


def lightning_steepest(rates: Numbers, losses: Numbers) -> float:
    """The rate at which the loss falls most per unit of the rate itself, not of its order of magnitude.

    Source: Lightning 2.6, `_LRFinder.suggestion` of pytorch/tuner/lr_finder.py.
    """
    return float(rates[np.argmin(np.gradient(losses, rates.astype(np.float32)))])


# torch-lr-finder


def torch_smoothed(losses: Iterable[float]) -> Iterator[float]:
    """The first loss, then a twentieth of each loss and the rest of what was before.

    Source: torch-lr-finder 0.2.2, `LRFinder.range_test`.
    """
    return itertools.accumulate(losses, lambda before, loss: 0.05 * loss + (1 - 0.05) * before)


def torch_kept(curve: Curve) -> tuple[Numbers, Numbers]:
    """All but the first ten and the last five.

    Source: torch-lr-finder 0.2.2, `LRFinder.plot`, which raises if that leaves fewer than two.
    """
    return np.asarray(curve.rates[10:-5]), np.asarray(curve.losses[10:-5])


def torch_steepest(rates: Numbers, losses: Numbers) -> float:
    """The rate at which the loss falls most per step; where losses are NaN, the first rate without a slope.

    Source: torch-lr-finder 0.2.2, `LRFinder.plot`.
    """
    return float(rates[np.argmin(np.gradient(losses))])


def _single(values: Sequence[float]) -> Numbers:
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(np.float32)


# fastai 2.8: `LRFinder` and the defaults of `Learner.lr_find`, callback/schedule.py
FASTAI = RangeTest(
    low=1e-7,
    high=10.0,
    steps=100,
    way=lambda step, steps: step / steps,
    smoothed=fastai_smoothed,
    diverged=lambda losses: losses[-1] > 4 * min(losses),
    kept=fastai_kept,
)

# Lightning 2.6: `_LRCallback` and the defaults of `Tuner.lr_find`, pytorch/tuner
LIGHTNING = RangeTest(
    low=1e-8,
    high=1.0,
    steps=100,
    way=lightning_way,
    smoothed=lightning_smoothed,
    diverged=lambda losses: losses[-1] > 4 * min(losses[:-1], default=math.inf),
    kept=lightning_kept,
)

# torch-lr-finder 0.2.2: `ExponentialLR` and the defaults of `LRFinder.range_test`; low as in its README's example,
# since by default it is the optimizer's own rate
TORCH_LR_FINDER = RangeTest(
    low=1e-7,
    high=10.0,
    steps=100,
    way=lambda step, steps: step / (steps - 1),
    smoothed=torch_smoothed,
    diverged=lambda losses: losses[-1] > 5 * min(losses),
    kept=torch_kept,
)

FINDERS = (
    Finder("fastai valley", FASTAI, 1, fastai_valley),
    Finder("fastai steep", FASTAI, 2, fastai_steep),
    Finder("fastai minimum", FASTAI, 1, fastai_minimum),
    Finder("fastai slide", FASTAI, 1 + SLIDE_WIDTH, fastai_slide),
    Finder("Lightning", LIGHTNING, 2, lightning_steepest),
    Finder("torch-lr-finder", TORCH_LR_FINDER, 2, torch_steepest),
)
