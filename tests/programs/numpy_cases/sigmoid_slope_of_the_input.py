"""The slope of the sigmoid is taken where the sum comes in, not of what goes out.

fault: the backward pass multiplies by z * (1 - z) with the sum z that went into the sigmoid
fix: h * (1 - h) with its output h
symptom: the first layer is driven astray. Seeds 0 to 4, 600 steps: faulty: validation loss 1.1 -> 0.24 to 0.52, R2
    0.50 to 0.77; fixed: 0.03 to 0.04, R2 0.96 to 0.97.
expect: wrong-gradient, loss-diverges, overfit-diverges, no-usable-learning-rate, learning-rate-too-high,
    loss-not-falling, cannot-overfit, exploding-gradient
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from babysit.adapters.numpy import NumpyTrainer

from data import halves, surface


def sigmoid(z):
    return np.where(z >= 0, 1, np.exp(-np.abs(z))) / (1 + np.exp(-np.abs(z)))


class Regressor:
    """A hidden sigmoid layer and the squared error."""

    def __init__(self, broken, inputs=4, hidden=50):
        self.broken = broken
        self.params = {
            "W1": 1.5 * np.random.randn(inputs, hidden) / np.sqrt(inputs),
            "b1": np.zeros(hidden),
            "W2": 0.3 * np.random.randn(hidden, 1) / np.sqrt(hidden),
            "b2": np.zeros(1),
        }

    def loss(self, X, y=None):
        W1, b1, W2, b2 = (self.params[k] for k in ("W1", "b1", "W2", "b2"))
        z = X @ W1 + b1
        h = sigmoid(z)
        out = h @ W2 + b2
        if y is None:
            return out
        loss = ((out - y) ** 2).mean()
        dout = 2 * (out - y) / len(X)
        slope = z * (1 - z) if self.broken else h * (1 - h)
        dz = (dout @ W2.T) * slope
        return loss, {"W1": X.T @ dz, "b1": dz.sum(0), "W2": h.T @ dout, "b2": dout.sum(0)}


def program(broken):
    X, y = surface(n=700, features=4, seed=5)
    train, val = halves(X.astype(float), y.astype(float))
    return NumpyTrainer(
        Regressor(broken), train=train, val=val, task="regression", learning_rate=0.02, batch_size=32, optimizer="adam"
    )


def faulty():
    return program(True)


def fixed():
    return program(False)
