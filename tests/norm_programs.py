"""Programs that normalize, or mix the examples of a batch, right and wrong: in PyTorch and in NumPy by hand.

Each is a function of a seed, which goes into data, weights and order of examples.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from babysit.adapters.numpy import NumpyTrainer
from babysit.adapters.pytorch import PyTorchTrainer
from babysit.tasks.task import ChanceLoss

torch.set_num_threads(1)

FEATURES, UNITS, CLASSES = 10, 32, 4


def data(seed, *, examples=400, scale=1.0, offset=0.0, shape=(FEATURES,)):
    """Standardized inputs of four classes, then scaled and moved off."""
    numbers = torch.Generator().manual_seed(seed)
    targets = torch.randint(CLASSES, (examples,), generator=numbers)
    inputs = torch.randn(examples, *shape, generator=numbers)
    inputs.flatten(1)[torch.arange(examples), targets] += 3
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    return scale * inputs + offset, targets


def program(seed, layers, *, loss=F.cross_entropy, batch_size=32, rate=5e-3, drawn=None, shuffle=True, **options):
    """Adam on the model that `layers` makes."""
    torch.manual_seed(seed)
    model = layers()
    loader = DataLoader(TensorDataset(*(drawn or data(seed))), batch_size, shuffle=shuffle)
    return PyTorchTrainer(model, loss, torch.optim.Adam(model.parameters(), lr=rate), loader, **options)


def perceptron(norm=nn.BatchNorm1d, *, activation=nn.ReLU, first=()):
    """Two hidden layers, each normalized, behind whatever comes first."""
    return lambda: nn.Sequential(
        *(make() for make in first),
        *(nn.Linear(FEATURES, UNITS), norm(UNITS), activation()),
        *(nn.Linear(UNITS, UNITS), norm(UNITS), activation()),
        nn.Linear(UNITS, CLASSES),
    )


def normalized(norm=nn.BatchNorm1d, *, activation=nn.ReLU, first=(), raw=False, **options):
    """A program with this norm, on standardized or on raw inputs."""

    def made(seed):
        drawn = data(seed, offset=10.0) if raw else data(seed)
        return program(seed, perceptron(norm, activation=activation, first=first), drawn=drawn, **options)

    return made


def momentum(share, **options):
    """Batch norm that takes in this share of a batch at each step."""
    return normalized(lambda units: nn.BatchNorm1d(units, momentum=share), **options)


def images(norm=nn.BatchNorm2d, **options):
    def layers():
        return nn.Sequential(
            *(nn.Conv2d(2, 8, 3), norm(8), nn.ReLU(), nn.Conv2d(8, 8, 3), norm(8), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(32, CLASSES)),
        )

    return lambda seed: program(seed, layers, drawn=data(seed, shape=(2, 6, 6)), **options)


class Noise(nn.Module):
    """Gaussian noise in training, which no scale switches off."""

    def forward(self, x):
        return x + torch.randn_like(x) if self.training else x


class ByHand(nn.Module):
    """Batch normalization written out; its statistics may be forgotten, or not asked for."""

    def __init__(self, units, *, keeps=True, uses=True):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(units)), nn.Parameter(torch.zeros(units))
        self.register_buffer("mean", torch.zeros(units))
        self.register_buffer("variance", torch.ones(units))
        self.keeps, self.uses = keeps, uses

    def forward(self, x):
        mean, variance = self.mean, self.variance
        if self.training or not self.uses:
            mean, variance = x.mean(0), x.var(0, unbiased=False)
        if self.training and self.keeps:
            with torch.no_grad():
                self.mean += 0.1 * (mean - self.mean)
                self.variance += 0.1 * (variance - self.variance)
        return self.gamma * (x - mean) / torch.sqrt(variance + 1e-5) + self.beta


class FrozenNorm(nn.BatchNorm1d):
    """Stays in evaluation mode, as in a pretrained network that is fine-tuned."""

    def __init__(self, units):
        super().__init__(units)
        self.eval()

    def train(self, mode=True):
        return super().train(False)


class NormOfNothing(nn.BatchNorm1d):
    """Forgets to normalize in evaluation mode."""

    def forward(self, x):
        return super().forward(x) if self.training else x


def zero_gamma(units):
    norm = nn.BatchNorm1d(units)
    nn.init.zeros_(norm.weight)
    return norm


class Residual(nn.Module):
    """A branch that ends in a norm, and the way around it."""

    def __init__(self, norm):
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(UNITS, UNITS), norm(UNITS))

    def forward(self, x):
        return torch.relu(x + self.branch(x))


def residual(norm):
    def layers():
        return nn.Sequential(
            nn.Linear(FEATURES, UNITS), nn.ReLU(), Residual(norm), Residual(norm), nn.Linear(UNITS, CLASSES)
        )

    return lambda seed: program(seed, layers)


class BiasUsedTwice(nn.Module):
    """What the linear layer gives goes through the norm, and around it."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(FEATURES, UNITS), nn.BatchNorm1d(UNITS), nn.Linear(UNITS, CLASSES)

    def forward(self, x):
        h = self.first(x)
        return self.last(torch.relu(self.norm(h)) + h)


