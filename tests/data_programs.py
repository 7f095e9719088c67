"""Data prepared wrongly, rightly, and in ways that only look wrong, and programs that train on them.

A specimen is a function of a seed that gives both splits, `{"train": (inputs, targets), "val": (inputs, targets)}`, or
batches as a loader hands them out, `(training batches, validation batches)`.
"""

import numpy as np
import torch
from faults import program
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from trainers import TinyTrainer, softmax

from babysit import Classification, LanguageModel, Regression
from babysit.adapters.numpy import NumpyTrainer
from babysit.adapters.pytorch import PyTorchTrainer
from babysit.lab.network import Design

torch.set_num_threads(1)

CLASSES, COLUMNS, TRAINING, VALIDATION = 3, 6, 400, 150
IN_CLASSES = Classification(CLASSES)


# Programs on arrays, in three frameworks


class Scores:
    """Softmax regression by hand."""

    def __init__(self, features, classes):
        self.params = {"W": 0.01 * np.random.default_rng(0).normal(size=(features, classes))}

    def loss(self, X, y=None):
        scores = X @ self.params["W"]
        if y is None:
            return scores
        p = softmax(scores)
        loss = -np.log(p[np.arange(len(y)), y]).mean()
        p[np.arange(len(y)), y] -= 1
        return loss, {"W": X.T @ p / len(y)}


def in_lab(splits, seed, task=IN_CLASSES):
    sizes = splits["train"][0].shape[1], task.classes
    return program(Design(sizes=sizes), splits["train"], task, seed, val=splits["val"], batch_size=32)


def by_hand(splits, seed, task=IN_CLASSES):
    np.random.seed(seed)  # of the batches' order
    model = Scores(splits["train"][0].shape[1], task.classes)
    return NumpyTrainer(model, splits["train"], splits["val"], task=task, learning_rate=0.1, batch_size=32)


