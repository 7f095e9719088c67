"""What a batch of scores tells before anything was learned, held against its task."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace, is_array_api_obj

from babysit import arrays
from babysit.bench import Bench
from babysit.driven import Driven
from babysit.errors import Skip
from babysit.first_loss import SAME
from babysit.task import Regression, Task
from babysit.trainer import Array, Batch, ForwardOnly, Record

SHUFFLES = 4  # ways to pair scores with other examples' targets when asking what scores that know nothing cost


@dataclass(frozen=True)
class Look:
    """Numbers of one set of scores and targets; fields as in `check_loss.Measurement`."""

    task: Task
    chance: Mapping[str, float]
    spread: float = math.nan
    excess: float = math.inf
    luck: float = math.nan
    score: float = math.nan
    best_constant_score: float = math.nan
    reference_loss: float = math.nan
    probability_loss: float = math.nan
    distributions: bool = False
    problem: str = ""
    own_loss: bool = False


def look(task: Task, scores: Sequence[Array | None], targets: Sequence[Any], loss: float) -> Look:
    """Hold the scores of several batches against their task.

    Scores that the program's own loss takes for probabilities are read as such: their spread is that of their logits.

    Args:
        task: The trainer's task.
        scores: One array a batch, or None where the trainer gives none.
        targets: The targets of the same batches; batches of other shapes than the first are left out.
        loss: The program's mean loss of these batches.
    """
    alike = [
        (s, t)
        for s, t in zip(scores, targets, strict=True)
        if _shape(s) == _shape(scores[0]) and _shape(t) == _shape(targets[0])
    ]
    truth = arrays.concatenate([t for _, t in alike])
    joined = arrays.concatenate([s for s, _ in alike]) if scores[0] is not None else None
    problem = task.problem(joined, truth)
    if problem:
        return Look(task, {}, problem=problem, own_loss=joined is not None and _is_own(task, joined, truth, loss))
    chance = task.chance_losses(truth)
    if joined is None:
        return Look(task, chance)
    reference, probability = task.reference_loss(joined, truth), task.probability_loss(joined, truth)
    as_probabilities = abs(loss - probability) < abs(loss - reference)  # false if either is NaN
    logits = task.logits(joined) if as_probabilities else joined
    spread = score_spread(task, logits, truth)
    uninformed = _uninformed_loss(task, logits, truth)
    excess = task.spread_excess(spread * _root_mean_square(truth) if task.metric == "R²" else spread)
    excess = max(excess, uninformed - max(chance.values())) if math.isfinite(uninformed) else excess
    luck = abs(task.reference_loss(logits, truth) - uninformed)
    fitting = (m for m in task.multiples(truth) if math.isclose(loss, m * reference, rel_tol=SAME))
    multiple = next(fitting, 1.0)
    return Look(
        task=task,
        chance={f"{multiple:.3g} x {name}" if multiple != 1 else name: multiple * c for name, c in chance.items()},
        spread=spread,
        excess=multiple * excess,
        luck=multiple * luck,
        score=task.score(joined, truth),
        best_constant_score=task.best_constant_score(truth),
        reference_loss=multiple * reference,
        probability_loss=probability,
        distributions=are_distributions(joined),
        own_loss=task.metric == "R²" and not math.isclose(loss, multiple * reference, rel_tol=SAME),
    )


def _is_own(task: Task, scores: Array, targets: Array, loss: float) -> bool:
    """Whether a regression's loss of scores that don't fit the targets is other than the errors of the two broadcast.

    Those are what a last layer of the wrong size gives by accident; other losses need other shapes on purpose.
    """
    import numpy as np

    if task.metric != "R²" or not math.isfinite(loss):
        return False
    predicted, true = arrays.on_host(scores).astype(np.float64), arrays.on_host(targets).astype(np.float64)
    try:
        errors = np.abs(predicted - true)
    except ValueError:  # they don't even broadcast
        return True
    outputs = errors.size / len(errors)
    absolute, squared = float(np.mean(errors)), float(np.mean(errors**2))
    usual = [absolute, absolute * outputs, *(squared * times for times in (1.0, 0.5, outputs, outputs / 2))]
    return not any(math.isclose(loss, value, rel_tol=0.05) for value in usual)  # batches of other sizes, summed up


def _shape(x: Any) -> list[tuple[int, ...]]:
    """Of each array in it, past the axis of examples."""
    return [tuple(leaf.shape[1:]) for _, leaf in arrays.leaves(x) if is_array_api_obj(leaf)]


def require_fit(bench: Bench) -> None:
    """Know that the scores fit the task before they are graded.

    Raises:
        Skip: They don't; that is for `check-loss` to find.
    """
    inputs, targets = bench.pool()[0]
    with bench.borrowed() as trainer:
        scores = trainer.evaluate((inputs, targets), training=True).scores
    if problem := bench.task.problem(scores, targets):
        raise Skip(f"scores or targets don't fit the task, as `babysit check-loss` tells: {problem}")


def score_spread(task: Task, scores: Array, targets: Array) -> float:
    """Over the classes about their mean; of a single score about 0; for R^2 about 0, in units of the targets' RMS."""
    xp = array_namespace(scores)
    values = xp.astype(scores, xp.float64)
    if task.metric == "R²":
        scale = _root_mean_square(targets)
        return math.sqrt(float(xp.mean(values**2))) / scale if scale > 0 else math.nan
    classes = getattr(task, "classes", 0)
    if classes < 2:
        return math.sqrt(float(xp.mean(values**2)))
    axis = 1 if values.shape[1] == classes else values.ndim - 1
    centered = values - xp.mean(values, axis=axis, keepdims=True)
    return math.sqrt(float(xp.mean(centered**2)) * classes / (classes - 1))


