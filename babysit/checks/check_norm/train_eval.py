"""Training and evaluation mode of the same batches: their losses, and how far layers that normalize stand apart.

In steps at a learning rate of 0 only running statistics move. What becomes of the difference between the modes
meanwhile tells how fast they follow the batches.
"""

import itertools
import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from array_api_compat import array_namespace

from babysit import arrays
from babysit.checks.check_norm.normalization import rows
from babysit.checks.check_norm.schema import NEGLIGIBLE, SHRINKS, Look, Units
from babysit.errors import Skip
from babysit.trainer import Batch, ForwardOnly, Record

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven

ROUNDS = 10  # of settling at most: 300 steps leave 5 % of a gap at Keras's momentum of 0.01
ROUNDING = 1e-5  # relative difference of losses that are the same; single precision's own is 1e-6
# Share of its spread by which a unit must stand apart in the two modes, and no less than single batches scatter: of
# that, running statistics at a momentum of 0.1 keep sqrt(0.1 / 1.9), a quarter.
APART = 0.1
LEAST_SCATTER = 0.01  # of a unit's mean over batches, in spreads: that of batches of 10,000 values


def look(trainer: "Driven", batches: Sequence[Batch], names: Collection[str], *, training: bool) -> Look:
    """Losses, and the units behind the norms of these names; without the units where the mode can't be followed."""
    import numpy as np

    if names:
        try:
            seen = [_moments(trainer, batch, names, training) for batch in batches]
        except Skip:
            names = ()
    if not names:
        return Look(tuple(trainer.evaluate(batch, training=training).loss for batch in batches), {})
    every = trainer.ranks.gather(seen)
    losses = tuple(float(np.mean([rank[k][0] for rank in every])) for k in range(len(batches)))
    seen_by_batch = [moments for rank in every for _, moments in rank]
    units = {}
    for name in seen_by_batch[0]:
        values, means, variances = zip(*(row[name] for row in seen_by_batch if name in row), strict=True)
        units[name] = Units(values[0], np.stack(means), np.stack(variances))
    return Look(losses, units)


def _moments(
    trainer: "Driven", batch: Batch, names: Collection[str], training: bool
) -> tuple[float, dict[str, tuple[int, Any, Any]]]:
    """The loss, and for each norm: values of a unit, means, variances."""
    found: dict[str, tuple[int, Any, Any]] = {}

    def visit(record: Record) -> None:
        values = record.values if record.kind == "norm" else record.inputs
        if record.phase == "forward" and record.name in names and record.name not in found and values is not None:
            x = rows(values, record.unit_axis)
            xp = array_namespace(x)
            mean, variance = xp.mean(x, axis=0), xp.var(x, axis=0)
            found[record.name] = (int(x.shape[0]), arrays.on_host(mean), arrays.on_host(variance))

    return trainer.trace(batch, ForwardOnly(visit), training=training).loss, found


@dataclass(frozen=True)
class Gap:
    """How far a layer's output in evaluation mode stands off that in training mode.

    The differences are those of the running statistics from the batches', in units of the batches': of the means in
    spreads, and of the variances. After k steps at a learning rate of 0, (1 - momentum)^k of all of them is left.

    Args:
        differences: Those of the means and those of the variances; a NumPy array (2, units).
        scatter: Standard deviation of each over single batches.
        clear: Which differences are beyond that scatter.
        unbiased: What the differences of the variances end at where running ones are the batches' times n / (n - 1).
        share: Of the units, those with a clear difference.
        shift: Root mean square difference of the means.
        stretch: Typical factor between the spreads in the two modes, 1 or more.
    """

    differences: Any
    scatter: Any
    clear: Any
    unbiased: float
    share: float
    shift: float
    stretch: float


def gap(training: Units, evaluation: Units) -> Gap:
    """Hold one layer's two modes against each other."""
    import numpy as np

    unbiased = 1 / max(1, training.values - 1)
    with np.errstate(all="ignore"):
        variance, batch_variance = evaluation.variance.mean(axis=0), training.variance.mean(axis=0)
        live = (variance > 0) & (batch_variance > 0)
        shifts = (evaluation.mean - training.mean) / np.sqrt(variance)
        ratio = batch_variance / variance
        differences = np.stack((shifts.mean(axis=0), ratio - 1))
        scatter = np.stack((shifts.std(axis=0), evaluation.variance.std(axis=0) / variance))
        ends = np.array([[0.0], [unbiased]])
        beyond = np.maximum(-differences, differences - ends)
        clear = (beyond > np.maximum(APART, scatter)) & live
        any_live = live.any()
        return Gap(
            differences,
            scatter,
            clear,
            unbiased,
            share=float(clear.any(axis=0).sum() / max(1, live.sum())),
            shift=float(np.sqrt(np.mean(differences[0][live] ** 2))) if any_live else math.nan,
            stretch=float(np.exp(np.median(abs(np.log(ratio[live]))) / 2)) if any_live else math.nan,
        )


