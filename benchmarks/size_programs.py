"""Healthy programs of real size, on small synthetic data that can be learned: each a row of docs/sizes.md.

    babysit run benchmarks/size_programs.py:gpt2

Sizes lie in the model, the vocabulary or the table, not in the batch: a step takes about a second at most. Data are
the same at every seed; the seed that is set ahead of a factory draws the weights. `PROGRAMS` has what a plain loop
needs, too, so that it runs on the very same parts.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from size_networks import (
    Clicks,
    Follower,
    NextToken,
    Residual,
    ResNet18,
    UNet,
    mlp,
    small_cnn,
)
from torch import Generator, Tensor, nn
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits, cross_entropy, mse_loss
from torch.optim import SGD, Adam, AdamW, Optimizer, SparseAdam
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from babysit.adapters.pytorch import PyTorchTrainer

STRUCTURE, TRAIN, VAL, ORDER, MASKS = range(5)  # streams of random numbers that have nothing to do with each other
WORDS = 50_257  # GPT-2's vocabulary
MILLION = 1_000_000


@dataclass
class Program:
    """The parts of a training program.

    Args:
        model: The network.
        loss: `loss(scores, targets)`; None where the model takes a batch by keywords and has a loss of its own.
        optimizer: The first optimizer, or the only one.
        train: Batches, begun anew at each iteration.
        val: The same of the validation split.
        update: What to do with a batch's loss; None for the three lines that everybody writes.
        stateful: What else a step changes.
        accumulated: Batches in one update.
    """

    model: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor] | None
    optimizer: Optimizer
    train: Iterable[Any]
    val: Iterable[Any]
    update: Callable[[Tensor], None] | None = None
    stateful: Sequence[Any] = ()
    accumulated: int = 1

    def loss_of(self, batch: Any) -> Tensor:
        """The loss of a batch, as a plain loop computes it."""
        if self.loss is None:
            return self.model(**batch).loss
        inputs, targets = batch
        return self.loss(self.model(inputs), targets)

    def step(self, batch: Any) -> Tensor:
        """A plain loop's step."""
        loss = self.loss_of(batch)
        if self.update is not None:
            self.update(loss)
        else:
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return loss.detach()

    def trainer(self) -> "PyTorchTrainer":
        """The same parts in babysit's hands."""
        from babysit.adapters.pytorch import PyTorchTrainer  # in the body: a plain loop runs without babysit

        parts = (self.model, self.loss, self.optimizer, self.train, self.val)
        return PyTorchTrainer(*parts, update=self.update, stateful=self.stateful)


PROGRAMS: dict[str, Callable[[], Program]] = {}


def program(make: Callable[[], Program]) -> Callable[[], "PyTorchTrainer"]:
    """Registers the program under the function's name, and makes a target of it."""
    PROGRAMS[make.__name__] = make

    @functools.wraps(make)
    def factory() -> "PyTorchTrainer":
        return make().trainer()

    return factory


def rng(stream: int) -> Generator:
    return torch.Generator().manual_seed(stream)


