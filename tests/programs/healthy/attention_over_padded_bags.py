"""Bags of 3 to 12 things, padded with zeros and masked; is there a special one among them? Gated attention looks for
it.

trap: a third of the inputs are padding zeros, scores of padding are minus infinity before the softmax, tanh and
  sigmoid multiply each other. Seeds 0 to 4: validation loss 0.703..0.721 -> 0.138..0.165 in 600 updates, score
  0.947..0.957.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from babysit.adapters.pytorch import PyTorchTrainer


def bags(n=1200, most=12, features=6, seed=13):
    draw = np.random.default_rng(seed)
    X, size = draw.normal(size=(n, most, features)), draw.integers(3, most + 1, n)
    y = draw.integers(0, 2, n)
    X[..., :2] -= 0.7
    X[np.arange(n), draw.integers(0, size), :2] += 3.0 * y[:, None]
    mask = np.arange(most) < size[:, None]
    X[~mask] = 0
    return X.astype(np.float32), mask, y.astype(np.float32)[:, None]


class Bag(nn.Module):
    def __init__(self, features=6, width=32):
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(features, width), nn.ReLU())
        self.value, self.gate = nn.Linear(width, 16), nn.Linear(width, 16)
        self.attention, self.head = nn.Linear(16, 1), nn.Linear(width, 1)

    def forward(self, x, mask):
        h = self.embed(x)
        score = self.attention(torch.tanh(self.value(h)) * torch.sigmoid(self.gate(h)))
        weight = score.masked_fill(~mask[..., None], -torch.inf).softmax(dim=1)
        return self.head((weight * h).sum(dim=1))


def collate(batch):
    X, mask, y = (torch.stack(part) for part in zip(*batch, strict=True))
    return (X, mask), y


def fixed():
    parts = [torch.as_tensor(a) for a in bags()]
    train, val = TensorDataset(*(a[:900] for a in parts)), TensorDataset(*(a[900:] for a in parts))
    model = Bag()
    optimizer = torch.optim.NAdam(model.parameters(), lr=4e-3)
    return PyTorchTrainer(
        model,
        nn.BCEWithLogitsLoss(),
        optimizer,
        DataLoader(train, 32, shuffle=True, collate_fn=collate),
        DataLoader(val, 300, collate_fn=collate),
    )
