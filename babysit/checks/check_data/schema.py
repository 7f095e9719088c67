"""What can be set of `check-data`, and what it measures."""

import math
from dataclasses import dataclass

from babysit.check import setting
from babysit.checks.check_data.summaries import Comparison, Labels, Leaf, Order, Overlap, Sight, Tie


@dataclass(frozen=True)
class Settings:
    """Settings of `check-data`."""

    examples: int = setting(
        10_000, "examples of each split that are looked at, 1 GiB at most", least=2, option=True, measures=True
    )
    off_center: float = setting(
        1.0, "mean over spread of the inputs, from where it is mentioned: most of their power is then the mean's. "
        "Images at [0, 1] have 1 to 2, and networks learn from them", above=0.0,
    )  # fmt: skip
    far_off_center: float = setting(
        3.0, "the same, for a warning: 90 % of the power is then common to all examples, and gradients on the first "
        "weights of a unit have one sign nearly always (1 / (1 + 1 / 3^2))", above=0.0,
    )  # fmt: skip
    out_of_center: float = setting(
        30.0, "the same, for an error: 99.9 % of the power; what tells examples apart is in the third digit",
        above=0.0,
    )  # fmt: skip
    large: float = setting(
        10.0, "root mean square of inputs or targets that earns a warning, as its inverse does: curvature grows with "
        "the square, so the rates that suit inputs of size 1 are 100 times too high", above=1.0,
    )  # fmt: skip
    huge: float = setting(
        50.0, "the same, for an error: pixels from 0 to 255 have 80 (MNIST, mostly black) to 150, and ask for rates "
        "2,500 times lower", above=1.0,
    )  # fmt: skip
    scales: float = setting(
        10.0, "largest spread of a feature over the middle one, and of a column its range, too, that earns a warning: "
        "the curvature along the two differs by the square, and gradient descent takes as many times longer (LeCun "
        "et al., Efficient BackProp, 1998)", above=1.0,
    )  # fmt: skip
    far_scales: float = setting(100.0, "the same, for an error: a condition number of 10,000", above=1.0)
    constant: float = setting(
        0.5, "share of an example's elements that never vary, for a warning; black borders are a tenth of MNIST; where "
        "none varies it is an error", above=0.0, most=1.0,
    )  # fmt: skip
    imbalance: float = setting(
        0.5, "entropy of the labels over that of equal shares, under which classes are unbalanced: 9 to 1 for two",
        above=0.0, most=1.0,
    )  # fmt: skip
    hardly: float = setting(0.01, "share of an equal share of the examples, under which a class is as good as missing",
        above=0.0, most=1.0,
    )  # fmt: skip
    scarce: float = setting(
        0.1, "share of a class in training over its share in validation, under which the splits differ in their "
        "labels, unless chance explains it: a class is under-represented so in tables that were not shuffled ahead of "
        "splitting", above=0.0, most=1.0,
    )  # fmt: skip
    shift: float = setting(
        0.5, "distance of a feature's means in the two splits, in spreads of the training split, from where it counts "
        "as different; samples of one source lie within a few standard errors, n^-1/2", above=0.0, measures=True,
    )  # fmt: skip
    ratio: float = setting(
        1.5, "ratio of a feature's spreads in the two splits (or its inverse), likewise", above=1.0, measures=True
    )
    different: float = setting(
        0.5, "share of the features that differ between the splits, from where it is an error: preparation touches all "
        "or most of them, a drift of the data few", above=0.0, most=1.0,
    )  # fmt: skip
    tied: float = setting(
        0.7, "correlation of a column with the targets in training, from where it has to hold on the validation split: "
        "half of the variance", above=0.0, most=1.0,
    )  # fmt: skip
    lost: float = setting(
        0.5, "share of such a correlation that must be left there; a drift of the data seldom takes half of it",
        above=0.0, most=1.0,
    )  # fmt: skip
    overlap: float = setting(
        0.05, "share of validation examples that are in the training split, from where it is an error",
        above=0.0, most=1.0,
    )  # fmt: skip
    ordered: float = setting(
        0.5,
        "share of the targets' variance that lies between batches, beyond chance, for an error",
        above=0.0,
        most=1.0,
    )
    partly_ordered: float = setting(0.2, "the same, for a warning", above=0.0, most=1.0)
    sigmas: float = setting(
        6.0, "standard deviations above chance that it takes besides; a normal variable is there once in a billion "
        "times", above=0.0,
    )  # fmt: skip
    batch_variation: float = setting(
        1e-3, "variance of the batches' means over what sampling gives them, under which statistics were taken per "
        "batch: it would be 0 but for rounding (1e-7 in half precision), and 1 for batches dealt out at random; "
        "batches that hold each class alike leave what varies within a class", above=0.0, most=1.0,
    )  # fmt: skip
    unlikely: float = setting(
        1e-6, "chance above which something is left to chance: so little variation of batches, by chi squared "
        "with batches - 1 degrees of freedom; so few examples of a class in training, by the binomial law, over all "
        "classes", above=0.0, most=1.0,
    )  # fmt: skip

    leak: float = setting(
        1e-3, "change of a score with the place of the inputs that holds its target, over the spread of the scores, "
        "from where it sees it: causal networks compute the same whatever comes later, within single precision's "
        "1e-5", above=0.0,
    )  # fmt: skip


@dataclass(frozen=True)
class Measurement:
    """What one pass over each split has shown.

    Args:
        inputs: Arrays of the inputs, those of the training split first.
        targets: Arrays of the targets, likewise.
        labels: Labels of the splits that have them.
        order: Of the targets in training batches; None where nothing can be told.
        whole: Splits that were seen to their end.
        comparisons: Arrays of the inputs in both splits.
        overlap: Examples in both splits; None without a validation split.
        holding: Columns of the inputs that hold the targets.
        ties: Of each table of inputs, the column that is tied to the targets in training alone.
        sight: What scores along a sequence depend on, where its targets are part of the inputs; else None.
        is_regression: Whether the targets are numbers to be predicted.
        is_text: Whether the task is to predict words.
    """

    inputs: tuple[Leaf, ...]
    targets: tuple[Leaf, ...]
    labels: tuple[Labels, ...]
    order: Order | None
    whole: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    overlap: Overlap | None
    holding: tuple[str, ...]
    ties: tuple[Tie, ...]
    sight: Sight | None
    is_regression: bool
    is_text: bool

    def training(self) -> list[Leaf]:
        """Inputs of the training split that are amounts, and of which some example is finite."""
        return [leaf for leaf in self.inputs if leaf.split == "train" and not leaf.ids and not math.isnan(leaf.size)]

    def telling(self, labels: Labels) -> bool:
        """Whether an absent class is missing, rather than not come yet.

        Of a split that was not seen to its end, batches must be mixed and 14 examples a class expected: at random,
        e^-14 or one class in a million is then absent by chance.
        """
        if labels.split in self.whole:
            return True
        mixed = self.order is not None and not self.order.alike and self.order.share < 0.2
        return mixed and sum(labels.counts) >= 14 * labels.classes

    def labelled(self, split: str) -> Labels | None:
        """The split's labels, where their classes were counted."""
        return next((found for found in self.labels if found.split == split and any(found.counts)), None)
