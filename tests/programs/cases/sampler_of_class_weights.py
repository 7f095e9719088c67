"""A WeightedRandomSampler is given a weight for each class where it wants one for each example.

fault: with six weights the sampler draws the first six examples of the data set, and no other, for ever
fix: weights[y], one weight for each example
symptom: Seeds 0 to 4, 600 steps: faulty: training loss 0.0001, validation loss 5.8 to 7.4, score 0.36 to 0.44; fixed:
    validation loss 0.06 to 0.10, score 0.96 to 0.98.
expect: missing-classes, overfitting-gap, class-imbalance, split-statistics-differ
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from data import clusters, halves
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from babysit.adapters.pytorch import PyTorchTrainer


def program(broken):
    X, y = clusters(n=900, features=10, classes=6, spread=0.8, seed=11)
    (X, y), (Xv, yv) = halves(X, y)
    weights = 1 / torch.tensor(np.bincount(y))
    sampler = WeightedRandomSampler(weights if broken else weights[y], len(y))
    model = nn.Sequential(nn.Linear(10, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 6))
    train, val = TensorDataset(*map(torch.tensor, (X, y))), TensorDataset(*map(torch.tensor, (Xv, yv)))
    return PyTorchTrainer(
        model,
        nn.CrossEntropyLoss(),
        torch.optim.Adam(model.parameters(), lr=1e-2),
        DataLoader(train, 45, sampler=sampler),
        DataLoader(val, 225),
    )


def faulty():
    return program(True)


def fixed():
    return program(False)
