"""Whether targets can be read off the inputs: a column that holds them, a place of the sequence that is let through."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import is_array_api_obj

from babysit import arrays
from babysit.dataset import Sight, Tie
from babysit.errors import LostError, Skip, TargetError
from babysit.features import Array

if TYPE_CHECKING:
    from babysit.bench import Bench
    from babysit.task import Task
    from babysit.trainer import Batch

FEWEST = 50  # examples that must agree: a yes-or-no column agrees with the labels of as many by chance 1 in 2^49 times
EACH = 10  # examples a class, on the average, so that columns are not constant within classes for want of examples
EXACT = 1e-4  # of its spread, that a target may lie off the line through a column; single precision is within 1e-6
WIDEST = 10_000  # columns; what is wider are pixels or words, none of which is left in by mistake
FURTHEST = 3  # places that a target may lie further on in the inputs
REPEATED = 0.9  # share of the targets that the inputs hold at such a place; at random it is that of the commonest word
STEPS = 50  # updates at which is looked, as in check-init: heads that start at zero show nothing before


def columns(batches: "list[Batch]", task: "Task") -> tuple[str, ...]:
    """The columns of the inputs that hold the targets, each by name; one or several that tell classes together."""
    tables = list(_tables([batch[0] for batch in batches]))
    targets = next(iter(_joined([batch[1] for batch in batches]).values()), None)
    if targets is None or targets.size != len(targets) or len(targets) < FEWEST or task.name == "language-model":
        return ()
    if not np.isfinite(targets).all():
        return ()
    names = [f"{name}[{c}]" for name, table in tables for c in range(table.shape[1])]
    if len(names) < 2:  # one number a row is all there is to learn from
        return ()
    whole = np.concatenate([table for _, table in tables], axis=1)
    return tuple(names[c] for c in _holding(whole, targets.reshape(-1), task))


def _tables(trees: list[Any]) -> Iterator[tuple[str, Array]]:
    for path, table in _joined(trees, lambda leaf: leaf.ndim == 2 and leaf.shape[1] <= WIDEST).items():
        if np.isfinite(table).all():
            yield f"inputs.{path}" if path else "inputs", table


def _joined(trees: list[Any], wanted: Callable[[Any], bool] = lambda leaf: True) -> dict[str, Array]:  # noqa: ARG005
    """The arrays wanted of all batches' trees, joined; those left out that differ in shape."""
    found: dict[str, list[Array]] = {}
    for tree in trees:
        for path, leaf in arrays.leaves(tree):
            if is_array_api_obj(leaf) and arrays.are_scores(leaf) and wanted(leaf):
                found.setdefault(path, []).append(arrays.on_host(leaf))
    alike = {path: parts for path, parts in found.items() if len({part.shape[1:] for part in parts}) == 1}
    return {path: np.concatenate(parts).astype(np.float64) for path, parts in alike.items()}


def _holding(table: Array, targets: Array, task: "Task") -> list[int]:
    """Numbers of the columns that hold the targets."""
    if task.name == "regression":
        return _on_a_line(table, targets)
    if task.name not in ("classification", "hinge", "binary"):
        return []
    classes = np.unique(targets)
    if not 2 <= len(classes) <= len(targets) / EACH:
        return []
    levels = np.array(
        [(table[targets == c].min(axis=0), table[targets == c].max(axis=0)) for c in classes]
    )  # (C, 2, D)
    within = (levels[:, 0] == levels[:, 1]).all(axis=0)
    level = levels[:, 0]  # (C, D)
    telling = within & (level != level[:1]).any(axis=0)
    if telling.all() or not telling.any():  # all of them: one pattern for each class, and nothing beside
        return []
    apart = np.array([len(np.unique(column)) for column in level.T])
    whole = np.flatnonzero(telling & (apart == len(classes)))
    if len(whole):
        return [int(c) for c in whole]
    marks = [int(c) for c in np.flatnonzero(telling & (apart == 2)) if _marks_one(level[:, c])]
    return marks if len({(level[:, c] == level[0, c]).tobytes() for c in marks}) >= len(classes) - 1 else []


