"""A masked language model: two words of each sentence are hidden, anew in each batch, and only they are scored.

trap: five targets in six are -100 (ignored), the mask token is a class of the output that never is a target, inputs
  and targets are drawn by the collate function, differently at each pass. Seeds 0 to 4: validation loss 2.59..2.83 ->
  0.936..1.12 in 600 updates, score 0.68..0.76.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn
from torch.utils.data import DataLoader

from data import sentences
from babysit.adapters.pytorch import PyTorchTrainer

MASK = 12


def hide_words(batch):
    words = torch.stack(batch)
    hidden = torch.rand(words.shape).argsort(1) < 2
    return words.masked_fill(hidden, MASK), words.masked_fill(~hidden, -100)


class Bert(nn.Module):
    def __init__(self, vocabulary=MASK + 1, length=12, width=48):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.places = nn.Parameter(0.3 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(width, 4, 96, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, x):
        return self.head(self.encoder(self.words(x) + self.places))


def loss(scores, targets):
    return nn.functional.cross_entropy(scores.transpose(1, 2), targets, ignore_index=-100)


def fixed():
    X = torch.as_tensor(sentences(n=1600, length=12, words=12))
    model = Bert()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    train = DataLoader(X[:1300], batch_size=32, shuffle=True, collate_fn=hide_words)
    val = DataLoader(X[1300:], batch_size=100, collate_fn=hide_words)
    return PyTorchTrainer(model, loss, optimizer, train, val)
