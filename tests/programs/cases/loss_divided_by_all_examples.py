"""A mean that is divided once more.

fault: the loss, a mean already, is divided by the number of training examples again, under plain SGD
fix: leave the mean as it is
symptom: the loss hardly moves. Seeds 0 to 4, 600 steps: faulty: loss 0.0012 -> 0.0012 (times 900: 1.1 -> 1.05),
    accuracy 0.40..0.58; fixed: loss 1.1 -> 0.003..0.014, accuracy 0.97..0.98
expect: learning-rate-too-low, unexpected-initial-loss, update-ratio-out-of-range, overfit-too-slow, cannot-overfit,
    loss-not-falling, vanishing-gradient, no-usable-learning-rate, range-edge, underfitting
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import torch.nn.functional as F
from torch import nn

from data import clusters, loaders
from babysit.adapters.pytorch import PyTorchTrainer


def program(broken):
    data = loaders(*clusters(n=1200, features=10, classes=3, seed=8), size=40)
    examples = len(data["train"].dataset)

    def loss(scores, targets):
        total = F.cross_entropy(scores, targets)
        return total / examples if broken else total

    model = nn.Sequential(nn.Linear(10, 50), nn.LeakyReLU(), nn.Linear(50, 50), nn.LeakyReLU(), nn.Linear(50, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    return PyTorchTrainer(model, loss, optimizer, **data, task="classification")


def faulty():
    return program(True)


def fixed():
    return program(False)
