"""Predictions are rounded to yes or no before the loss sees them.

fault: torch.round has a gradient of zero everywhere, so that nothing is ever learned
fix: give the probabilities themselves to the loss, and round for the accuracy alone
symptom: nothing moves. Seeds 0 to 4, 600 steps: faulty: loss 34..63 -> 43..58 (batches differ), accuracy 0.48..0.53;
    fixed: loss 0.66..0.73 -> 0.0004, accuracy 1
expect: step-changes-nothing, missing-gradient, vanishing-gradient, frozen-parameters, cannot-overfit,
    unexpected-initial-loss, wrong-gradient, loss-not-falling, update-ratio-out-of-range, no-usable-learning-rate
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn

from data import loaders, parity
from babysit.adapters.pytorch import PyTorchTrainer


def program(broken):
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1), nn.Sigmoid())
    bce = nn.BCELoss()

    def loss(answers, targets):
        if broken:
            answers = answers.round()
        return bce(answers, targets)

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return PyTorchTrainer(model, loss, optimizer, **loaders(*parity(features=8, seed=1)))


def faulty():
    return program(True)


def fixed():
    return program(False)
