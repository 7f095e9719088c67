"""Attention weights that sum to one over the batch, not over time.

fault: the attention pooling takes its softmax along axis 0, so the series of a batch compete for weight with
    one another
fix: softmax along time, axis 2
symptom: validation loss depends on the size of the batch: seeds 0 to 4: faulty: validation loss 1.10 -> 0.26 to
    0.36 (batches of 150; training loss 0.003 to 0.01 in batches of 32), and one example at a time 0.0001 to 2.2
    with accuracy 0.83 to 1.00; fixed: 1.10 -> 0.0004 in 600 steps, score 1.00.
expect: batch-leak
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from babysit.adapters.pytorch import PyTorchTrainer
from torch import nn

from data import loaders, waves


class AttentionPool(nn.Module):
    def __init__(self, channels, axis):
        super().__init__()
        self.gate, self.axis = nn.Conv1d(channels, 1, 1), axis

    def forward(self, x):
        share = self.gate(x).softmax(self.axis)
        return (share * x).sum(2)


def program(broken):
    X, y = waves()
    model = nn.Sequential(
        nn.Conv1d(1, 24, 5, padding=2),
        nn.ReLU(),
        nn.Conv1d(24, 24, 5, padding=2),
        nn.ReLU(),
        AttentionPool(24, 0 if broken else 2),
        nn.Linear(24, 3),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(X.transpose(0, 2, 1).copy(), y))


def faulty():
    return program(True)


def fixed():
    return program(False)
