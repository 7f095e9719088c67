"""By how much each moment of a run is better than knowing nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babysit.checks.train.schema import Moment
    from babysit.measuring.split_sample import Ignorance


@dataclass(frozen=True)
class Gain:
    """By how much a moment is better, on one split, than knowing nothing.

    Args:
        loss: By which the loss is lower.
        loss_error: Its standard error over the examples of the split.
        score: By which the metric is higher.
        score_error: Its standard error.
    """

    loss: float
    loss_error: float
    score: float
    score_error: float

    def shows(self, sigmas: float) -> bool:
        """Whether the metric is better by more than sampling explains."""
        return self.score > sigmas * self.score_error

    def pays(self, sigmas: float) -> bool:
        """Whether the loss is."""
        return self.loss > sigmas * self.loss_error

    def since(self, first: "Gain") -> "Gain":
        """What has come to it since the first moment, as far as that was better than nothing."""
        return replace(self, loss=self.loss - max(0.0, first.loss), score=self.score - max(0.0, first.score))


def gains(moments: Sequence["Moment"], known: "Ignorance", metric: str, *, val: bool = False) -> list[Gain]:
    """The gain over knowing nothing at each moment."""
    n = max(1, known.examples)
    binomial = math.sqrt(max(known.score * (1 - known.score), 1 / n) / n)
    found = []
    for m in moments:
        loss, error, score = (m.val_loss, m.val_error, m.val_score) if val else (m.loss, m.error, m.score)
        of_variance = error / abs(known.loss) if known.loss else math.nan
        found.append(Gain(known.loss - loss, error, score - known.score, of_variance if metric == "R²" else binomial))
    return found
