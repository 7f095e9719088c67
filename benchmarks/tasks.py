"""Small training programs that differ in kind, to hold learning-rate finders against: five to tune on, five to report.

Each is a function of a seed, which draws the weights, the order of the batches and, where it is synthetic, the data.
All learn within 200 updates at a good learning rate, and their loss then ends below 1.0.
"""

import itertools
from collections.abc import Callable

import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.data import DataLoader, TensorDataset

from babysit.adapters.pytorch import PyTorchTrainer

Task = Callable[[int], PyTorchTrainer]
RATE = 1e-2  # where each optimizer stands at the start


def loader(x: Tensor, y: Tensor, size: int, seed: int) -> DataLoader:
    """Shuffled batches in an order that the seed decides."""
    draw = torch.Generator().manual_seed(seed)
    return DataLoader(TensorDataset(x, y), batch_size=size, shuffle=True, drop_last=True, generator=draw)


def digits(*, images: bool = False) -> tuple[Tensor, Tensor]:
    """1797 handwritten digits of 8x8 pixels, from -1 to 1."""
    found = load_digits()
    x = torch.tensor(found.data / 8 - 1, dtype=torch.float32)
    return x.view(-1, 1, 8, 8) if images else x, torch.tensor(found.target)


def tumours() -> tuple[Tensor, Tensor]:
    """569 rows of 30 standardized columns, two classes."""
    found = load_breast_cancer()
    x = torch.tensor(found.data, dtype=torch.float32)
    return (x - x.mean(0)) / x.std(0), torch.tensor(found.target)


def wine() -> tuple[Tensor, Tensor]:
    """178 rows of 13 standardized columns, three classes."""
    found = load_wine()
    x = torch.tensor(found.data, dtype=torch.float32)
    return (x - x.mean(0)) / x.std(0), torch.tensor(found.target)


def spirals(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Three spirals around each other, a class each, with a little noise."""
    draw = torch.Generator().manual_seed(5000 + seed)
    y = torch.randint(0, 3, (count,), generator=draw)
    along = torch.rand(count, generator=draw)
    angle = 4 * along + y * 2 * torch.pi / 3 + 0.1 * torch.randn(count, generator=draw)
    return 2 * along[:, None] * torch.stack([angle.sin(), angle.cos()], 1), y


def taught(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """What a random network of one hidden layer says of normal inputs, standardized."""
    draw = torch.Generator().manual_seed(6000 + seed)
    x = torch.randn(count, 12, generator=draw)
    y = torch.relu(x @ torch.randn(12, 8, generator=draw)) @ torch.randn(8, 2, generator=draw)
    return x, (y - y.mean(0)) / y.std(0)


def friedman(count: int, seed: int, noise: float) -> tuple[Tensor, Tensor]:
    """Friedman's first function of ten uniform columns, standardized, with noise (Friedman 1991)."""
    draw = torch.Generator().manual_seed(1000 + seed)
    x = torch.rand(count, 10, generator=draw)
    y = 10 * torch.sin(torch.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    y = (y - y.mean()) / y.std() + noise * torch.randn(count, generator=draw)
    return (x - 0.5) * 12**0.5, y[:, None]


def mlp(*sizes: int, between: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers of these sizes with a nonlinearity between them."""
    layers = [part for a, b in itertools.pairwise(sizes) for part in (nn.Linear(a, b), between())]
    return nn.Sequential(*layers[:-1])


class Reader(nn.Module):
    """A transformer of one block that reads from left to right."""

    def __init__(self, vocabulary: int, length: int, width: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.head = nn.Linear(width, vocabulary)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, vocabulary, T) of tokens (N, T)."""
        h = self.tokens(x) + self.places.weight[: x.shape[1]]
        q, k, v = self.qkv(self.norm1(h)).chunk(3, dim=-1)
        h = h + self.mix(scaled_dot_product_attention(q, k, v, is_causal=True))
        return self.head(h + self.wide(self.norm2(h))).transpose(1, 2)


class Recurrent(nn.Module):
    """A GRU whose last state is classified."""

    def __init__(self, features: int, width: int, classes: int) -> None:
        super().__init__()
        self.cell, self.head = nn.GRU(features, width, batch_first=True), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of sequences (N, T, features)."""
        return self.head(self.cell(x)[0][:, -1])


def mlp_adam(seed: int) -> PyTorchTrainer:
    """Digits, ReLU, Adam."""
    torch.manual_seed(seed)
    model = mlp(64, 64, 32, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, loader(*digits(), 64, seed))


def cnn_momentum(seed: int) -> PyTorchTrainer:
    """Images of digits, no normalization, momentum 0.9 and a little decay."""
    torch.manual_seed(seed)
    convolutions = (nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU())
    model = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=1e-4)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, loader(*digits(images=True), 32, seed))


def regression_sgd(seed: int) -> PyTorchTrainer:
    """Friedman's function by tanh units and plain gradient descent."""
    torch.manual_seed(seed)
    model = mlp(10, 64, 1, between=nn.Tanh)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    return PyTorchTrainer(model, nn.MSELoss(), optimizer, loader(*friedman(1024, seed, 0.1), 32, seed))


def transformer_adamw(seed: int) -> PyTorchTrainer:
    """Sequences in which each token follows from the two before it; AdamW."""
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(2000 + seed)
    tokens = torch.randint(0, 12, (1024, 17), generator=draw)
    for t in range(2, 17):
        tokens[:, t] = (tokens[:, t - 1] + 3 * (tokens[:, t - 1] > 5) + 1) % 12
    model = Reader(12, 16, 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    batches = loader(tokens[:, :-1], tokens[:, 1:], 16, seed)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, batches)


def small_batches_sgd(seed: int) -> PyTorchTrainer:
    """Batches of four with a tenth of the labels wrong; plain gradient descent."""
    torch.manual_seed(seed)
    x, y = tumours()
    wrong = torch.rand(len(y), generator=torch.Generator().manual_seed(3000 + seed)) < 0.1
    model = mlp(30, 32, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, loader(x, torch.where(wrong, 1 - y, y), 4, seed))


def wine_sgd(seed: int) -> PyTorchTrainer:
    """Three classes of wine, tanh, plain gradient descent."""
    torch.manual_seed(seed)
    model = mlp(13, 16, 16, 3, between=nn.Tanh)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, loader(*wine(), 16, seed))


def taught_momentum(seed: int) -> PyTorchTrainer:
    """A student of a random network; momentum."""
    torch.manual_seed(seed)
    model = mlp(12, 64, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
    return PyTorchTrainer(model, nn.MSELoss(), optimizer, loader(*taught(1024, seed), 64, seed))


def spirals_adam(seed: int) -> PyTorchTrainer:
    """Three spirals, deep and narrow, Adam."""
    torch.manual_seed(seed)
    model = mlp(2, 32, 32, 32, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, loader(*spirals(1024, seed), 32, seed))


def mlp_sgd(seed: int) -> PyTorchTrainer:
    """Digits, three layers of tanh, plain gradient descent."""
    torch.manual_seed(seed)
    model = mlp(64, 48, 48, 10, between=nn.Tanh)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, loader(*digits(), 32, seed))


def cnn_batch_norm_momentum(seed: int) -> PyTorchTrainer:
    """Images of digits, batch norm, Nesterov momentum."""
    torch.manual_seed(seed)
    first = (nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
    second = (nn.Conv2d(8, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    model = nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, nesterov=True)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, loader(*digits(images=True), 32, seed))


def transformer_adam(seed: int) -> PyTorchTrainer:
    """Random walks by one or two on a ring of eight; Adam."""
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(4000 + seed)
    tokens = torch.randint(0, 8, (1024, 1), generator=draw)
    walk = torch.cumsum(torch.randint(1, 3, (1024, 15), generator=draw), 1)
    tokens = torch.cat([tokens, (tokens + walk) % 8], 1)
    model = Reader(8, 16, 24)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, betas=(0.9, 0.98))
    batches = loader(tokens[:, :-1], tokens[:, 1:], 16, seed)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, batches)


def regression_adamw(seed: int) -> PyTorchTrainer:
    """Friedman's function by four layers, Huber's loss, AdamW."""
    torch.manual_seed(seed)
    model = mlp(10, 48, 48, 48, 1, between=nn.SiLU)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05)
    return PyTorchTrainer(model, nn.HuberLoss(), optimizer, loader(*friedman(1024, seed, 0.2), 64, seed))


