"""Small data to learn on, drawn from a generator: (inputs, targets), examples along axis 0."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Data: TypeAlias = tuple[Array, npt.NDArray[Any]]


def spiral(rng: np.random.Generator, points: int = 100, classes: int = 3, inner: float = 0.0) -> Data:
    """Arms of a spiral in the plane, one a class: CS231n, course notes "putting it together: minimal case study".

    Args:
        rng: Where the noise comes from.
        points: Examples of each class.
        classes: Number of arms.
        inner: Radius at which the arms begin. At 0, the course's, all classes meet in one point.

    Returns:
        Inputs (points * classes, 2) within the unit circle, and labels, class after class.
    """
    labels = np.repeat(np.arange(classes), points)
    radius = np.tile(np.linspace(inner, 1, points), classes)
    turn = np.tile(np.linspace(0, 4, points), classes) + 4 * labels  # radians
    turn = turn + 0.2 * rng.standard_normal(len(labels))
    return np.stack([radius * np.sin(turn), radius * np.cos(turn)], axis=1), labels


def gaussian(rng: np.random.Generator, examples: int = 1000, features: int = 500) -> Array:
    """Unit Gaussian inputs (examples, features), as the lecture feeds to its ten layers."""
    return rng.standard_normal((examples, features))


def blobs(
    rng: np.random.Generator, points: int = 100, classes: int = 3, features: int = 2, distance: float = 5.0
) -> Data:
    """Unit Gaussian clouds, one a class, around random centers about `distance` from the origin.

    Returns:
        Inputs (points * classes, features), and labels, class after class.
    """
    labels = np.repeat(np.arange(classes), points)
    directions = rng.standard_normal((classes, features))
    centers = distance * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return centers[labels] + rng.standard_normal((len(labels), features)), labels
