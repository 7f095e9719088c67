"""The hinge loss's gradient pushes the wrong classes down, and never the right one up.

fault: the gradient lacks the entry of the right class, minus the number of margins that are violated
fix: set that entry
symptom: the loss rises. Seeds 0 to 4, 600 steps: faulty: loss 3.0 -> 4.7 to 8.1, score 0.13 to 0.31; fixed: 0.01 to
    0.04, validation score 0.98 to 1.
expect: wrong-gradient, cannot-overfit, loss-not-falling, overfit-too-slow, loss-metric-disagree
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from babysit.adapters.numpy import NumpyTrainer

from data import halves, shapes
from numpy.lib.stride_tricks import sliding_window_view


class ConvSVM:
    """One convolution, leaky ReLU, means of 5 x 5 places, and the multiclass hinge loss."""

    def __init__(self, broken, filters=10, size=3, classes=4):
        self.broken = broken
        self.params = {
            "K": np.random.randn(size * size, filters) * np.sqrt(2) / size,
            "c": np.zeros(filters),
            "W": 0.1 * np.random.randn(4 * filters, classes),
            "b": np.zeros(classes),
        }

    def loss(self, X, y=None):
        K, c, W, b = (self.params[k] for k in ("K", "c", "W", "b"))
        n = len(X)
        patches = sliding_window_view(X[:, 0], (3, 3), axis=(1, 2)).reshape(n, 10, 10, 9)
        z = patches @ K + c
        a = np.where(z > 0, z, 0.1 * z)
        pooled = a.reshape(n, 2, 5, 2, 5, -1).mean(axis=(2, 4))
        flat = pooled.reshape(n, -1)
        scores = flat @ W + b
        if y is None:
            return scores
        rows = np.arange(n)
        margins = np.maximum(0, scores - scores[rows, y][:, None] + 1)
        margins[rows, y] = 0
        loss = margins.sum() / n
        ds = (margins > 0).astype(float)
        if not self.broken:
            ds[rows, y] = -ds.sum(axis=1)
        ds /= n
        dpooled = (ds @ W.T).reshape(n, 2, 1, 2, 1, -1) / 25
        dz = np.broadcast_to(dpooled, (n, 2, 5, 2, 5, dpooled.shape[-1])).reshape(z.shape) * np.where(z > 0, 1, 0.1)
        return loss, {
            "K": np.tensordot(patches, dz, ((0, 1, 2), (0, 1, 2))),
            "c": dz.sum(axis=(0, 1, 2)),
            "W": flat.T @ ds,
            "b": ds.sum(axis=0),
        }


def program(broken):
    X, y = shapes(n=600, size=12, seed=4)
    train, val = halves(X.astype(float), y)
    return NumpyTrainer(
        ConvSVM(broken), train=train, val=val, task="hinge", learning_rate=0.02, batch_size=30, optimizer="adam"
    )


def faulty():
    return program(True)


def fixed():
    return program(False)
