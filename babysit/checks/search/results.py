"""What the trials of a search amount to: the best, over seeds; what failures have in common. Plain numbers."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from babysit.search.space import Parameter
from babysit.search.stages import SEEDS, distinct, ranking
from babysit.search.trials import Outcome, Trial

if TYPE_CHECKING:
    from babysit.search.schema import Measurement

ALIKE = 3  # failures, at least, that have something in common: two always lie on one side of a third


@dataclass(frozen=True)
class Candidate:
    """A configuration with its score for each seed.

    Args:
        trial: The trial that was first made of it.
        scores: Its scores with other seeds; with fewer than two of those, its own, too, and ahead of them. The best of
            many trials is the luckiest, to some part, so that the score it was chosen by says too much of it.
        failures: Other seeds with which it did not finish.
        fresh: Whether the score that it was chosen by is left out.
    """

    trial: Trial
    scores: tuple[float, ...]
    failures: int = 0
    fresh: bool = False

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.scores)


def word(measured: "Measurement") -> str:
    """What trials are judged by."""
    return measured.metric or "loss"


def candidates(measured: "Measurement") -> list[Candidate]:
    """The configurations that finished, the best first.

    Ahead are those that were run again and finished with each seed, by their mean; then those that were run once; at
    last those that failed with another seed.
    """
    higher = bool(measured.metric)
    once = distinct(ranking([t for t in measured.trials if t.stage != SEEDS], higher=higher))
    found = [_candidate(trial, measured.trials) for trial in once]
    repeated = [c for c in found if len(c.scores) > 1 and not c.failures]
    ranked = sorted(repeated, key=lambda c: -c.mean if higher else c.mean)
    return ranked + [c for c in found if len(c.scores) == 1 and not c.failures] + [c for c in found if c.failures]


def _candidate(trial: Trial, trials: Sequence[Trial]) -> Candidate:
    again = [t for t in trials if t.stage == SEEDS and _same(t, trial)]
    scores = tuple(t.score for t in again if t.outcome is Outcome.FINISHED)
    fresh = len(scores) > 1
    return Candidate(trial, scores if fresh else (trial.score, *scores), len(again) - len(scores), fresh)


def _same(one: Trial, other: Trial) -> bool:
    return one.configuration == other.configuration and one.epochs == other.epochs


def best(measured: "Measurement") -> Candidate | None:
    """The best configuration; None where no trial finished."""
    return next(iter(candidates(measured)), None)


def seed_freedom(measured: "Measurement") -> int:
    """Degrees of freedom of the scatter over seeds, of all that were run again."""
    return sum(len(c.scores) - 1 for c in candidates(measured))


def seed_noise(measured: "Measurement") -> float:
    """Standard deviation over seeds of one configuration's score, of all that were run again; NaN where none was."""
    groups = [c.scores for c in candidates(measured) if len(c.scores) > 1]
    freedom = seed_freedom(measured)
    if not freedom:
        return math.nan
    return math.sqrt(sum(statistics.variance(s) * (len(s) - 1) for s in groups) / freedom)


def knows_nothing(measured: "Measurement") -> bool:
    """Whether trials finished, and none is better than one prediction for all examples; false where that is unknown."""
    found = best(measured)
    if found is None:
        return False
    known, score = measured.constant_score, found.trial.score
    return score <= known if measured.metric else score >= known


def failures(measured: "Measurement") -> list[Trial]:
    """The trials that came to nothing of their own: not those that were pruned."""
    return [t for t in measured.trials if t.outcome not in (Outcome.FINISHED, Outcome.PRUNED)]


def in_common(measured: "Measurement", outcome: Outcome) -> list[str]:
    """What all trials that ended in this way have in common and no other has: a side of a range, or a choice."""
    first = [t for t in measured.trials if t.stage != SEEDS]
    failed = [t for t in first if t.outcome is outcome]
    others = [t for t in first if t.outcome is not outcome]
    if len(failed) < ALIKE:
        return []
    return [text for p in measured.space if (text := _common(p, failed, others))]


def _common(parameter: Parameter, failed: Sequence[Trial], others: Sequence[Trial]) -> str:
    name = parameter.name
    bad, good = ([t.configuration[name] for t in trials] for trials in (failed, others))
    if parameter.choices:
        shared = list(dict.fromkeys(bad))
        apart = len(shared) < len(parameter.choices) and not set(shared) & set(good)
        return f"{name} {' or '.join(map(parameter.shown, shared))}" if apart and good else ""
    low, high = _ends(bad)
    if not good:
        return f"{name} from {parameter.shown(low)} to {parameter.shown(high)}"
    least, most = _ends(good)
    if low > most:
        return f"{name} above {parameter.shown(most)}"
    return f"{name} below {parameter.shown(least)}" if high < least else ""


def _ends(values: Sequence[bool | int | float | str | None]) -> tuple[float, float]:
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    return min(numbers), max(numbers)


def searched(measured: "Measurement", parameter: Parameter) -> Parameter:
    """The whole range that trials were drawn from: what was asked for, and what the finer one has beyond it."""
    finer = next((p for p in measured.finer if p.name == parameter.name), parameter)
    return Parameter(parameter.name, parameter.kind, min(parameter.low, finer.low), max(parameter.high, finer.high))
