"""A gated convolutional network on waves; each batch is mixed with itself turned round (mixup), labels likewise.

trap: soft labels, a loss on training batches that stays far above the one on validation, batches drawn differently at
  each pass, tanh times sigmoid as activation. Seeds 0 to 4: validation loss 1.39..1.39 -> 0.0361..0.0565 in 600
  updates, score 1.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, default_collate

from data import halves, waves
from babysit.adapters.pytorch import PyTorchTrainer


def mixup(batch):
    X, y = default_collate(batch)
    share = torch.distributions.Beta(0.4, 0.4).sample()
    return share * X + (1 - share) * X.flip(0), share * y + (1 - share) * y.flip(0)


class Gated(nn.Module):
    def __init__(self, inputs, outputs, dilation):
        super().__init__()
        self.conv = nn.Conv1d(inputs, 2 * outputs, 3, padding=dilation, dilation=dilation)

    def forward(self, x):
        value, gate = self.conv(x).chunk(2, dim=1)
        return torch.tanh(value) * torch.sigmoid(gate)


def fixed():
    X, y = waves(n=900, length=32, classes=4, noise=0.4)
    X, y = torch.as_tensor(X).transpose(1, 2), nn.functional.one_hot(torch.as_tensor(y)).float()
    train, val = (TensorDataset(*part) for part in halves(X, y))
    model = nn.Sequential(
        Gated(1, 24, 1), Gated(24, 24, 2), Gated(24, 24, 4), nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(96, 4)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return PyTorchTrainer(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        DataLoader(train, batch_size=32, shuffle=True, collate_fn=mixup),
        DataLoader(val, batch_size=225),
    )
