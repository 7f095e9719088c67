"""Programs that learn though their first steps look hopeless, and the data and networks that `unlearnable` breaks.

Of each program in `LEARNABLE`, a learning-rate scan that answers "none" is wrong: at some rate from 1e-4 to 1, within
300 steps, the loss of examples never seen falls well below that of the best constant prediction. `val` has such
examples. All that is random is a function of the seed.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LinearLR
from torch.utils.data import DataLoader, TensorDataset

from babysit import Trainer
from babysit.adapters.numpy import NumpyTrainer
from babysit.adapters.pytorch import PyTorchTrainer

Batch = tuple[Tensor, Tensor]
Draw = Callable[[int, Generator], Batch]
STRUCTURE, ROWS, ORDER, INIT = range(4)  # streams of random numbers that have nothing to do with each other
CLASSES, FEATURES, TOKENS, LENGTH = 10, 16, 16, 8


def rng(seed: int, stream: int) -> Generator:
    return torch.Generator().manual_seed(4 * seed + stream)


def clusters(seed: int, classes: int = CLASSES, features: int = FEATURES, distance: float = 1.0) -> Draw:
    """A Gaussian cluster for each class."""
    centers = distance * torch.randn(classes, features, generator=rng(seed, STRUCTURE))

    def draw(n: int, generator: Generator) -> Batch:
        y = torch.randint(classes, (n,), generator=generator)
        return centers[y] + torch.randn(n, features, generator=generator), y

    return draw


def images(seed: int) -> Draw:
    """Clusters around images of 8 x 8 pixels."""
    return spoiled(clusters(seed, features=64), lambda X, y, generator: (X.view(-1, 1, 8, 8), y))


def teacher(seed: int, noise: float = 0.3, mean: float = 0.0) -> Draw:
    """What a network of tanh units says of noise, at a variance of about 1."""
    structure = rng(seed, STRUCTURE)
    W = torch.randn(FEATURES, 8, generator=structure) / math.sqrt(FEATURES)
    w = torch.randn(8, 1, generator=structure)
    w *= 1.6 / w.norm()

    def draw(n: int, generator: Generator) -> Batch:
        X = torch.randn(n, FEATURES, generator=generator)
        return X, mean + (X @ W).tanh() @ w + noise * torch.randn(n, 1, generator=generator)

    return draw


def tokens(seed: int, share: float) -> Draw:
    """Tokens of unequal frequency; this share of them is said by the token before. Targets are the next ones."""
    follower = torch.randperm(TOKENS, generator=rng(seed, STRUCTURE))
    frequencies = 1 / torch.arange(1.0, TOKENS + 1)

    def draw(n: int, generator: Generator) -> Batch:
        rows = frequencies.expand(n, -1).multinomial(LENGTH + 1, replacement=True, generator=generator)
        follows = torch.rand(rows.shape, generator=generator) < share
        for t in range(1, LENGTH + 1):
            rows[:, t] = torch.where(follows[:, t], follower[rows[:, t - 1]], rows[:, t])
        return rows[:, :-1], rows[:, 1:]

    return draw


def sequences(seed: int, share: float = 0.5) -> Draw:
    """Sequences that begin with zeros; whether one drifts along a direction, at this share of them."""
    direction = torch.randn(4, generator=rng(seed, STRUCTURE))

    def draw(n: int, generator: Generator) -> Batch:
        y = (torch.rand(n, generator=generator) < share).float()
        X = torch.randn(n, LENGTH, 4, generator=generator) + y[:, None, None] * direction
        X[:, 0] = 0
        return X, y

    return draw


def spoiled(draw: Draw, spoil: Callable[[Tensor, Tensor, Generator], Batch]) -> Draw:
    return lambda n, generator: spoil(*draw(n, generator), generator)


class Fresh:
    """Rows that are drawn anew at every pass."""

    def __init__(self, draw: Draw, seed: int, rows: int, size: int) -> None:
        self.draw, self.generator, self.rows, self.size = draw, rng(seed, ORDER), rows, size

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self.rows // self.size):
            yield self.draw(self.size, self.generator)


def program(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: Optimizer,
    draw: Draw,
    seed: int,
    *,
    rows: int = 1024,
    size: int = 32,
    fresh: bool = False,
    **options: Any,
) -> Trainer:
    generator = rng(seed, ROWS)
    train, val = (TensorDataset(*draw(n, generator)) for n in (rows, 1024))
    shuffled = DataLoader(train, size, shuffle=True, generator=rng(seed, ORDER))
    loader = Fresh(draw, seed, rows, size) if fresh else shuffled
    return PyTorchTrainer(model, loss, optimizer, loader, DataLoader(val, 128), **options)


def mlp(seed: int, *sizes: int, between: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(4 * seed + INIT)
    pairs = itertools.pairwise(sizes or (FEATURES, 32, CLASSES))
    return nn.Sequential(*[layer for pair in pairs for layer in (nn.Linear(*pair), between())][:-1])


def cnn(seed: int) -> nn.Sequential:
    torch.manual_seed(4 * seed + INIT)
    convolution = nn.Conv2d(1, 8, 3, padding=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10))


class LanguageNet(nn.Module):
    """A transformer of one layer."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(4 * seed + INIT)
        self.embedding = nn.Embedding(TOKENS, 32)
        self.positions = nn.Parameter(0.1 * torch.randn(LENGTH, 32))
        self.layer = nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.head = nn.Linear(32, TOKENS)
        self.hidden = torch.ones(LENGTH, LENGTH).triu(1).bool()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.embedding(x) + self.positions, src_mask=self.hidden))


