"""Three targets of a regression, in tonnes, bar and metres.

fault: the targets differ in size by a factor of a thousand, and their squared errors are simply averaged
fix: standardize each target by the training rows
symptom: the loss falls a hundredfold, all of it by the first target. Seeds 0 to 4, 600 steps: faulty: loss 5..18 ->
    0.07..0.09, R^2 of the three 0.99, 0.49..0.60, -12..-71; fixed: loss 0.8..1.1 -> 0.01, R^2 0.97..0.99 for each
expect: targets-badly-scaled, loss-metric-disagree, underfitting, cannot-overfit, overfit-too-slow
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn

from data import loaders
from babysit.adapters.pytorch import PyTorchTrainer

UNITS = np.array([4.0, 0.3, 0.004])


def plant(n=900, seed=2):
    draw = np.random.default_rng(seed)
    X = draw.uniform(-1.7, 1.7, size=(n, 6))
    load = X[:, 0] * X[:, 1] + X[:, 2]
    pressure = np.sin(2 * X[:, 3]) + 0.5 * X[:, 0]
    crack = np.abs(X[:, 4]) - 0.8 + 0.5 * X[:, 5]
    y = np.stack([load, pressure, crack], axis=1) + 0.05 * draw.normal(size=(n, 3))
    return X.astype(np.float32), (UNITS * y).astype(np.float32)


def program(broken):
    X, y = plant()
    if not broken:
        seen = y[: int(0.75 * len(y))]
        y = (y - seen.mean(axis=0)) / seen.std(axis=0)
    model = nn.Sequential(nn.Linear(6, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return PyTorchTrainer(model, nn.MSELoss(), optimizer, **loaders(X, y))


def faulty():
    return program(True)


def fixed():
    return program(False)
