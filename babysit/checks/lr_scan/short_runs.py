"""Short runs from one saved state, each at its own learning rate, trained on some batches and compared on others."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from babysit.checks.lr_scan.permutation_test import Exchange, exchange, with_exchanged_targets
from babysit.checks.lr_scan.schema import Trial
from babysit.driving.updates import updates_of
from babysit.measuring.significance import fall_error

if TYPE_CHECKING:
    from babysit.checks.lr_scan.schema import Settings
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.trainer import Batch

COMPARED = 8  # batches whose losses are compared, at least; with fewer, Student's t asks for very clear falls
# At most, or programs with small batches take longer to compare than to train: as many as hold this many targets, but
# no fewer than the least and no more than the most. Single targets scatter; texts hold many to an example.
TARGETS, LEAST_COMPARED, MOST_COMPARED = 512, 12, 128
FEW_TARGETS = 96  # enough for a fall by a third of what the examples' falls scatter by; what is not sure takes them all
ORDERS = 3  # of targets; the third of what chance has in one of them is left in their mean


@dataclass(frozen=True)
class Part:
    """Batches to train on, and others to compare.

    Args:
        trained: Trained on in order, and over again.
        compared: Their losses are compared.
        exchanged: The same with the targets of other inputs, in several orders.
    """

    trained: "Sequence[Batch]"
    compared: "Sequence[Batch]"
    exchanged: "Sequence[Sequence[Batch]]"


def parted(pool: "Sequence[Batch]", examples: int, targets: int = TARGETS) -> "list[Part]":
    """Two parts of the pool, so that what is learned by heart of the one is no fall on the other.

    Whole batches, since batch normalization should see the sizes that training sees, evenly spaced, since a loader may
    give them in an order. Where there are too few to part, all are trained on and compared, cut into at least
    `COMPARED`.
    """
    from babysit import arrays

    if len(pool) < 2 * COMPARED:
        pieces = math.ceil(COMPARED / len(pool))
        exchanged = [_cut(order, pieces) for order in _orders(pool)]
        return [Part(list(pool), _cut(pool, pieces), exchanged)]
    held = sum(arrays.count(batch) for batch in pool)
    wanted, most = examples * len(pool) // held, most_compared(pool, targets)
    stride = len(pool) // min(len(pool) // 2, most, max(COMPARED, wanted))
    stride += math.ceil(len(pool) / stride) > most
    few, many = list(pool[::stride]), [batch for i, batch in enumerate(pool) if i % stride]
    others = many[:: math.ceil(len(many) / (2 * most))]  # compared where little is known, and worth more
    return [Part(a, b, _orders(b)) for a, b in ((many, few), (few, others))]


def most_compared(pool: "Sequence[Batch]", targets: int = TARGETS) -> int:
    """How many batches are compared at most, so that they hold this many targets; no fewer than `LEAST_COMPARED`."""
    from babysit import arrays

    each = arrays.targets_each(pool[0]) * sum(map(arrays.count, pool)) / len(pool)
    most = min(MOST_COMPARED, max(LEAST_COMPARED, math.ceil(TARGETS / each)))
    return min(most, max(2 * COMPARED, math.ceil(targets / each)))  # fewer batches alone make Student's t too wide


def _orders(batches: "Sequence[Batch]") -> list[list["Batch"]]:
    return [with_exchanged_targets(batches, seed) for seed in range(ORDERS)]


def _cut(batches: "Sequence[Batch]", pieces: int) -> list["Batch"]:
    from babysit import arrays

    cuts = {n: [n * k // pieces for k in range(pieces + 1)] for n in map(arrays.count, batches)}
    ends = [(batch, *pair) for batch in batches for pair in itertools.pairwise(cuts[arrays.count(batch)])]
    return [arrays.take(batch, range(a, b)) for batch, a, b in ends if b > a]


def total_losses(trainer: "Driven", batches: "Sequence[Batch]") -> tuple[list[float], float]:
    """Total loss of each batch in training mode, and the mean metric; the scores of one batch are held at a time."""
    losses, graded = [], []
    for batch in batches:
        output = trainer.evaluate(batch, training=True)
        losses.append(output.loss + output.penalty)
        known = output.scores is not None and math.isfinite(output.loss)
        graded.append(trainer.task.score(output.scores, batch[1]) if known else math.nan)
    return losses, sum(graded) / len(graded)


@dataclass(frozen=True)
class After:
    """Where a run ended.

    Args:
        losses: Total loss of each batch compared; a NaN alone where the loss ceased to be finite.
        exchanged: The same with the targets of other examples; empty where nobody looked.
        score: The metric.
        updates: How many were made.
    """

    losses: "Sequence[float]"
    exchanged: "Sequence[float]"
    score: float
    updates: int

    @property
    def loss(self) -> float:
        """The mean."""
        return sum(self.losses) / len(self.losses)


class Runs:
    """What short runs share: where they start, what they train on, and what their loss was before.

    Args:
        bench: Nothing of it is borrowed.
        settings: How many examples to compare, and what counts as an explosion.
        crossed: Whether each run is made twice, the second time with the parts of the pool exchanged, so that all of
            it is compared: that tells smaller falls from noise.
        updates: Those that were made before.
        targets: As many of them as that are compared, about, unless `examples` are fewer.

    Attributes:
        parts: The pool in parts.
        before: The losses of all batches compared before any update.
        score: Their metric.
        updates: Updates that all runs made together.
    """

    def __init__(
        self, bench: "Bench", settings: "Settings", *, crossed: bool = False, updates: int = 0, targets: int = TARGETS
    ) -> None:
        self.bench, self.settings, self.crossed = bench, settings, crossed
        found = parted(bench.pool(), settings.examples, targets)
        self.parts = found if crossed else found[:1]
        with bench.borrowed() as trainer:
            first = [total_losses(trainer, part.compared) for part in self.parts]
        self.before = [loss for losses, _ in first for loss in losses]
        self.score = sum(score for _, score in first) / len(first)
        self.updates = updates
        self._gaps: list[float] = []

    @property
    def start(self) -> float:
        """The mean loss before any update."""
        return sum(self.before) / len(self.before)

    def at(self, rate: float, steps: int) -> Trial:
        """A run at this rate, of so many updates."""
        return self.trial(rate, self.after(rate, (steps,))[0])

    def trial(self, rate: float, after: "After") -> Trial:
        """What a run at this rate came to."""
        if not all(map(math.isfinite, after.losses)):
            return Trial(rate, math.nan, math.nan, math.nan, math.nan, after.updates)
        fall = self.start - after.loss
        if after.loss > self.start + (self.settings.explosion - 1) * abs(self.start):
            return Trial(rate, math.inf, -math.inf, math.nan, after.score, after.updates)
        error = fall_error(self.before, after.losses)
        return Trial(rate, after.loss, fall, error, after.score, after.updates)

    def after(self, rate: float, steps: Sequence[int], *, again: bool = False) -> list[After]:
        """Where such a run stands after so many updates, one after the other.

        Args:
            rate: The learning rate.
            steps: Numbers of updates, the later ones with those before.
            again: Whether to take the batches in reverse, and to look at the losses with exchanged targets, too.
        """
        found = [self._looks(part, rate, steps, again=again) for part in self.parts]
        return [_joined(looks) for looks in zip(*found, strict=True)]

    def _looks(self, part: Part, rate: float, steps: Sequence[int], *, again: bool) -> list[After]:
        looks: list[After] = []
        made = 0
        stream = itertools.cycle(part.trained[::-1] if again else part.trained)
        with self.bench.borrowed(learning_rate=rate) as trainer:
            for wanted in steps:
                new, finite = self._train(trainer, wanted - made, stream)
                made += new
                if not finite:
                    return looks + [After([math.nan], [math.nan], math.nan, made)] * (len(steps) - len(looks))
                losses, score = total_losses(trainer, part.compared)
                exchanged = self._exchanged(trainer, part) if again else []
                looks.append(After(losses, exchanged, score, made))
        return looks

    def exchange(self, rate: float, after: After) -> Exchange | None:
        """What the run's network knows of its inputs; None where targets play no part in the loss, or it exploded."""
        if not all(map(math.isfinite, (*after.losses, *after.exchanged))):
            return None
        if list(after.losses) == list(after.exchanged) and not any(self._gaps_before()):
            return None
        return exchange(rate, after.updates, self._gaps_before(), after.losses, after.exchanged)

    def _exchanged(self, trainer: "Driven", part: Part) -> list[float]:
        """Each batch's mean loss over the orders of its targets; where runs are not crossed, one order must do."""
        orders = part.exchanged if self.crossed else part.exchanged[:1]
        found = [total_losses(trainer, order)[0] for order in orders]
        return [sum(losses) / len(losses) for losses in zip(*found, strict=True)]

    def _gaps_before(self) -> list[float]:
        """By how much an exchange of targets raises the losses before any update; looked at once."""
        if not self._gaps:
            with self.bench.borrowed() as trainer:
                found = [self._exchanged(trainer, part) for part in self.parts]
            self._gaps = [e - b for e, b in zip(itertools.chain(*found), self.before, strict=True)]
        return self._gaps

    def _train(self, trainer: "Driven", updates: int, stream: "Iterator[Batch]") -> tuple[int, bool]:
        """As many updates; how many were made, and whether the loss stayed finite."""
        made, finite = 0, True
        for output in updates_of(trainer.step, stream, updates):
            made, finite = made + output.updated, math.isfinite(output.loss)
            if not finite:
                break
        self.updates += made
        return made, finite


def _joined(looks: Sequence[After]) -> After:
    """What was seen of all parts together; not finite where one isn't."""
    losses = [loss for look in looks for loss in look.losses]
    exchanged = [loss for look in looks for loss in look.exchanged]
    return After(losses, exchanged, sum(look.score for look in looks) / len(looks), looks[0].updates)
