"""Tasks: what scores mean, and the loss of predictions that know nothing.

Every loss here is a mean over examples (and labels or positions), in nats for cross-entropies.
Source of the chance losses: CS231n, course notes "neural networks 3", section "sanity checks".
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from array_api_compat import array_namespace

from babysit.labels import at_label, entropy, flat_rows, holds_classes, log_sum_exp, safe_log

Array: TypeAlias = Any


class Task(Protocol):
    """What a trainer's scores mean.

    Attributes:
        name: The task's name, as `task_named` knows it.
        metric: "accuracy", "R²", or "" where scores can't be graded.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def metric(self) -> str: ...  # noqa: D102

    def chance_losses(self, targets: Array) -> Mapping[str, float]:
        """The legal first losses, by the reason that makes each one legal."""
        ...

    def constant_loss(self, targets: Array) -> float:
        """The least loss of one prediction for all examples."""
        ...

    def best_constant_score(self, targets: Array) -> float:
        """The metric of the best prediction that is the same for all examples; NaN where there is none."""
        ...

    def score(self, scores: Array, targets: Array) -> float:
        """The metric; NaN where there is none."""
        ...

    def reference_loss(self, scores: Array, targets: Array) -> float:
        """The task's standard loss of these scores, computed here; NaN where there is none."""
        ...

    def probability_loss(self, scores: Array, targets: Array) -> float:
        """The standard loss if the scores were probabilities already; NaN where that makes no sense."""
        ...

    def logits(self, probabilities: Array) -> Array:
        """The logits of which these scores would be the probabilities; the scores where that makes no sense."""
        ...

    def spread_excess(self, spread: float) -> float:
        """What random scores of this spread add to the chance loss, at most; inf where unknown."""
        ...

    def problem(self, scores: Array | None, targets: Array) -> str:
        """What speaks against this task in the shapes and values seen; empty if nothing does."""
        ...


@dataclass(frozen=True)
class Classification:
    """One of `classes` per example (or position).

    Scores are logits (N, C, ...) or (N, ..., C); targets are labels (N, ...), of which negative ones are ignored, or
    probabilities in the shape of the scores.
    """

    classes: int
    name: str = field(default="classification", kw_only=True)
    metric: str = field(default="accuracy", kw_only=True)
    axis: int = field(default=1, kw_only=True)  # where the classes lie if either way fits

    def chance_losses(self, targets: Array) -> Mapping[str, float]:
        """Equal scores give ln C; the label entropy is reached when the output bias holds the log prior."""
        return {
            f"ln {self.classes}": math.log(self.classes),
            "entropy of the labels": self.constant_loss(targets),
        }

    def _axis(self, x: Array) -> int:
        """The axis of the classes."""
        return self.axis if x.shape[self.axis] == self.classes else -1 if self.axis == 1 else 1

    def _pairs(self, scores: Array, targets: Array) -> tuple[Array, Array]:
        """Scores (M, C), and labels (M,) or probabilities (M, C), positions flattened and ignored labels dropped."""
        xp = array_namespace(scores, targets)
        rows = flat_rows(scores, self._axis(scores))
        if targets.shape == scores.shape and scores.ndim > 1:
            return rows, flat_rows(targets, self._axis(targets))
        labels = xp.astype(xp.reshape(targets, (-1,)), xp.int64)
        return rows[labels >= 0], labels[labels >= 0]

    def _labelled(self, scores: Array, targets: Array) -> tuple[Array, Array]:
        """As `_pairs`, the likeliest label in place of probabilities."""
        rows, truth = self._pairs(scores, targets)
        return rows, array_namespace(truth).argmax(truth, axis=1) if truth.ndim == 2 else truth

    def _shares(self, targets: Array) -> list[float]:
        """The frequency of each class, at least of those that occur."""
        xp = array_namespace(targets)
        for axis in {1, -1} if targets.ndim > 1 else ():
            if holds_classes(targets, axis, self.classes):
                return [float(v) for v in xp.mean(flat_rows(targets, axis), axis=0)]
        labels = xp.reshape(targets, (-1,))
        labels = labels[labels >= 0]
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
        rows, labels = self._labelled(scores, targets)
        xp = array_namespace(rows)
        return float(xp.mean(xp.astype(xp.argmax(rows, axis=1) == labels, xp.float64)))

    def reference_loss(self, scores: Array, targets: Array) -> float:
        """Mean cross-entropy of the softmax of the scores."""
        rows, truth = self._pairs(scores, targets)
        return float(array_namespace(rows).mean(log_sum_exp(rows) - at_label(rows, truth)))

    def probability_loss(self, scores: Array, targets: Array) -> float:
        """Mean of -ln p(label), the scores being p."""
        rows, truth = self._pairs(scores, targets)
        return float(-array_namespace(rows).mean(at_label(safe_log(rows), truth)))

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
        top = int(xp.max(values))
        over = top >= self.classes
        return f"a label is {top}, but {self.classes} classes go from 0 to {self.classes - 1}" if over else ""


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
        rows, labels = self._labelled(scores, targets)
        xp = array_namespace(rows)
        margins = rows - at_label(rows, labels)[:, None] + self.margin
        violated = xp.where(margins > 0, margins, xp.zeros_like(margins))
        return float(xp.mean(xp.sum(violated, axis=1))) - self.margin  # the label's own term is the margin

    def probability_loss(self, scores: Array, targets: Array) -> float:  # noqa: ARG002
        """A hinge takes no probabilities."""
        return math.nan

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


