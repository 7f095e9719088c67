"""Images lie sorted in folders, one for each class, and the last quarter of the files is the validation split.

fault: the images are cut into training and validation in the order of their classes
fix: shuffle them ahead of the cut
symptom: validation is one class, of which training has two examples. Seeds 0 to 4, 600 steps: faulty: training loss
    0.001 to 0.003, validation loss 3.3 to 5.5, score 0.08 to 0.20; fixed: validation loss 0.003 to 0.009, score 1.
expect: missing-classes, split-statistics-differ, overfitting-gap
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from data import loaders, shapes
from torch import nn

from babysit.adapters.pytorch import PyTorchTrainer


def program(broken):
    X, y = shapes(n=640, noise=0.25, seed=7)
    order = np.argsort(y, kind="stable")
    if not broken:
        order = np.random.default_rng(1).permutation(len(y))
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 9, 4),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(X[order], y[order]))


def faulty():
    return program(True)


def fixed():
    return program(False)
