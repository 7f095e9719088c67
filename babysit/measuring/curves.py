"""What shape a run's losses have: their noise, how far and how evenly they fell, whether they still do. Plain numbers.

Whatever is judged is judged on smoothed curves; noise is what neighbouring losses differ by, since a curve that is
smooth over a few steps leaves nothing else.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

WINDOW = 20  # losses over which the loss is smoothed; fewer in runs of less than 15 times as many
FEW = 30  # losses that have no shape yet
FIRST = 5  # losses whose mean is the start; more would already be lower where a network learns at once


@dataclass(frozen=True)
class Course:
    """A curve of losses in a few numbers.

    Args:
        start: Mean of the first few.
        end: Mean of the last window.
        error: Standard error of `end`.
        scatter: Standard deviation of single losses about the smoothed curve; rare jumps don't count.
        spread: The same over the second half, where they do.
        fall: From the first window to the last; shapes are told by shares of it.
        tenth: Share of the run behind which the smoothed loss had fallen by a tenth of that.
        half: The same for half of it.
        late: Fall over the second half of the run, along a straight line.
        late_error: Its standard error.
    """

    start: float
    end: float
    error: float
    scatter: float
    spread: float
    fall: float
    tenth: float
    half: float
    late: float
    late_error: float

    @property
    def lost(self) -> float:
        """By how much the end lies below the very first losses."""
        return self.start - self.end

    def falls(self, sigmas: float) -> bool:
        """Whether it falls by more than noise explains, seen from the first losses or from the first window."""
        errors = math.hypot(self.scatter / math.sqrt(FIRST), self.error), math.sqrt(2) * self.error
        return self.lost > sigmas * errors[0] or self.fall > sigmas * errors[1]

    def is_flat(self, sigmas: float, share: float) -> bool:
        """Whether it is sure that the second half brought less than this share of the loss."""
        return self.late + sigmas * self.late_error < share * abs(self.end)

    def stopped(self, sigmas: float, share: float) -> bool:
        """Whether the second half brought less than that, or no more than noise explains."""
        return self.is_flat(sigmas, share) or self.late <= sigmas * self.late_error


def window(count: int) -> int:
    """Over how many of so many losses to smooth."""
    return max(1, min(WINDOW, count // 15))


def course(losses: Sequence[float]) -> Course | None:
    """The curve in numbers; None where there are too few losses, or one is not finite."""
    n, w = len(losses), window(len(losses))
    if n < FEW or not all(map(math.isfinite, losses)):
        return None
    smooth = smoothed(losses)
    first, last = smooth[w - 1], smooth[-1]
    noise = scatter(losses)
    distances = [loss - level for loss, level in zip(losses[n // 2 :], smooth[n // 2 :], strict=True)]
    late, late_error = _line(losses[n // 2 :], noise)
    return Course(
        start=mean(losses[:FIRST]),
        end=last,
        error=noise / math.sqrt(w),
        scatter=noise,
        spread=math.sqrt(mean([d * d for d in distances])),
        fall=first - last,
        tenth=_reached(smooth, w, first - 0.1 * (first - last)),
        half=_reached(smooth, w, first - 0.5 * (first - last)),
        late=late,
        late_error=late_error,
    )


def smoothed(losses: Sequence[float]) -> list[float]:
    """The mean of the last window at each loss, or of as many as there are by then."""
    w = window(len(losses))
    return [mean(losses[max(0, i + 1 - w) : i + 1]) for i in range(len(losses))]


def mean(losses: Sequence[float]) -> float:
    """The mean; plain, since `statistics` raises where losses overflow."""
    return sum(losses) / len(losses)


def scatter(losses: Sequence[float]) -> float:
    """Standard deviation of the losses about their smooth course: median |difference of neighbours| / 0.954.

    Of normal noise of spread s, differences have the spread 2^0.5 s, and half of them lie within 0.6745 of that.
    The median stands a few jumps, and a fall in a part of the run.
    """
    differences = [abs(b - a) for a, b in pairwise(losses)]
    return statistics.median(differences) / (math.sqrt(2) * 0.6745) if differences else math.nan


def _line(losses: Sequence[float], noise: float) -> tuple[float, float]:
    """By how much the line of least squares falls over these losses, and the standard error of that."""
    n = len(losses)
    steps = [i - (n - 1) / 2 for i in range(n)]
    slope = sum(s * loss for s, loss in zip(steps, losses, strict=True)) / sum(s * s for s in steps)
    return -slope * (n - 1), noise * math.sqrt(12 / n)


def _reached(smooth: Sequence[float], start: int, level: float) -> float:
    """The share of the run behind which the smoothed loss is first below the level."""
    n = len(smooth)
    return next((i / n for i in range(start, n) if smooth[i] < level), 1.0)


def limit(starts: Iterable[float], multiple: float) -> float:
    """So many times the largest of these losses; of a negative one, as far above it as if it were positive."""
    return max((x + (multiple - 1) * abs(x) for x in starts if math.isfinite(x)), default=math.inf)


def exploded(losses: Sequence[float], limit: float) -> bool:
    """Whether the smoothed loss is above the limit and not on its way down.

    The median smooths: a few steps far up are what Adam's first steps and batch normalization do. In a bump that
    the loss comes down from, the later half of the window is lower than the earlier one.
    """
    recent = losses[-WINDOW:]
    if len(recent) < WINDOW or not statistics.median(recent) > limit:
        return False
    return mean(recent[WINDOW // 2 :]) >= mean(recent[: WINDOW // 2])