def _root_mean_square(values: Array) -> float:
    xp = array_namespace(values)
    return math.sqrt(float(xp.mean(xp.astype(values, xp.float64) ** 2)))


def _uninformed_loss(task: Task, scores: Array, targets: Array) -> float:
    """Mean standard loss of these scores against other examples' targets, so that they can know nothing."""
    n = arrays.count(targets)
    draw = random.Random(0)  # orders that don't depend on how the labels are arranged, nor on the run's seed
    shuffled = [arrays.take(targets, draw.sample(range(n), n)) for _ in range(SHUFFLES)]
    return sum(task.reference_loss(scores, t) for t in shuffled) / SHUFFLES


def are_distributions(scores: Array) -> bool:
    """Whether the scores are non-negative and sum to 1 over axis 1 or the last, for at least two classes."""
    xp = array_namespace(scores)
    if scores.ndim < 2 or not arrays.is_floating(scores) or not float(xp.min(scores)) >= 0:
        return False
    rounding = max(1e-4, 10 * float(xp.finfo(scores.dtype).eps))  # half precision's eps is 1e-3
    wide = xp.astype(scores, xp.float64)
    return any(
        wide.shape[axis] > 1 and float(xp.max(xp.abs(xp.sum(wide, axis=axis) - 1))) < rounding for axis in (1, -1)
    )


def last_layer(trainer: Driven, batch: Batch) -> tuple[str, str] | tuple[()]:
    """Kind and name of the layer whose output the scores are; empty where no layer is seen to give them.

    Raises:
        Skip: The trainer has no trace, or can't follow this network.
    """
    outputs: list[tuple[str, str, Array]] = []

    def visit(record: Record) -> None:
        if record.phase == "forward":
            outputs[:] = [(record.kind, record.name, arrays.duplicate(record.values))]

    scores = trainer.trace(batch, ForwardOnly(visit)).scores
    if scores is None or not outputs:
        return ()
    kind, name, values = outputs[0]
    xp = array_namespace(scores)
    size = math.prod(scores.shape)
    same = math.prod(values.shape) == size and bool(xp.all(xp.reshape(values, scores.shape) == scores))
    return (kind, name) if same else ()


def end_of(bench: Bench) -> tuple[str, str] | tuple[()]:
    """Kind and name of the layer whose output the scores are, as `last_layer` finds it; looked up once.

    Raises:
        Skip: The trainer has no trace, or can't follow this network.
    """

    def look_it_up() -> tuple[str, str] | tuple[()]:
        with bench.borrowed() as trainer:
            return last_layer(trainer, bench.pool()[0])

    return bench.once("last layer", look_it_up)


def variation(task: Task, scores: Array | None, targets: Any) -> float:
    """How much predictions vary over the examples: the largest spread of any score, in logits or in targets' spreads.

    NaN where there are no scores. Logits are compared after their row's mean is taken off: only differences count.
    """
    if scores is None or not arrays.is_floating(scores):
        return math.nan
    xp = array_namespace(scores)
    values = xp.astype(scores, xp.float64)
    rows = xp.reshape(values, (values.shape[0], -1))
    if rows.shape[1] > 1 and task.metric == "accuracy" and getattr(task, "classes", 0):
        rows = rows - xp.mean(rows, axis=1, keepdims=True)
    widest = math.sqrt(float(xp.max(xp.var(rows, axis=0))))
    if task.metric != "R²":
        return widest
    scale = math.sqrt(Regression().constant_loss(targets))
    return widest / scale if scale > 0 else math.nan
