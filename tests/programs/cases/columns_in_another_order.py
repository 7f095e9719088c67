"""The validation table has its columns in the order of the alphabet, the training table as they were measured.

fault: both are turned into arrays as they stand, so validation values go into the wrong inputs
fix: select the columns by name, in one order
symptom: the training loss falls alike. Seeds 0 to 4, 600 steps: faulty: validation loss 0.7 -> 4.6 to 5.0, score 0.50
    to 0.53; fixed: 0.12 to 0.15, score 0.94 to 0.96.
expect: split-statistics-differ, overfitting-gap
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from data import halves
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from babysit.adapters.pytorch import PyTorchTrainer

COLUMNS = ["temperature", "rain", "open", "visitors", "weekend", "age"]


def table(n=1000, seed=0):
    """A table by columns, and whether there will be a queue."""
    draw = np.random.default_rng(seed)
    t = {
        "temperature": draw.normal(size=n),
        "rain": draw.exponential(size=n) - 1,
        "open": draw.choice([-1.0, 1.0], n),
        "visitors": draw.gamma(4, size=n) / 2 - 2,
        "weekend": draw.choice([-0.6, 1.6], n, p=[5 / 7, 2 / 7]),
        "age": draw.uniform(-1.7, 1.7, n),
    }
    queue = t["visitors"] + t["temperature"] * t["open"] - 0.8 * t["rain"] * t["weekend"]
    return t, (queue + 0.1 * draw.normal(size=n) > 0)[:, None].astype(np.float32)


def program(broken):
    columns, y = table()
    train, val = halves(*columns.values(), y)
    train, val = (dict(zip([*COLUMNS, "queue"], part, strict=True)) for part in (train, val))
    parts = []
    for part, names in ((train, COLUMNS), (val, sorted(COLUMNS) if broken else COLUMNS)):
        X = np.stack([part[name] for name in names], axis=1)
        parts.append(TensorDataset(torch.tensor(X, dtype=torch.float32), torch.tensor(part["queue"])))
    model = nn.Sequential(nn.Linear(6, 40), nn.ELU(), nn.Linear(40, 20), nn.ELU(), nn.Linear(20, 1))
    return PyTorchTrainer(
        model,
        nn.BCEWithLogitsLoss(),
        torch.optim.Adam(model.parameters(), lr=5e-3),
        DataLoader(parts[0], 40, shuffle=True),
        DataLoader(parts[1], 250),
    )


def faulty():
    return program(True)


def fixed():
    return program(False)
