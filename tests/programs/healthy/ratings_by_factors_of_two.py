"""Ratings from 1 to 5 by the inner product of a user's and a film's factors, with sparse gradients and SparseAdam.

trap: no layer but embeddings, rows that a batch doesn't name get no gradient, gradients are sparse tensors, targets
  are not standardized (the mean rating is a buffer of the model), small initial factors. Seeds 0 to 4: validation
  loss 1.27..1.29 -> 0.278..0.323 in 600 updates, R2 0.766..0.797.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn

from data import loaders
from babysit.adapters.pytorch import PyTorchTrainer


def ratings(n=2000, users=60, films=40, seed=14):
    draw = np.random.default_rng(seed)
    likes = draw.normal(size=(users, 2)) @ draw.normal(size=(2, films))
    likes = 3.5 + 0.8 * likes + 0.6 * draw.normal(size=(users, 1)) + 0.6 * draw.normal(size=films)
    cells = draw.choice(users * films, n, replace=False)
    user, film = cells // films, cells % films
    stars = np.clip(np.rint(likes[user, film] + 0.3 * draw.normal(size=n)), 1, 5)
    return np.stack([user, film], axis=1), stars.astype(np.float32)


class Factors(nn.Module):
    def __init__(self, users, films, mean, rank=4):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.users, self.films = (nn.Embedding(n, rank, sparse=True) for n in (users, films))
        self.user_bias, self.film_bias = (nn.Embedding(n, 1, sparse=True) for n in (users, films))
        for table in (self.users, self.films):
            nn.init.normal_(table.weight, std=0.2)
        for table in (self.user_bias, self.film_bias):
            nn.init.zeros_(table.weight)

    def forward(self, x):
        user, film = x.unbind(dim=1)
        bias = self.user_bias(user) + self.film_bias(film)
        return self.mean + bias[:, 0] + (self.users(user) * self.films(film)).sum(dim=1)


def fixed():
    X, y = ratings()
    model = Factors(60, 40, float(y[:1500].mean()))
    optimizer = torch.optim.SparseAdam(model.parameters(), lr=0.02)
    return PyTorchTrainer(model, nn.MSELoss(), optimizer, **loaders(X, y, size=64))
