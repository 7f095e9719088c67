"""Whether three signs multiply to plus: no single sign tells anything, so the loss stands at ln 2 before it falls to
0.

trap: no progress at all in the first updates, at a learning rate that is right; inputs and answers are uncorrelated;
  momentum, by hand in NumPy. Seeds 0 to 4: validation loss 0.69..0.695 -> 0.0021..0.0024 in 600 updates, score 1.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from data import halves
from babysit.adapters.numpy import NumpyTrainer


class Parity:
    def __init__(self, inputs=6, hidden=64):
        self.params = {
            "W1": np.random.randn(inputs, hidden) * np.sqrt(2 / inputs),
            "b1": np.zeros(hidden),
            "W2": 0.1 * np.random.randn(hidden, 1) / np.sqrt(hidden),
            "b2": np.zeros(1),
        }

    def loss(self, X, y=None):
        W1, b1, W2, b2 = self.params.values()
        h = np.maximum(0, X @ W1 + b1)
        scores = h @ W2 + b2
        if y is None:
            return scores
        loss = (np.logaddexp(0, scores) - y * scores).mean()
        ds = (1 / (1 + np.exp(-scores)) - y) / len(X)
        dh = ds @ W2.T * (h > 0)
        return loss, {"W1": X.T @ dh, "b1": dh.sum(axis=0), "W2": h.T @ ds, "b2": ds.sum(axis=0)}


def signs(n=1400, inputs=6, seed=23):
    draw = np.random.default_rng(seed)
    X = draw.choice([-1.0, 1.0], size=(n, inputs)) + 0.1 * draw.normal(size=(n, inputs))
    return X, (X[:, :3].prod(axis=1, keepdims=True) > 0).astype(float)


def fixed():
    train, val = halves(*signs())
    return NumpyTrainer(
        Parity(), train=train, val=val, task="binary", learning_rate=0.1, batch_size=64, optimizer="momentum"
    )
