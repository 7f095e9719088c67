"""Tasks that choose one of several classes: the softmax's, the language model's and the hinge's."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from array_api_compat import array_namespace

from babysit.tasks import blocks
from babysit.tasks.labels import at_label, entropy, holds_classes, likeliest, log_sum_exp, safe_log

Array: TypeAlias = Any
IGNORED = -100  # the label that PyTorch's losses leave out


def _log_at_label(rows: Array, truth: Array) -> Array:
    """The logarithm of the label's probability; of labels alone it is taken once they are picked."""
    return at_label(safe_log(rows), truth) if truth.ndim == 2 else safe_log(at_label(rows, truth))


@dataclass(frozen=True)
class Classification:
    """One of `classes` per example (or position).

    Scores are logits (N, C, ...) or (N, ..., C); targets are labels (N, ...), of which -100 is ignored, and what else
    the loss leaves out as padding, or probabilities in the shape of the scores.
    """

    classes: int
    ignored: int = field(default=IGNORED, kw_only=True)  # a label that the loss leaves out (`ignore_index`)
    name: str = field(default="classification", kw_only=True)
    metric: str = field(default="accuracy", kw_only=True)
    axis: int = field(default=1, kw_only=True)  # where the classes lie if either way fits

    def chance_losses(self, targets: Array) -> Mapping[str, float]:
        """Equal scores give ln C; the label entropy is reached when the output bias holds the log prior."""
        return {
            f"ln {self.classes}": math.log(self.classes),
            "entropy of the labels": self.constant_loss(targets),
        }

    def axis_of(self, x: Array) -> int:
        """The axis of the classes."""
        return self.axis if x.shape[self.axis] == self.classes else -1 if self.axis == 1 else 1

    def _pairs(self, scores: Array, targets: Array) -> Iterator[tuple[Array, Array]]:
        """Scores (m, C), and labels (m,) or probabilities (m, C), block by block; ignored labels are dropped."""
        xp = array_namespace(scores, targets)
        axis = self.axis_of(scores)
        if targets.shape == scores.shape and scores.ndim > 1:
            others = blocks.rows(targets, self.axis_of(targets))
            yield from ((rows, truth) for (_, rows), (_, truth) in zip(blocks.rows(scores, axis), others, strict=True))
            return
        labels = xp.astype(xp.reshape(targets, (-1,)), xp.int64)
        for start, rows in blocks.rows(scores, axis):
            own = labels[start : start + rows.shape[0]]
            counts = self.counts(own)
            yield (rows, own) if bool(xp.all(counts)) else (rows[counts], own[counts])

    def _mean(self, scores: Array, targets: Array, each: Callable[[Array, Array], Array]) -> float:
        """The mean of a number for each row, (m, C) and its truth -> (m,); NaN where all labels are ignored."""
        total, count = 0.0, 0
        for rows, truth in self._pairs(scores, targets):
            values = each(rows, truth)
            total, count = total + float(array_namespace(values).sum(values)), count + values.shape[0]
        return total / count if count else math.nan

    def counts(self, labels: Array) -> Array:
        """Which labels the loss is a mean over: those that are no padding."""
        return (labels >= 0) & (labels != self.ignored)

    def weight(self, targets: Array) -> int:
        """How many labels are not ignored."""
        if any(holds_classes(targets, axis, self.classes) for axis in ((1, -1) if targets.ndim > 1 else ())):
            return int(math.prod(targets.shape) // self.classes)
        xp = array_namespace(targets)
        return int(xp.sum(xp.astype(self.counts(targets), xp.int64)))

    def _shares(self, targets: Array) -> list[float]:
        """The frequency of each class, at least of those that occur."""
        xp = array_namespace(targets)
        for axis in {1, -1} if targets.ndim > 1 else ():
            if holds_classes(targets, axis, self.classes):
                total = sum(xp.sum(block, axis=0) for _, block in blocks.rows(targets, axis))
                return [float(v) for v in total / (math.prod(targets.shape) // self.classes)]
        labels = xp.reshape(targets, (-1,))
        labels = labels[self.counts(labels)]
        _, counts = xp.unique_counts(labels)
        return [float(c) / labels.shape[0] for c in counts]

    def constant_loss(self, targets: Array) -> float:
        """The entropy of the label frequencies."""
        return entropy(self._shares(targets))

    def best_constant_score(self, targets: Array) -> float:
        """The frequency of the commonest class."""
        return max(self._shares(targets), default=math.nan)

    def score(self, scores: Array, targets: Array) -> float:
        """Share of labels with the highest score."""
        xp = array_namespace(scores)
        return self._mean(
            scores, targets, lambda rows, truth: xp.astype(xp.argmax(rows, axis=1) == likeliest(truth), xp.float64)
        )

    def reference_loss(self, scores: Array, targets: Array) -> float:
        """Mean cross-entropy of the softmax of the scores."""
        return self._mean(scores, targets, lambda rows, truth: log_sum_exp(rows) - at_label(rows, truth))

    def probability_loss(self, scores: Array, targets: Array) -> float:
        """Mean of -ln p(label), the scores being p."""
        return -self._mean(scores, targets, _log_at_label)

    def multiples(self, targets: Array) -> tuple[float, ...]:  # noqa: ARG002
        """A cross-entropy is in nats."""
        return (1.0,)

    def logits(self, probabilities: Array) -> Array:
        """Their logarithms, from -690 up."""
        return safe_log(probabilities)

    def spread_excess(self, spread: float) -> float:
        """s^2 / 2 (1 - 1/C): by Jensen, E ln sum e^z <= ln C + s^2 / 2, and centered logits lose s^2 / 2C."""
        return spread**2 / 2 * (1 - 1 / self.classes)

    def problem(self, scores: Array | None, targets: Array) -> str:
        """Labels and number of scores must fit the classes, and each other."""
        if scores is not None:
            if scores.ndim < 2 or self.classes not in (scores.shape[1], scores.shape[-1]):
                return f"the scores have shape {tuple(scores.shape)}, but the task has {self.classes} classes"
            labels, rows = math.prod(targets.shape), math.prod(scores.shape) // self.classes
            if targets.shape != scores.shape and labels != rows:
                shapes = f"scores {tuple(scores.shape)} against targets {tuple(targets.shape)}"
                return f"{shapes}: one label is needed for each {self.classes} scores"
        return self._problem_of_labels(targets)

    def _problem_of_labels(self, targets: Array) -> str:
        xp = array_namespace(targets)
        if any(holds_classes(targets, axis, self.classes) for axis in ((1, -1) if targets.ndim > 1 else ())):
            return ""
        values = xp.astype(targets, xp.float64)
        if not bool(xp.all(values == xp.floor(values))):
            return "the targets are no whole numbers, so they can't be class labels"
        if self.name == "language-model":
            values = xp.where(values < 0, xp.zeros_like(values), values)  # padding, by whatever negative number
        values = values[(values != IGNORED) & (values != self.ignored)]
        wrong = values[(values < 0) | (values >= self.classes)]
        if not wrong.shape[0]:
            return ""
        return f"a label is {int(wrong[0])}, but {self.classes} classes go from 0 to {self.classes - 1}"


@dataclass(frozen=True)
class LanguageModel(Classification):
    """The next of `classes` tokens at each position; scores (N, T, V), tokens (N, T), negative ones ignored."""

    name: str = field(default="language-model", kw_only=True)
    axis: int = field(default=-1, kw_only=True)


@dataclass(frozen=True)
class Hinge(Classification):
    """One of `classes` by the Weston-Watkins hinge, sum over j != y of max(0, s_j - s_y + margin)."""

    margin: float = 1.0
    name: str = field(default="hinge", kw_only=True)

    def chance_losses(self, targets: Array) -> Mapping[str, float]:  # noqa: ARG002  # the same for any labels
        """(C - 1) margin, at equal scores."""
        return {f"({self.classes} - 1) x margin": (self.classes - 1) * self.margin}

    def constant_loss(self, targets: Array) -> float:
        """The least loss of scores that stand in steps of the margin, common classes above rare ones.

        The loss is convex and piecewise linear in the scores, with its corners where scores are equal or a margin
        apart. So classes, the commonest first, are cut into groups, each a margin below the one before: a class pays
        one margin for each other in its group, two for each in the group above and so on; the best cuts are found one
        by one.
        """
        shares = sorted(self._shares(targets), reverse=True)
        below = [0.0, *itertools.accumulate(shares + [0.0] * (self.classes - len(shares)))]
        best = [0.0]
        for j in range(1, self.classes + 1):
            best.append(min(best[i] + i * (1 - below[i]) + (j - 1) * (below[j] - below[i]) for i in range(j)))
        return self.margin * best[-1]

    def reference_loss(self, scores: Array, targets: Array) -> float:
        """Mean over examples of the sum of violated margins."""

        def violated(rows: Array, truth: Array) -> Array:
            xp = array_namespace(rows)
            margins = rows - at_label(rows, likeliest(truth))[:, None] + self.margin
            return xp.sum(xp.where(margins > 0, margins, xp.zeros_like(margins)), axis=1)

        return self._mean(scores, targets, violated) - self.margin  # the label's own term is the margin

    def probability_loss(self, scores: Array, targets: Array) -> float:  # noqa: ARG002
        """A hinge takes no probabilities."""
        return math.nan

    def multiples(self, targets: Array) -> tuple[float, ...]:  # noqa: ARG002
        """As it is, or the mean over the other classes, or over all of them as PyTorch's multi_margin_loss has it."""
        return (1.0, 1 / (self.classes - 1), 1 / self.classes)

    def logits(self, probabilities: Array) -> Array:
        """A hinge takes no probabilities."""
        return probabilities

    def spread_excess(self, spread: float) -> float:
        """(C - 1) E max(0, d + margin) - margin, with d ~ N(0, 2 s^2) the difference of two scores."""
        deviation = math.sqrt(2) * spread
        if deviation == 0:
            return 0.0
        z = self.margin / deviation
        density, below = math.exp(-z * z / 2) / math.sqrt(2 * math.pi), (1 + math.erf(z / math.sqrt(2))) / 2
        return (self.classes - 1) * (self.margin * below + deviation * density - self.margin)
