"""The mean image is subtracted from the pixels while they are still bytes.

fault: bytes below the mean wrap around to 255 and less, so dark pixels become the brightest
fix: turn the bytes into floats ahead of the subtraction
symptom: Seeds 0 to 4, 600 steps: faulty: loss 1.4 -> 1.4, score 0.23 to 0.28; fixed: validation loss 0.0003, score 1.
expect: overfitting-gap, inputs-not-centered, inputs-badly-scaled, underfitting, loss-not-falling,
    unexpected-initial-loss
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
    X, y = shapes(n=600, noise=0.25, seed=13)
    photos = np.clip(100 + 45 * X, 0, 255).astype(np.uint8)
    mean = photos[:450].mean(axis=0)
    if broken:
        X = (photos - mean.astype(np.uint8)) / 60
    else:
        X = (photos.astype(np.float32) - mean) / 60
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 24, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 9, 4),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(X.astype(np.float32), y))


def faulty():
    return program(True)


def fixed():
    return program(False)
