"""Losses: (scores, targets) -> (loss, gradient of the scores); CS231n, lecture 3, "loss functions".

Softmax and hinge take scores (N, C) and labels (N,) from 0 to C - 1, and average over examples.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Loss: TypeAlias = Callable[[Array, npt.NDArray[Any]], tuple[float, Array]]


def softmax(scores: Array) -> Array:
    """Probabilities (N, C); the largest score is taken off first, so that no exponential overflows."""
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: Array = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def softmax_loss(scores: Array, labels: npt.NDArray[Any]) -> tuple[float, Array]:
    """Mean cross-entropy of the softmax of the scores, in nats."""
    rows = np.arange(len(labels))
    shifted = scores - scores.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    sums = exponentials.sum(axis=1)
    loss = np.mean(np.log(sums) - shifted[rows, labels])
    dscores = exponentials / sums[:, None]
    dscores[rows, labels] -= 1
    return float(loss), dscores / len(labels)


def hinge_loss(scores: Array, labels: npt.NDArray[Any]) -> tuple[float, Array]:
    """Weston-Watkins: the sum over wrong classes of max(0, s_j - s_y + 1), mean over examples."""
    rows = np.arange(len(labels))
    margins = np.maximum(0, scores - scores[rows, labels][:, None] + 1)
    margins[rows, labels] = 0
    dscores = (margins > 0).astype(float)
    dscores[rows, labels] = -dscores.sum(axis=1)
    return float(margins.sum() / len(labels)), dscores / len(labels)


def squared_loss(scores: Array, targets: npt.NDArray[Any]) -> tuple[float, Array]:
    """Mean over all elements of (score - target)^2; targets have the shape of the scores."""
    errors = scores - targets
    return float(np.mean(errors**2)), 2 * errors / errors.size


LOSSES: Mapping[str, Loss] = {"softmax": softmax_loss, "hinge": hinge_loss, "squared": squared_loss}
