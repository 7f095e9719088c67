"""Tasks: what scores mean, and the loss of predictions that know nothing.

Every loss here is a mean over examples (and labels or positions), in nats for cross-entropies.
Source of the chance losses: CS231n, course notes "neural networks 3", section "sanity checks".
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from array_api_compat import array_namespace

from babysit.tasks import blocks
from babysit.tasks.classification import Classification, Hinge, LanguageModel
from babysit.tasks.labels import safe_log
from babysit.tasks.regression import Regression

__all__ = [
    "NAMES",
    "Binary",
    "ChanceLoss",
    "Classification",
    "Hinge",
    "LanguageModel",
    "MultiLabel",
    "Regression",
    "Task",
    "UnknownLoss",
    "task_named",
]

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

    def multiples(self, targets: Array) -> tuple[float, ...]:
        """Factors by which programs legally scale the standard loss, 1 among them."""
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
class MultiLabel:
    """Any of several labels; scores are logits, targets 0 or 1, both (N, L)."""

    name: str = field(default="multilabel", kw_only=True)
    metric: str = field(default="accuracy", kw_only=True)

    def chance_losses(self, targets: Array) -> Mapping[str, float]:
        """Equal scores give ln 2 a label; the log priors the entropy of each label's frequency."""
        return {"ln 2": math.log(2), "entropy of the labels": self.constant_loss(targets)}

    def constant_loss(self, targets: Array) -> float:
        """Mean over labels of the entropy of the label's frequency."""

        def entropies(p: Array) -> Array:
            xp = array_namespace(p)
            return -(xp.where(p > 0, p, 1.0) * xp.log(xp.where(p > 0, p, 1.0)))

        return self._over_labels(targets, lambda p: entropies(p) + entropies(1 - p))

    def best_constant_score(self, targets: Array) -> float:
        """Mean over labels of the commoner answer's frequency."""
        return self._over_labels(targets, lambda p: array_namespace(p).maximum(p, 1 - p))

    def _over_labels(self, targets: Array, each: Callable[[Array], Array]) -> float:
        """The mean over labels of a function of their frequencies, (m,) -> (m,)."""
        xp = array_namespace(targets)
        total = sum(float(xp.sum(each(xp.mean(block, axis=0)))) for block in blocks.columns(targets))
        return float(total / math.prod(targets.shape[1:]))

    def _mean(self, scores: Array, targets: Array, each: Callable[[Array, Array], Array]) -> float:
        """The mean of a number for each score and its target, (m,) and (m,) -> (m,)."""
        xp, size = array_namespace(scores, targets), math.prod(scores.shape)
        total = sum(float(xp.sum(each(flat, labels))) for flat, labels in blocks.flat(scores, targets))
        return total / size if size else math.nan

    def score(self, scores: Array, targets: Array) -> float:
        """Share of labels on the right side: above 0 for logits, above 1/2 if all scores lie in [0, 1]."""
        xp = array_namespace(scores)
        limit = 0.5 if self._are_probabilities(scores) else 0.0
        return self._mean(scores, targets, lambda flat, labels: xp.astype((flat > limit) == (labels > 0.5), xp.float64))

    def _are_probabilities(self, scores: Array) -> bool:
        xp = array_namespace(scores)
        return float(xp.min(scores)) >= 0 and float(xp.max(scores)) <= 1

    def reference_loss(self, scores: Array, targets: Array) -> float:
        """Mean binary cross-entropy of the sigmoid of the scores."""

        def each(flat: Array, labels: Array) -> Array:
            xp = array_namespace(flat)
            return xp.where(flat > 0, flat, 0.0) - flat * labels + xp.log1p(xp.exp(-xp.abs(flat)))

        return self._mean(scores, targets, each)

    def probability_loss(self, scores: Array, targets: Array) -> float:
        """Mean binary cross-entropy, the scores being probabilities; logs stop at -100, as PyTorch's do."""

        def each(flat: Array, labels: Array) -> Array:
            xp = array_namespace(flat)
            least = xp.asarray(math.exp(-100), dtype=flat.dtype)
            return -labels * xp.log(xp.maximum(flat, least)) - (1 - labels) * xp.log(xp.maximum(1 - flat, least))

        xp = array_namespace(scores)
        if float(xp.min(scores)) < 0 or float(xp.max(scores)) > 1:
            return math.nan
        return self._mean(scores, targets, each)

    def multiples(self, targets: Array) -> tuple[float, ...]:
        """A mean over the labels, or their sum."""
        return (1.0, float(math.prod(targets.shape[1:])))

    def logits(self, probabilities: Array) -> Array:
        """The log odds, ln p - ln (1 - p)."""
        return safe_log(probabilities) - safe_log(1 - probabilities)

    def spread_excess(self, spread: float) -> float:
        """s^2 / 8: two classes whose logits are 0 and z, z of variance s^2."""
        return spread**2 / 8

    def problem(self, scores: Array | None, targets: Array) -> str:
        """Targets lie in [0, 1], and there is one score for each."""
        xp = array_namespace(targets)
        numbers = xp.astype(targets, xp.int64) if xp.isdtype(targets.dtype, "bool") else targets
        least, most = float(xp.min(numbers)), float(xp.max(numbers))
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

    def multiples(self, targets: Array) -> tuple[float, ...]:  # noqa: ARG002
        """The stated value holds for the loss as it is."""
        return (1.0,)

    def logits(self, probabilities: Array) -> Array:
        """Nothing is known of the scores."""
        return probabilities

    def spread_excess(self, spread: float) -> float:  # noqa: ARG002
        """Unknown."""
        return math.inf

    def problem(self, scores: Array | None, targets: Array) -> str:  # noqa: ARG002
        """Nothing to hold shapes against."""
        return ""


@dataclass(frozen=True)
class UnknownLoss(ChanceLoss):
    """A loss of which nobody knows what predictions that know nothing cost.

    Sums of several terms, losses of pairs or of what the network itself made, and all that calls none of the losses
    whose chance value is known. What rests on that value, or on what scores and targets mean, is not judged.

    Args:
        why: What was seen of the loss; empty where the program states that it is of no known kind.
    """

    value: float = field(default=math.nan, init=False)
    why: str = ""
    name: str = field(default="unknown", kw_only=True)

    def chance_losses(self, targets: Array) -> Mapping[str, float]:  # noqa: ARG002
        """None is known."""
        return {}


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
