"""A part of a split that a monitored run looks at again and again: its loss, what that is worth, its metric."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.tasks.task import Task
    from babysit.trainer import Batch, Output

ENOUGH = 8  # batches whose losses tell what their mean is worth; with fewer, their scatter is badly known
# Of a part, at most, or a program with small batches takes longer to look at than to train: as many batches as hold so
# many targets, of which an accuracy is known to 2 %; but no fewer than checks look at otherwise.
TARGETS, MANY = 512, 24
PIECES = 16  # into which fewer batches are cut for that


@dataclass(frozen=True)
class Ignorance:
    """What predictions reach that know nothing of the inputs: one prediction for all examples, the best there is.

    Args:
        examples: How many there are; 0 where there is no such split.
        loss: Their least loss, in the units of the program's own.
        score: The task's metric.
    """

    examples: int = 0
    loss: float = math.nan
    score: float = math.nan


@dataclass(frozen=True)
class Part:
    """Some batches of a split.

    Args:
        batches: The batches.
        sizes: Their numbers of examples.
        variance: Mean squared distance of the targets from the best constant of each output; NaN for other metrics.
        ignorance: What is reached on them without knowing anything.
    """

    batches: Sequence["Batch"] = ()
    sizes: Sequence[int] = ()
    variance: float = math.nan
    ignorance: Ignorance = Ignorance()


def part_of(bench: "Bench", split: str, examples: int) -> Part:
    """The split's first batches, whole ones, up to so many examples; empty if there is no such split."""
    from babysit import arrays
    from babysit.driving.budget import LOOKED
    from babysit.tasks.regression import Regression

    pool = bench.pool(split)
    most = (
        min(MANY, max(LOOKED, math.ceil(TARGETS / (arrays.targets_each(pool[0]) * arrays.count(pool[0])))))
        if pool
        else 0
    )
    batches: list[Batch] = []
    sizes: list[int] = []
    for batch in pool:
        if sum(sizes) >= examples or len(sizes) == most:
            break
        batches.append(batch)
        sizes.append(arrays.count(batch))
    if not batches:
        return Part()
    targets = _joined([batch[1] for batch in batches])
    with bench.borrowed() as trainer:
        factor = _factor(trainer, bench.task, batches[0])
    loss, score = bench.task.constant_loss(targets), bench.task.best_constant_score(targets)
    variance = Regression().constant_loss(targets) if bench.task.metric == "R²" else math.nan
    return Part(batches, sizes, variance, Ignorance(sum(sizes), factor * loss, score))


def _joined(trees: Sequence[Any]) -> Any:
    """All in one; flattened where they differ in shape past the examples, as texts do."""
    from array_api_compat import array_namespace, is_array_api_obj

    from babysit import arrays

    found = [[leaf for _, leaf in arrays.leaves(t) if is_array_api_obj(leaf)] for t in trees]
    shapes = [[tuple(leaf.shape[1:]) for leaf in leaves] for leaves in found]
    if all(shape == shapes[0] for shape in shapes):
        return arrays.concatenate(trees)
    return arrays.concatenate([array_namespace(t[0]).reshape(t[0], (-1,)) for t in found])


def _factor(trainer: "Driven", task: "Task", batch: "Batch") -> float:
    """How many times the task's standard loss the program's is: the batch size where it sums over examples, say.

    1 where that differs between the halves of a batch: such a loss is of another kind, smoothed, weighted or clipped.
    """
    from babysit import arrays
    from babysit.measuring.losses import SAME

    n = arrays.count(batch)
    factors = []
    for part in (range(n), range(n // 2), range(n // 2, 2 * (n // 2))):
        some = arrays.take(batch, part) if len(part) < n else batch
        output = trainer.evaluate(some) if len(part) else None
        reference = task.reference_loss(output.scores, some[1]) if output and output.scores is not None else math.nan
        factors.append(output.loss / reference if output and reference > 0 else math.nan)
    whole, *halves = factors
    same = math.isclose(*halves, rel_tol=SAME) and 0 < whole < math.inf
    return whole if same and not math.isclose(whole, 1.0, rel_tol=SAME) else 1.0


def looked_at(trainer: "Driven", task: "Task", part: Part) -> tuple[float, float, float]:
    """Mean loss of the part in evaluation mode, its standard error, and the metric; NaN for what can't be had."""
    from babysit.measuring.losses import mean_loss, standard_error

    losses, sizes, graded = [], list(part.sizes), []
    pieces: list[tuple[float, int]] = []
    for batch in part.batches:
        output = trainer.evaluate(batch)
        losses.append(output.loss)
        if output.scores is not None:
            if len(sizes) < ENOUGH:
                pieces += _pieces(task, output, batch[1], math.ceil(PIECES / len(sizes)))
            graded.append(_graded(task, output, batch))
    if not losses:
        return math.nan, math.nan, math.nan
    loss, told = mean_loss(losses, sizes), pieces or list(zip(losses, sizes, strict=True))
    error = standard_error([piece for piece, _ in told], [n for _, n in told], (math.nan, math.nan))
    if not graded or not math.isfinite(loss):
        return loss, error, math.nan
    score = mean_loss(graded, sizes)
    if task.metric == "R²":
        score = 1 - score / part.variance if part.variance > 0 else math.nan
    return loss, error, score


def _graded(task: "Task", output: "Output", batch: "Batch") -> float:
    """The metric of one batch, or its mean squared error; scores are not kept, or they fill the memory."""
    from babysit.tasks.regression import Regression

    if not math.isfinite(output.loss):
        return math.nan
    if task.metric == "R²":
        return Regression().reference_loss(output.scores, batch[1])
    return task.score(output.scores, batch[1])


def _pieces(task: "Task", output: "Output", targets: Any, count: int) -> list[tuple[float, int]]:
    """Losses of pieces of one batch, with their sizes: the task's, in the program's units."""
    from babysit import arrays

    n = output.scores.shape[0] if output.scores is not None else 0
    if not math.isfinite(output.loss) or n != arrays.count(targets):
        return []
    parts = [range(a, b) for a, b in pairwise(sorted({n * k // count for k in range(count + 1)}))]
    losses = [task.reference_loss(arrays.take(output.scores, part), arrays.take(targets, part)) for part in parts]
    known = [(loss, len(part)) for loss, part in zip(losses, parts, strict=True) if math.isfinite(loss)]
    whole = sum(loss * size for loss, size in known) / max(1, sum(size for _, size in known))
    return [(loss * output.loss / whole, size) for loss, size in known] if whole else []
