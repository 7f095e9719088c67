"""The search for the learning rate at which a short run's loss falls furthest: a sweep to bracket it, then runs around.

One run in which the rate grows with every update finds where the loss blows up, cheaply and roughly (the range test of
Smith 2017). A tenth of that rate is where short runs begin, half a decade apart; they move to where the loss is lower
until it is higher on both sides.
"""

import itertools
import math
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

from babysit.checks.lr_scan.permutation_test import Exchange
from babysit.checks.lr_scan.schema import Sweep, Trial, best, falls
from babysit.checks.lr_scan.short_runs import Runs, total_losses
from babysit.checks.lr_scan.usable_rates import averaged, confirmed, leading
from babysit.driving.updates import CALLS

if TYPE_CHECKING:
    from babysit.checks.lr_scan.schema import Settings
    from babysit.checks.lr_scan.short_runs import After

CLEAR = 2.0  # times the errors asked for, from where a fall can't be the luck of several rates, nor of skewed losses
EXPECTED = 7  # runs, for the bar of progress
BELOW = 10.0  # how far below the blow-up the best rate is looked for first; it was 6 to 30 in the tuned tasks


def sweep(runs: Runs, settings: "Settings") -> Sweep:
    """Updates at rates that grow from `low` to `high` by equal factors, until the loss has blown up."""
    bench = runs.bench
    batches = runs.parts[0].trained[: settings.sweep]
    with bench.borrowed() as trainer:
        first, _ = total_losses(trainer, batches)
    spaced = [
        settings.low * (settings.high / settings.low) ** (k / (settings.sweep - 1)) for k in range(settings.sweep)
    ]
    swept = Sweep((), (), statistics.pstdev(first) if all(map(math.isfinite, first)) else 0.0)
    updates = 0
    with bench.borrowed(learning_rate=spaced[0]) as trainer:
        for batch, before in itertools.cycle(zip(batches, first, strict=True)):
            trainer.learning_rate = spaced[updates]
            output = trainer.step(batch)
            change = output.loss + output.penalty - before
            swept = replace(swept, rates=(*swept.rates, spaced[updates]), changes=(*swept.changes, change))
            updates += output.updated
            if updates == settings.sweep or math.isfinite(swept.blow_up) or len(swept.rates) == CALLS * (updates + 1):
                break
    runs.updates += updates
    return swept