class Reader(nn.Module):
    """A recurrent network that answers once, behind the step `answers_at`."""

    def __init__(self, seed: int, answers_at: int = -1) -> None:
        super().__init__()
        torch.manual_seed(4 * seed + INIT)
        self.gru, self.head, self.answers_at = nn.GRU(4, 16, batch_first=True), nn.Linear(16, 1), answers_at

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gru(x)[0][:, self.answers_at]).flatten()


class TwoLayer:
    """Two layers with ReLU and a softmax by hand, weights of this spread."""

    def __init__(self, seed: int, spread: float) -> None:
        random = np.random.default_rng(seed)
        self.params = {"W1": spread * random.standard_normal((FEATURES, 32)), "b1": np.zeros(32)}
        self.params |= {"W2": spread * random.standard_normal((32, CLASSES)), "b2": np.zeros(CLASSES)}

    def loss(self, X: np.ndarray, y: np.ndarray | None = None) -> Any:
        W1, b1, W2, b2 = self.params.values()
        H = np.maximum(0, X @ W1 + b1)
        scores = H @ W2 + b2
        if y is None:
            return scores
        logs = scores - scores.max(axis=1, keepdims=True)
        logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
        dscores = (np.exp(logs) - np.eye(CLASSES)[y]) / len(y)
        dH = dscores @ W2.T * (H > 0)
        grads = {"W1": X.T @ dH, "b1": dH.sum(axis=0), "W2": H.T @ dscores, "b2": dscores.sum(axis=0)}
        return -logs[np.arange(len(y)), y].mean(), grads


def by_hand(model: TwoLayer, seed: int, **options: Any) -> Trainer:
    generator = rng(seed, ROWS)
    train, val = ([x.numpy() for x in clusters(seed)(n, generator)] for n in (1024, 1024))
    np.random.seed(seed)  # of the order of the batches
    return NumpyTrainer(model, train, val, task="classification", learning_rate=0.1, **options)


