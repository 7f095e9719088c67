"""Eighteen residual blocks that each double the variance.

fault: residual branches with He initialization and without normalization, so that the sum grows by a factor of
    about 1.4 with each block
fix: layer norm at the start of each branch, and behind the last
symptom: seeds 0 to 4: faulty: loss 8000 to 65000 at first, 4 to 27 after 600 steps, validation loss 44 to 103,
    score 0.75 to 0.84; fixed: loss 2.3 -> 0.001, validation loss 0.08 to 0.26, score 0.95 to 0.98.
expect: exploding-activations, confident-at-init, unexpected-initial-loss, exploding-gradient,
    mis-scaled-weights
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from babysit.adapters.pytorch import PyTorchTrainer
from torch import nn

from data import clusters, loaders


class Residual(nn.Module):
    def __init__(self, width, norm):
        super().__init__()
        self.branch = nn.Sequential(norm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x):
        return x + self.branch(x)


def program(broken):
    norm = nn.Identity if broken else nn.LayerNorm
    model = nn.Sequential(nn.Linear(12, 40), *(Residual(40, norm) for _ in range(18)), norm(40), nn.Linear(40, 5))
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(*clusters(seed=9)))


def faulty():
    return program(True)


def fixed():
    return program(False)
