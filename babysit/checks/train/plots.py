"""A run's losses and scores as curves to draw."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from babysit.measuring.curves import smoothed
from babysit.report import Curve

if TYPE_CHECKING:
    from babysit.checks.train.schema import Moment

POINTS = 120  # of a drawn curve; a terminal has about as many columns


def drawn(losses: Sequence[float], moments: Sequence["Moment"]) -> Curve:
    """The training loss, smoothed, and the validation loss, in lines from moment to moment."""
    last = max(1, len(losses))
    x = tuple(sorted({1 + round(k * (last - 1) / (POINTS - 1)) for k in range(POINTS)}))
    smooth = smoothed(losses)
    series = {"training": tuple(smooth[i - 1] for i in x)} if losses else {}
    known = [(m.step, m.val_loss) for m in moments if math.isfinite(m.val_loss)]
    if known:
        series["validation"] = tuple(_between(known, i) for i in x)
    positive = [y for values in series.values() for y in values if y > 0]
    wide = len(positive) == sum(map(len, series.values())) and max(positive, default=1) > 30 * min(positive, default=1)
    return Curve("loss while training", tuple(map(float, x)), series, x_label="updates", y_label="loss", log_y=wide)


def _between(points: Sequence[tuple[int, float]], x: float) -> float:
    """The value at x of the line through the points; that of the nearest end beyond them."""
    left = max((p for p in points if p[0] <= x), default=points[0])
    right = min((p for p in points if p[0] >= x), default=points[-1])
    if left[0] == right[0]:
        return left[1]
    return left[1] + (right[1] - left[1]) * (x - left[0]) / (right[0] - left[0])


def scores_drawn(metric: str, moments: Sequence["Moment"]) -> Iterator[Curve]:
    """The metric on both splits, at the moments; nothing where there is none."""
    columns = {"training": tuple(m.score for m in moments), "validation": tuple(m.val_score for m in moments)}
    series = {name: values for name, values in columns.items() if any(map(math.isfinite, values))}
    if series:
        yield Curve(
            f"{metric} while training", tuple(float(m.step) for m in moments), series, x_label="updates", y_label=metric
        )
