"""What one pass over the data has shown, as plain values."""

import math
from dataclasses import dataclass

from babysit.tasks.labels import entropy


@dataclass(frozen=True)
class Leaf:
    """One array of a split's inputs or targets, over the examples looked at; NaN where none of them is finite.

    Args:
        name: "inputs", or with its place in the tree: "inputs.pixels".
        split: "train" or "val".
        ids: Whether its numbers are names of words or categories rather than amounts.
        examples: Examples looked at.
        not_finite: Examples with a NaN or an infinity; left out of the other numbers.
        shape: Past the axis of examples; empty where it varies from batch to batch.
        features: Number of features: columns, or channels.
        are_channels: Whether a feature is a channel rather than a column.
        size: Root mean square of all values; infinite where squares overflow.
        nonzero_size: The same of the values that aren't 0.
        mean: Of all values.
        spread: Root of the features' mean variance.
        offset: Root mean square of the features' means.
        least: The smallest value.
        most: The largest.
        widest: The feature with the largest spread.
        widest_spread: Its spread.
        usual_spread: Median spread of the features that vary, the lower of two.
        widest_range: Range of values of the column with the largest spread; NaN of channels.
        narrowest: The column with the smallest range of values, rare ones (a word, a corner's pixel) left out.
        narrowest_range: Its range.
        usual_range: Median range of the elements that vary, the lower of two.
        constant: Share of the elements of an example that are the same in all examples.
        batches: Batches that `batch_variation` knows.
        batch_variation: Variance of the batches' means over what sampling gives them: of each feature, averaged, or of
            the mean over all features, whichever is smaller. About 1 where examples are dealt out at random; NaN where
            it can't be told.
    """

    name: str
    split: str
    ids: bool
    examples: int
    not_finite: int
    shape: tuple[int, ...] = ()
    features: int = 0
    are_channels: bool = False
    size: float = math.nan
    nonzero_size: float = math.nan
    mean: float = math.nan
    spread: float = math.nan
    offset: float = math.nan
    least: float = math.nan
    most: float = math.nan
    widest: int = 0
    widest_spread: float = math.nan
    usual_spread: float = math.nan
    widest_range: float = math.nan
    narrowest: int = 0
    narrowest_range: float = math.nan
    usual_range: float = math.nan
    constant: float = 0.0
    batches: int = 0
    batch_variation: float = math.nan


@dataclass(frozen=True)
class Labels:
    """Labels of one split.

    Args:
        split: "train" or "val".
        classes: Classes of the task; 2 for yes or no.
        counts: How often each class comes; empty for several labels an example and for words.
        examples: Labels looked at.
        outside: Labels that are no class.
        example: One of them; NaN if there is none.
        least: The smallest label.
        most: The largest.
        marked: Whether those that are no class may mark what the loss leaves out, as -1 and 255 often do.
        ignored: The class that the loss is known to leave out, as padding; -100, which is none, where there is no such.
    """

    split: str
    classes: int
    counts: tuple[int, ...]
    examples: int
    outside: int
    example: float
    least: float
    most: float
    marked: bool = False
    ignored: int = -100

    @property
    def entropy(self) -> float:
        """Of the label frequencies, in nats: the loss of predicting nothing but them."""
        total = sum(self.counts)
        return entropy([count / total for count in self.counts]) if total else math.nan


@dataclass(frozen=True)
class Order:
    """How far the targets of a batch resemble one another.

    Args:
        share: Share of the targets' variance that lies between batches, less what chance puts there; 1 where every
            batch has one target alone, 0 where examples come in random order.
        sigmas: How many standard deviations that is above chance.
        batches: Batches looked at.
        alike: Whether all the targets seen are the same.
    """

    share: float
    sigmas: float
    batches: int
    alike: bool


@dataclass(frozen=True)
class Comparison:
    """One array of the inputs in both splits.

    Args:
        name: The array's.
        features: Features that vary in training.
        different: Features whose mean or spread differs by more than sampling explains and more than a set effect.
        shift: Median over features of the means' distance, in spreads of the training split.
        ratio: Median over features of the validation spread over the training spread.
        worst: The feature that is furthest off.
        worst_shift: Its distance.
        worst_ratio: Its ratio.
        own: How the validation split was scaled by its own statistics: "standardized", "stretched to the same range",
            or empty.
    """

    name: str
    features: int
    different: int
    shift: float
    ratio: float
    worst: int
    worst_shift: float
    worst_ratio: float
    own: str


@dataclass(frozen=True)
class Overlap:
    """Examples that both splits hold.

    Args:
        examples: Validation examples looked at.
        common: How many of them are in the training split, too.
        expected: How many at most would be by chance, as often as examples repeat themselves within a split.
    """

    examples: int
    common: int
    expected: float


@dataclass(frozen=True)
class Sight:
    """How scores along a sequence, whose targets are part of the inputs, change with the inputs.

    Args:
        offset: How many places further on in the inputs a score's target stands; 1 for the next token.
        target: Change of a score with the place that holds its target, over the spread of the scores.
        later: Its change with all places from there on, those at its own place left out.
        noise: Its change from one evaluation to the next.
    """

    offset: int
    target: float
    later: float
    noise: float


@dataclass(frozen=True)
class Tie:
    """The column that loses most of its tie to the targets between the splits.

    Args:
        name: The column.
        train: Its correlation with the targets in training; with classes, the root of the variance's share between
            them.
        val: The same in validation.
        sigmas: How many standard errors the two are apart.
    """

    name: str
    train: float
    val: float
    sigmas: float


def some(classes: list[int]) -> str:
    """The first of them, and how many more."""
    return ", ".join(map(str, classes[:5])) + (f" and {len(classes) - 5} more" if len(classes) > 5 else "")
