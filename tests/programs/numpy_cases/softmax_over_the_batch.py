"""The softmax is taken down the batch, not across the classes.

fault: the exponentials are divided by their sum over axis 0, so a class's probabilities sum to 1 over the batch
fix: sum over axis 1
symptom: the first loss is the logarithm of the batch size, 3.7, and not of the classes, 1.4. Seeds 0 to 4: faulty:
    loss 3.7 -> 15 or infinite in 600 steps, since the scores of all classes grow without end (score 0.72 to 0.96);
    fixed: validation loss 1.4 -> 0.15 to 0.18, score 0.94 to 0.96.
expect: wrong-gradient, unexpected-initial-loss, summed-loss, cannot-overfit, floor-above-zero, loss-not-falling,
    overfit-too-slow, loss-metric-disagree
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from babysit.adapters.numpy import NumpyTrainer

from data import clusters, halves


class ThreeLayers:
    """Two tanh layers under the softmax loss."""

    def __init__(self, axis, sizes=(10, 40, 30, 4)):
        self.axis, self.params = axis, {}
        for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False), 1):
            self.params[f"W{i}"], self.params[f"b{i}"] = np.random.randn(a, b) / np.sqrt(a), np.zeros(b)
        self.params["W3"] *= 0.1

    def loss(self, X, y=None):
        W1, b1, W2, b2, W3, b3 = (self.params[k] for k in ("W1", "b1", "W2", "b2", "W3", "b3"))
        h1 = np.tanh(X @ W1 + b1)
        h2 = np.tanh(h1 @ W2 + b2)
        scores = h2 @ W3 + b3
        if y is None:
            return scores
        rows = np.arange(len(X))
        e = np.exp(scores - scores.max(axis=self.axis, keepdims=True))
        p = e / e.sum(axis=self.axis, keepdims=True)
        loss = -np.log(p[rows, y]).mean()
        ds = p.copy()
        ds[rows, y] -= 1
        ds /= len(X)
        dz2 = (ds @ W3.T) * (1 - h2**2)
        dz1 = (dz2 @ W2.T) * (1 - h1**2)
        return loss, {
            "W1": X.T @ dz1,
            "b1": dz1.sum(0),
            "W2": h1.T @ dz2,
            "b2": dz2.sum(0),
            "W3": h2.T @ ds,
            "b3": ds.sum(0),
        }


def program(broken):
    X, y = clusters(n=900, features=10, classes=4, seed=3)
    train, val = halves(X.astype(float), y)
    return NumpyTrainer(
        ThreeLayers(axis=0 if broken else 1),
        train=train,
        val=val,
        task="classification",
        learning_rate=0.3,
        batch_size=40,
    )


def faulty():
    return program(True)


def fixed():
    return program(False)
