"""Attempts to memorize a few examples, each at its own learning rate, until the outcome is clear."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from babysit.checks.overfit.schema import Attempt, Outcome
from babysit.driving.updates import updates_of
from babysit.errors import LostError, Skip, TargetError
from babysit.measuring.reference_optimizers import Rprop
from babysit.measuring.treatments import PLAIN, Treated, treatments

if TYPE_CHECKING:
    from babysit.checks.overfit.schema import Settings
    from babysit.driving.bench import Bench
    from babysit.measuring.treatments import Step
    from babysit.tasks.task import Task
    from babysit.trainer import Array, Batch, Output

FEW = 8  # examples that are memorized, at least, of batches of one or two: three bits and more of labels to get right
OFTEN = 5  # steps between two looks at whether there is any hope
SLOWING = 0.85  # of the slope of the window before, that is left where a loss nears a floor; at a low rate all of it is
RESTING = 0.5  # of it, where a loss comes to rest; one that falls too slowly keeps most of its slope
STRAIGHT = 0.97  # of the slope of the loss itself, that is left where it falls in a straight line: e^(-t) keeps less
LENIENT = 2.0  # times the present slope, that a loss may fall at from here on: training may yet pick up


@dataclass(frozen=True)
class Aim:
    """What counts as memorized.

    Args:
        constant: Loss of the best constant prediction.
        loss: Loss from where on the examples are memorized.
        score: The task's metric from where on they are.
        half: The metric that is half of the way there from the best constant prediction; NaN where there is none.
    """

    constant: float
    loss: float
    score: float
    half: float


def aim_for(task: "Task", batch: "Batch", memorized: float) -> Aim:
    """The aim: all but a small share of what lies between the best constant prediction and the best possible one.

    Of equal inputs with different targets, as many again as must be may be called wrongly: which of two targets that
    are about as frequent is called more likely is a matter of chance. Half of the way must be made, though.
    """
    from babysit.checks.overfit.irreducible_loss import floor

    constant = task.constant_loss(batch[1]) or max(task.chance_losses(batch[1]).values())
    (least, best), blind = floor(task, batch), task.best_constant_score(batch[1])
    half = (blind + best) / 2
    sure = best * (1 - memorized)
    score = max(half, sure - (1 - best)) if best < 1 and math.isfinite(half) else sure
    return Aim(constant, least + memorized * (constant - least), score, half)


def attempt(
    bench: "Bench",
    batch: "Batch",
    rate: float,
    aim: "Aim",
    settings: "Settings",
    step: "Step | None" = None,
    pieces: "Sequence[Batch] | None" = None,
) -> tuple[Attempt, "Output"]:
    """Update on the one batch until the outcome is clear.

    Args:
        bench: Its trainer is borrowed, and ready.
        batch: The examples.
        rate: The learning rate, as it is to be told.
        aim: What counts as memorized.
        settings: How long to go on.
        step: How to step, in place of the program's own way.
        pieces: The examples as they are stepped on, one after the other and over again; the whole batch if None.
    """
    losses: list[float] = []
    outcome = None
    output = None
    for output in updates_of(step or bench.trainer.step, itertools.cycle(pieces or [batch]), settings.steps):
        losses.append(output.loss)
        outcome = _outcome(losses, partial(_score, bench, output, batch), aim, settings)
        bench.advance(len(losses), settings.steps)
        if outcome is not None:
            break
    if output is None:
        raise Skip("no step updated anything, so nothing can be memorized")
    return Attempt(rate, outcome or Outcome.UNFINISHED, tuple(losses), _score(bench, output, batch)), output


def in_pieces(bench: "Bench", batch: "Batch") -> "list[Batch]":
    """The batch as a program takes it: whole, or cut into usual batches where an update adds up several of them."""
    from babysit import arrays

    n, size = arrays.count(batch), bench.usual_size
    if bench.accumulated == 1 or n <= size:
        return [batch]
    return [arrays.take(batch, range(start, min(n, start + size))) for start in range(0, n, size)]


def _score(bench: "Bench", output: "Output", batch: "Batch") -> float:
    scores = step_scores(bench, output, batch)
    return bench.task.score(scores, batch[1]) if scores is not None else math.nan


def step_scores(bench: "Bench", output: "Output", batch: "Batch") -> "Array | None":
    """The step's scores, or those of an evaluation where a step gives none; None once the loss isn't finite."""
    if not math.isfinite(output.loss) or output.scores is not None:
        return output.scores if math.isfinite(output.loss) else None
    return bench.trainer.evaluate(batch, training=True).scores


def _outcome(losses: list[float], grade: "Callable[[], float]", aim: "Aim", settings: "Settings") -> Outcome | None:
    """What the attempt has come to; None while that is open. `grade` gives the metric, at some cost."""
    loss, window = losses[-1], settings.window
    if not math.isfinite(loss):
        return Outcome.DIVERGED
    if loss <= aim.loss and not grade() < aim.score:
        return Outcome.MEMORIZED
    half = losses[-(window // 2) :]
    if len(half) == window // 2 and min(half) > settings.explosion * max(losses[0], aim.constant):
        return Outcome.DIVERGED
    if len(losses) % OFTEN or len(losses) < 3 * window:
        return None
    if max(losses[-2 * window :]) <= aim.loss and grade() < aim.half:
        return Outcome.BY_LOSS_ALONE
    flat = _is_flat(losses, 3 * window, settings)
    if not (flat or is_hopeless(losses, aim, settings)):
        return None
    right = loss < aim.constant and grade() == 1.0
    if flat or _is_flat(losses, 3 * window // 2, settings):
        return Outcome.AT_FLOOR if right else Outcome.STALLED
    slowing = _share_of_slope(losses, window)
    if right:
        return Outcome.AT_FLOOR if slowing < SLOWING else None
    return Outcome.STALLED if slowing < RESTING else Outcome.UNFINISHED


def _is_flat(losses: list[float], steps: int, settings: "Settings") -> bool:
    """Whether the lowest loss of so many last steps is hardly below that of the steps before."""
    before = losses[:-steps]
    return bool(before) and min(losses[-steps:]) > min(before) * (1 - settings.progress)


def is_hopeless(losses: Sequence[float], aim: "Aim", settings: "Settings") -> bool:
    """Whether the loss won't come near to the aim within the steps allowed, falling twice as fast as it does.

    The slope is that of the log loss between the halves of the last window; that of the loss itself, too, where this
    falls in a straight line, as hinges do. It is heeded from three windows on, and until two are left: behind that
    there is little to save.
    """
    made, window = len(losses), settings.window
    left = settings.steps - made
    if made < 3 * window or left < 2 * window or not all(loss > 0 for loss in losses[-2 * window :]):
        return False
    target = max(aim.loss, settings.nearly * aim.constant)
    before, last = losses[-2 * window : -window], losses[-window:]
    if _mean_of_last(_logs(last)) + LENIENT * min(0.0, _slope(_logs(last))) * left <= math.log(target):
        return False
    straight = _slope(last) <= STRAIGHT * _slope(before) < 0
    return not (straight and _mean_of_last(last) + LENIENT * _slope(last) * left <= target)


def _share_of_slope(losses: list[float], window: int) -> float:
    """How much of the slope of the log loss is left, of the window before; 1 where that is none."""
    before, last = (_slope(_logs(part)) for part in (losses[-2 * window : -window], losses[-window:]))
    return last / before if before < 0 else 1.0


def _logs(losses: Sequence[float]) -> list[float]:
    return [math.log(loss) for loss in losses]


def _mean_of_last(values: Sequence[float]) -> float:
    half = len(values) // 2
    return sum(values[-half:]) / half


def _slope(values: Sequence[float]) -> float:
    """Change in a step, between the halves of these values."""
    half = len(values) // 2
    return (_mean_of_last(values) - sum(values[:half]) / half) / (len(values) - half)


def other_attempts(bench: "Bench", batch: "Batch", own: Attempt, aim: "Aim", settings: "Settings") -> Iterator[Attempt]:
    """Attempts at other rates from the same start, until one memorizes or none is left to try.

    Lower rates alone where the user's diverged; else higher ones first, up to where they diverge.
    """
    lower, higher = [own.learning_rate / 10**k for k in (1, 2, 3)], [own.learning_rate * 10**k for k in range(1, 8)]
    rates = lower if own.outcome is Outcome.DIVERGED else [*higher[:2], *lower[:2], *higher[2:]]
    pieces = in_pieces(bench, batch)
    too_high = math.inf
    for rate in rates:
        if rate > too_high:
            continue
        with bench.borrowed(scale=0.0, learning_rate=rate):
            tried, _ = attempt(bench, batch, rate, aim, settings, pieces=pieces)
        yield tried
        if tried.cures(aim.constant):
            return
        if tried.outcome is Outcome.DIVERGED:
            too_high = min(too_high, rate)


def treated_attempts(bench: "Bench", batch: "Batch", aim: "Aim", settings: "Settings") -> Iterator[Treated]:
    """Attempts at the user's learning rate with one thing changed, each from the same start."""
    for treatment in treatments(bench, lambda trainer: Rprop(trainer).step):
        prepared = treatment.prepare(batch)
        pieces = None if treatment.name == PLAIN else in_pieces(bench, prepared)
        try:
            with bench.borrowed(scale=0.0) as trainer:
                step, rate = treatment.begin(trainer), trainer.learning_rate
                tried, _ = attempt(bench, prepared, rate, aim, settings, step, pieces)
        except LostError:
            raise
        except (Skip, TargetError):  # the program can't take the change: nothing is shown by it
            continue
        yield Treated(treatment.name, tried.cures(aim.constant), tried.losses[-1], len(tried.losses))


