"""A learning rate that should fall by a tenth each epoch falls by a tenth each batch.

fault: StepLR, stepped once a batch, has a step size of 1, so that the rate is gone after some forty batches
fix: a step size of as many batches as there are in an epoch
symptom: the loss stands still high up from the fortieth step on; faulty (five seeds): loss 2.77 -> 1.9 in 300 steps,
    validation score 0.51; fixed: loss 2.77 -> 0.99, validation 1.05, score 0.78
expect: learning-rate-too-low, loss-plateau, loss-not-falling, update-ratio-out-of-range, underfitting
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn
from torch.nn import functional as F
from data import loaders, sentences
from babysit.adapters.pytorch import PyTorchTrainer


class Model(nn.Module):
    def __init__(self, words=16, size=32):
        super().__init__()
        self.embedding = nn.Embedding(words, 24)
        self.gru = nn.GRU(24, size, batch_first=True)
        self.head = nn.Linear(size, words)

    def forward(self, x):
        return self.head(self.gru(self.embedding(x))[0])


def loss(scores, targets):
    return F.cross_entropy(scores.flatten(0, 1), targets.flatten())


def program(broken):
    text = sentences(n=2000, length=11, seed=2)
    data = loaders(text[:, :-1], text[:, 1:])
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1 if broken else len(data["train"]), gamma=0.9)

    def update(total):
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()

    return PyTorchTrainer(model, loss, optimizer, **data, task="language-model", update=update, stateful=(schedule,))


def faulty():
    return program(True)


def fixed():
    return program(False)
