"""Means and mean squares of features over many examples, and how both scatter from example to example."""

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
# Of a feature's variance: where the examples' means vary by less, each example was centered alone, and what varies is
# rounding, 1e-7 of the variance for half precision. Images of 1,000 x 1,000 pixels of mere noise have 1e-6.
STILL = 1e-6


class Moments:
    """Streaming sums over examples: one pass, memory that does not grow.

    Of every example and feature two numbers are followed, the mean over its positions and the mean square. Both are
    taken about an origin within the data, so that a large mean does not drown a small spread in rounding.

    Args:
        origin: A value of each feature, (features,).
    """

    def __init__(self, origin: Array) -> None:
        self.origin = origin
        self.examples = self.batches = 0
        self._sums = np.zeros((5, len(origin)))  # of d, q, d d, q q and d q
        self._mixed = 0  # examples of the batches that count for `batch_variation`
        self._mixed_sum, self._mixed_squares = np.zeros(len(origin)), np.zeros(len(origin))

    def add(self, means: Array, squares: Array) -> None:
        """Add examples: means over positions of the distances from the origin and of their squares, (N, features)."""
        self.examples += len(means)
        self._sums += (
            means.sum(axis=0),
            squares.sum(axis=0),
            np.einsum("nf,nf->f", means, means),
            np.einsum("nf,nf->f", squares, squares),
            np.einsum("nf,nf->f", means, squares),
        )

    def end_batch(self, since: Array, examples: int) -> None:
        """Take what was added since the sums were those for one batch."""
        total = self._sums[0] - since
        self.batches += 1
        self._mixed += examples
        self._mixed_sum += total
        self._mixed_squares += total**2 / examples

    @property
    def sums(self) -> Array:
        """Of the distances from the origin so far, (features,)."""
        return self._sums[0].copy()

    @property
    def means(self) -> Array:
        """Of each feature, (features,)."""
        return self.origin + self._sums[0] / self.examples

    @property
    def spreads(self) -> Array:
        """Standard deviation of each feature over examples and positions, (features,)."""
        return np.sqrt(np.maximum(self.squares(self.means)[0], 0.0))

    @property
    def scatter(self) -> Array:
        """Variance of each feature's mean from example to example, (features,)."""
        return self._covariance(2, 0, 0)

    def squares(self, center: Array) -> tuple[Array, Array]:
        """Mean square of each feature about a center, and its variance from example to example."""
        shift = center - self.origin
        mean, square = self._sums[:2] / self.examples
        scatter = self._covariance(3, 1, 1) + 4 * shift**2 * self.scatter - 4 * shift * self._covariance(4, 0, 1)
        return square - 2 * shift * mean + shift**2, np.maximum(scatter, 0.0)

    def _covariance(self, products: int, a: int, b: int) -> Array:
        n = self.examples
        found = (self._sums[products] - self._sums[a] * self._sums[b] / n) / max(1, n - 1)
        return np.maximum(found, 0.0) if a == b else found

    @property
    def telling(self) -> Array:
        """Features whose mean varies from example to example; those of images that are centered one by one don't."""
        return self.scatter > STILL * self.spreads**2

    def batch_variation(self) -> float:
        """Variance of the batches' means over what sampling gives them, averaged over the features that vary."""
        telling = self.telling
        if self.batches < 2 or not telling.any():
            return float("nan")
        between = (self._mixed_squares - self._mixed_sum**2 / self._mixed) / (self.batches - 1)
        return float(np.mean(between[telling] / self.scatter[telling]))
