"""What a network knows of its inputs: its loss with their own targets, and with targets that belong to other inputs.

A loss falls, too, while a network learns how often each class occurs, or to be less sure of itself; that needs no
inputs. Predictions that have nothing to do with the inputs fit the targets of other examples as well as their own, so
that exchanging targets leaves the loss where it is: a permutation test (Fisher 1935), in which
the targets of a batch change places.
"""

import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from babysit.measuring.significance import gap_error

if TYPE_CHECKING:
    from babysit.trainer import Batch, Tree


@dataclass(frozen=True)
class Exchange:
    """A trained network's losses with and without an exchange of targets.

    Args:
        learning_rate: The rate that it was trained at.
        updates: For how many updates.
        loss: Mean loss with the inputs' own targets.
        exchanged: Mean loss with those of others.
        error: Standard error of their difference, as `gap_error` widens it.
        before: Their difference at the start.
    """

    learning_rate: float
    updates: int
    loss: float
    exchanged: float
    error: float
    before: float

    def tells(self, sigmas: float) -> bool:
        """Whether the network knows something of its inputs, by more than noise, and more than at the start.

        A network with random weights may know something by luck, where inputs come in clusters.
        """
        return self.exchanged - self.loss > max(0.0, sigmas * self.error, self.before)


def exchange(
    rate: float, updates: int, before: Sequence[float], own: Sequence[float], exchanged: Sequence[float]
) -> Exchange:
    """What the losses of each batch say.

    Args:
        rate: The rate that the network was trained at.
        updates: For how many updates.
        before: By how much the exchange raised the losses at the start.
        own: Losses with the inputs' own targets.
        exchanged: Losses with those of others.
    """
    loss, raised = sum(own) / len(own), sum(exchanged) / len(exchanged)
    return Exchange(rate, updates, loss, raised, gap_error(exchanged, own), sum(before) / len(before))


def with_exchanged_targets(batches: "Sequence[Batch]", seed: int) -> list["Batch"]:
    """Each batch with its targets in another order, which the seed draws."""
    exchanged = _exchanged(batches, random.Random(seed))
    return [(inputs, others) for (inputs, _), others in zip(batches, exchanged, strict=True)]


def _exchanged(batches: "Sequence[Batch]", draw: random.Random) -> list["Tree"]:
    """The targets in another order within each batch: what they cost by themselves then stays, and is no noise.

    Batches whose targets are all alike exchange theirs among themselves: with the others', none but they would get
    targets that they lack, which costs something whatever the network knows.
    """
    from babysit import arrays

    targets = [batch[1] for batch in batches]
    keys = [_keys(t) for t in targets]
    changed = [arrays.take(t, _other_order(key, draw)) for t, key in zip(targets, keys, strict=True)]
    alike = [i for i, key in enumerate(keys) if len(set(key)) == 1]
    others = _other_order([keys[i][0] for i in alike], draw) if alike else []
    for i, other in zip(alike, (alike[k] for k in others), strict=True):
        if _shapes(targets[other]) == _shapes(targets[i]):
            changed[i] = targets[other]
    return changed


def _other_order(keys: Sequence[Hashable], draw: random.Random) -> list[int]:
    """For each row another one, with another key wherever that can be had.

    Rows of one key stand together, and all move on by the number of those of the most frequent one.
    """
    groups: dict[Hashable, list[int]] = {}
    for row in draw.sample(range(len(keys)), len(keys)):
        groups.setdefault(keys[row], []).append(row)
    rows = [row for group in groups.values() for row in group]
    step = max(map(len, groups.values()))
    found = [0] * len(keys)
    for place, row in enumerate(rows):
        found[row] = rows[(place + step) % len(rows)]
    return found


def _keys(targets: "Tree") -> list[Hashable]:
    """What tells the targets of one row from those of another: hashes, since maps and texts are large."""
    from array_api_compat import is_array_api_obj

    from babysit import arrays

    leaves = [arrays.on_host(leaf) for _, leaf in arrays.leaves(targets) if is_array_api_obj(leaf)]
    return [tuple(hash(leaf[i].tobytes()) for leaf in leaves) for i in range(arrays.count(targets))]


def _shapes(targets: "Tree") -> list[tuple[int, ...]]:
    from array_api_compat import is_array_api_obj

    from babysit import arrays

    return [tuple(leaf.shape) for _, leaf in arrays.leaves(targets) if is_array_api_obj(leaf)]
