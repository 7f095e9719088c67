"""What a batch of scores tells before anything was learned, held against its task."""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace, device, is_array_api_obj

from babysit import arrays
from babysit.driving.bench import Bench
from babysit.driving.guard import Driven
from babysit.errors import Skip
from babysit.measuring.losses import SAME
from babysit.tasks import blocks
from babysit.tasks.classification import Classification
from babysit.tasks.task import Regression, Task
from babysit.trainer import Array, Batch, ForwardOnly, Record

MOST_BYTES = 64 * 2**20  # of a batch's scores in double precision: 167 positions of a vocabulary of 50,257
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


class Summary:
    """Accumulates what the scores of several batches say, one batch at a time: none is kept.

    Scores that the program's own loss takes for probabilities, on the first batch, are read as such: their spread is
    that of their logits.

    Args:
        task: The trainer's task.
        targets: The targets of all batches; batches of other shapes than the first are left out.
        most_bytes: Of scores in double precision, of which spread and luck are found: where a batch has more, as those
            of language models have, so many positions are drawn of it.
    """

    def __init__(self, task: Task, targets: Sequence[Any], most_bytes: int = MOST_BYTES) -> None:
        self.task, self._targets, self._most_bytes = task, targets, most_bytes
        self._alike = [_shape(t) == _shape(targets[0]) for t in targets]
        self._truth = arrays.concatenate([t for t, alike in zip(targets, self._alike, strict=True) if alike])
        self._shape: Any = None
        self._as_probabilities: bool | None = None
        self._drawn = _Draw()
        self._sums: dict[str, float] = defaultdict(float)
        self.distributions = True
        self._problem, self._own_loss, self._empty = "", False, True

    def add(self, scores: Array | None, number: int, loss: float) -> None:
        """Add the scores of the batch of this number, counted from 0, and its loss."""
        targets = self._targets[number]
        if self._shape is None:
            self._shape = _shape(scores)
        if scores is None or not self._alike[number] or _shape(scores) != self._shape:
            return
        self._empty = False
        if problem := self.task.problem(scores, targets):
            self._problem = self._problem or problem
            self._own_loss = self._own_loss or _is_own(self.task, scores, targets, loss)
        if self._problem:
            return
        self._add_losses(scores, targets, loss)
        self.distributions = self.distributions and are_distributions(scores)
        self._add_spread(scores, targets, number)

    def _add_losses(self, scores: Array, targets: Array, loss: float) -> None:
        task, weight = self.task, _weight(self.task, targets)
        reference, probability = task.reference_loss(scores, targets), task.probability_loss(scores, targets)
        graded = Regression().reference_loss(scores, targets) if task.metric == "R²" else task.score(scores, targets)
        found = {"reference": reference, "probability": probability, "graded": graded}
        for name, value in found.items():
            self._sums[name] += weight * value
        self._sums["weight"] += weight
        if self._as_probabilities is None:
            self._as_probabilities = abs(loss - probability) < abs(loss - reference)  # false if either is NaN

    def _add_spread(self, scores: Array, targets: Array, number: int) -> None:
        """Of some positions: their spread, and what they lose against their own targets and against others'."""
        n = arrays.count(targets)
        first = sum(arrays.count(t) for t, alike in zip(self._targets[:number], self._alike, strict=False) if alike)
        rows, pick = drawn_rows(self.task, scores, targets, self._most_bytes)
        logits = self.task.logits(rows) if self._as_probabilities else rows
        own, count = pick(targets), math.prod(rows.shape)
        weight = _weight(self.task, own)
        others = (pick(arrays.take(self._truth, order[first : first + n])) for order in self._drawn.orders(self._truth))
        self._sums["squares"] += squares_about_the_mean(self.task, logits)
        self._sums["numbers"] += count
        self._sums["drawn"] += weight
        self._sums["own"] += weight * self.task.reference_loss(logits, own)
        self._sums["others"] += weight * sum(self.task.reference_loss(logits, t) for t in others) / SHUFFLES

    def found(self, loss: float) -> Look:
        """What was seen.

        Args:
            loss: The program's mean loss of these batches.
        """
        task, truth = self.task, self._truth
        problem = self._problem or (task.problem(None, truth) if self._empty else "")
        if problem:
            return Look(task, {}, problem=problem, own_loss=self._own_loss)
        chance = task.chance_losses(truth)
        if self._empty:
            return Look(task, chance)
        sums, weight = self._sums, self._sums["weight"]
        reference, uninformed = _over(sums["reference"], weight), _over(sums["others"], sums["drawn"])
        spread = math.sqrt(_over(sums["squares"], sums["numbers"]))
        excess = task.spread_excess(spread)
        excess = max(excess, uninformed - max(chance.values())) if math.isfinite(uninformed) else excess
        fitting = (m for m in task.multiples(truth) if math.isclose(loss, m * reference, rel_tol=SAME))
        multiple = next(fitting, 1.0)
        return Look(
            task=task,
            chance={f"{multiple:.3g} x {name}" if multiple != 1 else name: multiple * c for name, c in chance.items()},
            spread=_over(spread, _root_mean_square(truth)) if task.metric == "R²" else spread,
            excess=multiple * excess,
            luck=multiple * abs(_over(sums["own"], sums["drawn"]) - uninformed),
            score=_score(task, _over(sums["graded"], weight), truth),
            best_constant_score=task.best_constant_score(truth),
            reference_loss=multiple * reference,
            probability_loss=_over(sums["probability"], weight),
            distributions=self.distributions,
            own_loss=task.metric == "R²" and not math.isclose(loss, multiple * reference, rel_tol=SAME),
        )


