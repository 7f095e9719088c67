"""Weights between 0 and 1, none of them negative.

fault: np.random.rand in place of a centered draw divided by the square root of the inputs
fix: 2 * np.random.randn(a, b) / np.sqrt(a), as suits sigmoids; and less for the scores
symptom: the second layer says 1 to everything. Seeds 0 to 4, 600 steps: faulty: validation loss 1.1 to 2.6 -> 2.1 to
    4.5, score 0.28 to 0.39; fixed: 1.1 -> 0.005, score 1.
expect: mis-scaled-weights, saturated-activation, same-sign-gradient, confident-at-init, exploding-activations,
    unexpected-initial-loss, constant-activation, symmetric-weights, vanishing-gradient
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from babysit.adapters.numpy import NumpyTrainer

from data import halves, waves


def sigmoid(z):
    return 0.5 * (1 + np.tanh(z / 2))


class Sigmoids:
    """Two sigmoid layers under the softmax loss."""

    def __init__(self, broken, sizes=(24, 100, 50, 3)):
        self.params = {}
        for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False), 1):
            self.params[f"W{i}"] = np.random.rand(a, b) if broken else 2 * np.random.randn(a, b) / np.sqrt(a)
            self.params[f"b{i}"] = np.zeros(b)
        if not broken:
            self.params["W3"] /= 4

    def loss(self, X, y=None):
        W1, b1, W2, b2, W3, b3 = (self.params[k] for k in ("W1", "b1", "W2", "b2", "W3", "b3"))
        h1 = sigmoid(X @ W1 + b1)
        h2 = sigmoid(h1 @ W2 + b2)
        scores = h2 @ W3 + b3
        if y is None:
            return scores
        n = len(X)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(n), y]).mean()
        ds = (p - np.eye(3)[y]) / n
        dz2 = (ds @ W3.T) * h2 * (1 - h2)
        dz1 = (dz2 @ W2.T) * h1 * (1 - h1)
        return loss, {
            "W1": X.T @ dz1,
            "b1": dz1.sum(0),
            "W2": h1.T @ dz2,
            "b2": dz2.sum(0),
            "W3": h2.T @ ds,
            "b3": ds.sum(0),
        }


def program(broken):
    X, y = waves(n=640, noise=0.25, seed=1)
    train, val = halves(X[..., 0].astype(float), y)
    return NumpyTrainer(
        Sigmoids(broken),
        train=train,
        val=val,
        task="classification",
        learning_rate=0.1,
        batch_size=32,
        optimizer="momentum",
    )


def faulty():
    return program(True)


def fixed():
    return program(False)
