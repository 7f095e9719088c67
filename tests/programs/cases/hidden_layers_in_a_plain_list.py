"""Layers that the model doesn't know of.

fault: the hidden layers are kept in a Python list, so that parameters() and the optimizer have the last layer alone
fix: nn.ModuleList
symptom: only a line through random features is learned. Seeds 0 to 4, 600 steps: faulty: loss 0.69 -> 0.65..0.67,
    accuracy 0.55..0.62 (the commoner answer: 0.54); fixed: loss 0.69 -> 0.00003, accuracy 1; 20 examples stay at 0.6
expect: frozen-parameters, missing-gradient, cannot-overfit, underfitting, loss-not-falling, constant-predictions,
    no-usable-learning-rate, overfit-too-slow, loss-plateau
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn

from data import loaders, parity
from babysit.adapters.pytorch import PyTorchTrainer


class Tower(nn.Module):
    def __init__(self, sizes, register):
        super().__init__()
        hidden = [nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])]
        self.hidden = nn.ModuleList(hidden) if register else hidden
        self.head = nn.Linear(sizes[-1], 1)

    def forward(self, x):
        for layer in self.hidden:
            x = layer(x).relu()
        return self.head(x)


def program(broken):
    model = Tower([6, 24, 24, 24], register=not broken)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return PyTorchTrainer(model, nn.BCEWithLogitsLoss(), optimizer, **loaders(*parity(noise=0.2, seed=6)))


def faulty():
    return program(True)


def fixed():
    return program(False)
