"""The last layer is made anew in every forward pass.

fault: forward makes the classifier itself, once it knows how many features there are, with new random weights
    at each call
fix: make the layer in __init__
symptom: every call gives other scores; seeds 0 to 4: faulty: loss 1.39 -> 1.39 in 600 steps, score 0.16 to
    0.32; fixed: loss 1.38 -> 0.001, score 1.00.
expect: nondeterministic-evaluation, cannot-overfit, loss-not-falling
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from babysit.adapters.pytorch import PyTorchTrainer
from torch import nn

from data import loaders, shapes


class Net(nn.Module):
    def __init__(self, lazy):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
        )
        self.head = None if lazy else nn.Linear(256, 4)

    def forward(self, x):
        x = self.features(x)
        head = self.head or nn.Linear(x.shape[1], 4)
        return head(x)


def program(broken):
    model = Net(lazy=broken)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(*shapes(seed=6)))


def faulty():
    return program(True)


def fixed():
    return program(False)
