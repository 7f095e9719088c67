"""A transformer sorts seven tokens: a class for each place, and the same tokens as inputs and targets.

trap: targets hold the same tokens as the inputs and often equal them; the first place is nearly always a small token,
  the last a large one, so knowing the place alone is far better than chance. Seeds 0 to 4: validation loss 2.43..2.52
  -> 0.003..0.0056 in 600 updates, score 0.999..1.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn

from data import loaders
from babysit.adapters.pytorch import PyTorchTrainer


class Sorter(nn.Module):
    def __init__(self, tokens=10, length=7, width=48):
        super().__init__()
        self.tokens = nn.Embedding(tokens, width)
        self.places = nn.Embedding(length, width)
        layer = nn.TransformerEncoderLayer(width, 4, 96, dropout=0.0, batch_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, tokens)

    def forward(self, x):
        return self.head(self.encoder(self.tokens(x) + self.places.weight)).transpose(1, 2)


def fixed():
    X = np.random.default_rng(5).integers(0, 10, (2000, 7))
    model = Sorter()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **loaders(X, np.sort(X, axis=1)))
