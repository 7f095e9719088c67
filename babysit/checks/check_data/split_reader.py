"""One pass over a split as the program's own loader gives it, with all that `check-data` wants to know."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import is_array_api_obj

from babysit import arrays
from babysit.checks.check_data.statistics.features import Array, Features
from babysit.checks.check_data.statistics.labels import BatchOrder, LabelCounts
from babysit.errors import TargetError
from babysit.tasks.blocks import row_pieces

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.tasks.task import Task
    from babysit.trainer import Batch, Tree

MOST_BYTES = 2**30  # of inputs that are looked at; 7,000 images of 224 x 224 pixels as bytes, 1,700 in single precision


class Split:
    """What one pass over a split has shown.

    Args:
        name: "train" or "val".
        task: What targets mean.

    Attributes:
        inputs: Statistics of each array of the inputs, by name.
        targets: The same of the targets.
        integers: Names of the arrays of whole numbers, single bytes left out: as pixels are.
        labels: How often each class comes.
        order: Whether targets are alike within batches.
        digests: How often each example's inputs come, by their hash.
        examples: Looked at.
        whole: Whether that was all of them.
    """

    def __init__(self, name: str, task: "Task") -> None:
        self.name = name
        self.inputs: dict[str, Features] = {}
        self.targets: dict[str, Features] = {}
        self.integers: set[str] = set()
        self.labels = LabelCounts(task)
        self.order = BatchOrder(task)
        self.digests: Counter[int] = Counter()
        self.examples = self._bytes = 0
        self.whole = False
        self._batches: set[int] = set()

    @property
    def distinct(self) -> float:
        """Examples that differ: of a loader that goes round and round, those of one round (Kish's effective number)."""
        return self.examples**2 / max(1, sum(count**2 for count in self.digests.values()))

    def read(self, bench: "Bench", examples: int) -> "Split":
        """Go through the loader, up to so many examples.

        Raises:
            TargetError: A batch's arrays differ in their number of examples.
        """
        with bench.borrowed() as trainer:
            for number, batch in enumerate(trainer.batches(self.name)):
                if max(number, self.examples) >= examples or self._bytes >= MOST_BYTES:
                    return self
                self._add(batch)
                bench.advance(min(self.examples, examples), examples)
        self.whole = True
        return self

    def _add(self, batch: "Batch") -> None:
        try:
            n = arrays.count(batch)
        except ValueError as error:
            raise TargetError(f"batches({self.name!r}): {error}") from error
        if not n:
            return
        self.examples += n
        inputs = list(_numbers("inputs", batch[0]))
        again = self._seen(n, [x for _, x in inputs])
        for name, x in inputs:
            self._bytes += x.nbytes
            if x.dtype.kind != "b":
                self.inputs.setdefault(name, Features()).add(x, again=again)
            if x.dtype.kind in "iu" and x.dtype.itemsize > 1:
                self.integers.add(name)
        targets = list(_numbers("targets", batch[1]))
        for name, x in targets:
            self.targets.setdefault(name, Features()).add(x)
        if len(targets) == 1:  # of several, nobody says which one holds the labels
            self.labels.add(targets[0][1])
            self.order.add(targets[0][1])

    def _seen(self, n: int, inputs: list[Array]) -> bool:
        """Keep the examples' hashes in mind; whether the same ones have made a batch before, in any order."""
        hashes = [0] * n
        for x in inputs:
            rows = (row for piece in row_pieces(x) for row in _comparable(piece))
            hashes = [hash((before, row.tobytes())) for before, row in zip(hashes, rows, strict=True)]
        self.digests.update(hashes)
        batch = sum(hashes)
        again = batch in self._batches
        self._batches.add(batch)
        return again


def _numbers(name: str, tree: "Tree") -> Iterator[tuple[str, Array]]:
    """The arrays of real numbers and truth values with an axis of examples, on the host."""
    for path, leaf in arrays.leaves(tree):
        if is_array_api_obj(leaf) and arrays.are_scores(leaf):
            yield f"{name}.{path}" if path else name, arrays.on_host(leaf)


def _comparable(x: Array) -> Any:
    """Rows whose bytes are the same where the numbers are, in whichever precision."""
    wanted = np.float32 if x.dtype.kind == "f" else x.dtype
    with np.errstate(over="ignore", under="ignore"):  # what is then alike is so within each split, too
        return np.ascontiguousarray(x.reshape(len(x), -1), dtype=wanted)
