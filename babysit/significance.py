"""Whether a loss fell by more than its noise: the error of a mean fall over few batches."""

import math
from collections.abc import Sequence
from statistics import NormalDist

ONE_IN_740 = 1 - NormalDist().cdf(3)  # what three sigmas mean


def fall_error(before: Sequence[float], after: Sequence[float]) -> float:
    """Standard error of the mean fall over the batches compared, widened to what three of it should mean.

    Few batches know their own scatter badly. So that three errors are as rare as three sigmas of a normal variable
    (1 in 740), the error is stretched by Student's t. Batches may differ in how much they have to lose: where all
    losses are positive, falls are compared as shares of what each batch began with; where these say the opposite, the
    fall is one of few large batches, and its error infinite.
    """
    return _shared_error(before, after, before)


def gap_error(one: Sequence[float], other: Sequence[float]) -> float:
    """Standard error of the mean gap between two losses of each batch, widened as `fall_error` is.

    Where all are positive, gaps are compared as shares of the mean of both: these are bounded, and change nothing but
    their sign where both change places, as they may where neither is special. Batches of one example that is right
    whatever its target weigh no more than those that are right with their own.
    """
    return _shared_error(one, other, [(a + b) / 2 for a, b in zip(one, other, strict=True)])


def _shared_error(one: Sequence[float], other: Sequence[float], wholes: Sequence[float]) -> float:
    gaps = [a - b for a, b in zip(one, other, strict=True)]
    mean = sum(gaps) / len(gaps)
    if not min(wholes) > 0 or not mean:
        return mean_error(gaps)
    shares = [gap / whole for gap, whole in zip(gaps, wholes, strict=True)]
    share = sum(shares) / len(shares)
    return mean_error(shares) * mean / share if share * mean > 0 else math.inf


def mean_error(values: Sequence[float]) -> float:
    """Standard error of the mean, stretched so that three of it are exceeded once in 740 times."""
    return standard_error(values) * student_quantile(ONE_IN_740, max(1, len(values) - 1)) / 3


def standard_error(values: Sequence[float]) -> float:
    """Of the mean."""
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / max(1, len(values) - 1) / len(values))


def student_quantile(level: float, freedom: int) -> float:
    """The value that Student's t exceeds with this probability; G. W. Hill's algorithm 396 (1970), to about 1e-3."""
    p, n = 2 * level, freedom
    if n == 1:
        return 1 / math.tan(p * math.pi / 2)
    if n == 2:
        return math.sqrt(2 / (p * (2 - p)) - 2)
    a = 1 / (n - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * n
    y = (d * p) ** (2 / n)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(p / 2)
        y = x**2
        c += 0.3 * (n - 4.5) * (x + 0.6) if n < 5 else 0.0
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y**2)
    else:
        y = ((1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1) * (n + 1) / (n + 2)
        y += 1 / (d * p) ** (2 / n)
    return math.sqrt(n * y)
