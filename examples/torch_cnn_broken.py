"""`torch_cnn.py` with a softmax at its end, as a network that is to give probabilities often has it.

    babysit run examples/torch_cnn_broken.py:trainer

Spoiler, if you want to find out by yourself first: `nn.CrossEntropyLoss` takes the softmax of what it is given, and
it is given one already. Ten numbers between 0 and 1 are scores that can't be sure of anything: the loss stops at 1.46
where the network is right about every digit, and says nothing any more of how well it trains. On data as easy as
these the accuracy does not suffer, which is why this is found late, if at all. Give the loss the scores as they are,
and take the softmax where probabilities are shown.
"""

import torch
import torch_cnn
from torch import nn

from babysit.adapters.pytorch import PyTorchTrainer


class ProbabilityNet(torch_cnn.ConvNet):
    """The same network, ending in probabilities."""

    def forward(self, x):
        return torch.softmax(super().forward(x), dim=1)


def trainer(width=16, learning_rate=0.1, weight_decay=5e-4, batch_size=64):
    model, optimizer = torch_cnn.build(ProbabilityNet, width, learning_rate, weight_decay)
    train, val = torch_cnn.load(batch_size)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, train, val)


def main():
    torch_cnn.main(ProbabilityNet)


if __name__ == "__main__":
    main()
