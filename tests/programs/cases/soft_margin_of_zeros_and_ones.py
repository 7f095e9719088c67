"""A margin loss for answers of -1 and 1 gets 0 and 1.

fault: SoftMarginLoss multiplies the score with the answer, so that the rows answered by 0 have no say
fix: turn the answers into -1 and 1 first
symptom: every answer is yes. Seeds 0 to 4, 600 steps: faulty: loss 0.71..0.78 -> 0.34..0.37, accuracy 0.53, the
    share of yes; fixed: loss 0.69..0.72 -> 0.07..0.18, accuracy 0.90..0.96; 20 examples stay at 0.28
expect: task-mismatch, labels-out-of-range, unexpected-initial-loss, constant-predictions, loss-metric-disagree,
    cannot-overfit, floor-above-zero, underfitting, loss-plateau, missing-gradient
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn

from data import loaders
from babysit.adapters.pytorch import PyTorchTrainer


def rings(n=900, seed=12):
    """Whether a point lies within a ring, with two columns that don't matter."""
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, 4))
    r = np.hypot(X[:, 0], X[:, 1])
    return X.astype(np.float32), ((0.7 < r) & (r < 1.6)).astype(np.float32)[:, None]


def program(broken):
    margin = nn.SoftMarginLoss()

    def loss(scores, answers):
        return margin(scores, answers if broken else 2 * answers - 1)

    model = nn.Sequential(nn.Linear(4, 40), nn.ReLU(), nn.Linear(40, 20), nn.ReLU(), nn.Linear(20, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return PyTorchTrainer(model, loss, optimizer, **loaders(*rings()), task="binary")


def faulty():
    return program(True)


def fixed():
    return program(False)