@dataclass(frozen=True)
class MultiLabel:
    """Any of several labels; scores are logits, targets 0 or 1, both (N, L)."""

    name: str = field(default="multilabel", kw_only=True)
    metric: str = field(default="accuracy", kw_only=True)

    def chance_losses(self, targets: Array) -> Mapping[str, float]:
        """Equal scores give ln 2 a label; the log priors the entropy of each label's frequency."""
        return {"ln 2": math.log(2), "entropy of the labels": self.constant_loss(targets)}

    def constant_loss(self, targets: Array) -> float:
        """Mean over labels of the entropy of the label's frequency."""
        xp = array_namespace(targets)
        columns = xp.astype(xp.reshape(targets, (targets.shape[0], -1)), xp.float64)
        shares = [float(p) for p in xp.mean(columns, axis=0)]
        return sum(entropy([p, 1 - p]) for p in shares) / len(shares)

    def best_constant_score(self, targets: Array) -> float:
        """Mean over labels of the commoner answer's frequency."""
        xp = array_namespace(targets)
        shares = xp.mean(xp.astype(xp.reshape(targets, (targets.shape[0], -1)), xp.float64), axis=0)
        return float(xp.mean(xp.maximum(shares, 1 - shares)))

    def _flat(self, scores: Array, targets: Array) -> tuple[Array, Array]:
        xp = array_namespace(scores, targets)
        return xp.astype(xp.reshape(scores, (-1,)), xp.float64), xp.astype(xp.reshape(targets, (-1,)), xp.float64)

    def score(self, scores: Array, targets: Array) -> float:
        """Share of labels on the right side: above 0 for logits, above 1/2 if all scores lie in [0, 1]."""
        flat, labels = self._flat(scores, targets)
        xp = array_namespace(flat)
        limit = 0.5 if float(xp.min(flat)) >= 0 and float(xp.max(flat)) <= 1 else 0.0
        return float(xp.mean(xp.astype((flat > limit) == (labels > 0.5), xp.float64)))

    def reference_loss(self, scores: Array, targets: Array) -> float:
        """Mean binary cross-entropy of the sigmoid of the scores."""
        flat, labels = self._flat(scores, targets)
        xp = array_namespace(flat)
        positive = xp.where(flat > 0, flat, xp.zeros_like(flat))
        return float(xp.mean(positive - flat * labels + xp.log1p(xp.exp(-xp.abs(flat)))))

    def probability_loss(self, scores: Array, targets: Array) -> float:
        """Mean binary cross-entropy, the scores being probabilities; logs stop at -100, as PyTorch's do."""
        flat, labels = self._flat(scores, targets)
        xp = array_namespace(flat)
        if float(xp.min(flat)) < 0 or float(xp.max(flat)) > 1:
            return math.nan
        least = xp.asarray(math.exp(-100), dtype=flat.dtype)
        yes, no = xp.log(xp.maximum(flat, least)), xp.log(xp.maximum(1 - flat, least))
        return float(-xp.mean(labels * yes + (1 - labels) * no))

    def logits(self, probabilities: Array) -> Array:
        """The log odds, ln p - ln (1 - p)."""
        return safe_log(probabilities) - safe_log(1 - probabilities)

    def spread_excess(self, spread: float) -> float:
        """s^2 / 8: two classes whose logits are 0 and z, z of variance s^2."""
        return spread**2 / 8

    def problem(self, scores: Array | None, targets: Array) -> str:
        """Targets lie in [0, 1], and there is one score for each."""
        xp = array_namespace(targets)
        values = xp.astype(targets, xp.float64)
        least, most = float(xp.min(values)), float(xp.max(values))
        if not (least >= 0 and most <= 1):
            return f"targets go from {least:g} to {most:g}, not from 0 to 1"
        if scores is not None and math.prod(scores.shape) != math.prod(targets.shape):
            return f"scores {tuple(scores.shape)} against targets {tuple(targets.shape)}: one for each is needed"
        return ""


