"""Training with private gradients adds the noise that belongs to the sum over the batch to the mean.

fault: the noise is added to a mean gradient without being divided by the size of the batch
fix: divide the noise by the size of the batch
symptom: the weights walk at random; five seeds: faulty: loss 1.10 -> 20 in 300 steps, validation score 0.38; fixed:
    loss 1.10 -> 0.001, score 1.00
expect: wrong-gradient, noisy-loss, loss-diverges, loss-not-falling, learning-rate-too-high, cannot-overfit,
    overfit-diverges, update-ratio-out-of-range, no-usable-learning-rate
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn
from data import loaders, waves
from babysit.adapters.pytorch import PyTorchTrainer


class Model(nn.Module):
    def __init__(self, size=16):
        super().__init__()
        self.gru = nn.GRU(4, size, batch_first=True)
        self.head = nn.Linear(size, 3)

    def forward(self, x):
        return self.head(self.gru(x.unflatten(1, (-1, 4)).squeeze(-1))[0][:, -1])


def program(broken):
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    batch, limit, noise = 32, 1.0, 0.2

    def update(total):
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), limit)
        for p in model.parameters():
            p.grad += noise * limit * torch.randn_like(p) / (1 if broken else batch)
        optimizer.step()

    data = loaders(*waves(n=1000, length=24, seed=5), size=batch)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **data, update=update)


def faulty():
    return program(True)


def fixed():
    return program(False)