def bias_used_twice(seed):
    return program(seed, BiasUsedTwice)


def batches_of_a_class(seed):
    inputs, targets = data(seed)
    order = torch.argsort(targets)
    return program(seed, perceptron(), drawn=(inputs[order], targets[order]), shuffle=False)


def teacher_forced(seed):
    """In training the label goes in as well, which evaluation has to do without; nothing is normalized."""

    class Forced(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(FEATURES + CLASSES, CLASSES)

        def forward(self, x):
            hint = x[:, FEATURES:] if self.training else 3 * x[:, FEATURES:].roll(1, 1)
            return self.layer(torch.cat((0.1 * x[:, :FEATURES], hint), 1))

    inputs, targets = data(seed)
    return program(seed, Forced, drawn=(torch.cat((inputs, F.one_hot(targets).float()), 1), targets), rate=0.05)


# Mixing


class Mixing(nn.Module):
    """Something between two linear layers."""

    def __init__(self, mix, zero_head):
        super().__init__()
        self.first, self.last, self.mix = nn.Linear(FEATURES, UNITS), nn.Linear(UNITS, CLASSES), mix
        if zero_head:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)

    def forward(self, x):
        return self.last(self.mix(torch.tanh(self.first(x))))


def mixing(mix, *, zero_head=False):
    return lambda seed: program(seed, lambda: Mixing(mix, zero_head))


def softmax_over_batch(x):
    return F.softmax(x, dim=0)


def softmax_over_units(x):
    return F.softmax(x, dim=1)


def view_for_transpose(x):
    return x.view(x.shape[1], x.shape[0]).T


def next_example(x):
    return x + 0.1 * x.roll(1, 0)


