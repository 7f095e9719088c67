"""Instance normalization right before the global average.

fault: the last block has no ReLU, and the mean over a map that was just normalized is zero for every image
fix: a ReLU between normalization and average
symptom: the same scores for all images; seeds 0 to 4: faulty: loss 1.39 -> 1.39 in 600 steps, score 0.23 to
    0.25; fixed: loss 1.4 -> 0.16 to 0.28, score 1.00.
expect: constant-activation, constant-predictions, inputs-ignored, cannot-overfit, shrinking-activations,
    missing-gradient, vanishing-gradient, loss-not-falling
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from babysit.adapters.pytorch import PyTorchTrainer
from torch import nn

from data import loaders, shapes


def block(before, after, activation):
    return nn.Conv2d(before, after, 3, padding=1), nn.InstanceNorm2d(after), activation


def program(broken):
    model = nn.Sequential(
        *block(1, 12, nn.ReLU()),
        nn.MaxPool2d(2),
        *block(12, 24, nn.Identity() if broken else nn.ReLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 4),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(*shapes()))


def faulty():
    return program(True)


def fixed():
    return program(False)
