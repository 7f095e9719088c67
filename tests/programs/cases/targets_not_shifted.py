"""A language model whose targets are its inputs: it learns to repeat the word that it has just read.

fault: the targets are the inputs themselves, not shifted by one word
fix: inputs up to the last word, targets from the second
symptom: the loss goes to zero, with every word right, and no next word is ever learned; five seeds: faulty: loss 2.49
    -> 0.0023 in 300 steps, validation score 1.00; fixed: loss 2.50 -> 0.90, validation 0.93, score 0.79
expect: target-leak
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
    def __init__(self, words=12, size=32):
        super().__init__()
        self.embedding = nn.Embedding(words, 24)
        self.lstm = nn.LSTM(24, size, batch_first=True)
        self.head = nn.Linear(size, words)

    def forward(self, x):
        return self.head(self.lstm(self.embedding(x))[0])


def loss(scores, targets):
    return F.cross_entropy(scores.flatten(0, 1), targets.flatten())


def program(broken):
    text = sentences(n=1600, length=13, words=12, seed=3)
    inputs, targets = text[:, :-1], text[:, :-1] if broken else text[:, 1:]
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=6e-3)
    return PyTorchTrainer(model, loss, optimizer, **loaders(inputs, targets), task="language-model")


def faulty():
    return program(True)


def fixed():
    return program(False)
