"""A language model of a transformer block without a causal mask: each position may look at the word it is to predict.

fault: the blocks get no causal mask, so that each position attends to the words behind it, the next one too
fix: hand the causal mask to the block
symptom: the loss falls far below what the language leaves open (about 0.93), and without the words behind a position
    it is worthless; five seeds: faulty: loss 2.93 -> 0.062 in 300 steps, validation 0.078; fixed: loss 2.93 -> 0.91,
    validation 0.97, score 0.81
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
    def __init__(self, causal, words=16, length=16, size=32):
        super().__init__()
        self.words = nn.Embedding(words, size)
        self.places = nn.Embedding(length, size)
        self.block = nn.TransformerEncoderLayer(size, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(size)
        self.head = nn.Linear(size, words)
        self.mask = nn.Transformer.generate_square_subsequent_mask(length) if causal else None

    def forward(self, x):
        h = self.words(x) + self.places(torch.arange(x.shape[1]))
        return self.head(self.norm(self.block(h, src_mask=self.mask)))


def loss(scores, targets):
    return F.cross_entropy(scores.flatten(0, 1), targets.flatten())


def program(broken):
    text = sentences(n=2000)
    model = Model(causal=not broken)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return PyTorchTrainer(model, loss, optimizer, **loaders(text[:, :-1], text[:, 1:]), task="language-model")


def faulty():
    return program(True)


def fixed():
    return program(False)
