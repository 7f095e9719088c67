"""Four sensors to predict, and a loop that keeps the last one's loss.

fault: the loop over the outputs assigns the loss in place of adding to it, so that three of four outputs never train
fix: add up the losses, and divide by their number
symptom: the loss falls as it should, and the first three outputs are as at the start. Seeds 0 to 4, 600 steps: faulty:
    loss 0.87..1.16 -> 0.023..0.028, mean R^2 of the outputs -0.03..0.27; fixed: loss 0.9..1.2 -> 0.034, 0.95
expect: missing-gradient, loss-metric-disagree, frozen-parameters, underfitting, cannot-overfit
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from data import loaders
from babysit.adapters.pytorch import PyTorchTrainer


def sensors(n=1000, seed=21):
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, 8))
    hidden = np.sin(X @ draw.normal(size=(8, 10)) / 2)
    y = hidden @ draw.normal(size=(10, 4)) + 0.1 * draw.normal(size=(n, 4))
    return X.astype(np.float32), ((y - y.mean(axis=0)) / y.std(axis=0)).astype(np.float32)


def program(broken):
    def loss(readings, targets):
        total = 0
        for j in range(targets.shape[1]):
            error = F.mse_loss(readings[:, j], targets[:, j])
            total = error if broken else total + error / targets.shape[1]
        return total

    model = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return PyTorchTrainer(model, loss, optimizer, **loaders(*sensors()), task="regression")


def faulty():
    return program(True)


def fixed():
    return program(False)
