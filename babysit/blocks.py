"""Large arrays a block at a time, in double precision: sums are exact to it, and no whole array is copied.

Batches are not joined, either: a block is cut out of all of them.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
# A block in double precision, where one column or row is not larger. Whoever works on one makes two or three arrays of
# its size beside it, which stay under 64 MiB together; a pool of batches holds up to 256 MB, once.
BLOCK_BYTES = 2**24
ELEMENTS = BLOCK_BYTES // 8


def column_blocks(parts: Sequence[Array], columns: Array | None = None) -> Iterator[tuple[Array, Array]]:
    """Columns of a table, some at a time: their numbers, and a block (N, some) of the caller's own.

    Args:
        parts: The table's rows, as arrays (n, D) one after another.
        columns: Numbers of the columns wanted, (some,); all if None.
    """
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
            yield piece.astype(np.float64)


def row_pieces(array: Array) -> Iterator[Array]:
    """Views of the rows of an array (N, ...), as many at a time as make up a block."""
    step = max(1, ELEMENTS * len(array) // max(1, array.size))
    for start in range(0, len(array), step):
        yield array[start : start + step]
