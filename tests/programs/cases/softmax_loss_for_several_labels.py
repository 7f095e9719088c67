"""Rows that carry several tags at once, and a loss that allows one.

fault: CrossEntropyLoss makes the tags of a row compete, though each is a question of its own
fix: BCEWithLogitsLoss
symptom: the loss has a floor, and a score above 0 says nothing. Seeds 0 to 4, 600 steps: faulty: loss 5.0..8.2 ->
    5.2..5.6, accuracy of a tag 0.46..0.68 (always the commoner answer: 0.54); fixed: loss 0.69..0.73 -> 0.02,
    accuracy 0.98; 20 examples stay at 5.7
expect: task-mismatch, unexpected-initial-loss, floor-above-zero, cannot-overfit, loss-metric-disagree, underfitting,
    loss-plateau, loss-diverges
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn

from data import loaders
from babysit.adapters.pytorch import PyTorchTrainer


def tags(n=1000, features=9, seed=11):
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, features))
    pulls = np.tanh(X @ draw.normal(size=(features, 6)) / 2) + 3 * np.tanh(2 * X[:, :1])
    return X.astype(np.float32), (pulls > np.array([-0.8, -0.5, -0.2, 0.2, 0.5, 0.8])).astype(np.float32)


def program(broken):
    model = nn.Sequential(nn.Linear(9, 64), nn.ReLU(), nn.Linear(64, 6))
    loss = nn.CrossEntropyLoss() if broken else nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return PyTorchTrainer(model, loss, optimizer, **loaders(*tags()), task="multilabel")


def faulty():
    return program(True)


def fixed():
    return program(False)
