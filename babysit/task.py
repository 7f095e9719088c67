"""Tasks: what scores mean, and the loss of predictions that know nothing.

Every loss here is a mean over examples (and labels or positions), in nats for cross-entropies.
Source of the chance losses: CS231n, course notes "neural networks 3", section "sanity checks".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from array_api_compat import array_namespace

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


def _entropy(shares: list[float]) -> float:
    return -sum(p * math.log(p) for p in shares if p > 0)


def _log(probabilities: Array) -> Array:
    """Natural logarithms in double precision, from -690 up."""
    xp = array_namespace(probabilities)
    wide = xp.astype(probabilities, xp.float64)
    return xp.log(xp.maximum(wide, xp.full_like(wide, 1e-300)))


def _log_sum_exp(scores: Array) -> Array:  # (..., C) -> (...)
    xp = array_namespace(scores)
    top = xp.max(scores, axis=-1, keepdims=True)
    return xp.squeeze(top, axis=-1) + xp.log(xp.sum(xp.exp(scores - top), axis=-1))


def _rows(scores: Array, targets: Array) -> tuple[Array, Array]:
    """Scores (M, C) in double precision and labels (M,), positions flattened, ignored labels (< 0) dropped."""
    xp = array_namespace(scores, targets)
    if targets.ndim == scores.ndim and targets.shape == scores.shape:
        targets = xp.argmax(targets, axis=-1)  # one-hot
    labels = xp.reshape(targets, (-1,))
    if scores.ndim > 2 and scores.shape[:-1] != targets.shape:
        scores = xp.moveaxis(scores, 1, -1)  # (N, C, ...) -> (N, ..., C)
    flat = xp.astype(xp.reshape(scores, (-1, scores.shape[-1])), xp.float64)
    labels = xp.astype(labels, xp.int64)
    known = labels >= 0
    return flat[known], labels[known]


def _of_label(rows: Array, labels: Array) -> Array:  # (M, C), (M,) -> (M,)
    xp = array_namespace(rows)
    return xp.take_along_axis(rows, labels[:, None], axis=1)[:, 0]


def _label_shares(targets: Array, classes: int) -> list[float]:
    xp = array_namespace(targets)
    if targets.ndim > 1 and targets.shape[-1] == classes and xp.isdtype(targets.dtype, "real floating"):
        return [float(v) for v in xp.mean(xp.reshape(targets, (-1, classes)), axis=0)]
    labels = xp.reshape(targets, (-1,))
    labels = labels[labels >= 0]
    _, counts = xp.unique_counts(labels)
    return [float(c) / max(1, labels.shape[0]) for c in counts]


def _problem_of_labels(scores: Array | None, targets: Array, classes: int) -> str:
    xp = array_namespace(targets)
    if scores is not None and scores.ndim >= 2 and classes not in scores.shape[1:]:
        return f"the scores have shape {tuple(scores.shape)}, but the task has {classes} classes"
    if not xp.isdtype(targets.dtype, "integral"):
        whole = targets.shape[-1] == classes if targets.ndim > 1 else bool(xp.all(targets == xp.round(targets)))
        return "" if whole else "the targets are no whole numbers, so they can't be class labels"
    top = int(xp.max(targets))
    return f"a label is {top}, but {classes} classes go from 0 to {classes - 1}" if top >= classes else ""


@dataclass(frozen=True)
class Classification:
    """One of `classes` per example (or position); scores are logits (N, C, ...), labels (N, ...)."""

    classes: int
    name: str = "classification"
    metric: str = "accuracy"

    def chance_losses(self, targets: Array) -> Mapping[str, float]:
        """Equal scores give ln C; the label entropy is reached when the output bias holds the log prior."""
        return {
            f"ln {self.classes}": math.log(self.classes),
            "entropy of the labels": self.constant_loss(targets),
        }

    def constant_loss(self, targets: Array) -> float:
        """The entropy of the label frequencies."""
        return _entropy(_label_shares(targets, self.classes))

    def score(self, scores: Array, targets: Array) -> float:
        """Share of labels with the highest score."""
        rows, labels = _rows(scores, targets)
        xp = array_namespace(rows)
        return float(xp.mean(xp.astype(xp.argmax(rows, axis=1) == labels, xp.float64)))

    def reference_loss(self, scores: Array, targets: Array) -> float:
        """Mean cross-entropy of the softmax of the scores."""
        rows, labels = _rows(scores, targets)
        return float(array_namespace(rows).mean(_log_sum_exp(rows) - _of_label(rows, labels)))

    def probability_loss(self, scores: Array, targets: Array) -> float:
        """Mean of -ln p(label), the scores being p."""
        rows, labels = _rows(scores, targets)
        return float(-array_namespace(rows).mean(_log(_of_label(rows, labels))))

    def logits(self, probabilities: Array) -> Array:
        """Their logarithms, from -690 up."""
        return _log(probabilities)

    def spread_excess(self, spread: float) -> float:
        """s^2 / 2 (1 - 1/C): by Jensen, E ln sum e^z <= ln C + s^2 / 2, and centered logits lose s^2 / 2C."""
        return spread**2 / 2 * (1 - 1 / self.classes)

    def problem(self, scores: Array | None, targets: Array) -> str:
        """Labels and number of scores must fit the classes."""
        return _problem_of_labels(scores, targets, self.classes)


@dataclass(frozen=True)
class LanguageModel(Classification):
    """The next of `classes` tokens at each position; scores (N, T, V), tokens (N, T), negative ones ignored."""

    name: str = "language-model"


@dataclass(frozen=True)
class Hinge(Classification):
    """One of `classes` by the Weston-Watkins hinge, sum over j != y of max(0, s_j - s_y + margin)."""

    margin: float = 1.0
    name: str = "hinge"

    def chance_losses(self, targets: Array) -> Mapping[str, float]:  # noqa: ARG002  # the same for any labels
        """(C - 1) margin, at equal scores."""
        return {f"({self.classes} - 1) x margin": (self.classes - 1) * self.margin}

    def constant_loss(self, targets: Array) -> float:
        """The better of equal scores and of the commonest class ahead of the others by the margin."""
        commonest = max(_label_shares(targets, self.classes))
        return self.margin * min(self.classes - 1, (1 - commonest) * self.classes)

    def reference_loss(self, scores: Array, targets: Array) -> float:
        """Mean over examples of the sum of violated margins."""
        rows, labels = _rows(scores, targets)
        xp = array_namespace(rows)
        margins = rows - _of_label(rows, labels)[:, None] + self.margin
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

    name: str = "multilabel"
    metric: str = "accuracy"

    def chance_losses(self, targets: Array) -> Mapping[str, float]:
        """Equal scores give ln 2 a label; the log priors the entropy of each label's frequency."""
        return {"ln 2": math.log(2), "entropy of the labels": self.constant_loss(targets)}

    def constant_loss(self, targets: Array) -> float:
        """Mean over labels of the entropy of the label's frequency."""
        xp = array_namespace(targets)
        columns = xp.astype(xp.reshape(targets, (targets.shape[0], -1)), xp.float64)
        shares = [float(p) for p in xp.mean(columns, axis=0)]
        return sum(_entropy([p, 1 - p]) for p in shares) / len(shares)

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
        return _log(probabilities) - _log(1 - probabilities)

    def spread_excess(self, spread: float) -> float:
        """s^2 / 8: two classes whose logits are 0 and z, z of variance s^2."""
        return spread**2 / 8

    def problem(self, scores: Array | None, targets: Array) -> str:
        """Targets lie in [0, 1], and there is one score for each."""
        xp = array_namespace(targets)
        if float(xp.min(targets)) < 0 or float(xp.max(targets)) > 1:
            return f"targets go from {float(xp.min(targets)):g} to {float(xp.max(targets)):g}, not from 0 to 1"
        if scores is not None and math.prod(scores.shape) != math.prod(targets.shape):
            return f"scores {tuple(scores.shape)} against targets {tuple(targets.shape)}: one for each is needed"
        return ""


@dataclass(frozen=True)
class Binary(MultiLabel):
    """Yes or no; scores are logits (N,) or (N, 1), targets 0 or 1."""

    name: str = "binary"


@dataclass(frozen=True)
class Regression:
    """Real values under the mean squared error; scores are predictions of the targets' shape."""

    name: str = "regression"
    metric: str = "R²"

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

    def score(self, scores: Array, targets: Array) -> float:
        """R^2, 1 minus squared error over variance; NaN if the targets are constant."""
        variance = self.constant_loss(targets)
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
    name: str = "stated"
    metric: str = ""

    def chance_losses(self, targets: Array) -> Mapping[str, float]:  # noqa: ARG002
        """The stated value."""
        return {"the stated chance loss": self.value}

    def constant_loss(self, targets: Array) -> float:  # noqa: ARG002
        """The stated value."""
        return self.value

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
