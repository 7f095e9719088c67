"""A residual sum is made in place, and what the backward pass needs is gone.

fault: h += branch overwrites the block's input, which the gradient of the branch's weights is then computed from
fix: h = h + branch
symptom: the analytic gradient disagrees with the numeric one, relative error 0.2 to 0.45 (W1 to W3). Training still
    gets along. Seeds 0 to 4, 600 steps: faulty: validation score 0.96 to 0.975; fixed: 0.955 to 0.97.
expect: wrong-gradient
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from babysit.adapters.numpy import NumpyTrainer

from data import clusters, halves


class Residual:
    """Linear, leaky ReLU, three residual blocks, linear, softmax."""

    def __init__(self, broken, inputs=12, width=32, blocks=3, classes=5, reg=1e-3):
        self.broken, self.blocks, self.reg = broken, blocks, reg
        self.params = {"W0": np.random.randn(inputs, width) * np.sqrt(2 / inputs), "b0": np.zeros(width)}
        for i in range(1, blocks + 1):
            self.params[f"W{i}"] = np.random.randn(width, width) / np.sqrt(blocks * width)
            self.params[f"b{i}"] = np.zeros(width)
        self.params["W"], self.params["b"] = 0.1 * np.random.randn(width, classes) / np.sqrt(width), np.zeros(classes)

    def loss(self, X, y=None):
        p, cache = self.params, []
        z0 = X @ p["W0"] + p["b0"]
        h = np.where(z0 > 0, z0, 0.1 * z0)
        for i in range(1, self.blocks + 1):
            branch = np.tanh(h @ p[f"W{i}"] + p[f"b{i}"])
            cache.append((h, branch))
            if self.broken:
                h += branch
            else:
                h = h + branch
        scores = h @ p["W"] + p["b"]
        if y is None:
            return scores
        n = len(X)
        shifted = scores - scores.max(axis=1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        loss = -logs[np.arange(n), y].mean()
        ds = np.exp(logs)
        ds[np.arange(n), y] -= 1
        ds /= n
        grads = {"W": h.T @ ds, "b": ds.sum(axis=0)}
        dh = ds @ p["W"].T
        for i in range(self.blocks, 0, -1):
            before, branch = cache.pop()
            dz = dh * (1 - branch**2)
            grads[f"W{i}"], grads[f"b{i}"] = before.T @ dz, dz.sum(axis=0)
            dh = dh + dz @ p[f"W{i}"].T
        dz = dh * np.where(z0 > 0, 1, 0.1)
        grads["W0"], grads["b0"] = X.T @ dz, dz.sum(axis=0)
        for k in grads:
            if k[0] == "W":
                loss += self.reg * (p[k] ** 2).sum()
                grads[k] += 2 * self.reg * p[k]
        return loss, grads


def program(broken):
    X, y = clusters(n=800, seed=6)
    train, val = halves(X.astype(float), y)
    return NumpyTrainer(Residual(broken), train=train, val=val, task="classification", learning_rate=0.1, batch_size=32)


def faulty():
    return program(True)


def fixed():
    return program(False)
