"""One batch of a layer's values in a few numbers, on any array library."""

from dataclasses import dataclass

from array_api_compat import array_namespace

from babysit.trainer import Array

# A bounded activation is saturated where its local gradient is under a twentieth of its largest: |tanh| > 0.975, or a
# sigmoid within 0.0127 of 0 or 1. The lecture's saturated tanh layers stand at +-1 with a spread of 0.98.
SATURATED = 0.05
BOUNDED = ("tanh", "sigmoid")  # kinds that can saturate
RECTIFIED = ("relu",)  # kinds that can die: no gradient at all below zero


@dataclass(frozen=True)
class Reduced:
    """One batch of a layer's values, reduced; on the device that holds them.

    Args:
        examples: Values seen of each unit.
        sum: Of each unit, (units,), in double precision.
        squares: Sum of squares over all units.
        max: Of each unit, (units,).
        min: Of each unit, (units,).
        saturated: How many values have next to no local gradient; of a bounded activation only.
        through: Sum of the local gradients over the largest possible; of a bounded activation or rectifier only.
    """

    examples: int
    sum: Array
    squares: Array
    max: Array
    min: Array
    saturated: Array | None = None
    through: Array | None = None


def reduced(array: Array, unit_axis: int, kind: str) -> Reduced:
    """The plain implementation, for any array library; a faster one may stand beside it, which tests hold equal."""
    values = _units_last(array, unit_axis)  # (M, units)
    xp = array_namespace(values)
    wide = xp.astype(values, xp.float64)
    saturated = through = None
    if kind in BOUNDED:
        local = 1 - wide**2 if kind == "tanh" else 4 * wide * (1 - wide)
        saturated, through = xp.sum(xp.astype(local < SATURATED, xp.float64)), xp.sum(local)
    elif kind in RECTIFIED:
        through = xp.sum(xp.astype(values > 0, xp.float64))
    return Reduced(
        examples=int(values.shape[0]),
        sum=xp.sum(wide, axis=0),
        squares=xp.sum(wide**2),
        max=xp.max(values, axis=0),
        min=xp.min(values, axis=0),
        saturated=saturated,
        through=through,
    )


def _units_last(values: Array, axis: int) -> Array:  # (N, units, ...) -> (M, units)
    xp = array_namespace(values)
    moved = xp.moveaxis(values, axis, -1)
    return xp.reshape(moved, (-1, moved.shape[-1]))
