"""Missing measurements are coded as -999, and nobody tells the network.

fault: four of a hundred values are -999 between others of about unit size
fix: put the mean, 0, in their place
symptom: Seeds 0 to 4, 600 steps: faulty: loss 7 to 21 -> NaN, score 0.36; fixed: validation loss 0.05 to 0.10, score
    0.97 to 0.98.
expect: inputs-badly-scaled, feature-scales-differ, confident-at-init, unexpected-initial-loss, exploding-activations,
    loss-diverges, learning-rate-too-high
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from data import clusters, loaders
from torch import nn

from babysit.adapters.pytorch import PyTorchTrainer


def program(broken):
    X, y = clusters(n=900, features=8, classes=3, spread=0.6, seed=10)
    missing = np.random.default_rng(3).random(X.shape) < 0.04
    X[missing] = -999 if broken else 0
    model = nn.Sequential(nn.Linear(8, 48), nn.LeakyReLU(0.1), nn.Linear(48, 24), nn.LeakyReLU(0.1), nn.Linear(24, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(X, y))


def faulty():
    return program(True)


def fixed():
    return program(False)