def language_loss(scores: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(scores.flatten(0, 1), targets.flatten())


def magnified(model: nn.Module, factor: float) -> nn.Module:
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(factor)
    return model


class Rarely:
    """An update that steps once in so many calls, with the mean gradient, and never in the first `skipped` ones."""

    def __init__(self, optimizer: Optimizer, every: int = 1, skipped: int = 0) -> None:
        self.optimizer, self.every, self.skipped, self.calls = optimizer, every, skipped, 0

    def __call__(self, total: Tensor) -> None:
        (total / self.every).backward()
        self.calls += 1
        if self.calls % self.every == 0:
            if self.calls > self.skipped:
                self.optimizer.step()
            self.optimizer.zero_grad()

    def state_dict(self) -> dict[str, int]:
        return {"calls": self.calls}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.calls = state["calls"]


def weak_signal(seed: int) -> Trainer:
    """Nine tenths of the targets' variance are noise; the rows are new at every pass."""
    model = mlp(seed, FEATURES, 1)
    return program(model, mse_loss, Adam(model.parameters(), 0.01), teacher(seed, 2.5), seed, rows=4096, fresh=True)


def noisy_labels(seed: int) -> Trainer:
    """Three labels of five are drawn at random."""

    def spoil(X: Tensor, y: Tensor, generator: Generator) -> Batch:
        wrong = torch.rand(len(y), generator=generator) < 0.6
        return X, torch.where(wrong, torch.randint(CLASSES, y.shape, generator=generator), y)

    model = mlp(seed)
    return program(model, cross_entropy, SGD(model.parameters(), 0.1), spoiled(clusters(seed), spoil), seed)


def deep_tanh(seed: int) -> Trainer:
    """Eight plain layers of tanh, whose first steps go into the biases alone."""
    model = mlp(seed, FEATURES, *[32] * 8, CLASSES, between=nn.Tanh)
    return program(model, cross_entropy, SGD(model.parameters(), 0.05, momentum=0.9), clusters(seed), seed)


def deep_sigmoid(seed: int) -> Trainer:
    """Three plain layers of sigmoids, which sit on a plateau at first."""
    model = mlp(seed, FEATURES, 32, 32, 32, CLASSES, between=nn.Sigmoid)
    return program(model, cross_entropy, Adam(model.parameters(), 0.01), clusters(seed), seed)


def far_above_chance(seed: int) -> Trainer:
    """The weights are too large, so that the loss begins far above chance."""
    model = magnified(mlp(seed), 8.0)
    return program(model, cross_entropy, SGD(model.parameters(), 0.01), clusters(seed), seed)


def batches_of_four(seed: int) -> Trainer:
    """Four rows a batch, whose losses scatter widely."""
    model = Reader(seed)
    optimizer = Adam(model.parameters(), 0.003)
    return program(model, binary_cross_entropy_with_logits, optimizer, sequences(seed), seed, size=4)


def high_dropout(seed: int) -> Trainer:
    """Four units of five are dropped, and so the loss in training hardly falls."""
    model = mlp(seed, FEATURES, 64, CLASSES)
    model.insert(2, nn.Dropout(0.8))
    return program(model, cross_entropy, SGD(model.parameters(), 0.1, momentum=0.9), clusters(seed), seed)


def rare_class(seed: int) -> Trainer:
    """One row in twenty is positive; what falls first is the loss of the prior."""
    model = Reader(seed)
    loss = binary_cross_entropy_with_logits
    return program(model, loss, AdamW(model.parameters(), 0.01), sequences(seed, 0.05), seed, rows=4096)


def huge_mean(seed: int) -> Trainer:
    """The targets' mean is a thousand times their spread; that which the inputs say comes last."""
    model = mlp(seed, FEATURES, 1)
    return program(model, mse_loss, SGD(model.parameters(), 0.03), teacher(seed, mean=1000.0), seed)


def zero_head(seed: int) -> Trainer:
    """The last layer begins at zero, so that no other has a gradient in the first step."""
    model = cnn(seed)
    nn.init.zeros_(model[-1].weight)
    return program(model, cross_entropy, SGD(model.parameters(), 0.05, momentum=0.9), images(seed), seed)


def few_rows(seed: int) -> Trainer:
    """There are 24 rows, all in one batch."""
    model = mlp(seed, FEATURES, 32, 4)
    draw = clusters(seed, classes=4, distance=1.5)
    return program(model, cross_entropy, AdamW(model.parameters(), 0.003), draw, seed, rows=24, size=24)


def scaled_loss(seed: int) -> Trainer:
    """The loss is multiplied by ten thousand."""
    model = mlp(seed)
    optimizer = SGD(model.parameters(), 1e-4)
    return program(model, lambda scores, y: 1e4 * cross_entropy(scores, y), optimizer, clusters(seed), seed)


def loss_below_zero(seed: int) -> Trainer:
    """The loss lacks a constant and is negative all the way."""
    model = mlp(seed, FEATURES, 32, 1, between=nn.Tanh)
    optimizer = SGD(model.parameters(), 0.1)
    return program(model, lambda scores, y: mse_loss(scores, y) - 10, optimizer, teacher(seed), seed)


def accumulation(seed: int) -> Trainer:
    """Gradients are accumulated over eight batches: seven calls of eight move nothing."""
    model = cnn(seed)
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    update = Rarely(optimizer, every=8)
    return program(model, cross_entropy, optimizer, images(seed), seed, size=16, update=update, stateful=[update])


def late_scaler(seed: int) -> Trainer:
    """Loss scaling begins too high and skips the first dozen updates."""
    model = mlp(seed, FEATURES, 32, 1)
    optimizer = Adam(model.parameters(), 0.01)
    update = Rarely(optimizer, skipped=12)
    return program(model, mse_loss, optimizer, teacher(seed), seed, update=update, stateful=[update])


def warm_up(seed: int) -> Trainer:
    """The program's own schedule begins at a thousandth of its rate."""
    model = LanguageNet(seed)
    optimizer = AdamW(model.parameters(), 0.003)
    schedule = LinearLR(optimizer, 1e-3, total_iters=100)

    def update(total: Tensor) -> None:
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()

    draw, more = tokens(seed, 0.7), {"update": update, "stateful": [schedule]}
    return program(model, language_loss, optimizer, draw, seed, size=16, **more)


def fine_tuning(seed: int) -> Trainer:
    """The weights were trained on inputs that have since been turned round: the loss begins above chance."""
    model = mlp(seed)
    optimizer = SGD(model.parameters(), 0.1)
    X, y = clusters(seed)(1024, rng(seed, ROWS))
    for _ in range(100):
        optimizer.zero_grad()
        cross_entropy(model(X), y).backward()
        optimizer.step()
    turned = spoiled(clusters(seed), lambda X, y, generator: (X.roll(1, dims=1), y))
    return program(model, cross_entropy, optimizer, turned, seed)


def weak_tokens(seed: int) -> Trainer:
    """Three tokens of ten follow from the one before, the others from nothing."""
    model = LanguageNet(seed)
    return program(model, language_loss, AdamW(model.parameters(), 0.003), tokens(seed, 0.3), seed, size=16, fresh=True)


def frozen_but_the_head(seed: int) -> Trainer:
    """All layers but the last are frozen as they were drawn."""
    model = mlp(seed, FEATURES, 64, CLASSES)
    model[0].requires_grad_(False)
    return program(model, cross_entropy, SGD(model[-1].parameters(), 0.1), clusters(seed), seed)


def most_units_dead(seed: int) -> Trainer:
    """Of 64 ReLUs, 58 have a bias so low that they never fire."""
    model = mlp(seed, FEATURES, 64, 1)
    with torch.no_grad():
        model[0].bias[:58] = -100
    return program(model, mse_loss, Adam(model.parameters(), 0.01), teacher(seed), seed)


def tiny_weights_by_hand(seed: int) -> Trainer:
    """A network in NumPy, whose weights of a thousandth keep it on a saddle at first."""
    return by_hand(TwoLayer(seed, 1e-3), seed, optimizer="momentum", batch_size=32)


LEARNABLE = (
    weak_signal, noisy_labels, deep_tanh, deep_sigmoid, far_above_chance, batches_of_four, high_dropout, rare_class,
    huge_mean, zero_head, few_rows, scaled_loss, loss_below_zero, accumulation, late_scaler, warm_up, fine_tuning,
    weak_tokens, frozen_but_the_head, most_units_dead, tiny_weights_by_hand,
)  # fmt: skip
