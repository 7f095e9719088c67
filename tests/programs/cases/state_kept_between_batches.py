"""An LSTM starts each batch with the state in which the last one left it, though the batches are shuffled.

fault: the final state of one batch is the first state of the next, which holds other series
fix: begin each batch with a state of zeros
symptom: evaluating one batch twice gives two losses, and the start of a series can't be told; five seeds: faulty:
    loss 1.62 -> 1.32 in 300 steps, validation score 0.43; fixed: loss 1.62 -> 0.002, score 1.00
expect: nondeterministic-evaluation, evaluate-changes-state, state-not-restored, batch-leak, train-eval-gap
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn
from data import loaders
from babysit.adapters.pytorch import PyTorchTrainer


def openings(n=1024, length=7, words=5, seed=0):
    """Token ids (N, length) and what they are labelled by, the first of them."""
    X = np.random.default_rng(seed).integers(0, words, (n, length))
    return X, X[:, 0]


class Model(nn.Module):
    def __init__(self, keep, words=5, size=32):
        super().__init__()
        self.keep, self.state = keep, None
        self.embedding = nn.Embedding(words, 8)
        self.lstm = nn.LSTM(8, size, batch_first=True)
        self.head = nn.Linear(size, words)

    def forward(self, x):
        if not self.keep or self.state is None or self.state[0].shape[1] != len(x):
            self.state = None
        hidden, state = self.lstm(self.embedding(x), self.state)
        self.state = tuple(s.detach() for s in state)
        return self.head(hidden[:, -1])


def program(broken):
    model = Model(keep=broken)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(*openings()))


def faulty():
    return program(True)


def fixed():
    return program(False)