def momentum(earlier: Gap, later: Gap, steps: int) -> tuple[float, int]:
    """The largest share of a batch's statistics that the running ones can have taken in at each of these steps.

    By how far the clear differences shrank, and by how much they moved beside that: statistics that have settled where
    the modes differ for another reason, such as noise in training alone, still follow the latest batch. With it, how
    many clear differences say so; NaN where there is none.
    """
    return min(_momentum(earlier, later, steps, end) for end in (0.0, earlier.unbiased))


def _momentum(earlier: Gap, later: Gap, steps: int, end: float) -> tuple[float, int]:
    """The same for differences of the variances that end here."""
    import numpy as np

    clear = earlier.clear & np.isfinite(later.differences)
    counts = clear.sum(axis=1)
    if not counts.any():
        return math.nan, 0
    left, stirred = [], []
    for row, settled in enumerate((0.0, end)):
        known = clear[row]
        if 2 * counts[row] >= counts.max():  # a middle one of few says little beside that of many
            before, now = earlier.differences[row][known] - settled, later.differences[row][known] - settled
            left.append(now / before)
            beside = abs(now - np.median(left[-1]) * before)
            stirred.append(beside / np.maximum(LEAST_SCATTER, earlier.scatter[row][known]))
    ratios = np.concatenate(left)
    middle = np.median(ratios)
    error = 1.5 * np.median(abs(ratios - middle)) / math.sqrt(len(ratios))
    kept: float = min(1.0, max(0.0, float(middle - 2 * error))) ** (1 / steps)
    return max(1 - kept, min(1.0, float(np.median(np.concatenate(stirred))))), int(counts.max())


def alike(training: Look, evaluation: Look) -> bool:
    """Whether both modes give the same losses, but for rounding; false for what isn't finite."""
    pairs = zip(training.losses, evaluation.losses, strict=True)
    return all(abs(a - b) <= ROUNDING * max(abs(a), abs(b)) for a, b in pairs)


def error(one: Look, other: Look) -> float:
    """Standard error of the mean difference of two losses of the same batches; 0 where there is one batch."""
    differences = [a - b for a, b in zip(one.losses, other.losses, strict=True)]
    if len(differences) < 2 or not all(map(math.isfinite, differences)):
        return 0.0
    return statistics.stdev(differences) / math.sqrt(len(differences))


def settling(
    bench: "Bench",
    trainer: "Driven",
    batches: Sequence[Batch],
    training: Look,
    gained: float,
    steps: int,
    apart: float,
) -> list[tuple[int, Look]]:
    """Evaluation mode after more and more steps in which running statistics alone move, until the gap stays.

    Halfway isn't quite half, so that it is no whole round of the batches, and another one is the latest. It is enough
    where nothing of the gap is left by then.

    Args:
        bench: Told how far it has come.
        trainer: Borrowed.
        batches: Whose losses are compared.
        training: The same in training mode.
        gained: What training gained.
        steps: In which the statistics commonly settle.
        apart: Share of a layer's units that must stand off for the layer to be off.
    """
    trainer.learning_rate = 0.0
    stream, done, higher = itertools.cycle(batches), 0, math.inf
    looks = []
    for stop in (steps // 2 - 2, *(steps * k for k in range(1, ROUNDS + 1))):
        for batch in itertools.islice(stream, stop - done):
            trainer.step(batch)
        seen = look(trainer, batches, training.units, training=False)
        looks.append((stop, seen))
        bench.advance(min(stop, steps), steps)
        done, before, higher = stop, higher, seen.loss - training.loss
        closing = SHRINKS * before > higher > NEGLIGIBLE * gained
        if training.units and higher <= NEGLIGIBLE * gained and not _any_off(training, seen, apart):
            break
        if stop >= steps and (training.units or not closing):  # layers that are seen tell themselves how fast they are
            break
    return looks


def _any_off(training: Look, evaluation: Look, apart: float) -> bool:
    """Whether a layer's modes stand apart in this share of its units; unknown layers may."""
    names = training.units.keys()
    return any(
        name not in evaluation.units or not gap(training.units[name], evaluation.units[name]).share < apart
        for name in names
    )