def affordable(bench: "Bench", wanted: int) -> int:
    """Fewer examples for a network with less than two parameters for each number that it has to get right.

    Fewer, too, where batches are small: a step on so many examples then takes several times as long as the program's
    own. Where each example holds many targets, as texts do, a usual batch is enough; else at least `FEW` are taken.
    """
    from babysit import arrays
    from babysit.driving.bench import JOINED
    from babysit.trainer import SupportsParameters

    usual, batch = bench.usual_size, bench.pool()[0]
    enough = max(usual, min(max(FEW, JOINED * usual), math.ceil(wanted / arrays.targets_each(batch))))
    wanted = max(2, min(wanted, enough))
    if not bench.trainer.supports(SupportsParameters):
        return wanted
    size: int = sum(math.prod(p.shape) for p in bench.trainer.parameters().values())
    with bench.borrowed() as trainer:
        scores = trainer.evaluate(batch, training=True).scores
    each = 1 if scores is None else math.prod(scores.shape) // arrays.count(batch)
    return max(2, min(wanted, size // (2 * max(1, each))))


def own_attempt(
    bench: "Bench", batch: "Batch", aim: "Aim", settings: "Settings"
) -> tuple[Attempt, "Array | None", list[str], dict[str, int]]:
    """The attempt at the user's learning rate, its last scores, the parameters that never moved, and all sizes."""
    from babysit import arrays
    from babysit.trainer import SupportsParameters

    pieces = in_pieces(bench, batch)
    with bench.borrowed(scale=0.0) as trainer:
        parameters = dict(trainer.parameters()) if trainer.supports(SupportsParameters) else {}
        sizes = {name: math.prod(p.shape) for name, p in parameters.items()}
        before = arrays.fingerprints(parameters)
        own, output = attempt(bench, batch, trainer.learning_rate, aim, settings, pieces=pieces)
        final_scores = step_scores(bench, output, batch)
        moved = set(arrays.differing(before, arrays.fingerprints(dict(trainer.parameters())))) if parameters else set()
    return own, final_scores, [name for name in sizes if name not in moved], sizes
