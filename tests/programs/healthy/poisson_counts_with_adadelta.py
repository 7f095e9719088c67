"""Counts from 0 to 30 by a Poisson loss on log rates, with Adadelta at its rate of 1.

trap: targets of a regression that are not standardized, a loss that leaves out the targets' constant term and goes
  below 0, and a learning rate of 1. Seeds 0 to 4: validation loss -2.51..-1.73 -> -3.16..-3.14 in 600 updates.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import math

import numpy as np
import torch
from torch import nn

from data import loaders
from babysit import ChanceLoss
from babysit.adapters.pytorch import PyTorchTrainer


def visits(n=1200, features=6, seed=7):
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, features))
    rate = np.exp(1.2 + 0.7 * np.tanh(X[:, 0] + X[:, 1]) + 0.5 * np.cos(1.5 * X[:, 2]) - 0.3 * X[:, 3])
    return X.astype(np.float32), draw.poisson(rate).astype(np.float32)[:, None]


def fixed():
    X, y = visits()
    model = nn.Sequential(nn.Linear(6, 48), nn.ELU(), nn.Linear(48, 1))
    mean = float(y[:900].mean())
    nn.init.constant_(model[-1].bias, math.log(mean))
    chance = ChanceLoss(mean - mean * math.log(mean))
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    return PyTorchTrainer(model, nn.PoissonNLLLoss(log_input=True), optimizer, **loaders(X, y), task=chance)
