"""Whether targets can be read off the inputs: a column that holds them, a place of the sequence that is let through."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from array_api_compat import is_array_api_obj

from babysit import arrays
from babysit.checks.check_data.statistics.features import Array
from babysit.checks.check_data.summaries import Sight, Tie
from babysit.errors import LostError, Skip, TargetError
from babysit.tasks.blocks import column_blocks, row_pieces

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.tasks.task import Task
    from babysit.trainer import Batch

Parts: TypeAlias = list[Array]  # an array's rows, batch by batch

FEWEST = 50  # examples that must agree: a yes-or-no column agrees with the labels of as many by chance 1 in 2^49 times
EACH = 10  # examples a class, on the average, so that columns are not constant within classes for want of examples
EXACT = 1e-4  # of its spread, that a target may lie off the line through a column; single precision is within 1e-6
WIDEST = 10_000  # columns; what is wider are pixels or words, none of which is left in by mistake
FURTHEST = 3  # places that a target may lie further on in the inputs
REPEATED = 0.9  # share of the targets that the inputs hold at such a place; at random it is that of the commonest word
PLACES = 2**18  # that such a share is taken of, in whole examples: by then it is known to a thousandth
STEPS = 50  # updates at which is looked, as in check-init: heads that start at zero show nothing before


def columns(batches: "list[Batch]", task: "Task") -> tuple[str, ...]:
    """The columns of the inputs that hold the targets, each by name; one or several that tell classes together."""
    tables = dict(_tables([batch[0] for batch in batches]))
    targets = _joined_targets(batches)
    if targets is None or len(targets) < FEWEST or task.name == "language-model" or not np.isfinite(targets).all():
        return ()
    if sum(parts[0].shape[1] for parts in tables.values()) < 2:  # one number a row is all there is to learn from
        return ()
    return tuple(f"{name}[{column}]" for name, column in _holding(tables, targets, task))


def _tables(trees: list[Any]) -> Iterator[tuple[str, Parts]]:
    for path, parts in _arrays(trees, lambda leaf: leaf.ndim == 2 and leaf.shape[1] <= WIDEST).items():
        if all(np.isfinite(piece).all() for part in parts for piece in row_pieces(part)):
            yield f"inputs.{path}" if path else "inputs", parts


def _arrays(trees: list[Any], wanted: Callable[[Any], bool] = lambda leaf: True) -> dict[str, Parts]:  # noqa: ARG005
    """The arrays wanted of all batches' trees, batch by batch; without those that differ in shape or are lacking."""
    found: dict[str, Parts] = {}
    for tree in trees:
        for path, leaf in arrays.leaves(tree):
            if is_array_api_obj(leaf) and arrays.are_scores(leaf) and wanted(leaf):
                found.setdefault(path, []).append(arrays.on_host(leaf))
    alike = {path: parts for path, parts in found.items() if len({part.shape[1:] for part in parts}) == 1}
    return {path: parts for path, parts in alike.items() if len(parts) == len(trees)}


def _joined_targets(batches: "list[Batch]") -> Array | None:
    """The first array of the targets, (N,); None where there is none, or it holds several numbers an example."""
    parts = next(iter(_arrays([batch[1] for batch in batches]).values()), None)
    if parts is None or any(part.size != len(part) for part in parts):
        return None
    return np.concatenate([part.reshape(-1) for part in parts]).astype(np.float64)


def _holding(tables: dict[str, Parts], targets: Array, task: "Task") -> list[tuple[str, int]]:
    """The columns that hold the targets, by table and number."""
    if task.name == "regression":
        return list(_on_a_line(tables, targets))
    if task.name not in ("classification", "hinge", "binary"):
        return []
    classes, members = np.unique(targets, return_inverse=True)
    if not 2 <= len(classes) <= len(targets) / EACH:
        return []
    telling, whole, marks, marked = 0, [], [], set()
    for column, level in _levels(tables, members, len(classes)):
        values, often = np.unique(level, return_counts=True)
        telling += len(values) > 1
        if len(values) == len(classes):
            whole.append(column)
        elif len(values) == 2 and 1 in often:  # one class has a value of its own
            marks.append(column)
            marked.add(int(np.argmax(level == values[np.argmin(often)])))
    if telling == sum(parts[0].shape[1] for parts in tables.values()):  # one pattern for each class, nothing beside
        return []
    return whole or (marks if len(marked) >= len(classes) - 1 else [])


def _levels(tables: dict[str, Parts], members: Array, classes: int) -> Iterator[tuple[tuple[str, int], Array]]:
    """The columns that are constant within each class, by table and number, and their value in each class, (C,)."""
    rows = np.argsort(members, kind="stable")
    first = np.searchsorted(members[rows], np.arange(classes))
    for name, parts in tables.items():
        for numbers, block in column_blocks(parts, _steady(parts, members)):
            ordered = block[rows]
            changes = ordered[1:] != ordered[:-1]
            changes[first[1:] - 1] = False  # from one class to the next
            for c in np.flatnonzero(~changes.any(axis=0)):
                yield (name, int(numbers[c])), ordered[first, c]


