"""The penalty's gradient is assigned where it should be added.

fault: the gradient of the first weights is that of the penalty alone, grads["W1"] = ... in place of +=
fix: add the penalty's gradient to the data's
symptom: the first weights only ever decay. Seeds 0 to 4, 600 steps: faulty: validation loss 0.72 to 1.1 -> 0.69 to
    0.70, score 0.45 or 0.55; fixed: 0.014, score 1.
expect: wrong-gradient, regularization-dominates, cannot-overfit, missing-gradient, underfitting, vanishing-gradient,
    loss-not-falling
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from babysit.adapters.numpy import NumpyTrainer

from data import halves, parity


class Maxout:
    """A hidden layer of maxout units with two pieces, one sigmoid output, cross entropy with weight decay."""

    def __init__(self, broken, inputs=5, hidden=24, reg=5e-3):
        self.broken, self.reg = broken, reg
        self.params = {
            "W1": np.random.randn(inputs, 2 * hidden) / np.sqrt(inputs),
            "b1": np.zeros(2 * hidden),
            "W2": np.random.randn(hidden, 1) / np.sqrt(hidden),
            "b2": np.zeros(1),
        }

    def loss(self, X, y=None):
        W1, b1, W2, b2 = (self.params[k] for k in ("W1", "b1", "W2", "b2"))
        n = len(X)
        z = (X @ W1 + b1).reshape(n, -1, 2)
        h = z.max(axis=2)
        scores = h @ W2 + b2
        if y is None:
            return scores
        loss = (np.logaddexp(0, scores) - y * scores).mean() + 0.5 * self.reg * ((W1**2).sum() + (W2**2).sum())
        ds = (1 / (1 + np.exp(-scores)) - y) / n
        dh = ds @ W2.T
        dz = (np.arange(2) == z.argmax(axis=2)[..., None]) * dh[..., None]
        dz = dz.reshape(n, -1)
        grads = {"W1": X.T @ dz, "b1": dz.sum(0), "W2": h.T @ ds, "b2": ds.sum(0)}
        if self.broken:
            grads["W1"] = self.reg * W1
        else:
            grads["W1"] += self.reg * W1
        grads["W2"] += self.reg * W2
        return loss, grads


def program(broken):
    X, y = parity(n=800, features=5, noise=0.2, seed=2)
    train, val = halves(X.astype(float), y.astype(float))
    return NumpyTrainer(
        Maxout(broken), train=train, val=val, task="binary", learning_rate=0.2, batch_size=50, optimizer="momentum"
    )


def faulty():
    return program(True)


def fixed():
    return program(False)
