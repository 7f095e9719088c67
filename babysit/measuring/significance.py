"""What chance explains: tails, quantiles and bounds under their standard names, and the error of a mean fall.

Every such number of babysit is made here, on `scipy.special`, which neither overflows nor loses its digits at any
number of units, classes or examples. SciPy is imported where it is called, since `--help` imports what judges.
"""

import math
from collections.abc import Sequence


def binomial_tail(n: int, k: int, p: float) -> float:
    """Probability that k or more of n independent trials succeed, each with probability p in [0, 1].

    By the incomplete beta function: P(X >= k) = I_p(k, n - k + 1). It takes any n; SciPy's `bdtrc` loses accuracy at
    large ones.
    """
    from scipy.special import betainc

    if k <= 0:
        return 1.0
    return float(betainc(k, n - k + 1, p)) if k <= n else 0.0


def normal_tail(z: float) -> float:
    """Probability that a standard normal variable exceeds z."""
    from scipy.special import ndtr

    return float(ndtr(-z))


def student_quantile(level: float, freedom: float) -> float:
    """The value that Student's t with so many degrees of freedom exceeds with probability `level`, in (0, 1)."""
    from scipy.special import stdtrit

    return -float(stdtrit(freedom, level))


def chi2_lower_tail(value: float, freedom: float) -> float:
    """Probability that chi squared with so many degrees of freedom is `value` at most; 0 where that is negative."""
    from scipy.special import gammainc

    return float(gammainc(freedom / 2, max(0.0, value) / 2))


def between_groups_deviate(share: float, between: int, within: int) -> float:
    """The normal deviate that is as rare as so large a share of the variance between groups: the F test's.

    F = (share / between) / ((1 - share) / within) exceeds its value as often as a share, whose law is a beta law, does.
    The smaller one of both tails is computed, so that no digits are lost on either side.

    Args:
        share: Of the sum of squares, in [0, 1].
        between: Degrees of freedom between groups, 1 or more.
        within: Degrees of freedom within them, 1 or more.

    Returns:
        The deviate in standard deviations; NaN where the share is, infinite where the tail is under 1e-308: 37 of them.
    """
    from scipy.special import betainc, ndtri

    share = min(max(share, 0.0), 1.0)  # rounding may lead out of it; NaN stays NaN in this order
    upper = betainc(within / 2, between / 2, 1 - share)
    if upper <= 0.5:
        return -float(ndtri(upper))
    return float(ndtri(betainc(between / 2, within / 2, share)))


def poisson_upper_bound(count: int | float) -> float:
    """The largest mean at which so small a count is no surprise, by Poisson's law.

    Three standard deviations above the count; 3 where nothing was counted, the rule of three (Hanley and
    Lippman-Hand 1983): nothing is then counted once in 20 times.
    """
    return count + 3 + 3 * math.sqrt(count)


def widening(sigmas: float, freedom: int) -> float:
    """Factor on a standard error known from few values, so that `sigmas` of it are as rare as of a normal variable.

    By Student's t with so many degrees of freedom, 1 or more.
    """
    return student_quantile(normal_tail(sigmas), freedom) / sigmas


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
    return standard_error(values) * widening(3, max(1, len(values) - 1))


def standard_error(values: Sequence[float]) -> float:
    """Of the mean."""
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / max(1, len(values) - 1) / len(values))
