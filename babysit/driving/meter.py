"""What calls take of a budget, counted as they are made, and a stop ahead of the one that would pass it."""

import math
import time
from typing import Protocol

from babysit.driving.ranks import Ranks
from babysit.errors import OverBudget

ROUNDING = 1e-6  # of a step or a second; thirds of steps don't add up exactly
TELLING = 20.0  # steps' time after which the time of all that was done tells what a step takes


class Ranked(Protocol):
    """A trainer with its ranks."""

    @property
    def ranks(self) -> Ranks:
        """The processes that take part."""


class Meter:
    """Counts what calls take, in seconds or in steps, and stops ahead of the one that would pass the limit.

    Args:
        trainer: Whose calls they are; of several ranks, the first one's clock holds for all.
        in_steps: Whether it counts steps, an evaluation as `EVALUATION` of one, instead of seconds.

    Attributes:
        limit: Where to stop; in what it counts, from its beginning.
        price: What one step takes, in what it counts.
    """

    def __init__(self, trainer: Ranked, *, in_steps: bool) -> None:
        self.limit, self.price = math.inf, 1.0 if in_steps else 0.0
        self._trainer, self._in_steps = trainer, in_steps
        self._steps, self._began = 0.0, time.perf_counter()
        self._from: tuple[float, float] | None = None  # spent and steps at the latest mark
        self._taken = (0.0, 0.0)  # spent and steps between marks

    @property
    def spent(self) -> float:
        """What was spent so far."""
        if self._in_steps:
            return self._steps
        own: float = time.perf_counter() - self._began
        first: float = self._trainer.ranks.gather(own)[0]
        return first

    @property
    def rate(self) -> float:
        """What a step has taken so far with all that goes with it; its price until enough were made to tell."""
        spent, steps = self._taken
        return max(self.price, spent / steps) if steps >= TELLING else self.price

    def mark(self, *, counts: bool) -> None:
        """A check begins.

        Args:
            counts: Whether it takes steps, so that its time tells what a step takes.
        """
        now = (self.spent, self._steps)
        if self._from is not None:
            self._taken = (self._taken[0] + now[0] - self._from[0], self._taken[1] + now[1] - self._from[1])
        self._from = now if counts else None

    def before(self, steps: float) -> None:
        """Know that a call of so many steps' time fits.

        Raises:
            OverBudget: It doesn't.
        """
        if self.spent + steps * self.price > self.limit + ROUNDING:
            raise OverBudget
        self._steps += steps
