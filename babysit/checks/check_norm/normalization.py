"""Layers that normalize, found by what they do rather than by their names.

A layer that normalizes over the batch maps each unit along a straight line, the same for all examples, which changes
with the batch. That is how it is found, so that one written by hand is found as well: between the output of one layer
and the input of the next.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from array_api_compat import array_namespace

from babysit import arrays
from babysit.checks.check_norm.batch_coupling import mixes
from babysit.measuring.unit_statistics import CONSTANT
from babysit.trainer import Array, Batch, ForwardOnly, Record

if TYPE_CHECKING:
    from babysit.driving.guard import Driven

# Share of a unit's spread that may lie off its line. Single precision leaves about 1e-6; layer norm, whose line is each
# example's own, leaves 1 / sqrt(2 width) or more, which is this much at half a million units.
STRAIGHT = 1e-3


@dataclass(frozen=True)
class Norm:
    """A layer that normalizes.

    Args:
        name: Its name; where it is seen by its effect alone, that of the layer it feeds.
        units: Its units.
        positions: Values of each unit in one example.
        named: Whether the trainer calls it a norm.
        over_batch: Whether it normalizes over the batch.
        synchronized: Whether over the batches of all ranks.
        constant: Whether its output is the same for all examples, though its input is not.
        own: Names of its parameters.
        fed_by: Names of the parameters of the linear layer right before it; empty where there is none.
    """

    name: str
    units: int
    positions: int
    named: bool = True
    over_batch: bool = False
    synchronized: bool = False
    constant: bool = False
    own: tuple[str, ...] = ()
    fed_by: tuple[str, ...] = ()


def probe(trainer: "Driven", batch: Batch) -> tuple[Norm, ...]:
    """The layers that normalize in training mode, in the order of the calls.

    Raises:
        Skip: The trainer has no trace, or can't follow this network.
    """
    n, ranks = arrays.count(batch), trainer.ranks.size
    one = _passed(trainer, batch)
    over_batch = _moved(one, _passed(trainer, arrays.take(batch, mixes(n)[0][1])))
    own = n // ranks  # the first rank's examples; the others' become copies of them
    together = _moved(one, _passed(trainer, arrays.take(batch, [i % own for i in range(n)]))) if ranks > 1 else set()
    found = tuple(
        replace(norm, over_batch=norm.name in over_batch, synchronized=norm.name in together)
        for norm in one.norms.values()
        if norm.named or norm.name in over_batch
    )
    first: tuple[Norm, ...] = trainer.ranks.gather(found)[0]
    return first


def constant_norms(trainer: "Driven", batch: Batch) -> tuple[str, ...]:
    """Names of the norms whose output is the same for all examples in training mode, though their input isn't.

    Raises:
        Skip: The trainer has no trace, or can't follow this network.
    """
    norms = _passed(trainer, batch).norms.values()
    found: tuple[str, ...] = trainer.ranks.gather(tuple(n.name for n in norms if n.named and n.constant))[0]
    return found


@dataclass(frozen=True)
class _Lines:
    """The straight line along which each unit is mapped, in NumPy arrays (units,).

    Args:
        mean_in: Mean of what goes in.
        spread_in: Its standard deviation.
        mean: Mean of what comes out.
        spread: Its standard deviation.
        slope: Of the line that fits best.
        off: Root mean square distance from it, over the spread of what comes out.
        rounding: Spacing of the numbers at 1.
    """

    mean_in: Any
    spread_in: Any
    mean: Any
    spread: Any
    slope: Any
    off: Any
    rounding: float

    @property
    def constant(self) -> bool:
        """Whether what comes out is the same throughout, and what goes in is not."""
        still = (self.spread <= CONSTANT * abs(self.mean)).all()
        return bool(still and (self.spread_in > CONSTANT * abs(self.mean_in)).any())


def _lines(before: Array, after: Array, axis: int) -> _Lines:
    import numpy as np

    x, y = rows(before, axis), rows(after, axis)
    xp = array_namespace(x)
    means = xp.mean(x, axis=0), xp.mean(y, axis=0)
    x, y = x - means[0], y - means[1]
    sums = (*means, xp.mean(x * x, axis=0), xp.mean(y * y, axis=0), xp.mean(x * y, axis=0))
    mean_in, mean, xx, yy, xy = (arrays.on_host(value) for value in sums)
    with np.errstate(all="ignore"):
        slope = xy / xx
        off = np.sqrt(np.maximum(0, 1 - slope * xy / yy))
    return _Lines(mean_in, np.sqrt(xx), mean, np.sqrt(yy), slope, off, float(xp.finfo(after.dtype).eps))


def rows(values: Array, axis: int) -> Array:
    """(N, units, ...) -> (M, units), in double precision."""
    xp = array_namespace(values)
    moved = xp.moveaxis(values, axis, -1)
    return xp.astype(xp.reshape(moved, (-1, moved.shape[-1])), xp.float64)


class _Passed:
    """Sees a forward pass: each norm, and what happens between the output of a layer and the input of the next.

    Attributes:
        norms: What may normalize, by name.
        lines: What it does to its units.
    """

    def __init__(self, examples: int) -> None:
        self._examples = examples
        self._before: Record | None = None
        self._since: tuple[str, ...] = ()  # parameters that were used before the layer before
        self.norms: dict[str, Norm] = {}
        self.lines: dict[str, _Lines] = {}

    def __call__(self, record: Record) -> None:
        """Add a record."""
        if record.phase == "backward":
            return
        before, named = self._before, record.kind == "norm"
        x, y = (record.inputs, record.values) if named else (before and before.values, record.inputs)
        if record.name not in self.norms and _comparable(x, y):
            self._add(record, x, y)
        self._since = before.parameters if before is not None and before.kind in ("linear", "norm") else ()
        self._before = replace(record, inputs=None, values=arrays.duplicate(record.values))

    def _add(self, record: Record, x: Array, y: Array) -> None:
        before, lines = self._before, _lines(x, y, record.unit_axis)
        units, behind = len(lines.mean), before.parameters if before is not None else ()
        linear = before is not None and before.kind == "linear"
        self.lines[record.name] = lines
        self.norms[record.name] = Norm(
            record.name,
            units,
            positions=math.prod(y.shape) // (units * self._examples),
            named=record.kind == "norm",
            constant=lines.constant,
            own=tuple(name for name in record.parameters if name not in behind),
            fed_by=tuple(name for name in behind if linear and name not in self._since),
        )


def _comparable(x: Array | None, y: Array | None) -> bool:
    """Whether the one may have been made of the other number by number, and was."""
    if x is None or y is None or x.shape != y.shape or not (arrays.is_floating(x) and arrays.is_floating(y)):
        return False
    return not arrays.same(x, y)


def _passed(trainer: "Driven", batch: Batch) -> _Passed:
    passed = _Passed(arrays.count(batch) // trainer.ranks.size)
    trainer.trace(batch, ForwardOnly(passed))
    return passed


def _moved(one: _Passed, other: _Passed) -> set[str]:
    """Names of what maps its units along lines, and along others in the other pass."""
    return {name for name in one.lines if name in other.lines and _other_lines(one.lines[name], other.lines[name])}


def _other_lines(one: _Lines, other: _Lines) -> bool:
    import numpy as np

    live = (one.spread_in > 0) & (one.spread > 0) & (other.spread_in > 0) & (other.spread > 0)
    if not live.any():
        return False
    with np.errstate(all="ignore"):
        shift = (one.mean - other.mean - other.slope * (one.mean_in - other.mean_in)) / one.spread
        change = np.median(np.hypot(shift, other.slope / one.slope - 1)[live])
        off = np.median(np.maximum(one.off, other.off)[live])
    limit = max(STRAIGHT, one.rounding)
    return bool(off < limit and change > max(limit, 4 * off))


def idle_biases(trainer: "Driven", batch: Batch, norms: Sequence[Norm]) -> dict[str, tuple[str, float]]:
    """By norm over the batch, a bias right before it, and its gradient's length over that of the norm's own parameters.

    Raises:
        Skip: The trainer has no gradients to show.
    """
    if not any(norm.over_batch and norm.fed_by for norm in norms):
        return {}
    gradients = trainer.gradients(batch)[1]
    found = {}
    for norm in norms:
        flat = {name: g for name, g in gradients.items() if tuple(g.shape) in ((norm.units,), (1, norm.units))}
        biases = [name for name in norm.fed_by[1:] if name in flat]  # the first is the weight
        own = max((arrays.norm(flat[name]) for name in norm.own if name in flat), default=0.0)
        if norm.over_batch and biases and own > 0:
            found[norm.name] = biases[-1], arrays.norm(flat[biases[-1]]) / own
    return found