@dataclass(frozen=True)
class Binary(MultiLabel):
    """Yes or no; scores are logits (N,) or (N, 1), targets 0 or 1."""

    name: str = field(default="binary", kw_only=True)


@dataclass(frozen=True)
class Regression:
    """Real values under the mean squared error; scores are predictions of the targets' shape."""

    name: str = field(default="regression", kw_only=True)
    metric: str = field(default="R²", kw_only=True)

    def chance_losses(self, targets: Array) -> Mapping[str, float]:
        """The targets' mean square, when predictions are 0; their variance, when predictions are their mean."""
        xp = array_namespace(targets)
        values = xp.astype(targets, xp.float64)
        return {"mean y^2": float(xp.mean(values**2)), "variance of y": self.constant_loss(targets)}

    def constant_loss(self, targets: Array) -> float:
        """The variance around the mean, averaged over outputs."""
        xp = array_namespace(targets)
        values = xp.astype(targets, xp.float64)
        return float(xp.mean((values - xp.mean(values, axis=0, keepdims=True)) ** 2))

    def best_constant_score(self, targets: Array) -> float:  # noqa: ARG002
        """0, that of the mean."""
        return 0.0

    def score(self, scores: Array, targets: Array) -> float:
        """R^2, 1 minus squared error over variance; NaN if the targets are constant."""
        constant = bool(array_namespace(targets).all(targets == targets[:1]))
        variance = 0.0 if constant else self.constant_loss(targets)
        return 1 - self.reference_loss(scores, targets) / variance if variance > 0 else math.nan

    def reference_loss(self, scores: Array, targets: Array) -> float:
        """Mean squared error, scores and targets aligned element by element."""
        xp = array_namespace(scores, targets)
        aligned = xp.reshape(scores, targets.shape)
        return float(xp.mean((xp.astype(aligned, xp.float64) - xp.astype(targets, xp.float64)) ** 2))

    def probability_loss(self, scores: Array, targets: Array) -> float:  # noqa: ARG002
        """A squared error takes no probabilities."""
        return math.nan

    def logits(self, probabilities: Array) -> Array:
        """A squared error takes no probabilities."""
        return probabilities

    def spread_excess(self, spread: float) -> float:
        """s^2: the squared error adds the variance of predictions that know nothing."""
        return spread**2

    def problem(self, scores: Array | None, targets: Array) -> str:
        """One prediction for each target."""
        if scores is not None and math.prod(scores.shape) != math.prod(targets.shape):
            return f"predictions {tuple(scores.shape)} against targets {tuple(targets.shape)}: one for each is needed"
        return ""


@dataclass(frozen=True)
class ChanceLoss:
    """Anything else: the user states the loss of predictions that know nothing."""

    value: float
    name: str = field(default="stated", kw_only=True)
    metric: str = field(default="", kw_only=True)

    def chance_losses(self, targets: Array) -> Mapping[str, float]:  # noqa: ARG002
        """The stated value."""
        return {"the stated chance loss": self.value}

    def constant_loss(self, targets: Array) -> float:  # noqa: ARG002
        """The stated value."""
        return self.value

    def best_constant_score(self, targets: Array) -> float:  # noqa: ARG002
        """None is known."""
        return math.nan

    def score(self, scores: Array, targets: Array) -> float:  # noqa: ARG002
        """None is known."""
        return math.nan

    reference_loss = probability_loss = score

    def logits(self, probabilities: Array) -> Array:
        """Nothing is known of the scores."""
        return probabilities

    def spread_excess(self, spread: float) -> float:  # noqa: ARG002
        """Unknown."""
        return math.inf

    def problem(self, scores: Array | None, targets: Array) -> str:  # noqa: ARG002
        """Nothing to hold shapes against."""
        return ""


NAMES = ("classification", "binary", "multilabel", "regression", "hinge", "language-model")


def task_named(name: str, scores: Array) -> Task:
    """The task of this name, its number of classes read from the scores.

    Raises:
        ValueError: There is no task of this name.
    """
    with_classes = {kind.name: kind for kind in (Classification, Hinge, LanguageModel)}
    without: dict[str, type[MultiLabel | Regression]] = {k.name: k for k in (Binary, MultiLabel, Regression)}
    if name in without:
        return without[name]()
    if name in with_classes:
        axis = -1 if name == "language-model" else 1
        return with_classes[name](classes=int(scores.shape[axis]))
    raise ValueError(f"unknown task {name!r}; known are {', '.join(NAMES)}")
