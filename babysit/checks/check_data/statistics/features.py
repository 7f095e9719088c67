"""Streaming statistics of a split's inputs and targets: one pass, memory that does not grow with the examples.

A feature is a column of a table (N, D), or a channel of images and sequences, over all positions.
"""

import math
from typing import Any, TypeAlias

import numpy as np

from babysit.arrays import channel_axis
from babysit.checks.check_data.statistics.extremes import Extremes
from babysit.checks.check_data.statistics.moments import Moments
from babysit.checks.check_data.summaries import Leaf

Array: TypeAlias = Any
RARE = 0.1  # spread over range, under which a column hardly ever leaves one value: a yes in less than 1 % of examples
ROUNDING = 1e-5  # of single-precision means and spreads near 1, over some thousand examples
PIECE = 2**18  # elements that are worked on at once, so that they stay in the processor's cache

quiet = np.errstate(over="ignore", invalid="ignore")  # a square that overflows is for the rules to report


class Features:
    """Accumulates one leaf, batch by batch.

    Attributes:
        examples: Looked at, those with values that aren't finite among them.
        not_finite: Those.
        extremes: Of the finite examples.
    """

    def __init__(self) -> None:
        self.examples = self.not_finite = 0
        self.extremes = Extremes()
        self._moments: tuple[Moments, ...] = ()  # of each feature and, where there are several, of all taken for one
        self._shape: tuple[int, ...] = ()
        self._alike = True  # whether all batches have had this shape
        self._nonzero = self._elements = 0
        self._squares = 0.0

    @property
    def finite(self) -> int:
        """Examples whose values are all finite, and whose features are those of the first."""
        return self.each.examples if self._moments else 0

    @property
    def each(self) -> Moments:
        """Of each feature, over the finite examples."""
        return self._moments[0]

    @property
    def overall(self) -> Moments:
        """Of all features taken for one."""
        return self._moments[-1]

    @quiet
    def add(self, leaf: Array, *, again: bool = False) -> None:
        """Add a batch's array.

        Args:
            leaf: Real numbers, (N, ...).
            again: Whether the same examples made a batch before, which says nothing of how batches vary.
        """
        self.examples += len(leaf)
        leaf = self._only_finite(leaf)
        if not leaf.size:
            return
        if not self._moments:
            self._start(leaf, channel_axis(leaf.shape[1:]))
        self.extremes.add(leaf)
        self._elements += leaf.size
        self._nonzero += int(np.count_nonzero(leaf))
        follows = self._follows(leaf)
        before = [moments.sums for moments in self._moments]
        rows = max(1, PIECE * len(leaf) // leaf.size)
        for start in range(0, len(leaf), rows):
            x = leaf[start : start + rows].astype(np.float64)
            self._squares += float(np.vdot(x, x))
            if follows:
                self._add_moments(self._grid(x))
        if follows and not again:
            for moments, sums in zip(self._moments, before, strict=True):
                moments.end_batch(sums, len(leaf))

    def _only_finite(self, leaf: Array) -> Array:
        if leaf.dtype.kind != "f":
            return leaf
        finite = np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1)
        self.not_finite += int((~finite).sum())
        return leaf if finite.all() else leaf[finite]

    def _start(self, leaf: Array, axis: int | None) -> None:
        self._shape, self._axis = leaf.shape[1:], axis
        first = self._grid(leaf[:1].astype(np.float64))[0, 0]
        each, overall = Moments(first), Moments(first.mean(keepdims=True))
        self._moments = (each,) if len(first) == 1 else (each, overall)

    def _follows(self, leaf: Array) -> bool:
        """Whether the features are those of the first batch.

        Texts may vary in length: where that was taken for the features, those along the other axis are, from here on.
        """
        shape = leaf.shape[1:]
        if self._alike and shape != self._shape:
            self._alike = False
            if self._axis == 0 and shape[-1:] == self._shape[-1:] and shape[0] != self._shape[0]:
                self._start(leaf, len(shape) - 1)
        return bool(len(self.each.origin) == self._grid(leaf[:1]).shape[2])

    def _grid(self, x: Array) -> Array:
        """The array as (N, positions, features)."""
        if x.ndim <= 2:
            return x.reshape(len(x), 1, -1)
        if self._axis is None:
            return x.reshape(len(x), -1, 1)
        if self._axis == 0:
            return x.reshape(len(x), x.shape[1], -1).swapaxes(1, 2)
        return x.reshape(len(x), -1, x.shape[-1])

    def _add_moments(self, grid: Array) -> None:
        each, overall = self.each, self.overall
        distances = grid - each.origin
        if grid.shape[1] == 1:
            means, squares = distances[:, 0], distances[:, 0] ** 2
        else:
            means = distances.mean(axis=1)
            squares = np.einsum("npf,npf->nf", distances, distances) / grid.shape[1]
        each.add(means, squares)
        if len(each.origin) == 1:
            return
        apart = each.origin - overall.origin  # adds up to 0
        about = squares.mean(axis=1) + 2 * (means @ apart) / len(apart) + np.mean(apart**2)  # the origin of all
        overall.add(means.mean(axis=1, keepdims=True), about[:, None])

    def _batch_variation(self) -> float:
        """The smaller one: each feature may be centered batch by batch, or all of them by one mean."""
        found = [v for v in (moments.batch_variation() for moments in self._moments) if math.isfinite(v)]
        return min(found, default=math.nan)

    @quiet
    def summary(self, name: str, split: str, *, ids: bool = False) -> Leaf:
        """The numbers so far; NaN where no example is finite."""
        amounts = self._sizes() | self._spreads() | self._ranges() if self._moments else {}
        return Leaf(name, split, ids, examples=self.examples, not_finite=self.not_finite, **amounts)

    def _sizes(self) -> dict[str, Any]:
        return {
            "shape": tuple(int(size) for size in self._shape) if self._alike else (),
            "size": math.sqrt(self._squares / self._elements),
            "nonzero_size": math.sqrt(self._squares / max(1, self._nonzero)),
            "batches": self.each.batches,
            "batch_variation": self._batch_variation(),
        }

    def _spreads(self) -> dict[str, Any]:
        means, spreads = self.each.means, self.each.spreads
        widest = int(np.argmax(spreads))
        return {
            "features": len(spreads),
            "are_channels": self._axis is not None,
            "mean": float(means.mean()),
            "spread": math.sqrt(float(np.mean(spreads**2))),
            "offset": math.sqrt(float(np.mean(means**2))),
            "widest": widest,
            "widest_spread": float(spreads[widest]),
            "usual_spread": _middle(spreads[spreads > 0]),
        }

    def _ranges(self) -> dict[str, Any]:
        spreads, reach = self.each.spreads, self.extremes.ranges
        reaching = reach > 0
        are_columns = len(spreads) == len(reach)
        common = reaching & (spreads >= RARE * reach) if are_columns else reaching
        narrowest = int(np.argmin(np.where(common, reach, np.inf)))
        return {
            "least": float(self.extremes.least.min()),
            "most": float(self.extremes.most.max()),
            "widest_range": float(reach[np.argmax(spreads)]) if are_columns else math.nan,
            "narrowest": narrowest,
            "narrowest_range": float(reach[narrowest]),
            "usual_range": _middle(reach[reaching]),
            "constant": float(np.mean(~reaching)) if self.finite > 1 else 0.0,
        }


def _middle(values: Array) -> float:
    """The median, of two the lower one: between a thousandth and a thousand lies no usual scale. 0 if there is none."""
    return float(np.sort(values)[(len(values) - 1) // 2]) if len(values) else 0.0
