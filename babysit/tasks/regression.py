"""The task of predicting real values, under squared, absolute or Huber's error."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from array_api_compat import array_namespace

from babysit.tasks import blocks

Array: TypeAlias = Any
HALVINGS = 60  # of the interval that holds the best constant: past double precision


@dataclass(frozen=True)
class Regression:
    """Real values; scores are predictions of the targets' shape.

    Args:
        error: "squared", "absolute", or "huber": half the square up to `delta`, from there on a line.
        delta: Where Huber's line begins, in units of the targets.
    """

    error: Literal["squared", "absolute", "huber"] = "squared"
    delta: float = 1.0
    name: str = field(default="regression", kw_only=True)
    metric: str = field(default="R²", kw_only=True)

    def _errors(self, differences: Array) -> Array:
        xp = array_namespace(differences)
        size = xp.abs(differences)
        if self.error == "squared":
            return differences**2
        if self.error == "absolute":
            return size
        return xp.where(size < self.delta, size**2 / 2, self.delta * (size - self.delta / 2))

    def chance_losses(self, targets: Array) -> Mapping[str, float]:
        """The error of predicting 0, and that of the best prediction that is the same for all examples."""
        of_zero = self._mean(targets)
        names = {
            "squared": ("mean y^2", "variance of y"),
            "absolute": ("mean |y|", "mean |y - median|"),
            "huber": ("mean error of 0", "mean error of the best constant"),
        }
        return dict(zip(names[self.error], (of_zero, self.constant_loss(targets)), strict=True))

    def constant_loss(self, targets: Array) -> float:
        """The error around the best constant of each output, averaged over outputs."""
        xp = array_namespace(targets)
        total = sum(float(xp.sum(self._errors(x - self._best_constants(x)))) for x in blocks.columns(targets))
        return float(total / math.prod(targets.shape))

    def _best_constants(self, values: Array) -> Array:  # (N, m) -> (1, m)
        xp = array_namespace(values)
        if self.error == "squared":
            return xp.mean(values, axis=0, keepdims=True)
        low, high = xp.min(values, axis=0, keepdims=True), xp.max(values, axis=0, keepdims=True)
        for _ in range(HALVINGS):  # the error is convex: its slope changes sign at the best constant
            middle = (low + high) / 2
            pull = (
                xp.clip((values - middle) / self.delta, -1.0, 1.0)
                if self.error == "huber"
                else xp.sign(values - middle)
            )
            above = xp.sum(pull, axis=0, keepdims=True) > 0
            low, high = xp.where(above, middle, low), xp.where(above, high, middle)
        return (low + high) / 2

    def best_constant_score(self, targets: Array) -> float:  # noqa: ARG002
        """0, that of the mean."""
        return 0.0

    def score(self, scores: Array, targets: Array) -> float:
        """R^2, 1 minus squared error over variance; NaN if the targets are constant."""
        constant = bool(array_namespace(targets).all(targets == targets[:1]))
        squared = Regression()
        variance = 0.0 if constant else squared.constant_loss(targets)
        return 1 - squared.reference_loss(scores, targets) / variance if variance > 0 else math.nan

    def reference_loss(self, scores: Array, targets: Array) -> float:
        """Mean error, scores and targets aligned element by element."""
        return self._mean(scores, targets)

    def _mean(self, *pair: Array) -> float:
        """The mean error of the difference of two arrays, or of one from 0."""
        xp, size = array_namespace(*pair), math.prod(pair[0].shape)
        total = sum(float(xp.sum(self._errors(x[0] - x[1] if len(x) > 1 else x[0]))) for x in blocks.flat(*pair))
        return total / size if size else math.nan

    def probability_loss(self, scores: Array, targets: Array) -> float:  # noqa: ARG002
        """No error of real values takes probabilities."""
        return math.nan

    def multiples(self, targets: Array) -> tuple[float, ...]:
        """A mean over the outputs, or their sum; half of a square, whose gradient has no 2; Huber's over its delta."""
        outputs = float(math.prod(targets.shape[1:]))
        other = {"squared": 0.5, "absolute": 1.0, "huber": 1 / self.delta}[self.error]
        return tuple(dict.fromkeys((1.0, other, outputs, outputs * other)))

    def logits(self, probabilities: Array) -> Array:
        """No error of real values takes probabilities."""
        return probabilities

    def spread_excess(self, spread: float) -> float:
        """What predictions that know nothing, of this spread in units of the targets, add to the error of 0.

        s^2 for squares: their variance. At most s for absolute errors, by the triangle's inequality; Huber's error
        rises by at most delta in one, so at most delta * s.
        """
        return {"squared": spread**2, "absolute": spread, "huber": self.delta * spread}[self.error]

    def problem(self, scores: Array | None, targets: Array) -> str:
        """One prediction for each target."""
        if scores is not None and math.prod(scores.shape) != math.prod(targets.shape):
            return f"predictions {tuple(scores.shape)} against targets {tuple(targets.shape)}: one for each is needed"
        return ""
