"""An LSTM language model with tied weights, after PyTorch's own example: plain SGD at a large rate, gradients clipped
to 0.1.

trap: a learning rate of 8, clipping that acts on nearly every step, dropout, one matrix as table and as last layer,
  targets that are the inputs shifted by one. Seeds 0 to 4: validation loss 2.76..2.78 -> 0.989..0.998 in 600 updates,
  score 0.794..0.799.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn

from data import loaders, sentences
from babysit.adapters.pytorch import PyTorchTrainer


class WordModel(nn.Module):
    def __init__(self, words=16, width=48, dropout=0.1):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.table = nn.Embedding(words, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.decoder = nn.Linear(width, words)
        self.decoder.weight = self.table.weight
        nn.init.uniform_(self.table.weight, -0.3, 0.3)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, x):
        out, _ = self.lstm(self.drop(self.table(x)))
        return self.decoder(self.drop(out))


def loss(scores, targets):
    return nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten())


def fixed():
    X = sentences(n=1200, length=13)
    model = WordModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=8.0)

    def update(total):
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()

    return PyTorchTrainer(model, loss, optimizer, **loaders(X[:, :-1], X[:, 1:]), update=update)
