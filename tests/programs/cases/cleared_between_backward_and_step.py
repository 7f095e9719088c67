"""The gradients are cleared after they are computed and before they are used; only weight decay is left.

fault: zero_grad comes between backward and step
fix: zero_grad ahead of backward alone
symptom: no gradient reaches the optimizer; five seeds: faulty: loss 1.11 -> 1.10 in 300 steps, validation score 0.35;
    fixed: loss 1.11 -> 0.001, score 1.00
expect: step-changes-nothing, learning-rate-too-low, loss-not-falling, cannot-overfit, frozen-parameters,
    regularization-dominates, no-usable-learning-rate, missing-gradient, update-ratio-out-of-range, overfit-too-slow
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn
from data import loaders, waves
from babysit.adapters.pytorch import PyTorchTrainer


class Model(nn.Module):
    def __init__(self, size=24):
        super().__init__()
        self.lstm = nn.LSTM(2, size, batch_first=True)
        self.head = nn.Linear(size, 3)

    def forward(self, x):
        return self.head(self.lstm(x.unflatten(1, (-1, 2)).squeeze(-1))[0][:, -1])


def program(broken):
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.01)

    def update(total):
        optimizer.zero_grad(set_to_none=False)
        total.backward()
        if broken:
            optimizer.zero_grad(set_to_none=False)
        optimizer.step()

    data = loaders(*waves(n=800, length=24, seed=7))
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **data, update=update)


def faulty():
    return program(True)


def fixed():
    return program(False)
