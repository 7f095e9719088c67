"""Streaming counts of a split's targets: how often each class comes, and whether batches come in an order."""

import math
from typing import Any

import numpy as np

from babysit.checks.check_data.statistics.features import Array
from babysit.checks.check_data.summaries import Labels, Order
from babysit.measuring.significance import between_groups_deviate
from babysit.tasks.blocks import row_blocks, row_pieces
from babysit.tasks.classification import IGNORED
from babysit.tasks.task import Task

CLASSIFYING = ("classification", "hinge")
DECIDING = ("binary", "multilabel")
SUM = 1e-2  # how far from 1 probabilities in half precision may add up to
LARGE = 2**53  # whole numbers, from where double precision can't hold them all
MOST_OUTPUTS = 64  # of a regression; maps of targets, such as depth images, say little of an order of examples
# Examples that the variance must come from (the square of the sum of squares over the sum of fourth powers): a rare
# class of two stands in one batch by chance now and then, but 20 examples fall apart in halves once in 92,378 times.
ENOUGH = 20

quiet = np.errstate(over="ignore", invalid="ignore")


class LabelCounts:
    """Accumulates the labels of a split, batch by batch.

    Args:
        task: Says what labels are.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._ignored = int(getattr(task, "ignored", IGNORED))
        self.classes = 2 if task.name in DECIDING else int(getattr(task, "classes", 0))
        self._counted = task.name in CLASSIFYING or task.name == "binary"
        self._counts = np.zeros(self.classes if self._counted else 0, dtype=np.int64)
        self._seen = self._outside = 0
        self._sum = 0.0
        self._strange: list[float] = []  # the first two different labels that are no class
        self._least, self._most = math.inf, -math.inf

    def add(self, targets: Array) -> None:
        """Add a batch's targets, an array (N, ...)."""
        axis = share_axis(self.task, targets)
        for piece in row_pieces(np.asarray(targets)):
            self._add(*_counted(piece.reshape(-1) if axis is None else likeliest(piece, axis)))

    def _add(self, values: Array, often: Array) -> None:
        meant = self._meant(values)
        values, often = values[meant], often[meant]
        if not len(values):
            return
        self._least, self._most = min(self._least, float(values.min())), max(self._most, float(values.max()))
        wrong = self._wrong(values)
        self._seen, self._outside = self._seen + int(often.sum()), self._outside + int(often[wrong].sum())
        self._strange = list(dict.fromkeys([*self._strange, *map(float, np.unique(values[wrong])[:2])]))[:2]
        if self._counted:
            right, often = values[~wrong], often[~wrong]
            self._sum += float(right @ often)
            np.add.at(self._counts, np.round(right).astype(np.int64), often)

    def _meant(self, values: Array) -> Array:
        """Labels that count: others are padding, or left out of the loss."""
        if self.task.name in DECIDING:
            return np.isfinite(values)
        padding = values < 0 if self.task.name == "language-model" else values == IGNORED
        return np.isfinite(values) & ~padding & (values != self._ignored)

    def _wrong(self, values: Array) -> Array:
        if self.task.name in DECIDING:
            return (values < 0) | (values > 1)
        return (values < 0) | (values >= self.classes) | (values != np.floor(values))

    def summary(self, split: str) -> Labels | None:
        """The counts so far; None where no label was seen, or the task has none."""
        if not self._seen or not self.classes:
            return None
        counts = tuple(int(count) for count in self._counts)
        if self.task.name == "binary" and 0 in counts and self._least < self._most:
            ones = round(self._sum)  # of probabilities on one side of 1/2
            counts = sum(counts) - ones, ones
        return Labels(
            split=split,
            classes=self.classes,
            counts=counts,
            examples=self._seen,
            outside=self._outside,
            marked=self._marked(),
            ignored=self._ignored,
            example=self._strange[0] if self._strange else math.nan,
            least=self._least,
            most=self._most,
        )

    def _marked(self) -> bool:
        """Whether the labels that are no class are all the same, and not what another count of the classes would give.

        Classes counted from -1 lack the last, those counted from 1 the first; one class too few is one beyond the last.
        """
        if self.task.name not in CLASSIFYING or len(self._strange) != 1:
            return False
        return bool(self._counts[0] and self._counts[-1]) and not 0 <= self._strange[0] <= self.classes


def _counted(values: Array) -> tuple[Array, Array]:
    """Values in double precision, (M,), and how often each comes; whole numbers of a small range once each."""
    if values.dtype.kind in "iub" and len(values):
        least, most = int(values.min()), int(values.max())
        if most - least < len(values) and -LARGE < least <= most < LARGE:
            often = np.bincount(values.astype(np.int64) - least)
            occurring = np.flatnonzero(often)
            return (occurring + least).astype(np.float64), often[occurring]
    return values.astype(np.float64), np.ones(len(values), dtype=np.int64)


