"""Ten labels of 4 to 20 %, each answered for itself, with the focal loss.

trap: nine targets in ten are 0, the first loss is 0.06 and not ln 2, as easy answers hardly count; "all no" has an
  accuracy of 0.9. Seeds 0 to 4: validation loss 0.055..0.058 -> 0.0087..0.0103 in 600 updates, score 0.961..0.967.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn

from data import loaders
from babysit.adapters.pytorch import PyTorchTrainer


def tags(n=2400, features=16, labels=10, seed=4):
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, features))
    A, B = draw.normal(size=(2, features, labels)) / 4
    strength = X @ A + 0.5 * np.abs(X @ B)
    share = np.linspace(0.04, 0.2, labels)
    cut = np.array([np.quantile(s, 1 - p) for s, p in zip(strength.T, share, strict=True)])
    return X.astype(np.float32), (strength > cut).astype(np.float32)


def focal_loss(scores, targets, gamma=2.0, alpha=0.75):
    each = nn.functional.binary_cross_entropy_with_logits(scores, targets, reduction="none")
    weight = targets * alpha + (1 - targets) * (1 - alpha)
    return (weight * (1 - torch.exp(-each)) ** gamma * each).mean()


def fixed():
    model = nn.Sequential(nn.Linear(16, 64), nn.SiLU(), nn.Linear(64, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.1)
    return PyTorchTrainer(model, focal_loss, optimizer, **loaders(*tags(), size=64), task="multilabel")
