"""Several processes that run one program: every rank makes the same calls, and numbers are those of all of them.

The batches that checks see are the ranks' own, joined; each rank drives its share of them. What comes back is
reduced over ranks, so that every rank measures the same and goes the same way.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from array_api_compat import is_array_api_obj

from babysit import arrays
from babysit.errors import RanksError, TargetError
from babysit.messages import blame
from babysit.trainer import Batch, Output, SupportsRanks, Trainer


def launched_rank() -> int:
    """The process's rank as its launcher (`torchrun` and its like) says it; 0 where there is one process."""
    rank = os.environ.get("RANK", "0") if launched_together() else "0"
    return int(rank) if rank.isdigit() else 0


def launched_together() -> bool:
    """Whether a launcher says that it started several processes of this program."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "0", "1")


class Ranks:
    """The ranks of a trainer, in step with one another; where there is one alone, all of this does nothing.

    Args:
        trainer: The user's.
    """

    def __init__(self, trainer: Trainer) -> None:
        several = isinstance(trainer, SupportsRanks) and trainer.size > 1
        self._trainer: SupportsRanks | None = trainer if several else None  # type: ignore[assignment]  # as asked above
        self.rank = trainer.rank if several else 0  # type: ignore[attr-defined]
        self.size = trainer.size if several else 1  # type: ignore[attr-defined]

    def gather(self, value: Any) -> list[Any]:
        """The value of every rank."""
        if self._trainer is None:
            return [value]
        try:
            return self._trainer.gather(value)
        except Exception as error:  # another rank is gone, and with it the way to reach the others
            raise self.failed(f"another rank is gone: {blame(error)}") from error

    def agree(self, call: str) -> None:
        """Know that every rank is about to make this call.

        Raises:
            RanksError: One is about to make another, and would wait for ever.
        """
        if self._trainer is None:
            return
        calls = self.gather(call)
        if len(set(calls)) > 1:
            told = ", ".join(f"rank {rank} is at {at}" for rank, at in enumerate(calls))
            raise RanksError(f"the ranks went different ways: {told}; they must measure the same to stay together")

    def share(self, batch: Batch) -> Batch:
        """The part of a joined batch that this rank drives; all of it where it has less than one for each."""
        if self._trainer is None or not self._divides(batch):
            return batch
        n = arrays.count(batch)
        part: Batch = arrays.take(batch, range(n * self.rank // self.size, n * (self.rank + 1) // self.size))
        return part

    def _divides(self, batch: Batch) -> bool:
        return arrays.count(batch) >= self.size

    def reduced(self, output: Output, batch: Batch) -> Output:
        """The ranks' outputs as one: losses averaged as their gradients are, scores joined."""
        if self._trainer is None:
            return output
        every = self.gather((output.loss, output.penalty, output.updated, output.scores))
        losses, penalties, updates, scores = zip(*every, strict=True)
        joined = output.scores
        if joined is not None and self._divides(batch):
            joined = arrays.concatenate(scores)
        return replace(
            output,
            loss=sum(losses) / self.size,
            penalty=sum(penalties) / self.size,
            updated=all(updates),
            scores=joined,
        )

    def joined(self, batches: Sequence[Batch]) -> list[Batch]:
        """The ranks' batches, the first of each joined to one, then the second, as far as all ranks have one.

        Where they differ in shape past the axis of examples, as texts padded batch by batch do, one rank's stands for
        all, each rank's in turn.
        """
        if self._trainer is None:
            return list(batches)
        every = self.gather(list(batches))
        return [_joined(parts, turn) for turn, parts in enumerate(zip(*every, strict=False))]

    def failed(self, message: str) -> TargetError:
        """The error to raise where this rank failed, which ends the run on all of them; it names who failed first."""
        if self._trainer is None:
            return TargetError(message)
        self.leave_word(message)
        return RanksError(self._trainer.failure() or f"rank {self.rank}: {message}")

    def leave_word(self, message: str) -> None:
        """Let the other ranks know why this one goes, unless one has gone before."""
        if self._trainer is not None and not self._trainer.failure():
            self._trainer.fail(f"rank {self.rank}: {message}")


def _joined(parts: Sequence[Batch], turn: int) -> Batch:
    shapes = [[tuple(x.shape[1:]) for _, x in arrays.leaves(part) if is_array_api_obj(x)] for part in parts]
    if any(shape != shapes[0] for shape in shapes):
        return parts[turn % len(parts)]
    joined: Batch = arrays.concatenate([tuple(part) for part in parts])
    return joined
