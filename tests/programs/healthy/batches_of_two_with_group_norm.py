"""A convolutional network with group norm, trained on batches of two images.

trap: losses of single batches jump between 0 and 3; two examples a batch are too few for batch norm, but group norm
  looks at one image alone; the first pass is not over when training ends. Seeds 0 to 4: validation loss 1.49..1.58 ->
  0.0041..0.0162 in 600 updates, score 1.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn

from data import loaders, shapes
from babysit.adapters.pytorch import PyTorchTrainer


def fixed():
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, bias=False),
        nn.GroupNorm(4, 16),
        nn.ReLU(),
        nn.Conv2d(16, 24, 3, bias=False),
        nn.GroupNorm(4, 24),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(24, 32, 3, bias=False),
        nn.GroupNorm(4, 32),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 4),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return PyTorchTrainer(
        model, nn.CrossEntropyLoss(), optimizer, **loaders(*shapes(n=1800, noise=0.2, seed=2), size=2)
    )
