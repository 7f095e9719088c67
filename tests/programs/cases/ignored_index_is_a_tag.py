"""A tagger tells the loss to ignore tag 0, as one does with padding, but 0 is the tag of ordinary words.

fault: ignore_index is 0, a real tag, so that no mistake on ordinary words costs anything
fix: leave ignore_index at -100
symptom: the loss goes to zero, and tag 0 is never said; five seeds: faulty: loss 1.08 -> 0.0005 in 200 steps,
    validation score 0.41; fixed: loss 1.13 -> 0.002, score 1.00
expect: loss-metric-disagree, task-mismatch, missing-classes, unexpected-initial-loss, cannot-overfit
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from data import loaders
from babysit.adapters.pytorch import PyTorchTrainer


def names(n=600, length=12, words=24, seed=0):
    """Token ids (N, length) and tags: 1 opens a name (words below 6), 2 goes on with it (6 to 15), 0 is neither."""
    draw = np.random.default_rng(seed)
    X = draw.integers(0, words, (n, length))
    tags = np.where(X < 6, 1, 0)
    for t in range(1, length):
        tags[:, t] = np.where((tags[:, t - 1] > 0) & (X[:, t] >= 6) & (X[:, t] < 16), 2, tags[:, t])
    return X, tags


class Model(nn.Module):
    def __init__(self, words=24, size=24):
        super().__init__()
        self.embedding = nn.Embedding(words, 16)
        self.gru = nn.GRU(16, size, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * size, 3)

    def forward(self, x):
        return self.head(self.gru(self.embedding(x))[0])


def program(broken):
    ignored = 0 if broken else -100

    def loss(scores, tags):
        return F.cross_entropy(scores.flatten(0, 1), tags.flatten(), ignore_index=ignored)

    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return PyTorchTrainer(model, loss, optimizer, **loaders(*names()), task="language-model")


def faulty():
    return program(True)


def fixed():
    return program(False)
