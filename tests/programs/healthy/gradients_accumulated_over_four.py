"""Gradients of four small batches are added up, then follows one step.

trap: three calls in four change no parameter, and gradients are carried from one call to the next, on purpose; each
  loss is divided by four, so the sum is the gradient of the mean. Seeds 0 to 4: validation loss 1.36..1.41 ->
  0.0001..0.0002 in 600 updates, score 1.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn

from data import loaders, shapes
from babysit.adapters.pytorch import PyTorchTrainer


class Accumulation:
    def __init__(self, optimizer, every):
        self.optimizer, self.every, self.count = optimizer, every, 0

    def __call__(self, total):
        (total / self.every).backward()
        self.count += 1
        if self.count % self.every == 0:
            self.optimizer.step()
            self.optimizer.zero_grad()

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def fixed():
    model = nn.Sequential(
        nn.Conv2d(1, 16, 5),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 4),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    update = Accumulation(optimizer, every=4)
    return PyTorchTrainer(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        **loaders(*shapes(n=1200, noise=0.2), size=12),
        update=update,
        stateful=(update,),
    )
