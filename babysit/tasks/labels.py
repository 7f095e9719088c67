"""Scores against labels: picking the label's entry, the likeliest class, logarithms that don't overflow."""

import math
from typing import Any, TypeAlias

from array_api_compat import array_namespace

from babysit.tasks import blocks

Array: TypeAlias = Any


def entropy(shares: list[float]) -> float:
    """In nats."""
    return -sum(p * math.log(p) for p in shares if p > 0)


def safe_log(probabilities: Array) -> Array:
    """Natural logarithms in double precision, from -690 up."""
    xp = array_namespace(probabilities)
    wide = xp.astype(probabilities, xp.float64)
    return xp.log(xp.maximum(wide, xp.full_like(wide, 1e-300)))


def log_sum_exp(scores: Array) -> Array:  # (..., C) -> (...)
    """Ln sum exp over the last axis, the maximum taken off first."""
    xp = array_namespace(scores)
    top = xp.max(scores, axis=-1, keepdims=True)
    return xp.squeeze(top, axis=-1) + xp.log(xp.sum(xp.exp(scores - top), axis=-1))


def holds_classes(x: Array, axis: int, classes: int) -> bool:
    """Whether that axis of the targets holds a probability for each class."""
    xp = array_namespace(x)
    if x.ndim < 2 or x.shape[axis] != classes or xp.isdtype(x.dtype, "bool"):
        return False
    if not bool(xp.all((x[:1] >= 0) & (x[:1] <= 1))):  # labels that happen to be as many as there are classes
        return False
    return all(
        bool(xp.all((rows >= 0) & (rows <= 1))) and bool(xp.all(xp.abs(xp.sum(rows, axis=1) - 1) < 1e-4))
        for _, rows in blocks.rows(x, axis)
    )


def likeliest(truth: Array) -> Array:
    """Labels (m,) as they are; of probabilities (m, C) the likeliest class of each row."""
    return array_namespace(truth).argmax(truth, axis=1) if truth.ndim == 2 else truth


def at_label(rows: Array, truth: Array) -> Array:
    """The label's entry of each row, or the mean over classes where the truth is probabilities: (M, C) -> (M,)."""
    xp = array_namespace(rows)
    if truth.ndim == 2:
        return xp.sum(rows * truth, axis=1)
    return xp.take_along_axis(rows, truth[:, None], axis=1)[:, 0]
