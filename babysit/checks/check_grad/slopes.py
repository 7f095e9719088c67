"""Slopes of the loss along lines through the parameters, by gradients and by differences, as plain numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

RATIO = 3  # of a wide step to the narrow one, so that the four points lie at equal distances
LEVELS = 6  # steps tried where there are kinks: the last is 243 times narrower than the first, and so meets fewer
KINK = 0.6  # share of the gap between the slopes of both sides that a narrow step keeps; a third where there is no kink
WRONG = 1e-2  # and the one above which the gradient is probably wrong
RESOLVED = 10.0  # times the rounding: how large an error must be for a narrower step to be worth a look
LOUD = 30.0  # times the rounding expected, from where the steps are chosen anew for the rounding seen
ALL = "all"  # where all entries of a parameter were moved together


@dataclass(frozen=True)
class Slope:
    """The slope of the loss along one line.

    Args:
        parameter: The parameter that was moved.
        place: Which of its entries, such as "[3, 7]"; "all" where all were moved together.
        steps: Updates made before.
        analytic: By the gradient.
        numeric: By the difference.
        doubt: By about how much the numeric slope may be off.
    """

    parameter: str
    place: str
    steps: int
    analytic: float
    numeric: float
    doubt: float

    @property
    def error(self) -> float:
        """Relative, |a - n| / max(|a|, |n|), as in the course notes; 0 where both are 0."""
        largest = max(abs(self.analytic), abs(self.numeric))
        return abs(self.analytic - self.numeric) / largest if largest > 0 else abs(largest)

    def differs(self, limit: float, margin: float) -> bool:
        """Whether the relative error is above the limit, and too large by this margin for the doubt."""
        apart = abs(self.analytic - self.numeric)
        return math.isfinite(apart) and self.error > limit and apart > margin * self.doubt

    def moves(self, margin: float = RESOLVED) -> bool:
        """Whether the loss is known to change along the line."""
        return math.isfinite(self.numeric) and abs(self.numeric) > margin * self.doubt

    def tells(self, limit: float = WRONG, margin: float = RESOLVED) -> bool:
        """Whether the gradient is known to be right, and not for nothing, or wrong."""
        return self.differs(limit, margin) or (self.moves(margin) and self.error <= limit)


@dataclass(frozen=True)
class Slopes:
    """The slopes along one line of the loss and of its parts.

    Args:
        total: Of data loss and penalty together.
        data: Of the data loss; None where the gradient's parts can't be told apart.
        penalty: Of the penalty; None in the same case.
    """

    total: Slope
    data: Slope | None = None
    penalty: Slope | None = None


@dataclass(frozen=True)
class Level:
    """What a gradient leaves unexplained of one part of the loss, a step ahead and a step behind.

    Args:
        step: Its length.
        ahead: Slope between here and there.
        behind: The same on the other side.
    """

    step: float
    ahead: float
    behind: float

    @property
    def central(self) -> float:
        """The slope from one side to the other."""
        return (self.ahead + self.behind) / 2

    @property
    def gap(self) -> float:
        """By how much the slopes of the two sides disagree."""
        return abs(self.ahead - self.behind)


def error_and_doubt(wide: Level, narrow: Level, noise: float) -> tuple[float, float]:
    """The slope that the gradient leaves unexplained, and by how much that may be off.

    Args:
        wide: Seen at a step.
        narrow: Seen at a third of it.
        noise: Rounding of the loss.
    """
    error = min(wide.central, narrow.central, key=abs)
    kink = narrow.gap if narrow.gap > KINK * wide.gap else 0.0
    return error, abs(wide.central - narrow.central) + kink + noise / narrow.step


@dataclass
class Line:
    """One way to move a parameter, and what was seen along it.

    Args:
        parameter: Which.
        place: Which of its entries; empty for all together.
        draw: Which of several moves at random.
        analytic: The slope by the gradient, by part of the loss.
        step: The widest to try.
        levels: What was seen, by part, from the widest step to the narrowest.
        unmoved: Whether the loss never changed.
    """

    parameter: str
    place: tuple[int, ...]
    draw: int
    analytic: Mapping[str, float]
    step: float
    levels: dict[str, list[Level]] = field(default_factory=dict)
    unmoved: bool = True

    @property
    def next_step(self) -> float:
        """The widest that was not tried yet."""
        return self.step / float(RATIO ** len(self.levels.get("total", ())))

    def pairs(self, part: str, noise: float) -> list[tuple[float, float]]:
        """Error and doubt by each step and the next narrower one."""
        return [error_and_doubt(wide, narrow, noise) for wide, narrow in pairwise(self.levels[part])]

    def scatter(self, part: str) -> float:
        """Of the loss, by the four points nearest: their third difference, 1 -3 3 -1, leaves nothing else.

        Where the first two points agreed with the gradient there are no more, and it is what they left to explain.
        """
        *wider, narrow = self.levels[part]
        if not wider:
            return math.sqrt(2) * narrow.step * abs(narrow.central)
        return 2 * wider[-1].step * abs(wider[-1].central - narrow.central) / math.sqrt(20)

    def still(self, floor: float) -> bool:
        """Whether the loss stands still, to the last bit, where it should have moved by far more than its rounding."""
        return self.unmoved and self.step * abs(self.analytic["total"]) > LOUD * floor

    def is_right(self, close: float, error: float, doubt: float = 0.0) -> bool:
        """Whether the error is as small as it should be, or as the doubt."""
        analytic = self.analytic["total"]
        return not abs(error) > close * max(abs(analytic), abs(analytic + error)) + doubt

    def settled(self, noise: float, audible: float, close: float) -> bool:
        """Whether the gradient is right as far as can be seen, wrong twice in a row, or no step would tell more.

        Args:
            noise: Rounding of the loss, as seen.
            audible: What a change of the loss must exceed to be worth a narrower step.
            close: Relative error that is small enough.
        """
        pairs = self.pairs("total", noise)
        if not pairs or self.is_right(close, *pairs[-1]):
            return True
        wrong = len(pairs) > 1 and all(abs(error) > RESOLVED * doubt for error, doubt in pairs[-2:])
        deaf = not abs(pairs[-1][0]) > 2 * RESOLVED * audible / self.next_step
        return wrong or deaf or len(pairs) == LEVELS - 1

    def slope(self, part: str, noise: float, steps: int) -> Slope:
        """By the two pairs last seen, the one that speaks for the gradient; an error seen once alone is in doubt."""
        levels, pairs = self.levels[part], self.pairs(part, noise)[-2:]
        pairs = pairs or [(levels[0].central, noise / levels[0].step)]
        error, doubt = min(pairs, key=lambda pair: abs(pair[0]) - RESOLVED * pair[1])
        if len(pairs) == 1:
            doubt = max(doubt, abs(error))
        analytic, place = self.analytic[part], str(list(self.place)) if self.place else ALL
        return Slope(self.parameter, place, steps, analytic, analytic + error, doubt)
