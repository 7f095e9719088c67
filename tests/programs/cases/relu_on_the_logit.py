"""A ReLU behind the last layer of a yes-or-no network.

fault: the logit passes through a ReLU, so that no probability is below one half, and no gradient comes back for
    a negative one
fix: no activation behind the last layer
symptom: a floor of 0.35 if half of the answers are no, and often a dead output; seeds 0 to 4: faulty: loss 0.69
    -> 0.58, 0.69, 0.69, 0.69, 0.31 in 600 steps, 20 examples not below 0.31 in 300; fixed: 0.69 -> 0.0003,
    score 1.00.
expect: floor-above-zero, output-range, dead-relu, constant-predictions, constant-activation, inputs-ignored,
    cannot-overfit, same-sign-gradient
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from babysit.adapters.pytorch import PyTorchTrainer
from torch import nn

from data import loaders, shapes


def program(broken):
    X, y = shapes()
    straight = (y < 2).astype(np.float32)[:, None]
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24 * 16, 32),
        nn.ReLU(),
        nn.Linear(32, 1),
        nn.ReLU() if broken else nn.Identity(),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    return PyTorchTrainer(model, nn.BCEWithLogitsLoss(), optimizer, **loaders(X, straight), task="binary")


def faulty():
    return program(True)


def fixed():
    return program(False)
