"""Short runs from one saved state, each at its own learning rate, and what their losses say against noise."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babysit.bench import Bench
    from babysit.checks.lr_scan import Settings
    from babysit.driven import Driven
    from babysit.trainer import Batch


@dataclass(frozen=True)
class Trial:
    """One short run.

    Args:
        learning_rate: Its rate.
        loss: Mean loss afterwards; infinite or NaN where the run was ended by an explosion.
        fall: By how much the loss fell.
        error: Standard error of the fall, over the batches compared.
        score: The task's metric afterwards; NaN where there is none.
        steps: Updates made.
    """

    learning_rate: float
    loss: float
    fall: float
    error: float
    score: float
    steps: int


def grid(low: float, high: float, per_decade: int) -> list[float]:
    """Learning rates in log space, both ends included."""
    first, last = round(math.log10(low) * per_decade), round(math.log10(high) * per_decade)
    return [10.0 ** (k / per_decade) for k in range(first, last + 1)]


def beyond(trials: list[Trial], settings: "Settings") -> list[float]:
    """Two decades more at the end at which the best rate lies, or the explosions end; none where it lies inside."""
    found = best(tuple(trials))
    rates = [t.learning_rate for t in trials]
    edge = found.learning_rate if found is not None else min(rates)  # where all explode, lower rates may not
    if edge not in (min(rates), max(rates)):
        return []
    upward = edge == max(rates)
    low, high = (edge, edge * 100) if upward else (edge / 100, edge)
    wider = grid(low, high, settings.per_decade)
    return [rate for rate in wider if not any(math.isclose(rate, known) for known in rates)]


def compared_batches(bench: "Bench", examples: int) -> list["Batch"]:
    """At least four batches of the pool, cutting the largest where there are fewer, so that noise can be told."""
    batches = bench.first_batches(examples)
    if len(batches) >= 4:
        return batches
    more = bench.pool()[:4]
    return more if len(more) == 4 else [p for batch in batches for p in _parts(batch, max(2, 4 // len(batches)))]


def _parts(batch: "Batch", parts: int) -> list["Batch"]:
    from babysit import arrays

    n = arrays.count(batch)
    cuts = [n * k // parts for k in range(parts + 1)]
    return [arrays.take(batch, range(a, b)) for a, b in pairwise(cuts) if b > a]


def total_losses(trainer: "Driven", batches: list["Batch"]) -> tuple[list[float], float]:
    """Total loss of each batch in training mode, and the mean metric."""
    outputs = [trainer.evaluate(batch, training=True) for batch in batches]
    graded = [
        trainer.task.score(o.scores, targets) if o.scores is not None and math.isfinite(o.loss) else math.nan
        for o, (_, targets) in zip(outputs, batches, strict=True)
    ]
    return [o.loss + o.penalty for o in outputs], sum(graded) / len(graded)


class Scan:
    """The runs so far."""

    def __init__(self, bench: "Bench", compared: list["Batch"], before: list[float], settings: "Settings") -> None:
        self.bench, self.compared, self.before, self.settings = bench, compared, before, settings
        self.trials: list[Trial] = []
        self.updates = 0
        self.total = 0

    def run(self, rates: list[float]) -> None:
        """Run at each rate, but at no rate above two that exploded: the next ones explode too."""
        self.total = len(self.trials) + len(rates)
        for rate in rates:
            exploded = [t for t in self.trials if t.learning_rate < rate and not math.isfinite(t.loss)]
            if len(exploded) < 2 or rate == self.bench.trainer.learning_rate:
                self.trials.append(self.trial(rate, self.settings.steps))
            self.bench.advance(len(self.trials), self.total)

    def trial(self, rate: float, wanted: int) -> Trial:
        """One run of so many steps from the saved state."""
        start = sum(self.before) / len(self.before)
        limit = start + (self.settings.explosion - 1) * abs(start)
        with self.bench.borrowed(learning_rate=rate) as trainer:
            steps = 0
            for steps, batch in zip(range(1, wanted + 1), self.bench.stream(), strict=False):
                output = trainer.step(batch)
                self.updates += output.updated
                if not math.isfinite(output.loss + output.penalty):
                    return Trial(rate, math.nan, math.nan, math.nan, math.nan, steps)
            after, score = total_losses(trainer, self.compared)
        fall = start - sum(after) / len(after)
        if not start - fall <= limit:
            return Trial(rate, math.inf, -math.inf, math.nan, score, steps)
        return Trial(rate, start - fall, fall, _error(self.before, after), score, steps)


def _error(before: list[float], after: list[float]) -> float:
    """Standard error of the mean fall over the batches compared.

    Batches may differ in how much they have to lose. Where all losses are positive, falls are therefore compared as
    shares of what each batch began with as well, and the smaller error of the two is taken.
    """
    falls = [b - a for b, a in zip(before, after, strict=True)]
    absolute = _standard_error(falls)
    if min(before) <= 0:
        return absolute
    shares = [f / b for f, b in zip(falls, before, strict=True)]
    mean_share = abs(sum(shares)) / len(shares)
    mean_fall = abs(sum(falls)) / len(falls)
    return min(absolute, _standard_error(shares) / mean_share * mean_fall) if mean_share > 0 else absolute


def _standard_error(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / max(1, len(values) - 1) / len(values))


def best(trials: tuple[Trial, ...]) -> Trial | None:
    """The trial with the lowest loss; None where every run exploded."""
    return min((t for t in trials if math.isfinite(t.loss)), key=lambda t: t.loss, default=None)
