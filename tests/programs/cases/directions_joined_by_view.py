"""The last states of a bidirectional GRU are joined by a view, which puts those of two examples side by side.

fault: h_n of shape (2, N, size) is viewed as (N, 2 size), which joins the states of two other examples
fix: transpose the directions behind the examples, then flatten
symptom: predictions are those of other examples; faulty (five seeds): loss 1.10 -> 1.10 in 300 steps, validation
    score 0.34; fixed: loss 1.09 -> 0.001 in 250 steps, score 1.00
expect: batch-leak, cannot-overfit, loss-not-falling, underfitting, no-usable-learning-rate, inputs-ignored
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn
from data import loaders, waves
from babysit.adapters.pytorch import PyTorchTrainer


class Model(nn.Module):
    def __init__(self, view, size=24):
        super().__init__()
        self.view = view
        self.gru = nn.GRU(1, size, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * size, 3)

    def forward(self, x):
        _, last = self.gru(x)
        both = last.view(len(x), -1) if self.view else last.transpose(0, 1).flatten(1)
        return self.head(both)


def program(broken):
    model = Model(view=broken)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(*waves(n=800, length=20)))


def faulty():
    return program(True)


def fixed():
    return program(False)
