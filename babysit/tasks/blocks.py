"""Large arrays a block at a time, in double precision: sums are exact to it, and no whole array is copied.

The first three take arrays of any library; the others NumPy's, of several batches that are not joined, either.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from array_api_compat import array_namespace

Array: TypeAlias = Any
# A block in double precision, where one column or row is not larger. Whoever works on one makes two or three arrays of
# its size beside it, which stay under 64 MiB together; a pool of batches holds up to 256 MB, once.
BLOCK_BYTES = 2**24
ELEMENTS = BLOCK_BYTES // 8


def flat(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The elements of arrays of equal size, side by side, in blocks (m,)."""
    xp = array_namespace(*arrays)
    ravelled = [xp.reshape(x, (-1,)) for x in arrays]
    for start in range(0, ravelled[0].shape[0], ELEMENTS):
        yield tuple(xp.astype(x[start : start + ELEMENTS], xp.float64) for x in ravelled)


def columns(array: Array) -> Iterator[Array]:
    """All that lies past the axis of examples, in blocks of columns (N, m)."""
    xp = array_namespace(array)
    table = xp.reshape(array, (array.shape[0], -1))
    width = max(1, ELEMENTS // max(1, table.shape[0]))
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
    examples = max(1, ELEMENTS // max(1, positions * width))
    for start in range(0, array.shape[0], examples):
        moved = xp.reshape(xp.moveaxis(array[start : start + examples], axis, -1), (-1, width))
        for first, block in _blocks(moved):
            yield start * positions + first, block


def _blocks(table: Array) -> Iterator[tuple[int, Array]]:
    xp = array_namespace(table)
    count = max(1, ELEMENTS // max(1, table.shape[1]))
    for start in range(0, table.shape[0], count):
        yield start, xp.astype(table[start : start + count], xp.float64)


def column_blocks(parts: Sequence[Array], columns: Array | None = None) -> Iterator[tuple[Array, Array]]:
    """Columns of a table, some at a time: their numbers, and a block (N, some) of the caller's own.

    Args:
        parts: The table's rows, as arrays (n, D) one after another.
        columns: Numbers of the columns wanted, (some,); all if None.
    """
    import numpy as np

    rows, width = sum(map(len, parts)), parts[0].shape[1] if columns is None else len(columns)
    step = max(1, ELEMENTS // max(1, rows))
    for start in range(0, width, step):
        place: Any = slice(start, start + step) if columns is None else columns[start : start + step]
        numbers = np.arange(width)[place] if columns is None else place
        block = np.empty((rows, len(numbers)))
        done = 0
        for part in parts:
            block[done : done + len(part)] = part[:, place]
            done += len(part)
        yield numbers, block


def row_blocks(parts: Sequence[Array]) -> Iterator[Array]:
    """The rows of arrays (n, ...) that differ in n alone, some at a time, in arrays of the caller's own."""
    for part in parts:
        for piece in row_pieces(part):
            yield piece.astype("float64")


def row_pieces(array: Array) -> Iterator[Array]:
    """Views of the rows of an array (N, ...), as many at a time as make up a block."""
    step = max(1, ELEMENTS * len(array) // max(1, array.size))
    for start in range(0, len(array), step):
        yield array[start : start + step]
