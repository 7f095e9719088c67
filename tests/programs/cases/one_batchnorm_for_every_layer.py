"""One batch norm module, used behind three convolutions.

fault: the layers share a single BatchNorm2d, whose running statistics are a mixture of those of all three
fix: a normalization for each layer
symptom: training goes well and evaluation does not; seeds 0 to 4: faulty: training loss 2 -> 0.004 to 0.14 in
    600 steps, validation loss 0.47 to 1.5, score 0.27 to 0.94 (0.60 or less at four of five); fixed: validation
    loss 0.003 to 0.06, score 0.99 to 1.00.
expect: train-eval-gap, frozen-statistics, overfitting-gap
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from babysit.adapters.pytorch import PyTorchTrainer
from torch import nn

from data import loaders, shapes


def program(broken):
    norms = [nn.BatchNorm2d(12)] * 3 if broken else [nn.BatchNorm2d(12) for _ in range(3)]
    layers = []
    for i, norm in enumerate(norms):
        layers += [nn.Conv2d(12 if i else 1, 12, 3, padding=1), norm, nn.ReLU()]
        if i == 0:
            layers.append(nn.MaxPool2d(2))
    model = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(48, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(*shapes()))


def faulty():
    return program(True)


def fixed():
    return program(False)
