"""The bench: a trainer, a pool of batches drawn once, and the state to go back to after each use."""

import contextlib
import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from array_api_compat import is_array_api_obj

from babysit import arrays, seeds
from babysit.driven import Driven
from babysit.errors import RestoreError, TargetError
from babysit.report import Exhibit
from babysit.target import Source
from babysit.trainer import Batch, State, Trainer

POOL_EXAMPLES = 1024  # the sampling error of a mean over these is 3 % of the spread of one example
POOL_BYTES = 256 * 2**20  # so that a pool of large images stays small beside the model
Advance = Callable[[int, int], None]  # (done, total), in units of the check's own
Show = Callable[[Callable[[], Iterable[Exhibit]]], None]  # takes what makes the exhibits, where they are looked at
Shared = TypeVar("Shared")


@dataclass(frozen=True)
class _Later:
    """Where some updates at the user's learning rate lead."""

    asked: int
    made: int
    state: State
    generators: seeds.GlobalStates


class Bench:
    """Holds what checks share, and puts the trainer's state back after each use.

    Args:
        trainer: The user's trainer.

    Attributes:
        trainer: The guarded trainer.
        task: Its task.
        advance: Called with (done, total) as a check proceeds.
        show: Called with a way to see how far a check has come.
        source: Where other trainers like it come from; None where that isn't known.
        known: Rules whose errors are certain and were found by earlier checks; the runner's to fill.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = Driven(trainer)
        self.task = self.trainer.task
        self.advance: Advance = lambda done, total: None  # noqa: ARG005
        self.show: Show = lambda make: None  # noqa: ARG005
        self.source: Source | None = None
        self.known: set[str] = set()
        self._generators = seeds.capture()
        self._origin: State = arrays.independent(self.trainer.save())
        self._learning_rate = self.trainer.learning_rate
        self._scale = self.trainer.regularization_scale
        self._pools: dict[str, list[Batch]] = {}
        self._later: _Later | None = None
        self._shared: dict[Hashable, Any] = {}

    def restore(self) -> None:
        """Put the trainer and the global generators back to where the bench found them.

        Raises:
            RestoreError: The trainer could not take its own state back.
        """
        try:
            self.trainer.load(arrays.independent(self._origin))
            self.trainer.learning_rate = self._learning_rate
            self.trainer.regularization_scale = self._scale
        except TargetError as error:
            raise RestoreError(str(error)) from error
        finally:
            seeds.restore(self._generators)

    @contextlib.contextmanager
    def borrowed(self, *, learning_rate: float | None = None, scale: float | None = None) -> Iterator[Driven]:
        """The trainer, from its original state, to do with as one likes; put back at the end.

        Args:
            learning_rate: In place of the user's.
            scale: In place of the user's regularization scale; 0.0 switches all regularization off.
        """
        try:
            if learning_rate is not None:
                self.trainer.learning_rate = learning_rate
            if scale is not None:
                self.trainer.regularization_scale = scale
            yield self.trainer
        except KeyboardInterrupt:
            with contextlib.suppress(RestoreError):  # the interruption is what the user has to hear of
                self.restore()
            raise
        except BaseException:
            self.restore()
            raise
        else:
            self.restore()

    @contextlib.contextmanager
    def trained(self, steps: int) -> Iterator[tuple[Driven, int]]:
        """The trainer after so many updates at the user's own settings, and how many were made; put back at the end.

        Fewer where the loss ceased to be finite. The latest such state is kept, so that several checks train once.
        """
        with self.borrowed() as trainer:
            later = self._later
            if steps == 0:
                made = 0
            elif later is None or later.asked != steps:
                made = self._train(trainer, steps)
                self._later = _Later(steps, made, arrays.independent(trainer.save()), seeds.capture())
            else:
                trainer.load(arrays.independent(later.state))
                seeds.restore(later.generators)
                made = later.made
            yield trainer, made

    def _train(self, trainer: Driven, steps: int) -> int:
        for done, batch in zip(range(1, steps + 1), self.stream(), strict=False):
            if not math.isfinite(trainer.step(batch).loss):
                return done
            self.advance(done, steps)
        return steps

    def once(self, key: Hashable, make: Callable[[], Shared]) -> Shared:
        """What `make` gives, made the first time that this key is asked for: checks share what was measured."""
        if key not in self._shared:
            self._shared[key] = make()
        found: Shared = self._shared[key]
        return found

    def pool(self, split: str = "train") -> list[Batch]:
        """The split's first batches, up to a bounded number of examples; drawn once.

        Raises:
            TargetError: The training split yields no batch, or batches without examples along axis 0.
        """
        if split not in self._pools:
            try:
                self._pools[split] = self.trainer.ranks.joined(self._draw(split))
            finally:
                self.restore()
        return self._pools[split]

    def _draw(self, split: str) -> list[Batch]:
        drawn: list[Batch] = []
        examples = held = 0
        ranks = self.trainer.ranks.size  # whose batches are joined
        for batch in itertools.islice(self.trainer.batches(split), POOL_EXAMPLES):
            try:
                size = arrays.count(batch)
            except ValueError as error:
                raise TargetError(f"batches({split!r}): {error}") from error
            examples += size
            if not size:
                continue
            held += arrays.size_in_bytes(batch)
            drawn.append(arrays.duplicate(batch))  # a loader may hand out the same memory again
            if examples * ranks >= POOL_EXAMPLES or held * ranks >= POOL_BYTES:
                break
        if split == "train" and not examples:
            raise TargetError("batches('train') yielded no batch, so there is nothing to train on")
        return drawn

    def stream(self) -> Iterator[Batch]:
        """The pool's training batches, over and over."""
        return itertools.cycle(self.pool())

    def first_batches(self, examples: int) -> list[Batch]:
        """Whole training batches of the pool until there are this many examples, or no more.

        Whole ones, so that batch normalization sees the sizes that training sees.
        """
        chosen: list[Batch] = []
        total = 0
        for batch in self.pool():
            chosen.append(batch)
            total += arrays.count(batch)
            if total >= examples:
                break
        return chosen

    def subset(self, examples: int) -> Batch:
        """One batch of this many training examples (fewer if the pool is smaller), spread evenly over the pool.

        Spread evenly, since a loader that doesn't shuffle may begin with examples of one class alone.
        """
        pool = self.pool()
        shapes = _shapes(pool[0])
        alike = [batch for batch in pool if _shapes(batch) == shapes]
        places = [(b, i) for b, batch in enumerate(alike) for i in range(arrays.count(batch))]
        wanted = min(examples, len(places))
        chosen: dict[int, list[int]] = {}
        for k in range(wanted):
            place, example = places[k * len(places) // wanted]
            chosen.setdefault(place, []).append(example)
        joined: Batch = arrays.concatenate([arrays.take(alike[b], indices) for b, indices in chosen.items()])
        return joined


def _shapes(batch: Batch) -> list[tuple[str, tuple[int, ...]]]:
    """Shapes past axis 0: batches padded to different lengths can't be joined."""
    return [(name, tuple(leaf.shape[1:])) for name, leaf in arrays.leaves(batch) if is_array_api_obj(leaf)]
