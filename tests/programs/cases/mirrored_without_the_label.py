"""Random mirroring, where left and right are what is to be told apart.

fault: the augmentation mirrors half of the training images, which turns rising lines into falling ones, and
    keeps the label
fix: swap the label with the image
symptom: training learns single images by heart, slowly, and validation is at chance; seeds 0 to 4: faulty:
    training loss 0.70 -> 0.30 to 0.37 in 600 steps, validation loss 0.70 -> 1.1 to 1.3, score 0.42 to 0.50;
    fixed: 0.70 -> 0.0002, validation score 1.00.
expect: overfitting-gap, loss-not-falling, underfitting, split-statistics-differ
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from babysit.adapters.pytorch import PyTorchTrainer
from torch import nn
from torch.utils.data import DataLoader, Dataset

from data import halves, shapes


def slopes():
    """Lines that fall (0) or rise (1) to the right."""
    X, y = shapes(2000, seed=2)
    X = X[y == 3]
    rising = np.random.default_rng(2).integers(0, 2, len(X))
    X[rising == 1] = X[rising == 1, :, :, ::-1]
    return X, rising


class Augmented(Dataset):
    def __init__(self, X, y, swap):
        self.X, self.y, self.swap = torch.as_tensor(X), torch.as_tensor(y), swap

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        x, y = self.X[i], self.y[i]
        if torch.rand(()) < 0.5:
            x = x.flip(-1)
            y = 1 - y if self.swap else y
        return x, y


def program(broken):
    train, val = halves(*slopes())
    train = DataLoader(Augmented(*train, swap=not broken), batch_size=32, shuffle=True)
    val = [tuple(map(torch.as_tensor, val))]
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 9, 2),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, train, val)


def faulty():
    return program(True)


def fixed():
    return program(False)
