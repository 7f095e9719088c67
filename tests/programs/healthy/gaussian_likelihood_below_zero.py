"""A mean and a log variance for each target, by the Gaussian negative log-likelihood; the noise depends on the inputs.

trap: the loss goes below 0 and has no floor; two scores for one target; noise from 0.05 to 0.6. Seeds 0 to 4:
  validation loss 0.562..0.76 -> -0.911..-0.743 in 600 updates, R2 0.866..0.885.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn

from data import loaders
from babysit import ChanceLoss
from babysit.adapters.pytorch import PyTorchTrainer


def readings(n=1200, seed=6):
    draw = np.random.default_rng(seed)
    X = draw.uniform(-1.7, 1.7, size=(n, 3))
    spread = 0.05 + 0.5 / (1 + np.exp(-4 * X[:, 1]))
    y = np.sin(2 * X[:, 0]) + 0.4 * X[:, 2] + spread * draw.normal(size=n)
    return X.astype(np.float32), ((y - y.mean()) / y.std()).astype(np.float32)[:, None]


def likelihood(scores, targets):
    mean, log_variance = scores.chunk(2, dim=1)
    return nn.functional.gaussian_nll_loss(mean, targets, log_variance.clamp(-8, 8).exp())


def fixed():
    model = nn.Sequential(nn.Linear(3, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return PyTorchTrainer(model, likelihood, optimizer, **loaders(*readings()), task=ChanceLoss(0.5))