def in_pytorch(splits, seed, task=IN_CLASSES):
    torch.manual_seed(seed)
    tensors = {name: (torch.tensor(x).float(), torch.tensor(y).long()) for name, (x, y) in splits.items()}
    model = nn.Linear(splits["train"][0].shape[1], task.classes)
    train, val = (
        DataLoader(TensorDataset(*tensors[name]), 32, shuffle=name == "train") if name in tensors else None
        for name in ("train", "val")
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return PyTorchTrainer(model, F.cross_entropy, optimizer, train, val, task=task)


FRAMEWORKS = (in_lab, by_hand, in_pytorch)


# Programs on batches


def handed(batches, val=(), task=IN_CLASSES):
    """A trainer whose loaders hand out these batches, or what a function gives, at each call."""

    def loader(self, split="train"):
        source = batches if split == "train" else val
        return iter(source() if callable(source) else source)

    trainer = TinyTrainer(batches=loader)
    trainer.task = task
    return trainer


def cut(inputs, targets, size=32):
    return [(inputs[i : i + size], targets[i : i + size]) for i in range(0, len(inputs), size)]


def shuffled(inputs, targets, seed, size=32):
    order = np.random.default_rng(seed).permutation(len(inputs))
    return cut(inputs[order], targets[order], size)


def regression(targets, seed=0):
    """Such targets, for whatever inputs."""
    inputs = np.random.default_rng(seed).normal(size=(len(targets), COLUMNS))
    return handed(cut(inputs, targets), task=Regression())


def labelled(targets, val=(), task=IN_CLASSES):
    """Such labels, for whatever inputs."""
    rng = np.random.default_rng(0)
    parts = (cut(rng.normal(size=(len(y), COLUMNS)), np.asarray(y)) if len(y) else () for y in (targets, val))
    return handed(*parts, task=task)


def texts(tokens, words=50):
    """Sequences whose next word is to be told."""
    return handed(cut(tokens, np.roll(tokens, -1, axis=1) % words), task=LanguageModel(words))


# Preparation


def standardized(x, by):
    spread = by.std(axis=0)
    return (x - by.mean(axis=0)) / np.where(spread > 0, spread, 1)


def stretched(x, by):
    """To [0, 1], column by column."""
    least, most = by.min(axis=0), by.max(axis=0)
    return (x - least) / np.where(most > least, most - least, 1)


def measures(seed, count=TRAINING + VALIDATION):
    """Columns as they come, each with a scale and an offset of its own, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=count)
    inputs = rng.normal(size=(count, COLUMNS))
    inputs[np.arange(count), labels] += 2
    return inputs * [1, 2, 0.5, 3, 1, 2] + [5, -2, 1, 0, 8, 3], labels


def parts(inputs, labels):
    return (inputs[:TRAINING], labels[:TRAINING]), (inputs[TRAINING:], labels[TRAINING:])


def prepared(seed, prepare=standardized, by_itself=False):
    (x, y), (v, w) = parts(*measures(seed))
    return {"train": (prepare(x, x), y), "val": (prepare(v, v if by_itself else x), w)}


def with_inputs(change):
    """A specimen whose standardized inputs are changed so."""

    def changed(seed):
        return {name: (change(x), y) for name, (x, y) in prepared(seed).items()}

    return changed


def pixels(seed, height=8):
    """Digits of a kind: dark images with a black border and bright strokes that depend on the class, from 0 to 1."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=TRAINING + VALIDATION)
    strokes = rng.random((CLASSES, height, height)) < 0.7
    images = strokes[labels] * rng.uniform(0, 1, size=(len(labels), height, height))
    images[:, [0, -1]] = images[:, :, [0, -1]] = 0
    return images, labels


def images(seed, change=lambda x: x):
    (x, y), (v, w) = parts(*pixels(seed))
    return {name: (change(x.reshape(len(x), -1)), y) for name, (x, y) in {"train": (x, y), "val": (v, w)}.items()}


# Broken


def not_a_number(seed):
    splits = prepared(seed)
    splits["val"][0][7, 2] = np.nan
    return splits


def counted_from_below(seed):
    return {name: (x, y - 1) for name, (x, y) in prepared(seed).items()}


def grams(x):
    """One column a thousand times as large as the others."""
    return x * np.array([1, 1000, 1, 1, 1, 1])


def kelvin(x):
    return x + 290


def overwritten_class(seed):
    """Training has no example of a class that the validation split has."""
    splits = prepared(seed)
    x, y = splits["train"]
    return splits | {"train": (x, np.where(y == 1, 2, y))}


def one_label(seed):
    splits = prepared(seed)
    x, y = splits["train"]
    return {"train": (x, 0 * y), "val": (splits["val"][0], 0 * splits["val"][1])}


def one_in_fourteen(seed):
    """All of one class, but for fifteen of each of the others."""
    return {name: (x, _mostly_one(y, len(y) * 15 // 400)) for name, (x, y) in prepared(seed).items()}


def _mostly_one(labels, others):
    return np.where(np.arange(len(labels)) < others, 1, np.where(np.arange(len(labels)) < 2 * others, 2, 0))


def validation_raw(seed):
    return {"train": prepared(seed)["train"], "val": parts(*measures(seed))[1]}


def own_statistics(seed):
    return prepared(seed, by_itself=True)


def own_extremes(seed):
    splits = prepared(seed, stretched, by_itself=True)
    return {name: (2 * x - 1, y) for name, (x, y) in splits.items()}


def own_range(seed):
    return prepared(seed, stretched, by_itself=True)


def leaked(seed):
    """A quarter of the validation split."""
    splits = prepared(seed)
    (x, y), (v, w) = splits["train"], splits["val"]
    return {"train": (np.concatenate([x, v[:40]]), np.concatenate([y, w[:40]])), "val": (v, w)}


# Near misses


def rare_words(seed):
    """Zeros and ones whose frequencies, and with them spreads, differ hundredfold."""
    rng = np.random.default_rng(seed)
    frequency = 0.5 / np.arange(1, 201)
    words = (rng.random((TRAINING + VALIDATION, 200)) < frequency) * 1.0
    (x, y), (v, w) = parts(words, rng.integers(CLASSES, size=len(words)))
    return {"train": (x, y), "val": (v, w)}


def grades(seed):
    """Few values: examples come again by themselves, in both splits."""
    rng = np.random.default_rng(seed)
    (x, y), (v, w) = parts(rng.integers(-2, 3, size=(550, 3)) / 1.4, rng.integers(CLASSES, size=550))
    return {"train": (x, y), "val": (v, w)}


def rows_standardized(seed):
    """Every example by itself, as layer normalization does."""
    return with_inputs(lambda x: (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True))(seed)


def drawn_twice(seed):
    """Each training example twice, and rare ones ten times more."""
    splits = prepared(seed)
    x, y = splits["train"]
    again = np.concatenate([np.arange(len(x)), np.arange(len(x)), np.repeat(np.arange(20), 10)])
    return splits | {"train": (x[again], y[again])}


def augmented(seed):
    """The validation examples are in the training split, with noise."""
    splits = prepared(seed)
    (x, y), (v, w) = splits["train"], splits["val"]
    noise = 0.1 * np.random.default_rng(seed).normal(size=v.shape)
    return {"train": (np.concatenate([x, v + noise]), np.concatenate([y, w])), "val": (v, w)}


def three_to_one(seed):
    return {name: (x, _mostly_one(y, len(y) // 8)) for name, (x, y) in prepared(seed).items()}


def small_validation(seed):
    splits = prepared(seed)
    return splits | {"val": tuple(array[:12] for array in splits["val"])}


def yes_or_no(share, count=1000, seed=0):
    """Answers of which such a share is yes."""
    return np.random.default_rng(seed).permutation((np.arange(count) < share * count).astype(float))[:, None]
