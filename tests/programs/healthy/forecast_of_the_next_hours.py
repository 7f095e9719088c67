"""A GRU forecasts the next four values of a series; it trains on windows of the first part, and is validated on the
last.

trap: windows overlap each other, validation is the later slice and a little easier, the loss is summed over the four
  hours, rows lie in order of time (the loader shuffles), targets are nearly the last input. Seeds 0 to 4: validation
  loss 1.67..1.72 -> 0.167..0.196 in 600 updates, R2 0.897..0.912.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from babysit.adapters.pytorch import PyTorchTrainer


def load(hours=1500, seed=16):
    draw = np.random.default_rng(seed)
    t = np.arange(hours)
    noise = np.zeros(hours)
    for i in range(1, hours):
        noise[i] = 0.6 * noise[i - 1] + 0.25 * draw.normal() * (1 if i < 1000 else 0.8)
    return (np.sin(2 * np.pi * t / 24) + 0.7 * np.sin(2 * np.pi * t / 7) + noise).astype(np.float32)


def windows(series, past=16, ahead=4):
    rows = torch.as_tensor(series).unfold(0, past + ahead, 1)
    return TensorDataset(rows[:, :past, None].contiguous(), rows[:, past:].contiguous())


class Forecast(nn.Module):
    def __init__(self, width=24, ahead=4):
        super().__init__()
        self.gru = nn.GRU(1, width, batch_first=True)
        self.head = nn.Linear(width, ahead)

    def forward(self, x):
        return self.head(self.gru(x)[0][:, -1])


def loss(scores, targets):
    return nn.functional.huber_loss(scores, targets, reduction="none").sum(dim=1).mean()


def fixed():
    series = load()
    series = (series - series[:1100].mean()) / series[:1100].std()
    model = Forecast()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=2e-3, alpha=0.95)
    return PyTorchTrainer(
        model,
        loss,
        optimizer,
        DataLoader(windows(series[:1100]), 32, shuffle=True),
        DataLoader(windows(series[1100:]), 400),
        task="regression",
    )
