"""One-hot rows for labels that start at one, and labels that start at zero.

fault: eye(5)[label - 1] teaches each class the name of the one before, and the first wraps round to the last
fix: eye(5)[label]
symptom: the loss falls to nothing and no answer is right. Seeds 0 to 4, 600 steps: faulty: loss 2.0 -> 0.009, accuracy
    0.000..0.003; fixed: loss 2.0 -> 0.01, accuracy 0.95..0.98
expect: loss-metric-disagree, task-mismatch, labels-out-of-range, split-statistics-differ
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import torch.nn.functional as F
from torch import nn

from data import clusters, loaders
from babysit.adapters.pytorch import PyTorchTrainer

FIRST_LABEL = 1


def program(broken):
    rows = torch.eye(7)

    def loss(scores, labels):
        wanted = rows[labels - FIRST_LABEL] if broken else rows[labels]
        return F.cross_entropy(scores, wanted)

    model = nn.Sequential(nn.Linear(20, 64), nn.ELU(), nn.Linear(64, 7))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    data = loaders(*clusters(n=1200, features=20, classes=7, seed=10))
    return PyTorchTrainer(model, loss, optimizer, **data, task="classification")


def faulty():
    return program(True)


def fixed():
    return program(False)
