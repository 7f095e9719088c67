"""Each split numbers the classes as they come along.

fault: the names of the classes become numbers in the order in which a split first shows them, each split for itself
fix: number the names by the training split, and look them up for the validation split
symptom: the training rows are learned, the validation rows seem beyond learning. Seeds 0 to 4, 600 steps: faulty: loss
    1.5..1.7 -> 0.001, validation loss 13.5..15.3, accuracy 0.22..0.23; fixed: the same, but 0.09..0.16 and 0.97..0.98
expect: split-statistics-differ, overfitting-gap, labels-out-of-range
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from data import clusters, halves
from babysit.adapters.pytorch import PyTorchTrainer

NAMES = ["ash", "birch", "cedar", "elm", "fir"]


def numbers(names):
    found = {}
    for name in names:
        found.setdefault(name, len(found))
    return found


def split(X, names, codes, size, shuffle=False):
    data = TensorDataset(torch.as_tensor(X), torch.tensor([codes[name] for name in names]))
    return DataLoader(data, batch_size=size, shuffle=shuffle)


def program(broken):
    X, y = clusters(n=1000, features=15, classes=5, seed=14)
    (X, names), (Xv, val_names) = halves(X, [NAMES[label] for label in y])
    codes = numbers(names)
    val_codes = numbers(val_names) if broken else codes
    model = nn.Sequential(nn.Linear(15, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 5))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return PyTorchTrainer(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        split(X, names, codes, 32, shuffle=True),
        split(Xv, val_names, val_codes, 256),
    )


def faulty():
    return program(True)


def fixed():
    return program(False)
