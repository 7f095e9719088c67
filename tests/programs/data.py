"""Small data drawn with a fixed seed, so that a program's own seed never changes what it learns from.

Arrays are NumPy's; `loaders` makes a program's `train` and `val` of them. Inputs are float32 of about unit size, labels
int64 (N,), targets of regressions and answers of yes-or-no questions float32 (N, 1).
"""

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset


def halves(*arrays, share=0.75):
    """The first part and the rest of each array, as two tuples."""
    cut = int(share * len(arrays[0]))
    return tuple(a[:cut] for a in arrays), tuple(a[cut:] for a in arrays)


def loaders(X, y, *, size=32, shuffle=True, share=0.75):
    """`train` and `val` for PyTorchTrainer: loaders of the two parts."""
    train, val = (TensorDataset(*map(torch.as_tensor, part)) for part in halves(X, y, share=share))
    return {"train": DataLoader(train, batch_size=size, shuffle=shuffle), "val": DataLoader(val, batch_size=256)}


def clusters(n=800, features=12, classes=5, spread=1.0, seed=0):
    """Gaussian clouds, two for each class, so that no straight line does."""
    draw = np.random.default_rng(seed)
    centers = draw.normal(size=(2 * classes, features)) * 1.4
    which = draw.integers(0, 2 * classes, n)
    X = centers[which] + spread * draw.normal(size=(n, features))
    return (X / X.std()).astype(np.float32), (which % classes).astype(np.int64)


def parity(n=800, features=6, noise=0.1, seed=0):
    """Yes or no: whether the first two of some numbers have the same sign. Inputs (N, features), answers (N, 1)."""
    draw = np.random.default_rng(seed)
    X = draw.choice([-1.0, 1.0], size=(n, features)) + noise * draw.normal(size=(n, features))
    return X.astype(np.float32), (X[:, :1] * X[:, 1:2] > 0).astype(np.float32)


def surface(n=800, features=5, noise=0.05, seed=0):
    """A smooth function of some numbers. Targets (N, 1), of mean 0 and variance 1."""
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, features))
    y = np.sin(1.5 * X[:, 0]) + X[:, 1] * X[:, 2] / 2 + 0.5 * X[:, 3] + noise * draw.normal(size=n)
    return X.astype(np.float32), ((y - y.mean()) / y.std()).astype(np.float32)[:, None]


def shapes(n=600, size=12, noise=0.3, seed=0):
    """Images (N, 1, size, size) of a bar, a cross, a square or a slope, somewhere; 4 classes."""
    draw = np.random.default_rng(seed)
    X, y = noise * draw.normal(size=(n, 1, size, size)), draw.integers(0, 4, n)
    for image, kind in zip(X[:, 0], y, strict=True):
        r, c = draw.integers(0, size - 5, 2)
        patch = image[r : r + 5, c : c + 5]
        if kind == 0:
            patch[2] += 2
        elif kind == 1:
            patch[2] += 1.5
            patch[:, 2] += 1.5
        elif kind == 2:
            patch[[0, 4]] += 1.5
            patch[:, [0, 4]] += 1.5
        else:
            patch[np.arange(5), np.arange(5)] += 2
    return X.astype(np.float32), y.astype(np.int64)


def waves(n=600, length=24, classes=3, noise=0.3, seed=0):
    """Series (N, length, 1): waves of a few frequencies at any phase."""
    draw = np.random.default_rng(seed)
    y = draw.integers(0, classes, n)
    t = np.arange(length) / length
    phase = draw.uniform(0, 2 * np.pi, n)
    X = np.sin(2 * np.pi * (1.5 * y[:, None] + 1) * t + phase[:, None]) * 1.3 + noise * draw.normal(size=(n, length))
    return X.astype(np.float32)[..., None], y.astype(np.int64)


def sentences(n=600, length=17, words=16, seed=0):
    """Token ids (N, length) of a language in which two words mostly settle the third."""
    draw = np.random.default_rng(seed)
    rule = draw.integers(0, words, (words, words))
    X = draw.integers(0, words, (n, length))
    for t in range(2, length):
        told = rule[X[:, t - 1], X[:, t - 2] % 3]
        X[:, t] = np.where(draw.random(n) < 0.85, told, X[:, t])
    return X.astype(np.int64)
