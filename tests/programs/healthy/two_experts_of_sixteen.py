"""A mixture of sixteen experts, of which a gate asks the best two for each example.

trap: experts that no example of a batch chose get no gradient and don't move; some stay idle for good; the choice of
  two is no smooth function. Seeds 0 to 4: validation loss 1.77..1.83 -> 0.248..0.283 in 600 updates, score
  0.895..0.914.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn

from data import clusters, loaders
from babysit.adapters.pytorch import PyTorchTrainer


class Experts(nn.Module):
    def __init__(self, inputs, hidden, outputs, experts=16, chosen=2):
        super().__init__()
        self.chosen = chosen
        self.gate = nn.Linear(inputs, experts, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs)) for _ in range(experts)
        )

    def forward(self, x):
        best, which = self.gate(x).topk(self.chosen, dim=1)
        share = best.softmax(dim=1)
        out = x.new_zeros(len(x), self.experts[0][-1].out_features)
        for k, expert in enumerate(self.experts):
            row, place = (which == k).nonzero(as_tuple=True)
            if len(row):
                out = out.index_add(0, row, share[row, place, None] * expert(x[row]))
        return out


def fixed():
    model = Experts(10, 16, 6)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return PyTorchTrainer(
        model, nn.CrossEntropyLoss(), optimizer, **loaders(*clusters(n=1200, features=10, classes=6, seed=11))
    )