def _marks_one(level: Array) -> bool:
    """Whether one class has a value of its own."""
    return 1 in np.unique(level, return_counts=True)[1]


def _on_a_line(table: Array, targets: Array) -> list[int]:
    """Columns of which the targets are a multiple, but for an offset."""
    x, y = table - table.mean(axis=0), targets - targets.mean()
    power, spread = (x**2).sum(axis=0), math.sqrt(float(np.mean(y**2)))
    if not spread > 0 or len(np.unique(targets)) < FEWEST:
        return []
    slopes = np.divide(x.T @ y, power, out=np.zeros(x.shape[1]), where=power > 0)
    off = np.sqrt(np.mean((y[:, None] - slopes * x) ** 2, axis=0))
    return [int(c) for c in np.flatnonzero(off < EXACT * spread)]


def lost_ties(train: "list[Batch]", val: "list[Batch]", task: "Task") -> tuple[Tie, ...]:
    """Columns that are tied to the targets in training, and not in validation.

    Correlations of the two splits are compared by Fisher's z, whose error is (n - 3)^-1/2 whatever the correlation;
    that with classes is the root of the share of the variance that lies between them, less what chance puts there.
    """
    both = _joined_pairs(train), _joined_pairs(val)
    found = []
    for name in [name for name in both[0][0] if name in both[1][0]]:
        (x, y), (xv, yv) = ((tables[name], targets) for tables, targets in both)
        if y is None or yv is None or min(len(y), len(yv)) < FEWEST or x.shape[1:] != xv.shape[1:]:
            continue
        tied, still = _correlations(x, y, task), _correlations(xv, yv, task)
        apart = np.abs(np.arctanh(tied) - np.arctanh(still)) / math.sqrt(1 / (len(y) - 3) + 1 / (len(yv) - 3))
        kept = np.maximum(0.0, still * np.sign(tied))  # a tie whose sign turns is lost, too
        column = int(np.argmax(np.abs(tied) - kept))
        found.append(Tie(f"{name}[{column}]", float(tied[column]), float(still[column]), float(apart[column])))
    return tuple(found)


def _joined_pairs(batches: "list[Batch]") -> tuple[dict[str, Array], Array | None]:
    targets: Array | None = next(iter(_joined([batch[1] for batch in batches]).values()), None)
    if targets is not None:
        targets = targets.reshape(-1) if targets.size == len(targets) else None
    return dict(_tables([batch[0] for batch in batches])), targets


def _correlations(table: Array, targets: Array, task: "Task") -> Array:
    """Of each column with the targets; 0 where either doesn't vary. Within 1e-6 of 1 at most, so that z is finite."""
    x = table - table.mean(axis=0)
    power = (x**2).sum(axis=0)
    if task.name in ("classification", "hinge"):
        classes, members = np.unique(targets, return_inverse=True)
        means = np.array([x[members == k].mean(axis=0) for k in range(len(classes))])
        between = np.bincount(members) @ means**2
        share = np.divide(between, power, out=np.zeros(x.shape[1]), where=power > 0)
        chance = (len(classes) - 1) / max(1, len(targets) - 1)
        found = np.sqrt(np.maximum(0.0, share - chance))
    else:
        y = targets - targets.mean()
        size = np.sqrt(power * (y**2).sum())
        found = np.divide(x.T @ y, size, out=np.zeros(x.shape[1]), where=size > 0)
    return np.clip(found, -1 + 1e-6, 1 - 1e-6)


def sight(bench: "Bench") -> Sight | None:
    """Whether scores along a sequence change with the very place of the inputs that holds their target.

    None where the targets are no part of the inputs, or the program can't be asked.
    """
    batch = bench.pool()[0]
    found = _repeated(batch)
    if found is None:
        return None
    path, offset = found
    try:
        with bench.trained(STEPS) as (trainer, _):
            return _looked(trainer, batch, path, offset)
    except LostError:
        raise
    except (Skip, TargetError):  # other checks will tell what the program can't do
        return None


