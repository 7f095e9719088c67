"""Preprocessing: CS231n, lecture 6, "data preprocessing".

Every function *fits* on the training split alone and gives a transformation, to be applied to all splits alike:

    standardize = normalization(X_train)
    X_train, X_val = standardize(X_train), standardize(X_val)
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scaling:
    """(x - mean) / scale, feature by feature; both broadcast against one example."""

    mean: Array
    scale: Array

    def __call__(self, x: Array) -> Array:
        """Shape (N, ...) -> the same shape."""
        return (x - self.mean) / self.scale


@dataclass(frozen=True)
class Projection:
    """(x - mean) @ basis, for a mean (D,) and a basis (D, K)."""

    mean: Array
    basis: Array

    def __call__(self, x: Array) -> Array:
        """Shape (N, D) -> (N, K)."""
        return (x - self.mean) @ self.basis


def zero_centering(train: Array) -> Scaling:
    """Takes off each feature's mean."""
    return Scaling(train.mean(axis=0), np.ones(1))


def normalization(train: Array) -> Scaling:
    """Takes off each feature's mean and divides by its standard deviation; a constant feature becomes zero."""
    deviation = train.std(axis=0)
    return Scaling(train.mean(axis=0), np.where(deviation > 0, deviation, 1.0))


def mean_image(train: Array) -> Scaling:
    """Takes off the mean image of images (N, H, W, C), as AlexNet does: zero-centering, pixel by pixel."""
    return zero_centering(train)


def channel_mean(train: Array) -> Scaling:
    """Takes off one mean for each channel of images (N, H, W, C), as VGG does."""
    return Scaling(train.mean(axis=(0, 1, 2)), np.ones(1))


def _principal_axes(train: Array) -> tuple[Array, Array]:
    """Directions (D, D), one a column, and variances (D,), the largest first."""
    centered = train - train.mean(axis=0)
    axes, variances, _ = np.linalg.svd(centered.T @ centered / len(train))
    return axes, variances


def pca(train: Array, components: int) -> Projection:
    """Turns the data onto its principal axes and keeps the first `components`: what is left is uncorrelated."""
    axes, _ = _principal_axes(train)
    return Projection(train.mean(axis=0), axes[:, :components])


def whitening(train: Array, epsilon: float = 1e-5) -> Projection:
    """PCA with each axis divided by its standard deviation; `epsilon` is added to variances (the course's 1e-5)."""
    axes, variances = _principal_axes(train)
    return Projection(train.mean(axis=0), axes / np.sqrt(variances + epsilon))
