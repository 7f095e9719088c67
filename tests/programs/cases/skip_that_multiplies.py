"""A skip connection with a star in place of the plus.

fault: each block returns x * f(x), so that the signal is a product of small numbers
fix: x + f(x)
symptom: the signal is gone after a few blocks, or explodes later. Seeds 0 to 4, 600 steps: faulty: loss 1.6 -> 1.6,
    for seed 0 nan, accuracy 0.18..0.24; fixed: loss 1.6..2.0 -> 0.007..0.03, accuracy 0.95..0.97
expect: shrinking-activations, vanishing-gradient, constant-activation, constant-predictions, cannot-overfit,
    inputs-ignored, loss-not-falling, mis-scaled-weights, exploding-activations, overfit-too-slow, underfitting,
    exploding-gradient, learning-rate-too-low, no-usable-learning-rate, update-ratio-out-of-range
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn

from data import clusters, loaders
from babysit.adapters.pytorch import PyTorchTrainer


class Block(nn.Module):
    def __init__(self, width, multiply):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.multiply = multiply

    def forward(self, x):
        return x * self.inner(x) if self.multiply else x + self.inner(x)


def program(broken):
    blocks = [Block(32, multiply=broken) for _ in range(10)]
    model = nn.Sequential(nn.Linear(12, 32), *blocks, nn.Linear(32, 5))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(*clusters(n=1000, seed=9)))


def faulty():
    return program(True)


def fixed():
    return program(False)
