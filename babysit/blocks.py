"""Arrays in double precision, a block at a time: no whole array is ever copied to it."""

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

from array_api_compat import array_namespace

Array: TypeAlias = Any
WORKED = 2**21  # numbers that are worked on at once: 16 MiB in double precision, beside a few of the same size


def flat(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The elements of arrays of equal size, side by side, in blocks (m,)."""
    xp = array_namespace(*arrays)
    ravelled = [xp.reshape(x, (-1,)) for x in arrays]
    for start in range(0, ravelled[0].shape[0], WORKED):
        yield tuple(xp.astype(x[start : start + WORKED], xp.float64) for x in ravelled)


def columns(array: Array) -> Iterator[Array]:
    """All that lies past the axis of examples, in blocks of columns (N, m)."""
    xp = array_namespace(array)
    table = xp.reshape(array, (array.shape[0], -1))
    width = max(1, WORKED // max(1, table.shape[0]))
    for start in range(0, table.shape[1], width):
        yield xp.astype(table[:, start : start + width], xp.float64)


def rows(array: Array, axis: int) -> Iterator[tuple[int, Array]]:
    """One row for each example and position: (N, ..., C, ...) in blocks (m, C), each with the number of its first row.

    Args:
        array: Of real numbers.
        axis: Where the C lie.
    """
    xp = array_namespace(array)
    width = array.shape[axis]
    positions = math.prod(array.shape[1:]) // width if width else 0
    examples = max(1, WORKED // max(1, positions * width))
    for start in range(0, array.shape[0], examples):
        moved = xp.reshape(xp.moveaxis(array[start : start + examples], axis, -1), (-1, width))
        for first, block in _blocks(moved):
            yield start * positions + first, block


def _blocks(table: Array) -> Iterator[tuple[int, Array]]:
    xp = array_namespace(table)
    count = max(1, WORKED // max(1, table.shape[1]))
    for start in range(0, table.shape[0], count):
        yield start, xp.astype(table[start : start + count], xp.float64)