def _steady(parts: Parts, members: Array) -> Array:
    """Numbers of the columns that no class varies in within a batch's first rows: only these can be constant in all."""
    steady, start = np.arange(parts[0].shape[1]), 0
    for part in parts:
        piece = next(row_pieces(part))
        of_class = members[start : start + len(piece)]
        order = np.argsort(of_class, kind="stable")
        alike = np.flatnonzero(np.diff(of_class[order]) == 0)
        varies = piece[order[alike]][:, steady] != piece[order[alike + 1]][:, steady]
        steady, start = steady[~varies.any(axis=0)], start + len(part)
        if not len(steady):
            break
    return steady


def _on_a_line(tables: dict[str, Parts], targets: Array) -> Iterator[tuple[str, int]]:
    """Columns of which the targets are a multiple, but for an offset."""
    y = targets - targets.mean()
    spread = math.sqrt(float(np.mean(y**2)))
    if not spread > 0 or len(np.unique(targets)) < FEWEST:
        return
    for name, parts in tables.items():
        for numbers, x in column_blocks(parts):
            x -= x.mean(axis=0)
            slopes = _over(x.T @ y, np.einsum("nd,nd->d", x, x))
            x *= slopes
            x -= y[:, None]
            off = np.sqrt(np.einsum("nd,nd->d", x, x) / len(y))
            yield from ((name, int(numbers[c])) for c in np.flatnonzero(off < EXACT * spread))


def _over(numbers: Array, powers: Array) -> Array:
    """The quotients; 0 where there is nothing to divide by."""
    return np.divide(numbers, powers, out=np.zeros(len(powers)), where=powers > 0)


def lost_ties(train: "list[Batch]", val: "list[Batch]", task: "Task") -> tuple[Tie, ...]:
    """Columns that are tied to the targets in training, and not in validation.

    Correlations of the two splits are compared by Fisher's z, whose error is (n - 3)^-1/2 whatever the correlation;
    that with classes is the root of the share of the variance that lies between them, less what chance puts there.
    """
    y, yv = _joined_targets(train), _joined_targets(val)
    if y is None or yv is None or min(len(y), len(yv)) < FEWEST:
        return ()
    tables, others = (dict(_tables([batch[0] for batch in batches])) for batches in (train, val))
    found = []
    for name in tables:
        if name not in others or tables[name][0].shape[1] != others[name][0].shape[1]:
            continue
        tied, still = _correlations(tables[name], y, task), _correlations(others[name], yv, task)
        apart = np.abs(np.arctanh(tied) - np.arctanh(still)) / math.sqrt(1 / (len(y) - 3) + 1 / (len(yv) - 3))
        kept = np.maximum(0.0, still * np.sign(tied))  # a tie whose sign turns is lost, too
        column = int(np.argmax(np.abs(tied) - kept))
        found.append(Tie(f"{name}[{column}]", float(tied[column]), float(still[column]), float(apart[column])))
    return tuple(found)


def _correlations(parts: Parts, targets: Array, task: "Task") -> Array:
    """Of each column with the targets; 0 where either doesn't vary. Within 1e-6 of 1 at most, so that z is finite."""
    if task.name in ("classification", "hinge"):
        classes, members = np.unique(targets, return_inverse=True)
        found = [_between_classes(x, members, len(classes)) for _, x in column_blocks(parts)]
    else:
        y = targets - targets.mean()
        found = [_with_numbers(x, y) for _, x in column_blocks(parts)]
    return np.clip(np.concatenate(found), -1 + 1e-6, 1 - 1e-6)


def _between_classes(x: Array, members: Array, classes: int) -> Array:
    """The root of the share of each column's variance that lies between classes, less what chance puts there."""
    x -= x.mean(axis=0)
    sums = np.array([np.bincount(members, weights=column, minlength=classes) for column in x.T])  # (D, C)
    between = (sums**2 / np.bincount(members)).sum(axis=1)
    chance = (classes - 1) / max(1, len(x) - 1)
    return np.sqrt(np.maximum(0.0, _over(between, np.einsum("nd,nd->d", x, x)) - chance))


def _with_numbers(x: Array, y: Array) -> Array:
    """The correlation of each column with numbers of mean 0."""
    x -= x.mean(axis=0)
    return _over(x.T @ y, np.sqrt(np.einsum("nd,nd->d", x, x) * (y @ y)))


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
    """The array of the inputs that holds the targets, and how many places further on; None if none does.

    The first examples are looked at, up to `PLACES` places of theirs.
    """
    targets = [leaf for _, leaf in arrays.leaves(batch[1]) if is_array_api_obj(leaf)]
    if len(targets) != 1 or targets[0].ndim not in (2, 3):
        return None
    few = max(1, PLACES // max(1, math.prod(targets[0].shape[1:])))
    wanted = arrays.on_host(targets[0])[:few]
    if (wanted.ndim == 2 and arrays.is_floating(targets[0])) or wanted.shape[1] < 2 * FURTHEST:
        return None
    for path, leaf in arrays.leaves(batch[0]):
        if not is_array_api_obj(leaf) or leaf.ndim != wanted.ndim or leaf.shape[2:] != wanted.shape[2:]:
            continue
        held = arrays.on_host(leaf)[:few]
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
