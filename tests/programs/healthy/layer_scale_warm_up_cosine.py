"""Eight residual blocks with LayerScale at 1e-4, trained with warm-up from a fortieth of the rate, cosine and heavy
decay.

trap: each block's share is 1e-4 at first and so are its gradients; the rate stands at 1e-4 before the first update
  and is near 0 at the last; AdamW with a decay of 0.5 on matrices; no activation outside of the branches. Seeds 0 to
  4: validation loss 1.68..1.8 -> 0.214..0.278 in 600 updates, score 0.912..0.94.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import math

import torch
from torch import nn

from data import clusters, loaders
from babysit.adapters.pytorch import PyTorchTrainer


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.branch = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.scale = nn.Parameter(torch.full((width,), 1e-4))

    def forward(self, x):
        return x + self.scale * self.branch(x)


def fixed(steps=600, warm_up=40):
    model = nn.Sequential(nn.Linear(12, 32), *(Block(32) for _ in range(8)), nn.LayerNorm(32), nn.Linear(32, 5))
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.5},
            {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
        ],
        lr=4e-3,
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min((t + 1) / warm_up, 0.5 + 0.5 * math.cos(math.pi * min(t / steps, 1)))
    )

    def update(total):
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        scheduler.step()

    return PyTorchTrainer(
        model, nn.CrossEntropyLoss(), optimizer, **loaders(*clusters(n=1000)), update=update, stateful=(scheduler,)
    )