class Batches:
    """Batches of tensors by one index each: a DataLoader would collate thousands of rows one by one.

    Args:
        tensors: Inputs and targets, examples along axis 0.
        size: Examples in a batch.
        generator: Draws the order, anew at each iteration; None for the order in which they are.
    """

    def __init__(self, tensors: Sequence[Tensor], size: int, generator: Generator | None = None) -> None:
        self.tensors, self.size, self.generator = tensors, size, generator

    def __len__(self) -> int:
        return -(-len(self.tensors[0]) // self.size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        n = len(self.tensors[0])
        order = torch.arange(n) if self.generator is None else torch.randperm(n, generator=self.generator)
        for chosen in order.split(self.size):
            yield tuple(tensor[chosen] for tensor in self.tensors)


def loaders(train: Sequence[Any] | Dataset[Any], val: Sequence[Any] | Dataset[Any], size: int) -> tuple[Any, Any]:
    """Shuffled whole batches of the one, all of the other."""
    shuffled = DataLoader(train, size, shuffle=True, drop_last=True, generator=rng(ORDER))  # type: ignore[arg-type]
    return shuffled, DataLoader(val, size)  # type: ignore[arg-type]


def decayed(model: nn.Module, rate: float, decay: float, betas: tuple[float, float] = (0.9, 0.999)) -> AdamW:
    """AdamW with decay for matrices alone: none for biases and norms."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups: list[Mapping[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=rate, betas=betas)


# Text


def chain(stream: int, count: int, length: int, *, vocabulary: int, used: int) -> Tensor:
    """Texts of a Markov chain over some of the tokens (count, length): each has four successors."""
    structure = rng(STRUCTURE)
    tokens = torch.randperm(vocabulary, generator=structure)[:used]
    successors = torch.randint(used, (used, 4), generator=structure)
    generator = rng(stream)
    state = torch.randint(used, (count,), generator=generator)
    states = [state]
    shares = torch.tensor([0.55, 0.25, 0.15, 0.05])
    for _ in range(length - 1):
        choice = torch.multinomial(shares, count, replacement=True, generator=generator)
        state = successors[state, choice]
        states.append(state)
    return tokens[torch.stack(states, 1)]


def texts(stream: int, count: int, length: int) -> list[dict[str, Tensor]]:
    made = chain(stream, count, length, vocabulary=WORDS, used=128)
    return [{"input_ids": text, "labels": text} for text in made]


@program
def gpt2() -> Program:
    """GPT-2 of 45 million parameters, 50,257 tokens, a context of 64, batches of 2."""
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=WORDS, n_positions=64, n_embd=512, n_layer=6, n_head=8))
    train, val = loaders(texts(TRAIN, 1000, 64), texts(VAL, 100, 64), 2)
    return Program(model, None, decayed(model, 3e-4, 0.1, betas=(0.9, 0.95)), train, val)


def masked(stream: int, count: int, length: int, *, vocabulary: int, mask: int) -> list[dict[str, Tensor]]:
    """Texts of which every fourth token, on average, is hidden and asked for; -100 where nothing is."""
    made = chain(stream, count, length, vocabulary=vocabulary, used=128)
    hidden = torch.rand(count, length, generator=rng(MASKS + stream)) < 0.25
    hidden[:, 0] = True  # so that none has nothing to ask for
    parts = zip(made.masked_fill(hidden, mask), made.masked_fill(~hidden, -100), strict=True)
    return [{"input_ids": inputs, "labels": labels} for inputs, labels in parts]


@program
def bert() -> Program:
    """BERT-base, 110 million parameters, sequences of 64 with masked tokens, batches of 1."""
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig()
    model = BertForMaskedLM(config)
    parts = ((TRAIN, 1000), (VAL, 100))
    train, val = (masked(stream, n, 64, vocabulary=config.vocab_size, mask=103) for stream, n in parts)  # 103: [MASK]
    return Program(model, None, decayed(model, 1e-4, 0.01), *loaders(train, val, 1))


# Images


def even(count: int, classes: int) -> Tensor:
    """Labels in turn, so that classes are equally frequent."""
    return torch.arange(count) % classes


def long_tailed(stream: int, count: int, classes: int) -> Tensor:
    """Labels of which few are frequent: the k-th in proportion to 1 / (k + 2), so that some are learned soon."""
    return torch.multinomial(1 / (torch.arange(classes) + 2), count, replacement=True, generator=rng(stream))


class Patterns(Dataset[Any]):
    """Images of a texture for each class, in noise; drawn when they are asked for, the same each time.

    Args:
        stream: Of the noise.
        labels: An image for each.
        shape: Channels and pixels a side.
        signal: Share of the variance that is the texture's.
        named: Whether an item is a dict, as Transformers' models take it.
    """

    def __init__(
        self, stream: int, labels: Tensor, shape: tuple[int, int], signal: float, *, named: bool = False
    ) -> None:
        self.stream, self.labels, self.signal, self.named = stream, labels, signal, named
        self.channels, self.side = shape
        self.tiles = torch.randn(1000, self.channels, 8, 8, generator=rng(STRUCTURE))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Any:
        label = self.labels[index]
        texture = self.tiles[label].repeat(1, self.side // 8, self.side // 8)
        generator = torch.Generator().manual_seed(self.stream * MILLION + index)
        noise = torch.randn(self.channels, self.side, self.side, generator=generator)
        image = self.signal**0.5 * texture + (1 - self.signal) ** 0.5 * noise
        return {"pixel_values": image, "labels": label} if self.named else (image, label)


@program
def resnet18() -> Program:
    """ResNet-18 on 3 x 64 x 64 with 1,000 classes, batches of 16."""
    model = ResNet18(1000)
    labels = torch.cat([even(1000, 1000), long_tailed(TRAIN, 7000, 1000)])
    train, val = (Patterns(TRAIN, labels, (3, 64), 0.7), Patterns(VAL, long_tailed(VAL, 500, 1000), (3, 64), 0.7))
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    return Program(model, cross_entropy, optimizer, *loaders(train, val, 16))


@program
def vit() -> Program:
    """ViT-S of 21 million parameters on 3 x 64 x 64, 10 classes, batches of 4."""
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536,
        image_size=64, patch_size=16, num_labels=10,
    )  # fmt: skip
    model = ViTForImageClassification(config)
    parts = ((TRAIN, 2000), (VAL, 200))
    train, val = (Patterns(stream, even(n, 10), (3, 64), 0.1, named=True) for stream, n in parts)
    return Program(model, None, decayed(model, 3e-4, 0.05), *loaders(train, val, 4))


def clusters(stream: int, count: int, features: int, classes: int = 10) -> tuple[Tensor, Tensor]:
    """A Gaussian cluster for each class: centers at a spread of 0.25, examples around them at 1."""
    centers = 0.25 * torch.randn(classes, features, generator=rng(STRUCTURE))
    generator = rng(stream)
    labels = torch.randint(classes, (count,), generator=generator)
    return centers[labels] + torch.randn(count, features, generator=generator), labels


def classifier(model: nn.Module, features: int, size: int) -> Program:
    """A network on clusters, by SGD with momentum."""
    train = Batches(clusters(TRAIN, 5000, features), size, rng(ORDER))
    val = Batches(clusters(VAL, 1000, features), size)
    return Program(model, cross_entropy, SGD(model.parameters(), lr=0.003, momentum=0.9, weight_decay=5e-4), train, val)


@program
def wide_mlp() -> Program:
    """An MLP of 784-4096-4096-10, 20 million parameters, batches of 64."""
    return classifier(mlp(784, 4096, 4096, 10), 784, 64)


def blobs(stream: int, count: int, side: int) -> tuple[Tensor, Tensor]:
    """Images of three bright discs in noise, and the discs' masks (count, 1, side, side)."""
    generator = rng(stream)
    middle = side * torch.rand(count, 3, 2, 1, 1, generator=generator)
    radius = side * (0.06 + 0.12 * torch.rand(count, 3, 1, 1, generator=generator))
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    far = ((x - middle[:, :, 0]) ** 2 + (y - middle[:, :, 1]) ** 2).sqrt()
    masks = (far < radius).any(1, keepdim=True).float()
    noise = torch.randn(count, 1, side, side, generator=generator)
    clouds = 3 * avg_pool2d(noise, 5, 1, 2)  # noise that has a shape, too
    images = 1.5 * masks + 0.5 * noise + 0.5 * clouds
    return (images - 0.23) / 1.02, masks


@program
def unet() -> Program:
    """A U-Net of 8 million parameters on masks of 128 x 128, batches of 2."""
    model = UNet(32, 5)
    train, val = (list(zip(*blobs(stream, n, 128), strict=True)) for stream, n in ((TRAIN, 400), (VAL, 60)))
    optimizer = decayed(model, 1e-3, 0.01)
    return Program(model, binary_cross_entropy_with_logits, optimizer, *loaders(train, val, 2))


# Tables


def clicked(stream: int, count: int, rows: int, fields: int = 4) -> tuple[Tensor, Tensor]:
    """Ids (count, fields) and clicks (count, 1): 200 popular ids a field in four of five places, else any of the rows.

    Each id has an effect of its own on the logit.
    """
    structure = rng(STRUCTURE)
    popular = torch.randint(rows, (fields, 200), generator=structure)
    effects = torch.randn(rows, generator=structure)
    generator = rng(stream)
    usual = popular[torch.arange(fields), torch.randint(200, (count, fields), generator=generator)]
    rare = torch.randint(rows, (count, fields), generator=generator)
    ids = torch.where(torch.rand(count, fields, generator=generator) < 0.8, usual, rare)
    chance = (1.5 * effects[ids].sum(1, keepdim=True)).sigmoid()
    return ids, torch.bernoulli(chance, generator=generator)


def click_program(model: Clicks, optimizers: Sequence[Optimizer], size: int) -> Program:
    """Click prediction from ids, by one optimizer or several."""
    train = Batches(clicked(TRAIN, 200_000, MILLION), size, rng(ORDER))
    val = Batches(clicked(VAL, 10_000, MILLION), size)

    def update(loss: Tensor) -> None:
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()

    first, *others = optimizers
    several = {"update": update, "stateful": others} if others else {}
    return Program(model, binary_cross_entropy_with_logits, first, train, val, **several)


@program
def embedding_dense() -> Program:
    """A table of a million rows of 16 numbers with dense gradients (Adam), batches of 512."""
    model = Clicks(MILLION, 4, 16, (1024, 512), sparse=False)
    groups = [{"params": model.table.parameters(), "lr": 3e-3}, {"params": model.head.parameters(), "lr": 1e-3}]
    return click_program(model, [Adam(groups)], 512)


@program
def embedding_sparse() -> Program:
    """The same table with sparse gradients (SparseAdam; Adam for the rest)."""
    model = Clicks(MILLION, 4, 16, (1024, 512), sparse=True)
    return click_program(model, [SparseAdam(model.table.parameters(), 3e-3), Adam(model.head.parameters(), 1e-3)], 512)


def taught(stream: int, count: int, columns: int) -> tuple[Tensor, Tensor]:
    """Standard normal columns, and what a network of eight tanh units makes of them, standardized, with some noise."""
    structure = rng(STRUCTURE)
    W = torch.randn(columns, 8, generator=structure) / columns**0.5
    w = torch.randn(8, 1, generator=structure)
    size = ((torch.randn(10_000, columns, generator=structure) @ W).tanh() @ w).std()
    generator = rng(stream)
    X = torch.randn(count, columns, generator=generator)
    return X, 0.95 * ((X @ W).tanh() @ w) / size + 0.3 * torch.randn(count, 1, generator=generator)


def regressor(count: int, columns: int, width: int, size: int) -> Program:
    """A network on such a table, of which a tenth is for validation."""
    model = mlp(columns, width, width, 1)
    train = Batches(taught(TRAIN, count * 9 // 10, columns), size, rng(ORDER))
    val = Batches(taught(VAL, count // 10, columns), size)
    return Program(model, mse_loss, decayed(model, 1e-3, 0.01), train, val)


@program
def table() -> Program:
    """A table of a million rows and 100 columns, batches of 4,096."""
    return regressor(MILLION, 100, 256, 4096)


# Sequences, and gradients over many batches


def leaky(stream: int, count: int, steps: int, features: int) -> tuple[Tensor, Tensor]:
    """Noise (count, steps, features) and a running sum of it that forgets a tenth a step, at a variance of 1."""
    generator = rng(stream)
    X = torch.randn(count, steps, features, generator=generator)
    weights = torch.randn(features, generator=rng(STRUCTURE))
    arriving = X @ (weights / weights.norm())
    held, sums = torch.zeros(count), []
    for step in range(steps):
        held = 0.9 * held + arriving[:, step]
        sums.append(held)
    return X, torch.stack(sums, 1)[..., None] * (1 - 0.9**2) ** 0.5


@program
def lstm() -> Program:
    """An LSTM of 128 units over 512 steps, batches of 8, gradients clipped."""
    model = Follower(4, 128)
    optimizer = Adam(model.parameters(), lr=3e-3)
    train = Batches(leaky(TRAIN, 800, 512, 4), 8, rng(ORDER))
    val = Batches(leaky(VAL, 80, 512, 4), 8)

    def update(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return Program(model, mse_loss, optimizer, train, val, update=update)


class Accumulation:
    """Updates with the mean gradient of several batches.

    Args:
        optimizer: Steps at the last of them.
        batches: How many.
    """

    def __init__(self, optimizer: Optimizer, batches: int) -> None:
        self.optimizer, self.batches, self.seen = optimizer, batches, 0

    def __call__(self, loss: Tensor) -> None:
        (loss / self.batches).backward()
        self.seen += 1
        if self.seen % self.batches == 0:
            self.optimizer.step()
            self.optimizer.zero_grad()

    def state_dict(self) -> dict[str, int]:
        return {"seen": self.seen}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.seen = state["seen"]


@program
def accumulation() -> Program:
    """A small convolutional network in batches of 1, its gradients accumulated over 32."""
    model = small_cnn((16, 32, 64), 10)
    train, val = (Patterns(stream, even(n, 10), (1, 16), 0.3) for stream, n in ((TRAIN, 2000), (VAL, 200)))
    optimizer = decayed(model, 3e-3, 0.01)
    update = Accumulation(optimizer, 32)
    parts = (model, cross_entropy, optimizer, *loaders(train, val, 1))
    return Program(*parts, update=update, stateful=[update], accumulated=32)


# Small ones, for a gate of a minute


@program
def small_mlp() -> Program:
    """An MLP of 784-4096-10, batches of 16."""
    return classifier(mlp(784, 4096, 10), 784, 16)


def token_loss(scores: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(scores.flatten(0, 1), targets.flatten())


def next_tokens(model: nn.Module, vocabulary: int, *, rate: float) -> Program:
    """A model of text in pieces of 16 tokens, batches of 2."""
    parts = (chain(stream, n, 17, vocabulary=vocabulary, used=64) for stream, n in ((TRAIN, 1000), (VAL, 100)))
    train, val = (list(zip(text[:, :-1], text[:, 1:], strict=True)) for text in parts)
    return Program(model, token_loss, AdamW(model.parameters(), lr=rate), *loaders(train, val, 2))


@program
def small_vocabulary() -> Program:
    """A vocabulary of 50,257 with a small body."""
    return next_tokens(NextToken(WORDS, 16), WORDS, rate=3e-3)


@program
def small_embedding() -> Program:
    """A table of a million rows of 4 numbers with sparse gradients."""
    model = Clicks(MILLION, 4, 4, (64,), sparse=True)
    return click_program(model, [SparseAdam(model.table.parameters(), 1e-2), Adam(model.head.parameters(), 1e-2)], 256)


@program
def small_table() -> Program:
    """A million rows of 10 columns, batches of 256."""
    return regressor(MILLION, 10, 32, 256)


# Sweeps: one size grows, all else stays


def of_width(width: int) -> Program:
    """An MLP of 32-width-width-10."""
    return classifier(mlp(32, width, width, 10), 32, 8)


def of_vocabulary(tokens: int) -> Program:
    """A small language model with so many tokens."""
    return next_tokens(NextToken(tokens, 8), tokens, rate=3e-3)


def of_depth(layers: int) -> Program:
    """So many layers of 64 units, each beside a shortcut."""
    return classifier(Residual(32, 64, layers, 10), 32, 8)


SWEEPS: dict[str, Callable[[int], Program]] = {"width": of_width, "vocabulary": of_vocabulary, "depth": of_depth}
