"""The mean of losses over batches of several sizes, its standard error, and when two losses are one."""

import math

SAME = 1e-3  # relative; between a program's mean over batches and the mean over all of their examples


def mean_loss(losses: list[float], sizes: list[int]) -> float:
    """The mean over all examples of batches of these sizes."""
    return sum(loss * n for loss, n in zip(losses, sizes, strict=True)) / sum(sizes)


def standard_error(losses: list[float], sizes: list[int], halves: tuple[float, float]) -> float:
    """Of the mean over all examples; a batch's mean scatters with one over the root of its size.

    Args:
        losses: Mean loss of each batch.
        sizes: Examples in each.
        halves: Losses of the two halves of one batch, which tell where there is but one.
    """
    if len(losses) < 2:
        return abs(halves[0] - halves[1]) / 2
    mean = mean_loss(losses, sizes)
    scatter = sum(n * (loss - mean) ** 2 for loss, n in zip(losses, sizes, strict=True)) / (len(losses) - 1)
    return math.sqrt(scatter / sum(sizes))
