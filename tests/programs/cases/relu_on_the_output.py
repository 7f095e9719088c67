"""A rectified output is asked for negative numbers.

fault: the last layer of a regression ends in a ReLU, and half of the standardized targets are negative
fix: no activation on the output
symptom: the error stops at the share of the negative targets, for some seeds every prediction is 0. Seeds 0 to 4, 600
    steps: faulty: loss 0.70..1.71 -> 0.50..1.02, R^2 0.51, 0.51, 0.00, 0.52, 0.52; fixed: -> 0.007..0.012, R^2
    0.98 at all; 20 examples stay at 0.55
expect: output-range, dead-relu, floor-above-zero, cannot-overfit, constant-predictions, underfitting,
    loss-not-falling, loss-plateau, killed-by-learning-rate, task-mismatch
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn

from data import loaders, surface
from babysit.adapters.pytorch import PyTorchTrainer


def program(broken):
    layers = [nn.Linear(7, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)]
    model = nn.Sequential(*layers, nn.ReLU()) if broken else nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return PyTorchTrainer(model, nn.MSELoss(), optimizer, **loaders(*surface(n=1000, features=7, seed=3)))


def faulty():
    return program(True)


def fixed():
    return program(False)
