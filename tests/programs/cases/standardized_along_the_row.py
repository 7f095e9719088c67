"""Each row is standardized by its own mean and deviation, not each column.

fault: axis=1 in place of axis=0; the column in the hundred thousands settles what all the others become
fix: the mean and deviation of the training part's columns
symptom: every row looks the same. Seeds 0 to 4, 600 steps: faulty: validation loss 1.1 to 1.3 -> 1.1, R2 0; fixed:
    0.03 to 0.04, R2 0.97 to 0.98.
expect: constant-features, feature-scales-differ, inputs-not-centered, underfitting, loss-not-falling,
    learning-rate-too-low, slow-start
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from data import halves, surface
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from babysit.adapters.pytorch import PyTorchTrainer

UNITS, OFFSETS = np.array([12.0, 0.8, 1.1, 40_000.0, 3.0]), np.array([45.0, 3.0, 2.0, 310_000.0, 12.0])


def program(broken):
    X, y = surface(n=900, features=5, noise=0.1, seed=12)
    (X, y), (Xv, yv) = halves(UNITS * X + OFFSETS, y)
    if broken:
        X, Xv = ((part - part.mean(axis=1, keepdims=True)) / part.std(axis=1, keepdims=True) for part in (X, Xv))
    else:
        X, Xv = ((part - X.mean(axis=0)) / X.std(axis=0) for part in (X, Xv))
    model = nn.Sequential(nn.Linear(5, 48), nn.Tanh(), nn.Linear(48, 24), nn.Tanh(), nn.Linear(24, 1))
    train, val = (TensorDataset(torch.tensor(a, dtype=torch.float32), torch.tensor(b)) for a, b in ((X, y), (Xv, yv)))
    return PyTorchTrainer(
        model,
        nn.MSELoss(),
        torch.optim.Adam(model.parameters(), lr=1e-2),
        DataLoader(train, 32, shuffle=True),
        DataLoader(val, 256),
    )


def faulty():
    return program(True)


def fixed():
    return program(False)