class Search:
    """Short runs on a lattice of rates around the user's own, evenly spaced in log space.

    Args:
        runs: Makes them.
        own: The user's rate; every other one is so many steps of the lattice away from it.
        settings: The range, the spacing, and how far beyond the range to go.
    """

    def __init__(self, runs: Runs, own: float, settings: "Settings") -> None:
        self.runs, self.own, self.settings = runs, own, settings
        self.tried: dict[int, Trial] = {}
        self.repeats: dict[float, Trial] = {}
        self.onward: dict[float, Trial] = {}
        self.exchanges: dict[float, Exchange | None] = {}
        self._least, self._most = math.ceil(self.place(settings.low)), math.floor(self.place(settings.high))

    def place(self, rate: float) -> float:
        """Where on the lattice a rate lies; the user's own at 0."""
        return self.settings.per_decade * math.log10(rate / self.own)

    def run(self, *places: int) -> None:
        """A run at each of these places that has none yet."""
        for place in places:
            if place not in self.tried:
                rate = self.own * 10 ** (place / self.settings.per_decade)
                self.tried[place] = self.runs.at(rate, self.settings.steps)
                self.runs.bench.advance(len(self.tried), max(EXPECTED, len(self.tried) + 2))

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The runs, in ascending order of the rate."""
        return tuple(self.tried[place] for place in sorted(self.tried))

    @property
    def middle(self) -> float:
        """The rate with the lowest loss; the lowest rate where all exploded."""
        found = best(self.trials)
        return found.learning_rate if found is not None else self.trials[0].learning_rate

    def confirms(self, *, lower: bool = False) -> bool:
        """Whether the loss falls at the best rate, and again on other batches.

        Where the repeat makes another rate the best, that one is repeated, too, and its neighbours are run.

        Args:
            lower: Whether a lower rate will do where the best one's fall, or its repeat's, is none but noise.
        """
        while not (self._in_doubt() and not lower) and (place := self._unsure()) is not None:
            self.run(*(p for p in (place - 1, place + 1) if self._allows(p)))
            trial = self.tried[place]
            if self._unsure() == place:
                self.repeat(trial.learning_rate, self.settings.steps)
        sure = confirmed(self.trials, tuple(self.repeats.values()), self.settings) is not None
        return sure and (lower or not self._in_doubt())

    def is_sure(self) -> bool:
        """Whether the best rate is confirmed, or where that one is in doubt, a lower one beyond any.

        A rate at the edge of what is stable may be the best in one run and none in another.
        """
        if self.confirms():
            return True
        if not self.confirms(lower=True):
            return False
        top = confirmed(self.trials, tuple(self.repeats.values()), self.settings)
        runs = [t for t in (*self.trials, *self.repeats.values()) if top and t.learning_rate == top.learning_rate]
        return all(falls(t, CLEAR * self.settings.sigmas) for t in runs)

    def _in_doubt(self) -> bool:
        """Whether the lowest loss, that of its repeat considered, is no fall in one of both."""
        lowest = best(averaged(self.trials, tuple(self.repeats.values())))
        if lowest is None:
            return True
        runs = [
            self.repeats.get(lowest.learning_rate, lowest),
            *(t for t in self.trials if t.learning_rate == lowest.learning_rate),
        ]
        return not all(falls(t, self.settings.sigmas) for t in runs)

    def repeat(self, rate: float, steps: int) -> None:
        """A run on the batches in reverse, then as long again, and what the network knows of its inputs at the end."""
        first, onward = self.runs.after(rate, (steps, 2 * steps), again=True)
        self.repeats[rate], self.onward[rate] = self.runs.trial(rate, first), self.runs.trial(rate, onward)
        self.exchanges[rate] = self._exchange(rate, first, onward)

    def _exchange(self, rate: float, *looks: "After") -> Exchange | None:
        """What the network knew of its inputs when it knew the most."""
        found = [known for known in (self.runs.exchange(rate, look) for look in looks) if known is not None]
        return max(found, key=lambda known: (known.tells(self.settings.known), known.updates), default=None)

    def _unsure(self) -> int | None:
        """The place of the best rate, if the loss falls there and that wasn't repeated yet."""
        top = leading(self.trials, tuple(self.repeats.values()), self.settings)
        if top is None or top.learning_rate in self.repeats:
            return None
        return next(place for place, trial in self.tried.items() if trial.learning_rate == top.learning_rate)

    def around(self, rate: float) -> None:
        """Runs at the three places about a rate, then on towards lower losses while the best lies at an end.

        Beyond the range of the settings, too, by two decades for each time that it may be widened.
        """
        middle = round(min(max(self.place(rate), self._least + 1), self._most - 1))
        self.run(middle - 1, middle, middle + 1)
        while (place := self._next()) is not None and self._allows(place):
            self.run(place)

    def _allows(self, place: int) -> bool:
        """Whether a place lies in the range, as far as that may be widened."""
        beyond = 2 * self.settings.widen * self.settings.per_decade
        return self._least - beyond <= place <= self._most + beyond

    def _next(self) -> int | None:
        """The place beyond the end at which the best run lies; None where it lies inside, or nothing falls.

        Where the loss rises or explodes at all rates, the next lower one.
        """
        places, found = sorted(self.tried), best(self.trials)
        if found is None or -found.fall > self.settings.sigmas * found.error:
            return places[0] - 1
        if not falls(found, self.settings.sigmas):
            return None
        at = next(place for place in places if self.tried[place] is found)
        ends = {places[0]: places[0] - 1, places[-1]: places[-1] + 1}
        return ends.get(at)

    def everywhere(self) -> None:
        """A run in each decade of the range, up to two at which the loss has exploded: the next ones explode too."""
        for place in range(self._least, self._most + 1, self.settings.per_decade):
            below = [t for p, t in self.tried.items() if p < place]
            if sum(not math.isfinite(t.loss) for t in below) < 2:
                self.run(place)
