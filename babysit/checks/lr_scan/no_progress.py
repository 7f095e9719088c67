"""Why no learning rate lowers the loss, where that can be seen without one."""

import itertools
from typing import TYPE_CHECKING

from babysit.driving.updates import updates_of
from babysit.errors import LostError, Skip, TargetError

if TYPE_CHECKING:
    from babysit.checks.lr_scan.short_runs import Runs

LOOKED = 4  # updates, after which something must have moved


def obstacle(runs: "Runs", rate: float) -> str:
    """What keeps every update from lowering the loss, in words; empty where it is none of what can be seen.

    Args:
        runs: With the number of updates that were made so far.
        rate: A learning rate at which parameters must move.
    """
    if not runs.updates:
        return "no step reported an update"
    try:
        return _of_gradients(runs) or _of_updates(runs, rate)
    except LostError:
        raise
    except (Skip, TargetError):  # the trainer doesn't name its parameters, or can't be driven so
        return ""


def _of_gradients(runs: "Runs") -> str:
    from babysit import arrays

    with runs.bench.borrowed() as trainer:
        _, found = trainer.gradients(runs.parts[0].trained[0])
        if not found:
            return "the loss reaches no parameter"
        if not all(arrays.all_finite(g) for g in found.values()):
            return "gradients are not finite"
        return "" if any(arrays.norm(g) > 0 for g in found.values()) else "the gradients of all parameters are zero"


def _of_updates(runs: "Runs", rate: float) -> str:
    from babysit import arrays

    with runs.bench.borrowed(learning_rate=rate) as trainer:
        before = arrays.fingerprints(dict(trainer.parameters()))
        made = sum(o.updated for o in updates_of(trainer.step, itertools.cycle(runs.parts[0].trained), LOOKED))
        moved = not made or bool(arrays.differing(before, arrays.fingerprints(dict(trainer.parameters()))))
    return "" if moved else f"no parameter moves, at a rate of {rate:.2g} either: the optimizer holds others"
