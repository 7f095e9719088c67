"""Short runs from one saved state, each at its own learning rate, and what their losses say against noise."""

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babysit.bench import Bench
    from babysit.checks.lr_scan import Settings
    from babysit.driven import Driven
    from babysit.trainer import Batch


COMPARED = 8  # batches whose losses are compared; with fewer, Student's t asks for very clear falls
ACCUMULATED = 16  # steps for one update; programs that accumulate gradients commonly take 2 to 16


@dataclass(frozen=True)
class Trial:
    """One short run.

    Args:
        learning_rate: Its rate.
        loss: Mean loss afterwards; infinite or NaN where the run was ended by an explosion.
        fall: By how much the loss fell.
        error: Standard error of the fall, as `fall_error` widens it.
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
    steps = max(1, round(math.log10(high / low) * per_decade))
    return [low * (high / low) ** (k / steps) for k in range(steps + 1)]


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
    """At least `COMPARED` batches of the pool, cut where there are fewer, so that noise can be told."""
    batches = bench.first_batches(examples)
    if len(batches) < COMPARED:
        batches = bench.pool()[:COMPARED]
    return [part for batch in batches for part in _parts(batch, -(-COMPARED // len(batches)))]


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
            updates = steps = 0
            for steps, batch in zip(range(1, ACCUMULATED * wanted + 1), self.bench.stream(), strict=False):
                output = trainer.step(batch)
                updates += output.updated
                if not math.isfinite(output.loss + output.penalty):
                    return Trial(rate, math.nan, math.nan, math.nan, math.nan, steps)
                if updates == wanted:
                    break
            self.updates += updates
            after, score = total_losses(trainer, self.compared)
        fall = start - sum(after) / len(after)
        if not start - fall <= limit:
            return Trial(rate, math.inf, -math.inf, math.nan, score, steps)
        return Trial(rate, start - fall, fall, fall_error(self.before, after, self.total), score, steps)


def fall_error(before: list[float], after: list[float], rates: int) -> float:
    """Standard error of the mean fall over the batches compared, widened to what three of it should mean.

    Few batches know their own scatter badly, and the best of many rates is lucky. So that three errors are as rare over
    the whole scan as three sigmas in one test of a normal variable (1 in 740), the error is stretched by Student's t
    at a level shared out among the rates (Bonferroni). Batches may differ in how much they have to lose: where all
    losses are positive, falls are compared as shares of what each batch began with.
    """
    falls = [b - a for b, a in zip(before, after, strict=True)]
    mean = abs(sum(falls)) / len(falls)
    if min(before) > 0:
        shares = [fall / b for fall, b in zip(falls, before, strict=True)]
        share = abs(sum(shares)) / len(shares)
        error = _standard_error(shares) / share * mean if share > 0 else 0.0
    else:
        error = _standard_error(falls)
    level = (1 - NormalDist().cdf(3)) / max(1, rates)
    return error * student_quantile(level, max(1, len(falls) - 1)) / 3


def student_quantile(level: float, freedom: int) -> float:
    """The value that Student's t exceeds with this probability; G. W. Hill's algorithm 396 (1970), to about 1e-3."""
    p, n = 2 * level, freedom
    if n == 1:
        return 1 / math.tan(p * math.pi / 2)
    if n == 2:
        return math.sqrt(2 / (p * (2 - p)) - 2)
    a = 1 / (n - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * n
    y = (d * p) ** (2 / n)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(p / 2)
        y = x**2
        c += 0.3 * (n - 4.5) * (x + 0.6) if n < 5 else 0.0
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y**2)
    else:
        y = ((1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1) * (n + 1) / (n + 2)
        y += 1 / (d * p) ** (2 / n)
    return math.sqrt(n * y)


def _standard_error(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / max(1, len(values) - 1) / len(values))


def best(trials: tuple[Trial, ...]) -> Trial | None:
    """The trial with the lowest loss; None where every run exploded."""
    return min((t for t in trials if math.isfinite(t.loss)), key=lambda t: t.loss, default=None)
