"""How `lr-scan` measures."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from babysit.checks.lr_scan.no_progress import obstacle
from babysit.checks.lr_scan.permutation_test import Exchange
from babysit.checks.lr_scan.rate_search import BELOW, Search, sweep
from babysit.checks.lr_scan.schema import Measurement, Settings, Sweep, Trial
from babysit.checks.lr_scan.short_runs import FEW_TARGETS, Runs, most_compared
from babysit.checks.lr_scan.usable_rates import (
    confirmed,
)
from babysit.driving.budget import Needs, evaluations
from babysit.errors import Skip

if TYPE_CHECKING:
    from babysit.driving.bench import Bench

RUNS = 9  # short ones, those that confirm the best among them, where the loss falls


def needs(settings: Settings, batch: int) -> Needs:
    """The sweep, the runs, and each one's examples evaluated ahead and behind."""
    usual = settings.sweep + RUNS * settings.steps + 2 * RUNS * evaluations(settings.examples, batch) / 2
    return Needs(0.9 * usual, usual)


UNSURE = "no rate was sure at first, so more of the data were compared"
EVERYWHERE = "no rate was sure at first, so every decade was tried, on all of the data"
LONGER = f"{EVERYWHERE}, and then longer runs"


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Sweep, search around a tenth of where the loss blows up, and everywhere if nothing falls there; then confirm."""
    from babysit import arrays
    from babysit.measuring import scores

    own = bench.trainer.learning_rate
    if own == 0:
        raise Skip("the learning rate is 0 at the start (a warm-up?), so there is nothing to scan around")
    scores.require_fit(bench)
    runs = Runs(bench, settings, targets=FEW_TARGETS)
    swept = sweep(runs, settings)
    runs, search, widened = _searched(runs, own, swept, settings)
    trials, repeats = search.trials, tuple(search.repeats.values())
    top = confirmed(trials, repeats, settings)
    return Measurement(
        metric=bench.task.metric,
        own=own,
        examples=sum(arrays.count(batch) for part in runs.parts for batch in part.compared),
        first_loss=runs.start,
        first_score=runs.score,
        trials=trials,
        repeats=repeats,
        updates=runs.updates,
        swept=swept,
        onward=search.onward[top.learning_rate] if top else None,
        exchange=_exchange(runs, search, top, settings) if top else None,
        obstacle="" if top else obstacle(runs, settings.high),
        longer=_longer(runs, trials, top, own, settings) if top else None,
        widened=widened,
        compared=sum(len(part.compared) for part in runs.parts),
    )


def _searched(runs: Runs, own: float, swept: Sweep, settings: Settings) -> tuple[Runs, Search, str]:
    """Runs around a tenth of the blow-up; where nothing falls, in every decade, crossed; longer ones; lower rates.

    Where a few targets don't make sure, more are compared before that.
    """
    blow_up = swept.blow_up if math.isfinite(swept.blow_up) else settings.high
    first = _about(runs, own, blow_up, settings)
    if first.is_sure() or not runs.updates:
        return runs, first, ""
    pool = runs.bench.pool()
    if most_compared(pool) > most_compared(pool, FEW_TARGETS):
        runs = Runs(runs.bench, settings, updates=runs.updates)
        first = _about(runs, own, blow_up, settings)
        if first.is_sure():
            return runs, first, UNSURE
    crossed = Runs(runs.bench, settings, crossed=True, updates=runs.updates)
    second = Search(crossed, own, settings)
    second.run(0)
    second.everywhere()
    second.around(second.middle)
    if second.confirms():
        return crossed, second, EVERYWHERE
    longer = Search(crossed, own, replace(settings, steps=settings.steps * settings.patience))
    longer.run(0)
    longer.around(second.middle * math.sqrt(10))  # higher rates are the first to leave a plateau
    if longer.confirms():
        return crossed, longer, LONGER
    return crossed, next((search for search in (second, longer) if search.confirms(lower=True)), second), LONGER


def _about(runs: Runs, own: float, blow_up: float, settings: Settings) -> Search:
    """The user's rate, and those around a tenth of the blow-up."""
    search = Search(runs, own, settings)
    search.run(0)
    if runs.updates:
        search.around(blow_up / BELOW)
    return search


def _exchange(runs: Runs, search: Search, top: Trial, settings: Settings) -> Exchange | None:
    """What the network knows of its inputs behind the repeated run; behind longer ones where that is nothing.

    Those are crossed, too, so that all of the pool is looked at.
    """
    rate = top.learning_rate
    found = search.exchanges[rate]
    if found is None or found.tells(settings.known):
        return found
    crossed = Runs(runs.bench, settings, crossed=True)
    looks = crossed.after(rate, (2 * top.steps, settings.patience * top.steps), again=True)
    known = [known for look in looks if (known := crossed.exchange(rate, look)) is not None]
    return max(known, key=lambda known: (known.tells(settings.known), known.updates), default=found)


def _longer(runs: Runs, trials: tuple[Trial, ...], top: Trial, own: float, settings: Settings) -> Trial | None:
    """A longer run at the user's rate, where that lies above the best and its loss fell by next to nothing."""
    mine = next(t for t in trials if t.learning_rate == own)
    if own <= top.learning_rate or not math.isfinite(mine.loss) or mine.fall >= settings.usable * top.fall:
        return None
    return runs.at(own, mine.steps * settings.patience)
