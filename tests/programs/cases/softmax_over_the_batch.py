"""The softmax runs over the rows in place of the columns.

fault: log_softmax normalizes over the examples of the batch (dim=0), not over the classes
fix: dim=1
symptom: the loss stops at the logarithm of the rows of a class in a batch, and a row by itself is always of class 0.
    Seeds 0 to 4, 600 steps: faulty: loss 3.1..3.2 -> 1.9, accuracy one row at a time 0.24 (0.99 in a batch);
    fixed: loss 1.3..1.4 -> 0.003..0.005, 0.98..0.99 either way
expect: batch-leak, unexpected-initial-loss, normalized-scores, floor-above-zero, cannot-overfit, train-eval-gap
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import torch.nn.functional as F
from torch import nn

from data import clusters, loaders
from babysit.adapters.pytorch import PyTorchTrainer


class Classifier(nn.Module):
    def __init__(self, axis):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 4))
        self.axis = axis

    def forward(self, x):
        return F.log_softmax(self.body(x), dim=self.axis)


def program(broken):
    model = Classifier(axis=0 if broken else 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    data = loaders(*clusters(n=900, features=16, classes=4, seed=5), size=24)
    return PyTorchTrainer(model, nn.NLLLoss(), optimizer, **data)


def faulty():
    return program(True)


def fixed():
    return program(False)
