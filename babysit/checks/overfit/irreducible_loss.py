"""The least loss that a few examples leave, whatever the network: targets that are uncertain, or contradict each other.

Soft targets have an entropy of their own; equal inputs with different targets can't all be got right; and a language
model that reads from left to right can't know the first word.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import is_array_api_obj

from babysit import arrays
from babysit.tasks.regression import Regression
from babysit.trainer import Array, Batch

if TYPE_CHECKING:
    from babysit.tasks.task import Task

NOTHING = 0.0, 1.0


def floor(task: "Task", batch: Batch) -> tuple[float, float]:
    """The least loss and the best score that any function of the inputs can have; (0, 1) where nothing is uncertain."""
    targets = [leaf for _, leaf in arrays.leaves(batch[1])]
    inputs = [leaf for _, leaf in arrays.leaves(batch[0])]
    known = all(is_array_api_obj(leaf) and leaf.ndim for leaf in inputs) and bool(inputs)
    if task.name in ("stated", "unknown") or not known or len(targets) != 1 or not arrays.are_scores(targets[0]):
        return NOTHING
    truth, seen = targets[0], [arrays.on_host(leaf) for leaf in inputs]
    if task.name == "language-model" or (task.name == "classification" and _are_next_tokens(truth, seen)):
        return _of_texts(task, truth, seen)
    labelled = task.name in ("classification", "hinge")
    if labelled and not (truth.ndim == 1 or (truth.ndim == 2 and truth.shape[1] in (1, getattr(task, "classes", 1)))):
        return NOTHING  # a label for each position, whose inputs nobody knows
    keys = [hash(tuple(hash(x[i].tobytes()) for x in seen)) for i in range(len(seen[0]))]
    return _left(task, truth, np.array(keys), soft=task.metric == "accuracy" and arrays.is_floating(truth))


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
    rows = arrays.on_host(tokens)
    count, length = rows.shape
    keys = np.empty((count, length), dtype=np.int64)
    read = np.zeros(count, dtype=np.int64)  # a number for all that was read up to a place, equal where that is
    for t in range(length):
        for x in texts:
            read = _numbered(read * count + _numbered(x[:, t]))
        keys[:, t] = t * count + read
    scored = np.flatnonzero((rows >= 0) & (rows != getattr(task, "ignored", -1)))
    if not len(scored):
        return NOTHING
    flat = array_namespace(tokens).reshape(tokens, (-1,))
    return _left(task, arrays.take(flat, scored.tolist()), keys.reshape(-1)[scored], soft=False)


def _numbered(values: Array) -> Array:
    """Equal values as equal numbers, from 0 up."""
    return np.unique(values, return_inverse=True)[1]


def _left(task: "Task", truth: Array, keys: Array, *, soft: bool) -> tuple[float, float]:
    """What the best prediction for each key leaves; targets that are no certain ones leave something by themselves.

    Args:
        task: What targets mean.
        truth: They, (N, ...).
        keys: Whole numbers, (N,), equal where the inputs are.
        soft: Whether one target alone may be uncertain.
    """
    places = np.argsort(keys, kind="stable")
    _, first, often = np.unique(keys[places], return_index=True, return_counts=True)
    groups = [places[a : a + n].tolist() for a, n in zip(first, often, strict=True) if n > 1 or soft]
    unsure = [arrays.take(truth, group) for group in sorted(groups)]  # the first to come first, whatever its hash
    shares = [arrays.count(part) / len(keys) for part in unsure]
    loss = sum(share * max(0.0, task.constant_loss(part)) for share, part in zip(shares, unsure, strict=True))
    if task.metric == "R²":
        squared = Regression()
        whole = squared.constant_loss(truth)
        left = sum(share * squared.constant_loss(part) for share, part in zip(shares, unsure, strict=True))
        return loss, 1 - left / whole if whole > 0 else 1.0
    wrong = sum(share * (1 - task.best_constant_score(part)) for share, part in zip(shares, unsure, strict=True))
    return loss, 1 - wrong
