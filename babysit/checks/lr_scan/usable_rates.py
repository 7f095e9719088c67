"""What a scan of learning rates answers: the range in which the loss falls, a suggestion, its confidence, or none."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING

from babysit.checks.lr_scan.schema import Trial, best, falls

if TYPE_CHECKING:
    from babysit.checks.lr_scan.schema import Measurement, Settings


def averaged(trials: Sequence[Trial], repeats: Sequence[Trial]) -> list[Trial]:
    """The trials; one that was repeated falls by the mean of its own and of its repeat."""
    again = {t.learning_rate: t for t in repeats}
    return [_mean(t, again[t.learning_rate]) if t.learning_rate in again else t for t in trials]


def _mean(trial: Trial, repeat: Trial) -> Trial:
    fall = (trial.fall + repeat.fall) / 2
    return replace(trial, loss=trial.loss + trial.fall - fall, fall=fall)


def leading(trials: Sequence[Trial], repeats: Sequence[Trial], settings: "Settings") -> Trial | None:
    """The trial with the lowest loss of those whose every run falls by more than noise, and by enough; None if none is.

    Noise is largest at high rates: what is lowest there once may be luck, where a lower rate lowers the loss each time.
    One that was repeated leads where it is as low within the error.
    """
    again = {t.learning_rate: t for t in repeats}
    enough = settings.usable * max((t.fall for t in trials if math.isfinite(t.loss)), default=0.0)
    fallen = [
        t
        for t in trials
        if t.fall >= enough and all(falls(run, settings.sigmas) for run in (t, again.get(t.learning_rate, t)))
    ]
    tried = averaged(fallen, repeats)
    top, known = best(tried), best([t for t in tried if t.learning_rate in again])
    return known if top is not None and known is not None and known.fall >= top.fall - top.error else top


def confirmed(trials: Sequence[Trial], repeats: Sequence[Trial], settings: "Settings") -> Trial | None:
    """The leading trial, if it was repeated; None if it was not.

    Two tests must both be passed, the second at a rate that was chosen before it: so the best of several rates, which
    is lucky, is not taken for one that works.
    """
    top = leading(trials, repeats, settings)
    return top if top is not None and any(t.learning_rate == top.learning_rate for t in repeats) else None


def best_fall(measured: "Measurement", settings: "Settings") -> Trial | None:
    """The confirmed trial, if its fall was learned from inputs."""
    return None if is_blind(measured, settings) else confirmed(measured.trials, measured.repeats, settings)


def is_blind(measured: "Measurement", settings: "Settings") -> bool:
    """Whether the network that has learned fits targets of other inputs as well: it has learned nothing of inputs."""
    return measured.exchange is not None and not measured.exchange.tells(settings.known)


def usable_range(measured: "Measurement", settings: "Settings") -> tuple[float, float] | None:
    """The rates about the best one at which the loss falls, by more than noise and by enough; None if none does.

    Below the lowest such rate that was tried, the fall is taken to be in proportion to the rate, as it is to first
    order; or to a power of it, where the next one that was tried shows that it is less.
    """
    top = best_fall(measured, settings)
    if top is None:
        return None
    enough = settings.usable * top.fall

    def good(trial: Trial) -> bool:
        return falls(trial, settings.sigmas) and trial.fall >= enough

    tried = averaged(measured.trials, measured.repeats)
    middle = tried.index(top)
    lowest = [top, *takewhile(good, reversed(tried[:middle]))][-1]
    highest = [top, *takewhile(good, tried[middle + 1 :])][-1]
    poor = next((t for t in reversed(tried) if t.learning_rate < lowest.learning_rate), None)
    return _where(enough, poor, lowest), highest.learning_rate


def _where(enough: float, poor: Trial | None, good: Trial) -> float:
    """The rate at which the fall is just enough, below a good one and above a poor one, straight in log space."""
    if poor is None:
        return good.learning_rate * enough / good.fall
    apart, further = decades(poor.learning_rate, good.learning_rate), decades(poor.fall, good.fall)
    power = max(1.0, further / apart) if apart > 0 and further > 0 else 1.0
    return max(poor.learning_rate, good.learning_rate * math.pow(enough / good.fall, 1 / power))


def suggestion(measured: "Measurement", settings: "Settings") -> float:
    """A rate for long training; NaN where there is none.

    A short run prefers the rate at which the loss falls fastest at first. Longer training wants a lower one: by the
    square root of how much longer it is where noise or jumps limit what can be reached (Nemirovski et al. 2009,
    "Robust stochastic approximation", section 2.2; Zinkevich 2003), and about the same where nothing but curvature
    does. Which of both holds shows in a run of twice the length, on other batches: a rate that lasts lets the loss fall
    on; at one that is too high for more than a beginning, it stands still, or rises again.
    """
    usable, top = usable_range(measured, settings), best_fall(measured, settings)
    if usable is None or top is None:
        return math.nan
    longer = max(1.0, settings.horizon / top.steps)
    lowered = _lowest(averaged(measured.trials, measured.repeats)) / math.pow(longer, _due(measured, top, settings) / 2)
    return min(max(usable[0], lowered), usable[1])


def _due(measured: "Measurement", top: Trial, settings: "Settings") -> float:
    """How much of the root is due, up to 1: where the loss stands still, or nobody looked."""
    onward = measured.onward
    repeat = next((t for t in measured.repeats if t.learning_rate == top.learning_rate), None)
    if onward is None or repeat is None or not onward.fall > repeat.fall:
        return 1.0
    lasts = min(1.0, (onward.fall / repeat.fall - 1) / settings.lasting)
    return 1 - (1 - settings.calm) * lasts


def spread(measured: "Measurement", settings: "Settings") -> float:
    """How many decades lie between the best rates of the first runs and of the repeated ones; NaN where none is."""
    if best_fall(measured, settings) is None:
        return math.nan
    again = {t.learning_rate: t for t in measured.repeats}
    second = [again.get(t.learning_rate, t) for t in measured.trials]
    return abs(decades(_lowest(measured.trials), _lowest(second)))


def _lowest(trials: Sequence[Trial]) -> float:
    """The rate at which a parabola in log rate through the best run and its neighbours is lowest.

    Runs at which the loss rises count as if it stood still, so that how far they explode doesn't matter.
    """
    top = best(trials)
    at = trials.index(top) if top is not None else 0
    if top is None or not 0 < at < len(trials) - 1:
        return top.learning_rate if top is not None else math.nan
    three = trials[at - 1 : at + 2]
    if not all(0 < t.learning_rate < math.inf for t in three):
        return math.nan
    x0, x1, x2 = (math.log(t.learning_rate) for t in three)
    y0, y1, y2 = (t.fall if t.fall > 0 else 0.0 for t in three)
    rise, drop = (y1 - y0) / (x1 - x0), (y1 - y2) / (x2 - x1)
    if not rise + drop > 0:
        return top.learning_rate
    vertex = (x0 + x1) / 2 + (x2 - x0) / 2 * rise / (rise + drop)
    return math.exp(min(max(vertex, (x0 + x1) / 2), (x1 + x2) / 2))


def diverges_from(measured: "Measurement", settings: "Settings") -> float:
    """The lowest rate above the best at which the loss rises by more than noise, or explodes; NaN where none does."""
    top = best_fall(measured, settings)
    above = [t for t in measured.trials if top is None or t.learning_rate > top.learning_rate]
    rising = (t.learning_rate for t in above if not math.isfinite(t.loss) or -t.fall > settings.sigmas * t.error)
    return next(rising, math.nan)


def decades(low: float, high: float) -> float:
    """How many factors of ten lie between two positive numbers; NaN where one is none."""
    ratio = high / low if low > 0 else math.nan
    return math.log10(ratio) if 0 < ratio < math.inf else math.nan


def own_trial(measured: "Measurement") -> Trial:
    """The run at the user's learning rate."""
    unknown = Trial(measured.own, math.nan, math.nan, math.nan, math.nan, 0)
    return next((t for t in measured.trials if t.learning_rate == measured.own), unknown)
