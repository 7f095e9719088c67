"""Rules of `check-data` about the two splits: prepared alike, and apart from one another."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from babysit.check import rule
from babysit.checks.check_data.summaries import Comparison, some
from babysit.measuring.significance import binomial_tail
from babysit.report import Finding

if TYPE_CHECKING:
    from babysit.checks.check_data.schema import Measurement, Settings


@rule
def split_statistics_differ(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The validation split was not prepared as the training split was.

    What it finds: inputs whose means or spreads differ between the splits, by more than sampling explains and by enough
    to matter; a validation split that was scaled by its own statistics; labels that are common in validation and almost
    absent in training; a column that tells the targets in training, and tells next to nothing on the validation split.

    Why it matters: the network is tested on something else than it learned. Any statistics of preprocessing are those
    of the training split, applied to all others; the same mean is subtracted from the test data (the lecture).

    What to try: fit the scaler on the training split, and only transform the others with it; shuffle ahead of
    splitting.

    When it is wrong: where the splits are from different times, places or people on purpose, so that the difference is
    what you want to know; then ignore it with that reason. Honest splits of one source are told apart in less than one
    program of a thousand, by the tests' level; those of a hundred examples or more far less often by enough to matter.
    A column with very heavy tails may seem to lose its tie to the targets, since the error of its correlation is larger
    than that of a normal column, by which it is judged.

    References: CS231n, course notes "neural networks 2", "common pitfall"; Student, "The probable error of a mean"
    (1908), for the test, here with the larger variance of the two splits.
    """
    yield from _different_labels(measured, settings)
    yield from _lost_ties(measured, settings)
    overlap = measured.overlap
    is_training = overlap is not None and 2 * overlap.common > overlap.examples  # whose statistics these are, then
    for found in measured.comparisons:
        if found.own and not is_training:
            yield split_statistics_differ.error(
                f"the validation split's {found.name} are {found.own} by statistics of their own: by chance, the "
                "training split's would not fit so exactly.",
                where=found.name,
                suggestion="Fit the scaler on the training split, and transform the validation split with it.",
            )
        elif found.different:
            find = split_statistics_differ.error if _most(found, settings) else split_statistics_differ.warning
            yield find(
                f"{found.different} of {found.features} features of the {found.name} differ between the splits beyond "
                f"sampling; of feature {found.worst}, the validation mean lies {found.worst_shift:.3g} training "
                f"spreads off, and the spread is {found.worst_ratio:.3g} times the training split's.",
                where=found.name,
                suggestion="Prepare both splits in the same way, by the training split's statistics.",
                different=found.different,
                shift=found.shift,
                ratio=found.ratio,
            )


def _most(found: Comparison, settings: "Settings") -> bool:
    """Whether most features differ: surely so, or in the middle one, where the splits are too small to be sure of each.

    Of a feature that a small split holds at one value, such as a rare word, the ratio says nothing.
    """
    ratio = max(found.ratio, 1 / found.ratio) if found.ratio > 0 else 1.0
    return (
        found.different >= settings.different * found.features
        or found.shift >= settings.shift
        or ratio >= settings.ratio
    )


def _lost_ties(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """A column that was made with the training targets, that stands elsewhere, or labels that are named otherwise."""
    for tie in measured.ties:
        strong = abs(tie.train) >= settings.tied and tie.sigmas >= settings.sigmas
        if strong and tie.val * math.copysign(1, tie.train) < settings.lost * abs(tie.train):
            yield split_statistics_differ.error(
                f"{tie.name} is tied to the targets in training (correlation {tie.train:.2f}), and not so on the "
                f"validation split ({tie.val:.2f}).",
                where=tie.name,
                suggestion="See whether the column was made with the training targets, and whether columns and labels "
                "stand in the same order in both splits.",
                train=tie.train,
                val=tie.val,
            )


def _different_labels(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """A class of validation that training hardly has, beyond chance."""
    train, val = measured.labelled("train"), measured.labelled("val")
    if train is None or val is None or not measured.telling(train):
        return
    n, m = sum(train.counts), sum(val.counts)
    pairs = list(zip(train.counts, val.counts, strict=True))
    level = settings.unlikely / len(pairs)
    scarce = [k for k, (a, b) in enumerate(pairs) if a <= settings.scarce * n * b / m and _chance(a, b, n, m) <= level]
    if scarce:
        a, b = pairs[scarce[0]]
        yield split_statistics_differ.error(
            f"class {scarce[0]} is {b / m:.0%} of the validation labels and {a / n:.1%} of the training labels ({a} of "
            f"{n}).{' So with ' + some(scarce[1:]) + '.' if scarce[1:] else ''}",
            where="targets",
            suggestion="Shuffle ahead of splitting, and look for where the training split lost its examples.",
            training=a / n,
            validation=b / m,
        )


def _chance(a: int, b: int, n: int, m: int) -> float:
    """How often so many of a class's a + b examples come into a validation split of m, not of n for training.

    By the binomial law, which is a little wider than that of dealing out without replacement.
    """
    return binomial_tail(a + b, b, m / (n + m))


@rule
def split_overlap(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Validation examples are also trained on.

    What it finds: validation examples whose inputs are, number for number, in the training split; more than examples
    repeat themselves within a split anyway.

    Why it matters: the validation score then measures memory. It looks better than it is, and hides overfitting.

    What to try: remove duplicates ahead of splitting; split by person, document or place where they come in several
    examples; give the validation loader the other subset.

    When it is wrong: where the validation split is a part of the training split on purpose, to see how well it is
    memorized. Augmented examples are no longer equal, and are not found.

    References: CS231n, course notes "classification", validation sets for hyperparameter tuning.
    """
    found = measured.overlap
    if found is None or not found.examples:
        return
    if not found.common > found.expected + 4 * math.sqrt(
        max(0.0, found.expected) + 1
    ):  # standard deviations of Poisson's law
        return
    share = found.common / found.examples
    sure = share >= settings.overlap or "train" not in measured.whole
    find = split_overlap.error if sure else split_overlap.warning
    yield find(
        f"{found.common} of {found.examples} validation examples ({share:.0%}) are in the training split"
        f"{'' if 'train' in measured.whole else ', of which only a part was looked at'}.",
        where="val inputs",
        suggestion="Remove duplicates ahead of splitting, and keep the validation examples out of training.",
        common=found.common,
        share=share,
    )
