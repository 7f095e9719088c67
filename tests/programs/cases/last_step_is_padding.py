"""A recurrent network is read out at the last step of the padded series, long after the series itself has ended.

fault: the hidden state is read at the last padded step, some 70 zeros behind the end of each series
fix: read the state at each series' own last step
symptom: the state has forgotten the series; five seeds: faulty: loss 1.40 -> 1.38 in 300 steps, validation score
    0.26; fixed: loss 1.39 -> 0.52, score 0.80
expect: inputs-ignored, vanishing-gradient, constant-features, constant-activation, constant-predictions,
    cannot-overfit, loss-not-falling, shrinking-activations, underfitting, overfit-too-slow, no-usable-learning-rate
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn
from data import loaders
from babysit.adapters.pytorch import PyTorchTrainer


def strokes(n=900, longest=80, seed=0):
    """Pen strokes of 6 to 14 steps towards one of four sides, zeros behind their end: (N, longest, 2)."""
    draw = np.random.default_rng(seed)
    sides = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    y = draw.integers(0, 4, n)
    X = 0.6 * sides[y][:, None] + draw.normal(size=(n, longest, 2))
    X[np.arange(longest) >= draw.integers(6, 15, n)[:, None]] = 0
    return X.astype(np.float32), y


class Model(nn.Module):
    def __init__(self, at_the_end, size=32):
        super().__init__()
        self.at_the_end = at_the_end
        self.rnn = nn.RNN(2, size, batch_first=True)
        self.head = nn.Linear(size, 4)

    def forward(self, x):
        hidden, _ = self.rnn(x)
        lengths = (x != 0).any(2).sum(1)
        last = torch.full_like(lengths, x.shape[1]) if self.at_the_end else lengths
        return self.head(hidden[torch.arange(len(x)), last - 1])


def program(broken):
    model = Model(at_the_end=broken)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(*strokes()))


def faulty():
    return program(True)


def fixed():
    return program(False)
