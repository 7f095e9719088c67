"""A recurrent network by hand on word ids, after min-char-rnn: the gradients are clipped to [-1, 1] within the loss.

trap: clipping by value makes a gradient that is not the loss's slope where it acts (here: hardly ever); integer
  inputs; weights of 0.01 in front of the scores; RMSprop. Seeds 0 to 4: validation loss 2.3..2.31 -> 0.889..0.903 in
  600 updates, score 0.797..0.799.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from data import halves, sentences
from babysit.adapters.numpy import NumpyTrainer


class Rnn:
    def __init__(self, words=10, hidden=40):
        self.params = {
            "E": 0.5 * np.random.randn(words, hidden),
            "W": np.random.randn(hidden, hidden) / np.sqrt(hidden),
            "b": np.zeros(hidden),
            "V": 0.01 * np.random.randn(hidden, words),
            "c": np.zeros(words),
        }

    def loss(self, X, y=None):
        E, W, b, V, c = (self.params[k] for k in "EWbVc")
        n, length = X.shape
        h = np.zeros((length + 1, n, len(b)))
        for t in range(length):
            h[t] = np.tanh(E[X[:, t]] + h[t - 1] @ W + b)
        scores = h[:-1].transpose(1, 0, 2) @ V + c
        if y is None:
            return scores
        p = np.exp(scores - scores.max(axis=2, keepdims=True))
        p /= p.sum(axis=2, keepdims=True)
        right = np.take_along_axis(p, y[..., None], axis=2)
        loss = -np.log(right).mean()
        np.put_along_axis(p, y[..., None], right - 1, axis=2)
        ds = p / y.size
        grads = {k: np.zeros_like(v) for k, v in self.params.items()}
        carried = 0
        for t in reversed(range(length)):
            grads["V"] += h[t].T @ ds[:, t]
            grads["c"] += ds[:, t].sum(axis=0)
            dz = (ds[:, t] @ V.T + carried) * (1 - h[t] ** 2)
            np.add.at(grads["E"], X[:, t], dz)
            grads["W"] += h[t - 1].T @ dz
            grads["b"] += dz.sum(axis=0)
            carried = dz @ W.T
        for g in grads.values():
            np.clip(g, -1, 1, out=g)
        return loss, grads


def fixed():
    X = sentences(n=1000, length=13, words=10, seed=18)
    train, val = halves(X[:, :-1], X[:, 1:])
    return NumpyTrainer(
        Rnn(), train=train, val=val, task="language-model", learning_rate=4e-3, batch_size=32, optimizer="rmsprop"
    )
