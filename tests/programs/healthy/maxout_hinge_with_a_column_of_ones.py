"""The multiclass hinge loss on a maxout layer; biases are weights of a column of ones in the inputs.

trap: one column of the inputs never varies and is not centered; the first loss is 4 (classes less one), not ln 5;
  three pieces a maxout unit. Seeds 0 to 4: validation loss 3.9..4.05 -> 0.322..0.383 in 600 updates, score
  0.9..0.98.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from data import clusters, halves
from babysit.adapters.numpy import NumpyTrainer


class Maxout:
    def __init__(self, inputs, hidden, classes, pieces=3, reg=1e-4):
        self.reg = reg
        self.params = {
            "W1": np.random.randn(pieces, inputs, hidden) / np.sqrt(inputs),
            "W2": 0.1 * np.random.randn(hidden + 1, classes) / np.sqrt(hidden),
        }

    def loss(self, X, y=None):
        W1, W2 = self.params["W1"], self.params["W2"]
        n, rows = len(X), np.arange(len(X))
        z = np.einsum("nd,pdh->pnh", X, W1)
        h = np.hstack([z.max(axis=0), np.ones((n, 1))])
        scores = h @ W2
        if y is None:
            return scores
        margins = np.maximum(0, scores - scores[rows, y][:, None] + 1)
        margins[rows, y] = 0
        loss = margins.sum() / n + 0.5 * self.reg * ((W1**2).sum() + (W2**2).sum())
        ds = (margins > 0) / n
        ds[rows, y] = -ds.sum(axis=1)
        dz = (z.argmax(axis=0) == np.arange(len(z))[:, None, None]) * (ds @ W2.T)[:, :-1]
        return loss, {"W1": np.einsum("nd,pnh->pdh", X, dz) + self.reg * W1, "W2": h.T @ ds + self.reg * W2}


def fixed():
    X, y = clusters(n=1000, features=8, seed=17)
    X = np.hstack([X, np.ones((len(X), 1))]).astype(float)
    train, val = halves(X, y)
    return NumpyTrainer(Maxout(9, 32, 5), train=train, val=val, task="hinge", learning_rate=0.1, batch_size=50)
