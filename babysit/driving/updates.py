"""Updates made of the steps of a program, which may add up the gradients of several batches for one."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babysit.trainer import Batch, Output

CALLS = 64  # of `step` for one update, at most; programs that accumulate gradients commonly take 2 to 32


def updates_of(step: "Callable[[Batch], Output]", batches: "Iterable[Batch]", count: int) -> "Iterator[Output]":
    """So many updates, each as the output of its last call, with the mean of the losses of all calls that it took.

    Ends early where the batches do, and behind the first loss that is not finite: it counts as an update, since what
    leaves it out (loss scaling) may do so for ever.

    Args:
        step: One call of the program's step, or of another way to update.
        batches: One for each call.
        count: Updates; each may take up to `CALLS` calls, or it was the last.
    """
    losses: list[float] = []
    made = 0
    own = iter(batches)
    while made < count and len(losses) < CALLS:  # no batch is drawn beyond: others may go on from there
        try:
            batch = next(own)
        except StopIteration:
            return
        output = step(batch)
        losses.append(output.loss if math.isfinite(output.penalty) else output.penalty)
        if output.updated or not math.isfinite(losses[-1]):
            single = len(losses) == 1 and math.isfinite(output.penalty)
            yield output if single else replace(output, loss=sum(losses) / len(losses))
            made, losses = made + 1, []
