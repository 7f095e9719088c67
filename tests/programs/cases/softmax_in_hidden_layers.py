"""Softmax as the activation of the hidden layers.

fault: the hidden layers end in a softmax over their 64 units, which makes each of them about 1/64 for every
    example
fix: ReLU
symptom: seeds 0 to 4: faulty: loss 1.61 -> 1.58 in 600 steps, score 0.34 to 0.40, 20 examples still at 1.56
    after 100; fixed: loss 1.61 -> 0.01 to 0.03, score 0.96 to 0.97.
expect: constant-activation, shrinking-activations, vanishing-gradient, constant-predictions, cannot-overfit,
    overfit-too-slow, loss-not-falling
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from babysit.adapters.pytorch import PyTorchTrainer
from torch import nn

from data import clusters, loaders


def program(broken):
    def activation():
        return nn.Softmax(dim=1) if broken else nn.ReLU()

    model = nn.Sequential(
        nn.Linear(12, 64),
        activation(),
        nn.Linear(64, 64),
        activation(),
        nn.Linear(64, 64),
        activation(),
        nn.Linear(64, 5),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(*clusters(1000, seed=11)))


def faulty():
    return program(True)


def fixed():
    return program(False)
