"""A first attempt at `torch_tabular.py`, by someone who comes from trees: it runs, and the loss even falls.

    babysit run examples/torch_tabular_broken.py:trainer

Spoiler, if you want to find out by yourself first: trees never cared for scales, so the training rows go in as they
are, areas of 4254 beside smoothnesses of 0.05. "Neural networks want scaled data", somebody said, and now the
validation rows are scaled: by a scaler that was fitted on them.
"""

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from babysit.adapters.pytorch import PyTorchTrainer


def loader(X, y, **options):
    data = TensorDataset(torch.tensor(X, dtype=torch.float32), torch.tensor(y[:, None], dtype=torch.float32))
    return DataLoader(data, **options)


def trainer(hidden=32, learning_rate=3e-3):
    X, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    train, val = order[:426], order[426:]
    model = nn.Sequential(nn.Linear(30, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))
    return PyTorchTrainer(
        model,
        nn.BCEWithLogitsLoss(),
        torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-2),
        loader(X[train], y[train], batch_size=32, shuffle=True),
        loader(StandardScaler().fit_transform(X[val]), y[val], batch_size=143),
    )