def recurrent_small_batches(seed: int) -> PyTorchTrainer:
    """Rows of digits read one after another by a GRU, batches of eight, momentum, clipped gradients."""
    torch.manual_seed(seed)
    x, y = digits(images=True)
    model = Recurrent(8, 32, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)

    def update(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, loader(x[:, 0], y, 8, seed), update=update)


def cnn_sgd(seed: int) -> PyTorchTrainer:
    """Images of digits, group norm, GELU, plain gradient descent with a little decay."""
    torch.manual_seed(seed)
    layers = (nn.Conv2d(1, 8, 3, stride=2), nn.GroupNorm(2, 8), nn.GELU(), nn.Flatten(), nn.Linear(72, 10))
    model = nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, weight_decay=1e-4)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, loader(*digits(images=True), 32, seed))


def autoencoder_adam(seed: int) -> PyTorchTrainer:
    """Digits through a bottleneck of eight, Adam."""
    torch.manual_seed(seed)
    x, _ = digits()
    model = mlp(64, 32, 8, 32, 64)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    return PyTorchTrainer(model, nn.MSELoss(), optimizer, loader(x, x, 32, seed))


def tumours_adamw_dropout(seed: int) -> PyTorchTrainer:
    """Two classes by one output, dropout, AdamW, batches of sixteen."""
    torch.manual_seed(seed)
    x, y = tumours()
    model = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    return PyTorchTrainer(model, nn.BCEWithLogitsLoss(), optimizer, loader(x, y[:, None].float(), 16, seed))


TUNED: tuple[Task, ...] = (
    mlp_adam,
    cnn_momentum,
    regression_sgd,
    transformer_adamw,
    small_batches_sgd,
    wine_sgd,
    taught_momentum,
    spirals_adam,
)
REPORTED: tuple[Task, ...] = (
    mlp_sgd,
    cnn_batch_norm_momentum,
    transformer_adam,
    regression_adamw,
    recurrent_small_batches,
    cnn_sgd,
    autoencoder_adam,
    tumours_adamw_dropout,
)
