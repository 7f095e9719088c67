"""A transformer without positions is asked for the order of two words.

fault: nothing tells the attention where a word stands, so that any order of the words gives the same scores
fix: add an embedding of the places
symptom: validation stays at chance; five seeds: faulty: loss 0.72 -> 0.685 in 300 steps, validation score 0.49;
    fixed: loss 0.71 -> 0.001, score 1.00
expect: loss-not-falling, underfitting, loss-plateau, cannot-overfit, overfit-too-slow, overfitting-gap,
    constant-predictions, no-usable-learning-rate
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn
from data import loaders
from babysit.adapters.pytorch import PyTorchTrainer


def orders(n=1600, length=8, words=8, seed=0):
    """Token ids (N, length) with one 0 and one 1 somewhere among other words; whether the 0 comes first."""
    draw = np.random.default_rng(seed)
    X = draw.integers(2, words, (n, length))
    places = np.stack([draw.permutation(length)[:2] for _ in range(n)])
    X[np.arange(n), places[:, 0]] = 0
    X[np.arange(n), places[:, 1]] = 1
    return X, (places[:, 0] < places[:, 1]).astype(np.int64)


class Model(nn.Module):
    def __init__(self, positions, words=8, length=8, size=32):
        super().__init__()
        self.words = nn.Embedding(words, size)
        self.places = nn.Parameter(torch.randn(length, size)) if positions else None
        self.block = nn.TransformerEncoderLayer(size, 2, 64, dropout=0.0, batch_first=True)
        self.head = nn.Linear(size, 2)

    def forward(self, x):
        h = self.words(x)
        if self.places is not None:
            h = h + self.places
        return self.head(self.block(h).mean(1))


def program(broken):
    model = Model(positions=not broken)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(*orders()))


def faulty():
    return program(True)


def fixed():
    return program(False)
