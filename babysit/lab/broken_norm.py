"""Broken parts for `babysit.lab.faults.norm`: what mixes the examples of a batch where it shouldn't."""

from dataclasses import dataclass

import numpy as np

from babysit.lab.layers import Array, Arrays, BatchNorm, Cache


@dataclass(frozen=True)
class BatchNormOfEveryBatch(BatchNorm):
    """Normalizes by the batch's own statistics in evaluation too, and never asks the running ones."""

    def forward(self, x: Array, own: Arrays, _training: bool) -> tuple[Array, Cache]:
        """(N, units) -> (N, units), always as in training."""
        return super().forward(x, own, True)


@dataclass(frozen=True)
class SoftmaxOverBatch:
    """A softmax over axis 0: the shares of a unit add up to 1 over the examples, not those of an example over units.

    Times the number of examples, so that a unit's mean is 1.
    """

    kind: str = "softmax"

    def initial(self, _rng: np.random.Generator) -> dict[str, Array]:
        """Nothing to learn."""
        return {}

    def forward(self, x: Array, _own: Arrays, _training: bool) -> tuple[Array, Cache]:
        """(N, units) -> (N, units), columns that add up to N."""
        e = np.exp(x - x.max(axis=0))
        shares = e / e.sum(axis=0)
        return len(x) * shares, shares

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, dict[str, Array]]:
        """The Jacobian diag(p) - p p' applied to each column."""
        return len(cache) * cache * (dout - np.sum(dout * cache, axis=0)), {}
