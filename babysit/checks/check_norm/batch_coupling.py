"""Whether the examples of a batch are mixed: what becomes of an example's scores as its neighbours change."""

import math
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from array_api_compat import array_namespace

from babysit import arrays
from babysit.checks.check_norm.schema import Dependence
from babysit.errors import LostError, TargetError
from babysit.trainer import Array, Batch, ForwardOnly, Record

if TYPE_CHECKING:
    from babysit.driving.guard import Driven

COMPARED = 4096  # of an example's scores; those of a language model are millions
SMALLEST = 0.01  # of the scores' size, which counts as their variation at least, so that rounding is no change
ROUNDING = 1e-6  # of the scores' size, under which they don't vary at all; single precision's epsilon is 1.2e-7


def dependence(trainer: "Driven", batch: Batch, *, training: bool = False) -> Dependence:
    """Change the neighbours of half the examples, then of the others, and compare scores."""
    n = arrays.count(batch)
    if n < 2:
        return Dependence(reason="batches hold one example")
    whole = trainer.evaluate(batch, training=training).scores
    if whole is None:
        return Dependence(reason="the trainer gives no scores")
    if whole.shape[0] % n:
        return Dependence(reason="the scores don't have rows for each example")
    shape, readings = tuple(whole.shape), _readings(whole, n)
    del whole  # a language model's are larger than all the rest
    changes = []
    for kept, batch_now in [(range(n), batch), *((kept, arrays.take(batch, places)) for kept, places in mixes(n))]:
        scores = trainer.evaluate(batch_now, training=training).scores
        if scores is None or tuple(scores.shape) != shape:
            return Dependence(reason="the shape of the scores depends on the examples")
        changes.append([_change(a, b, kept) for a, b in zip(readings, _readings(scores, n), strict=True)])
    change, noise = min((max(one, other), noise) for noise, one, other in zip(*changes, strict=True))
    reason = _by_design(trainer, batch, shape, training) if change > 0 else ""
    return Dependence(math.nan if reason else change, noise, _spread(readings[0])[0] > 0, reason)


def mixes(n: int) -> list[tuple[list[int], list[int]]]:
    """Which examples stay, and the batch in which the others are copies of them: one half of n, then the other.

    The halves are drawn, since neighbours may be the next example as well as the one half a batch away.
    """
    order = random.Random(0).sample(range(n), n)
    one, other = sorted(order[: n // 2]), sorted(order[n // 2 :])
    return [(kept, _copied(n, kept, others)) for kept, others in ((one, other), (other, one))]


def _copied(n: int, kept: Sequence[int], others: Sequence[int]) -> list[int]:
    places = list(range(n))
    for k, place in enumerate(others):
        places[place] = kept[k % len(kept)]
    return places


def _readings(scores: Array, n: int) -> list[Array]:
    """The scores of each example as rows (n, ...), in every way in which n examples may lie in such an array."""
    xp = array_namespace(scores)
    ways = [scores]
    if scores.shape[0] > n:  # not one example's rows behind another's, but all first rows, then all second ones
        ways.append(xp.moveaxis(xp.reshape(scores, (-1, n, *scores.shape[1:])), 1, 0))
    if scores.ndim > 2 and scores.shape[1] == n:  # time ahead of examples
        ways.append(xp.moveaxis(scores, 1, 0))
    rows = [xp.reshape(way, (n, -1)) for way in ways]
    return [xp.astype(r[:, :: max(1, r.shape[1] // COMPARED)], xp.float64) for r in rows]


def _change(whole: Array, other: Array, kept: Sequence[int]) -> float:
    """The largest change in the rows that were kept, over the scale of all."""
    a, b = arrays.take(whole, kept), arrays.take(other, kept)
    xp = array_namespace(a)
    same = (a == b) | (~xp.isfinite(a) & ~xp.isfinite(b))
    largest = float(xp.max(xp.where(same, xp.zeros_like(a), xp.abs(a - b))))
    if largest == 0:
        return 0.0
    spread, size = _spread(whole)
    scale = max(spread, SMALLEST * size)
    return largest / scale if scale > 0 and math.isfinite(largest) else math.inf


def _spread(rows: Array) -> tuple[float, float]:
    """How much finite scores vary over the examples, 0 where that is rounding, and their size."""
    xp = array_namespace(rows)
    finite = xp.where(xp.isfinite(rows), rows, xp.zeros_like(rows))
    spread = math.sqrt(float(xp.mean(xp.var(finite, axis=0))))
    size = math.sqrt(float(xp.mean(finite**2)))
    return (spread if spread > ROUNDING * size else 0.0), size


def _by_design(trainer: "Driven", batch: Batch, shape: tuple[int, ...], training: bool) -> str:
    """Why examples may depend on one another, as a batch of another size shows; empty where they may not."""
    longer = arrays.take(batch, [*range(arrays.count(batch)), *range(trainer.ranks.size)])
    try:
        scores = trainer.evaluate(longer, training=training).scores
    except LostError:
        raise
    except TargetError:
        return "the program takes batches of one size alone, so their examples may belong together"
    if scores is not None and tuple(scores.shape[1:]) != shape[1:]:
        return "the scores compare the examples of a batch with one another"
    return ""


def first_mixed(trainer: "Driven", batch: Batch, tolerance: float) -> str:
    """The first layer in evaluation mode whose output for an example changes with its neighbours; empty if unseen.

    Raises:
        Skip: The trainer has no trace, or can't follow this network.
    """
    if trainer.ranks.size > 1:  # each sees its own share of the records alone
        return ""
    n = arrays.count(batch)
    kept, places = mixes(n)[0]
    whole: dict[str, Array] = {}
    changed: list[str] = []

    def keep(record: Record) -> None:
        if record.phase == "forward" and record.values.shape[0] % n == 0:
            whole.setdefault(record.name, _readings(record.values, n)[0])

    def compare(record: Record) -> None:
        if record.phase == "forward" and (before := whole.pop(record.name, None)) is not None:
            now = _readings(record.values, n)[0]
            if now.shape == before.shape and _change(before, now, kept) > tolerance:
                changed.append(record.name)

    trainer.trace(batch, ForwardOnly(keep), training=False)
    trainer.trace(arrays.take(batch, places), ForwardOnly(compare), training=False)
    return changed[0] if changed else ""
