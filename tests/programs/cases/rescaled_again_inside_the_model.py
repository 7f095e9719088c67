"""Images are scaled and standardized while loading, and divided by 255 once more in the model.

fault: the model begins with a division by 255, although the images are standardized already
fix: one division
symptom: images of size 0.004 under biases of up to 0.3; seeds 0 to 4: faulty: loss 1.39 -> 1.39 in 600 steps,
    score 0.20 (chance is 0.25); fixed: loss 1.38 -> 0.0005, score 1.00.
expect: constant-activation, shrinking-activations, inputs-badly-scaled, constant-predictions, inputs-ignored,
    mis-scaled-weights, vanishing-gradient, cannot-overfit, loss-not-falling
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from babysit.adapters.pytorch import PyTorchTrainer
from torch import nn

from data import loaders, shapes


class Rescale(nn.Module):
    def forward(self, x):
        return x / 255


def pixels():
    X, y = shapes(seed=10)
    return (X * 45 + 70).clip(0, 255).astype(np.uint8), y


def program(broken):
    X, y = pixels()
    X = (X.astype(np.float32) / 255 - 0.3) / 0.1
    model = nn.Sequential(
        Rescale() if broken else nn.Identity(),
        nn.Conv2d(1, 12, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 9, 4),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(X, y))


def faulty():
    return program(True)


def fixed():
    return program(False)
