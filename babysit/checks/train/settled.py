"""Whether a monitored run has shown all that it would, so that the rest of its updates can be left out."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from babysit.checks.train.gains import gains
from babysit.measuring import curves

if TYPE_CHECKING:
    from babysit.checks.train.schema import Moment, Moved, Settings
    from babysit.measuring.curves import Course
    from babysit.measuring.split_sample import Ignorance

WELL = "all goes well"  # why such a run has ended
ENOUGH = 0.64  # of the updates asked for, behind which a run that goes well may end; the last look but one is there
GROWN = 10.0  # times its norm at the start, from where a matrix may be on its way out of all proportion
NEAR_ZERO = 0.1  # of the norm of usual weight matrices
CARRIED = 0.5  # share of the training split's gain that validation must show; a gap of less is no gap that widens


def settled(
    losses: Sequence[float],
    moments: Sequence["Moment"],
    known: tuple["Ignorance", "Ignorance"],
    metric: str,
    settings: "Settings",
) -> bool:
    """Whether the run goes so well that no rule has anything to find in it, nor would have soon.

    The loss has clearly fallen, soon enough and not in a straight line; it falls on, is low already, or surely lies at
    rest, which is what a plateau is judged by; the metric shows it; and validation gains at least half as much, and is
    at its best. All else goes on to the end.

    Args:
        losses: So far.
        moments: So far; the last one at the last of the losses.
        known: What is reached without knowing anything, on the training and on the validation part.
        metric: Name of the task's metric; empty where there is none.
        settings: What is a clear fall, a slow start, a straight line, a flat loss.
    """
    course, last = curves.course(losses), moments[-1]
    train, val = known
    if course is None or not (math.isfinite(last.loss) and math.isfinite(train.loss)):
        return False
    gained = gains(moments, train, metric)[-1]
    clear = settings.drop * abs(train.loss)
    if not (gained.loss > clear and course.falls(settings.sigmas) and course.lost > clear) or _lags(course, settings):
        return False
    if metric and not gained.shows(settings.sigmas):
        return False
    low = course.end < settings.high * abs(train.loss)
    rests = course.is_flat(settings.sigmas, settings.flat)
    open_still = not (low or rests) and course.stopped(settings.sigmas, settings.flat)
    return not open_still and _carries(moments, train, val, metric)


def is_calm(looks: "Sequence[Mapping[str, Moved]]", settings: "Settings") -> bool:
    """Whether no weight matrix is changed by much in an update, nor has come to many times what it began with.

    Those that began at or near zero, as heads do, may grow.

    Args:
        looks: Every parameter at each moment, by name.
        settings: What is a large update.
    """
    known = [look for look in looks if look]
    if not known:
        return True
    first, last = known[0], known[-1]
    matrices = [(first[name], now) for name, now in last.items() if now.axes > 1 and name in first]
    usual = statistics.median(before.norm for before, _ in matrices) if matrices else 0.0
    calm = all(not now.ratio > settings.large_ratio / 2 for _, now in matrices)
    grown = (now.norm > GROWN * before.norm for before, now in matrices if before.norm >= NEAR_ZERO * usual)
    return calm and not any(grown)


def _lags(course: "Course", settings: "Settings") -> bool:
    """Whether the start was slow, or the fall is a straight line."""
    return course.tenth >= settings.slow or course.half >= settings.straight


def _carries(moments: Sequence["Moment"], train: "Ignorance", val: "Ignorance", metric: str) -> bool:
    """Whether the validation split, if there is one, shows half of the gain, and is no worse than it was."""
    if not val.examples:
        return True
    last, best = moments[-1], min(m.val_loss for m in moments)
    gained = train.loss - last.loss, val.loss - last.val_loss
    scored = last.score - train.score, last.val_score - val.score
    shown = not metric or scored[1] > CARRIED * scored[0]
    return shown and gained[1] > CARRIED * gained[0] and last.val_loss <= best + last.val_error