def _repeated(batch: "Batch") -> tuple[str, int] | None:
    """The array of the inputs that holds the targets, and how many places further on; None if none does."""
    targets = [leaf for _, leaf in arrays.leaves(batch[1]) if is_array_api_obj(leaf)]
    if len(targets) != 1 or targets[0].ndim not in (2, 3):
        return None
    wanted = arrays.on_host(targets[0])
    if (wanted.ndim == 2 and arrays.is_floating(targets[0])) or wanted.shape[1] < 2 * FURTHEST:
        return None
    for path, leaf in arrays.leaves(batch[0]):
        if not is_array_api_obj(leaf) or leaf.ndim != wanted.ndim or leaf.shape[2:] != wanted.shape[2:]:
            continue
        held = arrays.on_host(leaf)
        for offset in range(FURTHEST + 1):
            length = min(held.shape[1] - offset, wanted.shape[1])
            here, there = wanted[:, :length], held[:, offset : offset + length]
            scored = here >= 0 if wanted.ndim == 2 else np.ones(here.shape, dtype=bool)  # below 0: left out of the loss
            values, often = np.unique(here[scored], return_counts=True)
            telling = scored & (here != values[np.argmax(often)]) if len(values) else scored  # zeros and padding agree
            if length > 1 and telling.any() and np.mean(here[telling] == there[telling]) > REPEATED:
                return path, offset
    return None


def _looked(trainer: Any, batch: "Batch", path: str, offset: int) -> Sight | None:
    n, length = arrays.count(batch), int(next(leaf for _, leaf in arrays.leaves(batch[1])).shape[1])
    place = length // 2
    if offset == 0 and _shifts_inside(trainer, batch):
        return None

    def at_place(altered: "Batch") -> Array | None:
        return _at(trainer.evaluate(altered).scores, n, length, place)

    before, again = at_place(batch), at_place(batch)
    if before is None or again is None:
        return None
    spread = float(before.std())
    changes = []
    for first, last in ((place + offset, place + offset + 1), (place + max(1, offset), None)):
        changed = at_place(_altered(batch, path, first, last))
        if changed is None:
            return None
        changes.append(float(np.abs(changed - before).max()))
    noise = float(np.abs(again - before).max())
    if not (spread > 0 and all(map(math.isfinite, (spread, noise, *changes)))):
        return None
    return Sight(offset, changes[0] / spread, changes[1] / spread, noise / spread)


def _shifts_inside(trainer: Any, batch: "Batch") -> bool:
    """Whether the loss leaves out the first target, as one does that moves targets against scores by itself."""

    def alter(leaf: Any) -> Any:
        values = arrays.on_host(leaf).copy()
        values[:, :1] = np.roll(values, 1, axis=0)[:, :1]
        return arrays.like(leaf, values)

    changed = batch[0], arrays.tree_map(alter, batch[1])
    return bool(trainer.evaluate(changed).loss == trainer.evaluate(batch).loss)


def _at(scores: Array | None, n: int, length: int, place: int) -> Array | None:
    """The scores of each example at one place of (N, length, ...), as (N, ...); None where no axis has that length."""
    if scores is None:
        return None
    if scores.shape[0] == n * length:
        found = scores[place::length]
    elif scores.ndim > 1 and scores.shape[1] == length:
        found = scores[:, place]
    elif scores.ndim > 2 and scores.shape[-1] == length:
        found = scores[..., place]
    else:
        return None
    return arrays.on_host(found).astype(np.float64)


def _altered(batch: "Batch", path: str, first: int, last: int | None) -> "Batch":
    """The batch with these places of one array taken from the next example."""
    names = iter(name for name, _ in arrays.leaves(batch[0]))

    def alter(leaf: Any) -> Any:
        if next(names) != path:
            return leaf
        values = arrays.on_host(leaf).copy()
        values[:, first:last] = np.roll(values, 1, axis=0)[:, first:last]
        return arrays.like(leaf, values)

    return arrays.tree_map(alter, batch[0]), batch[1]
