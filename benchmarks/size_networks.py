"""Networks of real size, in torch alone, as they are commonly written."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # as everybody imports it


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers with He's initialization and ReLU between them."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        linear = nn.Linear(a, b)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    nn.init.normal_(layers[-2].weight, std=widths[-2] ** -0.5 / 10)  # small scores: the first loss is that of chance
    return nn.Sequential(*layers[:-1])


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut (He et al., 2016)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.shortcut = nn.Sequential()
        if stride > 1 or inside != outside:
            self.shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(h)) + self.shortcut(x))


class ResNet18(nn.Module):
    """As torchvision has it: 11.7 million parameters with 1,000 classes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn = nn.BatchNorm2d(64)
        widths = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
        pairs = [(BasicBlock(a, b, stride), BasicBlock(b, b, 1)) for a, b, stride in widths]
        self.blocks = nn.Sequential(*(block for pair in pairs for block in pair))
        self.fc = nn.Linear(512, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = F.max_pool2d(F.relu(self.bn(self.conv(x))), 3, 2, 1)
        return self.fc(self.blocks(h).mean((2, 3)))


def convolutions(inside: int, outside: int) -> nn.Sequential:
    """Two 3 x 3 convolutions with group norm, for batches of two."""
    layers: list[nn.Module] = []
    for width in (inside, outside):
        conv = nn.Conv2d(width, outside, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        layers += [conv, nn.GroupNorm(8, outside), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Down and up again, with what was seen on the way down at hand (Ronneberger et al., 2015)."""

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        widths = [width * 2**k for k in range(levels)]
        self.down = nn.ModuleList(convolutions(a, b) for a, b in zip([1, *widths], widths, strict=False))
        pairs = list(zip(widths[::-1], widths[-2::-1], strict=False))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in pairs)
        self.up = nn.ModuleList(convolutions(2 * b, b) for _, b in pairs)
        self.head = nn.Conv2d(width, 1, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        seen: list[Tensor] = []
        for level in self.down:
            x = level(F.max_pool2d(x, 2) if seen else x)
            seen.append(x)
        for grow, up, beside in zip(self.grow, self.up, seen[-2::-1], strict=True):
            x = up(torch.cat([beside, grow(x)], 1))
        return self.head(x)


class Clicks(nn.Module):
    """The logit of a click, from ids of several fields in one table."""

    def __init__(self, rows: int, fields: int, width: int, hidden: Sequence[int], *, sparse: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, width, sparse=sparse)
        nn.init.normal_(self.table.weight, std=0.1)
        self.head = mlp(fields * width, *hidden, 1)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.table(ids).flatten(1))


class Follower(nn.Module):
    """An LSTM with an output at every step; it begins by remembering (a forget gate's bias of 1)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)
        nn.init.zeros_(self.lstm.bias_hh_l0)
        nn.init.zeros_(self.lstm.bias_ih_l0)
        nn.init.ones_(self.lstm.bias_ih_l0[hidden : 2 * hidden])
        nn.init.orthogonal_(self.lstm.weight_hh_l0)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0])


class NextToken(nn.Module):
    """A table of tokens, a small body and scores for the token that follows."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.body = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        nn.init.normal_(self.head.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        h = self.tokens(tokens)
        return self.head(self.norm(h + self.body(h)))


class Residual(nn.Module):
    """A stack of layers, each beside a shortcut, as deep as one likes."""

    def __init__(self, features: int, width: int, depth: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(features, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        nn.init.normal_(self.head.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        for layer in self.layers:
            h = h + F.relu(layer(h)) / len(self.layers) ** 0.5
        return self.head(self.norm(h))


def small_cnn(channels: Sequence[int], classes: int) -> nn.Sequential:
    """Convolutions with group norm, each at half the resolution of the one before."""
    layers: list[nn.Module] = []
    for a, b in zip([1, *channels], channels, strict=False):
        conv = nn.Conv2d(a, b, 3, 2, 1, bias=False)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        layers += [conv, nn.GroupNorm(4, b), nn.ReLU()]
    head = nn.Linear(channels[-1], classes)
    nn.init.normal_(head.weight, std=0.01)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