def half_a_batch_away(x):
    return x + 0.1 * x.roll(len(x) // 2, 0)


class Reader(nn.Module):
    """Reads sequences and scores every step, or the last."""

    def __init__(self, batch_first, turns, flat, last):
        super().__init__()
        self.gru, self.head = nn.GRU(3, 16, batch_first=batch_first), nn.Linear(16, CLASSES)
        self.turns, self.flat, self.last = turns, flat, last

    def forward(self, x):
        hidden, _ = self.gru(x.transpose(0, 1) if self.turns else x)
        scores = self.head(hidden[:, -1] if self.last else hidden)
        return scores.flatten(0, 1) if self.flat else scores


def reader(*, batch_first=True, turns=False, flat=False, last=False, steps=6, examples=32):
    """Scores (N, T, C); (T, N, C) where it turns them, (N T, C) flat, (N, C) of the last step."""

    def loss(scores, targets):
        wanted = targets[:, -1] if last else targets.T if turns else targets
        return F.cross_entropy(scores.reshape(-1, CLASSES), wanted.reshape(-1))

    def made(seed):
        numbers = torch.Generator().manual_seed(seed)
        inputs = torch.randn(200, steps, 3, generator=numbers)
        drawn = inputs, (inputs.cumsum(1)[..., 0] > 0).long()
        options = {"loss": loss, "drawn": drawn, "batch_size": examples, "task": ChanceLoss(1.0)}
        return program(seed, lambda: Reader(batch_first, turns, flat, last), **options)

    return made


class Towers(nn.Module):
    """Two views of each example; the scores are the similarities of all pairs in the batch."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(FEATURES, 8), nn.Linear(FEATURES, 8)

    def forward(self, x):
        return self.one(x) @ self.other(x + 0.1).T


def contrastive(seed, examples=32):
    def loss(scores, _targets):
        return F.cross_entropy(scores, torch.arange(len(scores)))

    return program(seed, Towers, loss=loss, batch_size=examples, task=ChanceLoss(3.5))


class Graph(nn.Module):
    """A layer over a graph whose nodes are the examples of the one batch."""

    def __init__(self, nodes):
        super().__init__()
        self.register_buffer("edges", (torch.rand(nodes, nodes) < 0.05).float() + torch.eye(nodes))
        self.first, self.last = nn.Linear(FEATURES, 16), nn.Linear(16, CLASSES)

    def forward(self, x):
        return self.last(torch.relu(self.edges @ self.first(x)))


def graph(seed):
    return program(seed, lambda: Graph(120), drawn=data(seed, examples=120), batch_size=120, shuffle=False)


# In NumPy, as in the course's second assignment


class HandNet:
    """One hidden layer with batch normalization; its mode is set by whether y is given."""

    def __init__(self, seed, keeps, uses, momentum):
        rng = np.random.default_rng(seed)
        self.params = {
            "W1": rng.normal(size=(FEATURES, 20)) * np.sqrt(2 / FEATURES),
            "b1": np.zeros(20),
            "gamma1": np.ones(20),
            "beta1": np.zeros(20),
            "W2": 0.1 * rng.normal(size=(20, CLASSES)),
            "b2": np.zeros(CLASSES),
        }
        self.bn_param = {"mode": "train", "running_mean": np.zeros(20), "running_var": np.ones(20)}
        self.keeps, self.uses, self.momentum = keeps, uses, momentum

    def normalize(self, x):
        bn, kept = self.bn_param, self.momentum
        mean, variance = bn["running_mean"], bn["running_var"]
        if bn["mode"] == "train" or not self.uses:
            before, mean, variance = (mean, variance), x.mean(axis=0), x.var(axis=0)
            if self.keeps and bn["mode"] == "train":
                bn["running_mean"] = kept * before[0] + (1 - kept) * np.asarray(mean)
                bn["running_var"] = kept * before[1] + (1 - kept) * np.asarray(variance)
        scale = 1 / np.sqrt(variance + 1e-5)
        normal = (x - mean) * scale
        return self.params["gamma1"] * normal + self.params["beta1"], (normal, scale)

    def loss(self, X, y=None):
        p = self.params
        self.bn_param["mode"] = "test" if y is None else "train"
        normed, (normal, scale) = self.normalize(X @ p["W1"] + p["b1"])
        hidden = np.maximum(0, normed)
        scores = hidden @ p["W2"] + p["b2"]
        if y is None:
            return scores
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        ds = e / e.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        loss = -np.log(ds[rows, y]).mean()
        ds[rows, y] -= 1
        ds /= len(y)
        da = (ds @ p["W2"].T) * (normed > 0)
        dn = da * p["gamma1"]
        dx = (dn - dn.mean(axis=0) - normal * (dn * normal).mean(axis=0)) * scale
        return loss, {
            "W1": X.T @ dx,
            "b1": dx.sum(axis=0),
            "gamma1": (da * normal).sum(axis=0),
            "beta1": da.sum(axis=0),
            "W2": hidden.T @ ds,
            "b2": ds.sum(axis=0),
        }


def by_hand(*, keeps=True, uses=True, momentum=0.9, raw=False):
    def made(seed):
        inputs, targets = (x.numpy() for x in data(seed))
        inputs = inputs.astype(float) + 10 * raw
        np.random.seed(seed)  # by which the adapter orders its batches
        model = HandNet(seed, keeps, uses, momentum)
        return NumpyTrainer(model, (inputs, targets), task="classification", learning_rate=0.3, batch_size=50)

    return made
