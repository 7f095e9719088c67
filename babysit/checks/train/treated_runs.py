"""Short runs of training under a treatment each, where the program's own run comes to nothing."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from babysit.checks.train.monitor import passes
from babysit.driving.updates import updates_of
from babysit.errors import LostError, Skip, TargetError
from babysit.measuring import curves
from babysit.measuring.reference_optimizers import Adam
from babysit.measuring.treatments import RATE, UNREGULARIZED, Treated, Treatment, treatments

if TYPE_CHECKING:
    from babysit.checks.train.schema import Settings
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.measuring.split_sample import Ignorance
    from babysit.measuring.treatments import Step

LOWER, HIGHER = (0.1, 0.01), (10.0, 100.0)  # times the user's rate: a decade is what trying by hand steps by


def treated_runs(
    bench: "Bench", settings: "Settings", losses: Sequence[float], known: "Ignorance"
) -> Iterator[Treated]:
    """Runs from the user's start with one thing changed, on what the program's own loader gives.

    Args:
        bench: Nothing of it is borrowed.
        settings: How long a run is, and what a clear fall is.
        losses: Of the program's own run; lower rates alone are tried where they blew up.
        known: What it costs to know nothing.
    """
    first, end = losses[0], curves.mean(losses[-curves.window(len(losses)) :])
    level = min((x for x in (first, known.loss) if math.isfinite(x)), default=math.nan)
    clear = settings.drop * abs(known.loss if math.isfinite(known.loss) else first)
    aim, rose = level - clear, not end < first + clear
    factors = LOWER if rose else (HIGHER[0], LOWER[0], *HIGHER[1:])
    for treatment in _kinds(bench, factors):
        try:
            with bench.borrowed():
                treated = _run(bench.trainer, treatment, settings)
        except LostError:
            raise
        except (Skip, TargetError):  # the program can't take the change: nothing is shown by it
            continue
        yield Treated(treatment.name, *_outcome(treated, aim, settings), len(treated))


def _kinds(bench: "Bench", factors: Sequence[float]) -> Iterator[Treatment]:
    for factor in factors:
        rate = factor * bench.trainer.learning_rate
        yield Treatment(RATE.format(rate), _at(rate))
    if _is_regularized(bench):
        yield Treatment(UNREGULARIZED, _unregularized)
    yield from treatments(bench, lambda trainer: Adam(trainer).step)


def _is_regularized(bench: "Bench") -> bool:
    """Whether there may be something to switch off."""
    try:
        strengths = bench.trainer.strengths()
    except Skip:
        return False
    return strengths is None or any(strengths.values())


def _at(rate: float) -> "Callable[[Driven], Step]":
    def begin(trainer: "Driven") -> "Step":
        trainer.learning_rate = rate
        return trainer.step

    return begin


def _unregularized(trainer: "Driven") -> "Step":
    trainer.regularization_scale = 0.0
    return trainer.step


def _run(trainer: "Driven", treatment: Treatment, settings: "Settings") -> list[float]:
    step = treatment.begin(trainer)
    own = (treatment.prepare(batch) for batch in passes(trainer) if batch is not None)
    losses: list[float] = []
    for output in updates_of(step, own, settings.treated):
        losses.append(output.loss)
        if not math.isfinite(output.loss):
            break
    return losses


def _outcome(losses: Sequence[float], aim: float, settings: "Settings") -> tuple[bool, float]:
    """Whether the loss has clearly fallen, and where it ended."""
    if not losses or not math.isfinite(losses[-1]):
        return False, math.nan
    last = losses[-curves.window(len(losses)) :]
    end, noise = curves.mean(last), curves.scatter(losses) / math.sqrt(len(last))
    return end + settings.sigmas * noise < aim, end
