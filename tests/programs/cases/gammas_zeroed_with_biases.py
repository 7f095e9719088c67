"""A loop that zeroes all vectors, the scales of the normalizations too.

fault: the initialization zeroes every parameter that is no matrix, biases and the gammas of batch norm alike
fix: zero the parameters named bias only
symptom: only the last bias learns; seeds 0 to 4: faulty: loss 1.609 -> 1.60 in 600 steps, score 0.21 to 0.24;
    fixed: loss 1.9 -> 0.06 to 0.09, score 0.92 to 0.94.
expect: zero-gamma, constant-activation, missing-gradient, vanishing-gradient, dead-relu, frozen-parameters,
    constant-predictions, inputs-ignored, cannot-overfit, loss-not-falling
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from babysit.adapters.pytorch import PyTorchTrainer
from torch import nn

from data import clusters, loaders


def initialize(model, broken):
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        elif broken or name.endswith("bias"):
            nn.init.zeros_(parameter)


def program(broken):
    model = nn.Sequential(
        nn.Linear(12, 40, bias=False),
        nn.BatchNorm1d(40),
        nn.ReLU(),
        nn.Linear(40, 40, bias=False),
        nn.BatchNorm1d(40),
        nn.ReLU(),
        nn.Linear(40, 5),
    )
    initialize(model, broken)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(*clusters(seed=7)))


def faulty():
    return program(True)


def fixed():
    return program(False)
