"""The least loss that a few examples leave, whatever the network: targets that are uncertain, or contradict each other.

Soft targets have an entropy of their own; equal inputs with different targets can't all be got right; and a language
model that reads from left to right can't know the first word.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from array_api_compat import is_array_api_obj

from babysit import arrays
from babysit.regression import Regression
from babysit.trainer import Array, Batch

if TYPE_CHECKING:
    from babysit.task import Task

NOTHING = 0.0, 1.0


def floor(task: "Task", batch: Batch) -> tuple[float, float]:
    """The least loss and the best score that any function of the inputs can have; (0, 1) where nothing is uncertain."""
    targets = [leaf for _, leaf in arrays.leaves(batch[1])]
    inputs = [leaf for _, leaf in arrays.leaves(batch[0])]
    known = all(is_array_api_obj(leaf) and leaf.ndim for leaf in inputs) and bool(inputs)
    if task.name == "stated" or not known or len(targets) != 1 or not arrays.are_scores(targets[0]):
        return NOTHING
    truth, seen = targets[0], [arrays.on_host(leaf) for leaf in inputs]
    if task.name == "language-model" or (task.name == "classification" and _are_next_tokens(truth, seen)):
        return _of_texts(task, truth, seen)
    labelled = task.name in ("classification", "hinge")
    if labelled and not (truth.ndim == 1 or (truth.ndim == 2 and truth.shape[1] in (1, getattr(task, "classes", 1)))):
        return NOTHING  # a label for each position, whose inputs nobody knows
    keys = [tuple(x[i].tobytes() for x in seen) for i in range(len(seen[0]))]
    return _left(task, truth, keys, soft=task.metric == "accuracy" and arrays.is_floating(truth))


def _are_next_tokens(truth: Array, inputs: list[Any]) -> bool:
    """Whether the labels (N, T) are tokens of the inputs (N, T), one place further on."""
    tokens = arrays.on_host(truth) if truth.ndim == 2 and truth.shape[1] > 1 else None
    same = [x for x in inputs if tokens is not None and x.shape == tokens.shape and x.dtype.kind in "iu"]
    return tokens is not None and any((x[:, 1:] == tokens[:, :-1]).all() for x in same)


def _of_texts(task: "Task", tokens: Array, inputs: list[Any]) -> tuple[float, float]:
    """What is left of tokens (N, T) by those who read the inputs up to each place."""
    from array_api_compat import array_namespace

    texts = [x for x in inputs if tokens.ndim == 2 and x.ndim == 2 and x.shape[1] >= tokens.shape[1]]
    if not texts:
        return NOTHING
    keys: list[Hashable] = []
    scored = []
    for i, row in enumerate(arrays.on_host(tokens)):
        read = 0
        for t, token in enumerate(row):
            read = hash((read, *(x[i, t].item() for x in texts)))
            if token >= 0:
                keys.append((t, read))
                scored.append(i * len(row) + t)
    flat = array_namespace(tokens).reshape(tokens, (-1,))
    return _left(task, arrays.take(flat, scored), keys, soft=False) if scored else NOTHING


def _left(task: "Task", truth: Array, keys: Sequence[Hashable], *, soft: bool) -> tuple[float, float]:
    """What the best prediction for each key leaves; targets that are no certain ones leave something by themselves."""
    groups = defaultdict(list)
    for place, key in enumerate(keys):
        groups[key].append(place)
    unsure = [arrays.take(truth, places) for places in groups.values() if len(places) > 1 or soft]
    shares = [arrays.count(part) / len(keys) for part in unsure]
    loss = sum(share * max(0.0, task.constant_loss(part)) for share, part in zip(shares, unsure, strict=True))
    if task.metric == "R²":
        squared = Regression()
        whole = squared.constant_loss(truth)
        left = sum(share * squared.constant_loss(part) for share, part in zip(shares, unsure, strict=True))
        return loss, 1 - left / whole if whole > 0 else 1.0
    wrong = sum(share * (1 - task.best_constant_score(part)) for share, part in zip(shares, unsure, strict=True))
    return loss, 1 - wrong
