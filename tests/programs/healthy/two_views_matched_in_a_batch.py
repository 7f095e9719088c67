"""Two encoders learn which sound belongs to which picture, by contrast within the batch (as CLIP does).

trap: an example's scores are those with its neighbours in the batch; the loss depends on the batch's size; the
  targets are indices that no loss looks at; a learned temperature. Seeds 0 to 4: validation loss 3.53..3.88 ->
  0.292..0.33 in 600 updates, score 0.938..0.969.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import math

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from babysit import ChanceLoss
from babysit.adapters.pytorch import PyTorchTrainer


def views(n=1200, seed=8):
    draw = np.random.default_rng(seed)
    z = draw.normal(size=(n, 5))
    picture = np.tanh(z @ draw.normal(size=(5, 24)) / 1.5) + 0.1 * draw.normal(size=(n, 24))
    sound = np.sin(z @ draw.normal(size=(5, 16)) / 2) + 0.1 * draw.normal(size=(n, 16))
    return [torch.tensor((v - v.mean(0)) / v.std(0), dtype=torch.float32) for v in (picture, sound)]


class Matcher(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.picture = nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, width))
        self.sound = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, width))
        self.log_scale = nn.Parameter(torch.tensor(math.log(3.0)))

    def forward(self, pair):
        a, b = (nn.functional.normalize(f(x), dim=1) for f, x in zip((self.picture, self.sound), pair, strict=True))
        return self.log_scale.exp() * a @ b.T


def match(scores, ids):
    right = torch.arange(len(scores))
    return (nn.functional.cross_entropy(scores, right) + nn.functional.cross_entropy(scores.T, right)) / 2


def pairs(batch):
    pictures, sounds, ids = (torch.stack(part) for part in zip(*batch, strict=True))
    return [[pictures, sounds]], ids


def fixed(size=32):
    picture, sound = views()
    data = TensorDataset(picture, sound, torch.arange(len(picture)))
    train, val = torch.utils.data.Subset(data, range(960)), torch.utils.data.Subset(data, range(960, 1200))
    model = Matcher()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    return PyTorchTrainer(
        model,
        match,
        optimizer,
        DataLoader(train, size, shuffle=True, drop_last=True, collate_fn=pairs),
        DataLoader(val, size, drop_last=True, collate_fn=pairs),
        task=ChanceLoss(math.log(size)),
    )
