"""The least loss that a few examples leave, whatever the network: targets that are uncertain, or contradict each other.

Soft targets have an entropy of their own; equal inputs with different targets can't all be got right; and a language
model that reads from left to right can't know the first word.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

from babysit import arrays
from babysit.trainer import Array, Batch

if TYPE_CHECKING:
    from babysit.task import Task


def floor(task: "Task", batch: Batch) -> tuple[float, float]:
    """The least loss and the best score that any function of the inputs can have; (0, 1) where nothing is uncertain."""
    targets = [leaf for _, leaf in arrays.leaves(batch[1])]
    if task.name == "stated" or len(targets) != 1 or not arrays.are_scores(targets[0]):
        return 0.0, 1.0
    truth, keys = targets[0], list(_inputs_seen(task, batch))
    if len(keys) != truth.shape[0]:  # one for each position
        truth = _flat(truth)
    if len(keys) != truth.shape[0]:
        return 0.0, 1.0
    groups = defaultdict(list)
    for place, key in enumerate(keys):
        groups[key].append(place)
    soft = arrays.is_floating(truth) and task.metric == "accuracy"
    left = [places for places in groups.values() if len(places) > 1 or soft]
    parts = [(len(places), *_left(task, arrays.take(truth, places))) for places in left]
    total = len(keys)
    loss = sum(n * loss for n, loss, _ in parts) / total
    if task.metric == "R²":
        whole = task.constant_loss(truth)
        return loss, 1 - loss / whole if whole > 0 else 1.0
    return loss, 1 - sum(n * (1 - score) for n, _, score in parts) / total


def _left(task: "Task", targets: Array) -> tuple[float, float]:
    """The loss and the score of the best prediction that is the same for these targets."""
    return max(0.0, task.constant_loss(targets)), task.best_constant_score(targets)


def _flat(targets: Array) -> Array:
    from array_api_compat import array_namespace

    return array_namespace(targets).reshape(targets, (-1,))


def _inputs_seen(task: "Task", batch: Batch) -> Iterator[Hashable]:
    """What tells each prediction's inputs from others': all of an example's, or what a text holds up to its place."""
    inputs = [arrays.on_host(leaf) for _, leaf in arrays.leaves(batch[0]) if arrays.are_scores(leaf)]
    targets: Any = next(leaf for _, leaf in arrays.leaves(batch[1]))
    n, length = targets.shape[0], targets.shape[1] if targets.ndim == 2 else 0
    texts = [x for x in inputs if x.ndim == 2 and x.shape[1] >= length > 0]
    for i in range(n):
        if task.name != "language-model" or not texts:
            yield tuple(x[i].tobytes() for x in inputs)
            continue
        read = 0
        for t in range(length):
            read = hash((read, t, *(x[i, t].item() for x in texts)))
            yield read