def share_axis(task: Task, targets: Array) -> int | None:
    """The axis that holds a probability for each class; None where none does."""
    if task.name not in CLASSIFYING or targets.ndim < 2:
        return None
    for axis in (1, -1):
        fits = targets.shape[axis] == getattr(task, "classes", 0)
        if fits and all(_are_shares(piece, axis) for piece in row_pieces(targets)):
            return axis
    return None


def _are_shares(values: Array, axis: int) -> bool:
    """Whether these are probabilities along that axis, added up in double precision."""
    if not (values.min() >= 0 and values.max() <= 1):
        return False
    return bool(np.abs(values.sum(axis=axis, dtype=np.float64) - 1).max() < SUM)


def likeliest(shares: Array, axis: int) -> Array:
    """The likeliest class of each row of probabilities, (N,) of any number of positions."""
    return np.moveaxis(shares, axis, -1).argmax(axis=-1).reshape(-1)


class BatchOrder:
    """Accumulates the variance of targets within batches and over all.

    Args:
        task: Says whether targets are classes or numbers.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._classes = int(getattr(task, "classes", 0)) if task.name in CLASSIFYING else 0
        self._batches = self._examples = 0
        self._origin: Any = None  # of numbers: powers of large ones would drown small differences
        # Sums of the first to the fourth powers, (4, outputs); of classes (1, classes), since all powers of a truth
        # value are the same. And of each batch's squared sums over its size, (outputs,).
        self._powers: Any = np.zeros((1, self._classes)) if self._classes else None
        self._between: Any = np.zeros(self._classes) if self._classes else None

    @quiet
    def add(self, targets: Array) -> None:
        """Add a batch's targets; those with more than one label an example are left out."""
        added = self._add_classes(targets) if self.task.name in CLASSIFYING else self._add_numbers(targets)
        if added:
            self._batches, self._examples = self._batches + 1, self._examples + len(targets)

    def _add_classes(self, targets: Array) -> bool:
        """Count each class."""
        axis = share_axis(self.task, targets)
        flat = targets.reshape(len(targets), -1) if axis is None else likeliest(targets, axis)[:, None]
        if len(flat) != len(targets) or flat.shape[1] != 1 or not ((flat >= 0) & (flat < self._classes)).all():
            return False
        labels, often = np.unique(flat[:, 0].astype(np.int64), return_counts=True)  # few, where there are a million
        self._powers[0, labels] += often
        self._between[labels] += often**2 / len(targets)
        return True

    def _add_numbers(self, targets: Array) -> bool:
        """Add the powers of each number's distance from the first one seen."""
        if self.task.name not in (*DECIDING, "regression"):
            return False
        rows = np.asarray(targets).reshape(len(targets), -1)
        if rows.shape[1] > MOST_OUTPUTS or not np.isfinite(rows).all():
            return False
        if self._origin is None:
            self._origin = rows[0].astype(np.float64)
            self._powers, self._between = np.zeros((4, rows.shape[1])), np.zeros(rows.shape[1])
        if rows.shape[1:] != self._origin.shape:
            return False
        powers = sum(_powers(block - self._origin) for block in row_blocks([rows]))
        self._powers = self._powers + powers
        self._between = self._between + powers[0] ** 2 / len(rows)
        return True

    @quiet
    def summary(self) -> Order | None:
        """What was seen; None where there are no two batches of comparable targets, or too few examples to tell."""
        n, batches = self._examples, self._batches
        if batches < 2 or n <= batches:
            return None
        total, fourth = self._central_moments()
        varies = total > 0
        if not varies.any():
            return Order(0.0, 0.0, batches, alike=True)
        shares = (self._between - self._powers[0] ** 2 / n)[varies] / total[varies]
        if self.task.name in CLASSIFYING:
            weights, effective = total[varies] / total.sum(), self._effective_labels(total.sum())
        else:
            weights, effective = 1 / varies.sum(), 1 / np.mean(fourth[varies] / total[varies] ** 2)
        if not effective >= ENOUGH:
            return None
        share = float((shares * weights).sum())
        adjusted = 1 - (1 - share) * (n - 1) / (n - batches)
        return Order(adjusted, between_groups_deviate(share, batches - 1, n - batches), batches, alike=False)

    def _central_moments(self) -> tuple[Array, Array]:
        """Sums of the second and the fourth powers of the distances from the mean, of each output."""
        first, second, third, fourth = np.broadcast_to(self._powers, (4, self._powers.shape[1]))
        mean = first / self._examples
        return second - mean * first, fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**3 * first

    def _effective_labels(self, total: float) -> float:
        """The same of truth values: an example's distance from the mean is that of all of its truth values together."""
        counts = self._powers[0]
        shares = counts / self._examples
        distances = 1 - 2 * shares + (shares**2).sum()
        return float(total**2 / (counts * distances**2).sum())


def _powers(distances: Array) -> Array:
    """Sums of the first to the fourth powers of each column, (4, columns)."""
    squares = distances**2
    return np.stack([power.sum(axis=0) for power in (distances, squares, squares * distances, squares**2)])
