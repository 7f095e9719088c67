"""Adam's two betas in the wrong order.

fault: betas=(0.999, 0.9), so that directions are remembered for a thousand steps and sizes for ten
fix: betas=(0.9, 0.999)
symptom: the loss swings up and explodes. Seeds 0 to 4, 600 steps: faulty: loss 0.7..1.4 -> 9e4..8e16; fixed: ->
    0.006..0.011, R^2 0.98..0.99
expect: loss-diverges, learning-rate-too-high, overfit-diverges, loss-not-falling, update-ratio-out-of-range,
    killed-by-learning-rate, no-usable-learning-rate, cannot-overfit, accumulated-gradient
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn

from data import loaders, surface
from babysit.adapters.pytorch import PyTorchTrainer


def program(broken):
    model = nn.Sequential(nn.Linear(6, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 1))
    betas = (0.999, 0.9) if broken else (0.9, 0.999)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, betas=betas)
    return PyTorchTrainer(model, nn.MSELoss(), optimizer, **loaders(*surface(n=1000, features=6, seed=4)))


def faulty():
    return program(True)


def fixed():
    return program(False)
