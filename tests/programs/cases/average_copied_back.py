"""The moving average of the weights is loaded into the network after each step, which undoes nearly all of the step.

fault: the exponential average (0.999) is loaded into the network that is trained
fix: keep the average beside the network
symptom: a thousandth of each step remains; five seeds: faulty: loss 1.10 -> 1.10 in 300 steps, validation score 0.36;
    fixed: loss 1.10 -> 0.001, score 1.00
expect: learning-rate-too-low, update-ratio-out-of-range, loss-not-falling, overfit-too-slow, cannot-overfit,
    slow-start, no-usable-learning-rate
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from data import loaders, waves
from babysit.adapters.pytorch import PyTorchTrainer


class Model(nn.Module):
    def __init__(self, size=32):
        super().__init__()
        self.lstm = nn.LSTM(1, size, batch_first=True)
        self.head = nn.Linear(size, 3)

    def forward(self, x):
        return self.head(self.lstm(x)[0].mean(1))


def program(broken):
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))

    def update(total):
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        average.update_parameters(model)
        if broken:
            model.load_state_dict(average.module.state_dict())

    data = loaders(*waves(n=700, length=20, seed=4))
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, **data, update=update, stateful=(average,))


def faulty():
    return program(True)


def fixed():
    return program(False)