def look(task: Task, scores: Sequence[Array | None], targets: Sequence[Any], loss: float) -> Look:
    """Hold the scores of several batches, one array a batch or None, against their task; see `Summary`."""
    summary = Summary(task, targets)
    for number, own in enumerate(scores):
        summary.add(own, number, loss)
    return summary.found(loss)


class _Draw:
    """Orders of all examples, so that scores meet the targets of others."""

    def __init__(self) -> None:
        self._orders: list[list[int]] = []

    def orders(self, truth: Array) -> list[list[int]]:
        """Some orders that don't depend on how the labels are arranged, nor on the run's seed."""
        if not self._orders:
            draw, n = random.Random(0), arrays.count(truth)
            self._orders = [draw.sample(range(n), n) for _ in range(SHUFFLES)]
        return self._orders


def _over(total: float, count: float) -> float:
    return total / count if count else math.nan


def _weight(task: Task, targets: Array) -> int:
    """The number of labels that a mean loss is a mean over."""
    if isinstance(task, Classification):
        return task.weight(targets)
    return math.prod(targets.shape) if is_array_api_obj(targets) else arrays.count(targets)


def _score(task: Task, graded: float, truth: Array) -> float:
    """The metric, of the mean squared error for an R²."""
    if task.metric != "R²":
        return graded
    constant = bool(array_namespace(truth).all(truth == truth[:1]))
    variance = 0.0 if constant else Regression().constant_loss(truth)
    return 1 - graded / variance if variance > 0 else math.nan


def drawn_rows(task: Task, scores: Array, targets: Array, most_bytes: int) -> tuple[Array, Callable[[Array], Array]]:
    """Scores of so many bytes in double precision at most, and what picks their targets; all of them where they fit.

    Positions are drawn where classes have labels of their own at each; all else is as large as its targets.
    """
    size = math.prod(scores.shape)
    if not isinstance(task, Classification) or 8 * size <= most_bytes or targets.shape == scores.shape:
        return scores, lambda targets: targets
    xp = array_namespace(scores)
    moved = xp.moveaxis(scores, task.axis_of(scores), -1)
    positions = size // task.classes
    chosen = sorted(random.Random(0).sample(range(positions), max(1, most_bytes // (8 * task.classes))))
    rows = moved[_places(chosen, moved)]
    return rows, lambda targets: arrays.take(xp.reshape(targets, (-1,)), chosen)


def _places(flat: Sequence[int], array: Array) -> tuple[Array, ...]:
    """Numbers of rows, counted over all axes but the last, as an index of each of these axes."""
    xp = array_namespace(array)
    rest = xp.asarray(list(flat), dtype=xp.int64, device=device(array))
    indices = []
    for length in reversed(array.shape[:-1]):
        indices.append(rest % length)
        rest = rest // length
    return tuple(reversed(indices))


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
    spread = math.sqrt(_over(squares_about_the_mean(task, scores), math.prod(scores.shape)))
    return _over(spread, _root_mean_square(targets)) if task.metric == "R²" else spread


def squares_about_the_mean(task: Task, scores: Array) -> float:
    """Sum of the squares of all scores: of classes about their mean, times C / (C - 1); of others about 0."""
    classes = getattr(task, "classes", 0)
    xp = array_namespace(scores)
    if classes < 2:
        return sum(float(xp.sum(block**2)) for (block,) in blocks.flat(scores))
    axis = 1 if scores.shape[1] == classes else scores.ndim - 1
    total = 0.0
    for _, rows in blocks.rows(scores, axis):
        centered = rows - xp.mean(rows, axis=1, keepdims=True)
        total += float(xp.sum(centered**2))
    return total * classes / (classes - 1)


def _root_mean_square(values: Array) -> float:
    xp = array_namespace(values)
    return math.sqrt(_over(sum(float(xp.sum(block**2)) for (block,) in blocks.flat(values)), math.prod(values.shape)))


def are_distributions(scores: Array) -> bool:
    """Whether the scores are non-negative and sum to 1 over axis 1 or the last, for at least two classes."""
    xp = array_namespace(scores)
    if scores.ndim < 2 or not arrays.is_floating(scores) or not float(xp.min(scores)) >= 0:
        return False
    rounding = max(1e-4, 10 * float(xp.finfo(scores.dtype).eps))  # half precision's eps is 1e-3
    return any(
        scores.shape[axis] > 1
        and all(float(xp.max(xp.abs(xp.sum(rows, axis=1) - 1))) < rounding for _, rows in blocks.rows(scores, axis))
        for axis in (1, -1)
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
    classes = getattr(task, "classes", 0) if task.metric == "accuracy" else 0
    xp = array_namespace(scores)
    rows = xp.reshape(scores, (scores.shape[0], -1))
    centers = xp.astype(xp.mean(rows, axis=1, keepdims=True), xp.float64) if classes and rows.shape[1] > 1 else 0.0
    widest = math.sqrt(max(float(xp.max(xp.var(block - centers, axis=0))) for block in blocks.columns(rows)))
    if task.metric != "R²":
        return widest
    scale = math.sqrt(Regression().constant_loss(targets))
    return widest / scale if scale > 0 else math.nan
