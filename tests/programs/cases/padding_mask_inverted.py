"""The padding mask of an attention says which words to keep, where PyTorch wants to know which to ignore.

fault: key_padding_mask is true at the words and false at the padding, so that only padding is attended to
fix: mask = x == 0
symptom: nothing of the words arrives; five seeds: faulty: loss 1.37 -> 1.38 in 300 steps, validation score 0.28;
    fixed: loss 1.38 -> 0.11, score 0.94
expect: inputs-ignored, constant-predictions, constant-activation, cannot-overfit, loss-not-falling, missing-gradient,
    frozen-parameters, underfitting, no-usable-learning-rate
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn
from data import loaders
from babysit.adapters.pytorch import PyTorchTrainer


def topics(n=1000, longest=12, words=40, kinds=4, seed=0):
    """Token ids (N, longest): 4 to 11 words, zeros behind; each topic has ten words that it likes best."""
    draw = np.random.default_rng(seed)
    y = draw.integers(0, kinds, n)
    own = 1 + 10 * y[:, None] + draw.integers(0, 10, (n, longest))
    X = np.where(draw.random((n, longest)) < 0.6, own, draw.integers(1, words + 1, (n, longest)))
    X[np.arange(longest) >= draw.integers(4, longest, n)[:, None]] = 0
    return X, y


class Model(nn.Module):
    def __init__(self, keep, words=41, size=32):
        super().__init__()
        self.keep = keep
        self.embedding = nn.Embedding(words, size, padding_idx=0)
        self.query = nn.Parameter(torch.randn(1, 1, size))
        self.attention = nn.MultiheadAttention(size, 2, batch_first=True)
        self.head = nn.Sequential(nn.Linear(size, 32), nn.ReLU(), nn.Linear(32, 4))

    def forward(self, x):
        h = self.embedding(x)
        mask = x != 0 if self.keep else x == 0
        told, _ = self.attention(self.query.expand(len(x), -1, -1), h, h, key_padding_mask=mask)
        return self.head(told[:, 0])


def program(broken):
    model = Model(keep=broken)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(*topics()))


def faulty():
    return program(True)


def fixed():
    return program(False)
