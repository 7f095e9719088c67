"""The training split held against the validation split: whether they were prepared alike, and what they share."""

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from babysit.checks.check_data.statistics.features import ROUNDING, Array, Features
from babysit.checks.check_data.statistics.moments import Moments
from babysit.checks.check_data.summaries import Comparison, Overlap
from babysit.measuring.significance import poisson_upper_bound, student_quantile

if TYPE_CHECKING:
    from babysit.checks.check_data.split_reader import Split

LEVEL = 1e-3  # chance that honest splits of one source are told apart by any of their features (Bonferroni's bound)
OWN = 1e-3  # of a standard error: so near 0 and 1 come a split's means and spreads by chance once in a million
STRETCHED = 2  # columns of amounts, under which two splits may have their extremes in common
FEWEST = 5  # examples of a split, under which its spread is hardly known

quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")  # values that overflow compare as NaN


@quiet
def compared(name: str, train: "Split", val: "Split", *, shift: float, ratio: float) -> Comparison | None:
    """The two splits' features; None where they can't be compared.

    A feature's mean and its mean square about the training mean are each compared by a t-test at `LEVEL` shared out
    over all of them; what passes for different must also be so by the effects asked for, since any two sources differ
    once enough is seen.

    Args:
        name: The array's.
        train: The training split.
        val: The validation split.
        shift: Distance of the means, in spreads, from where a feature is different.
        ratio: Ratio of the spreads (or its inverse), likewise.
    """
    a, b = train.inputs[name], val.inputs[name]
    n, m = min(a.finite, train.distinct), min(b.finite, val.distinct)
    if min(n, m) < FEWEST or len(a.each.origin) != len(b.each.origin):
        return None
    spread = a.each.spreads
    varies = spread > 0
    if not varies.any():
        return None
    apart = np.abs(b.each.means - a.each.means)[varies] / spread[varies]
    ratios = b.each.spreads[varies] / spread[varies]
    beyond = _significant(a.each, b.each, n, m)[varies]
    off = np.maximum(apart / shift, np.abs(np.log(np.maximum(ratios, 1e-12))) / math.log(ratio))
    worst = int(np.argmax(np.where(beyond, off, -1.0)))
    return Comparison(
        name=name,
        features=int(varies.sum()),
        different=int((beyond & (off >= 1)).sum()),
        shift=float(np.median(apart)),
        ratio=float(np.median(ratios)),
        worst=int(np.flatnonzero(varies)[worst]),
        worst_shift=float(apart[worst]),
        worst_ratio=float(ratios[worst]),
        own=_own_statistics(a, b) if val.whole else "",
    )


def _significant(train: Moments, val: Moments, n: float, m: float) -> Array:
    """Which features differ in mean or mean square beyond sampling, by Student's test with the larger variance.

    So many examples as n and m differ from one another.

    The larger one of the two splits' stands for both: a rare word that a small split never meets, or an outlier that
    one split alone has, leaves the other's variance far too small, and any test that trusts it (Welch's, the pooled
    one) tells honest splits apart every other time.
    """
    limit = student_quantile(LEVEL / (4 * len(train.origin)), int(n + m) - 2)  # two tests, two sides
    center = train.means
    means = (train.means, train.scatter), (val.means, val.scatter)
    squares = train.squares(center), val.squares(center)
    found = np.zeros(len(center), dtype=bool)
    for (a, scatter_a), (b, scatter_b) in (means, squares):
        error = np.sqrt(np.maximum(scatter_a, scatter_b) * (1 / n + 1 / m))
        found |= np.abs(a - b) > limit * np.maximum(error, 1e-12 * (np.abs(a) + np.abs(b)))
    return found


def _own_statistics(train: Features, val: Features) -> str:
    """How the validation split was scaled by its own statistics, if it was.

    A split scaled by the training split's statistics keeps its own sampling noise: its means lie off 0 by about one
    standard error. Those of a split that was standardized by itself are 0 and its spreads 1, but for rounding; all
    features', or those of the one mean and spread that served for all.
    """
    if _varied(val) and (_standardized(val.each) or _standardized(val.overall)):
        return "standardized"
    return "stretched to the same range" if _stretched(train, val) else ""


def _varied(split: Features) -> bool:
    """Whether there are values beside the smallest and the largest of their element, beyond a few.

    Yes and no, and one of several, have the same share in both splits by chance now and then, and with it the same
    mean and spread.
    """
    between = split.finite - split.extremes.at_ends
    return bool((between >= FEWEST).any())


def _standardized(split: Moments) -> bool:
    """Whether all means are 0 and all spreads 1 to within a thousandth of their standard errors.

    Features whose mean is the same in every example, as those of images that are each standardized alone, say nothing.
    """
    n, telling = split.examples, split.telling
    if not telling.any():
        return False
    means, spreads, scatter = split.means[telling], split.spreads[telling], split.scatter[telling]
    _, of_squares = split.squares(split.means)
    corrected = spreads * math.sqrt(n / max(1.0, n - 1))  # a spread with n - 1 in its place
    off = np.minimum(np.abs(spreads - 1), np.abs(corrected - 1))
    centered = np.abs(means) <= ROUNDING + OWN * np.sqrt(scatter / n)
    return bool(centered.all() and (off <= ROUNDING + OWN * np.sqrt(of_squares[telling] / n) / 2).all())


def _stretched(train: Features, val: Features) -> bool:
    """Whether all columns have the same smallest and largest value in both splits, and in two of them one example each.

    Pixels, grades and truth values reach the ends of their scale in many examples; columns of amounts that were
    stretched to it, in one at each end.
    """
    a, b = train.extremes, val.extremes
    if a.least.shape != b.least.shape or len(a.ranges) != len(train.each.origin):
        return False  # no table
    near = ROUNDING * np.maximum(a.ranges, b.ranges)
    same = (np.abs(_apart(a.least, b.least)) <= near) & (np.abs(_apart(a.most, b.most)) <= near)
    single = (a.at_ends == 2) & (b.at_ends == 2)
    return bool(same.all()) and int(single.sum()) >= STRETCHED


def _apart(a: Array, b: Array) -> Array:
    return np.subtract(a, b, dtype=np.float64).reshape(-1)


def overlap(train: Counter[int], val: Counter[int]) -> Overlap:
    """What the splits share, beside what repeats itself within each.

    Where values are few (a table of answers, four points), examples repeat themselves within a split as well. From the
    pairs of equal examples within each, the chance that two are equal is bounded (at three standard deviations of
    Poisson's law, three pairs where there are none); the smaller bound counts, since a split may be drawn with
    replacement.
    """
    m = val.total()
    common = sum(count for key, count in val.items() if key in train)
    chance = min(_pair_chance(train), _pair_chance(val))
    return Overlap(m, common, m * -math.expm1(-chance * train.total()))


def _pair_chance(split: Counter[int]) -> float:
    """An upper bound of the chance that two of the split's examples are equal."""
    n = split.total()
    pairs = sum(k * (k - 1) / 2 for k in split.values())
    return poisson_upper_bound(pairs) / max(1.0, n * (n - 1) / 2)
