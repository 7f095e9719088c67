"""The bench: a trainer, a pool of batches drawn once, and the state to go back to after each use."""

import contextlib
import itertools
import math
import statistics
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from array_api_compat import is_array_api_obj

from babysit import arrays, seeds
from babysit.driving.budget import LOOKED
from babysit.driving.guard import Driven
from babysit.driving.target import Source
from babysit.driving.updates import updates_of
from babysit.errors import RestoreError, TargetError
from babysit.report import Exhibit
from babysit.trainer import Batch, State, SupportsSaveInto, Trainer

POOL_EXAMPLES = 1024  # the sampling error of a mean over these is 3 % of the spread of one example
POOL_BYTES = 256 * 2**20  # so that a pool of large images stays small beside the model
JOINED = 4  # usual batches' examples in one made of several, at most, so that it needs not much more memory than they
Advance = Callable[[int, int], None]  # (done, total), in units of the check's own
Show = Callable[[Callable[[], Iterable[Exhibit]]], None]  # takes what makes the exhibits, where they are looked at
ExplainedBy = Callable[[Collection[str], Collection[str]], str]
Shared = TypeVar("Shared")


@dataclass(frozen=True)
class _Kept:
    """A state beside the original one: where some updates at the user's learning rate lead, or a check's snapshot."""

    state: State
    generators: seeds.GlobalStates
    asked: int | None  # updates; None for a snapshot
    made: int


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
        explained_by: (known rules, failures) -> the first that explains one of them; the runner's to say.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = Driven(trainer)
        self.task = self.trainer.task
        self.advance: Advance = lambda done, total: None  # noqa: ARG005
        self.show: Show = lambda make: None  # noqa: ARG005
        self.source: Source | None = None
        self.known: set[str] = set()
        self.explained_by: ExplainedBy = lambda known, failures: ""  # noqa: ARG005
        self._generators = seeds.capture()
        self._copies_in_place = self.trainer.supports(SupportsSaveInto)
        self._origin: State = self._saved(None)
        self._learning_rate = self.trainer.learning_rate
        self._scale = self.trainer.regularization_scale
        self._pools: dict[str, list[Batch]] = {}
        self._kept: _Kept | None = None  # the second and last saved state, in memory that is used again
        self._shared: dict[Hashable, Any] = {}

    def explained(self, failures: Collection[str]) -> str:
        """The certain finding of an earlier check that explains one of these failures; empty where none does."""
        return self.explained_by(self.known, failures)

    def restore(self) -> None:
        """Put the trainer and the global generators back to where the bench found them.

        Raises:
            RestoreError: The trainer could not take its own state back.
        """
        try:
            self._load(self._origin)
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

    def _saved(self, unneeded: State | None) -> State:
        """The trainer's state, in the memory of one that isn't needed any more where the trainer can do that."""
        if not self._copies_in_place:
            copied: State = arrays.independent(self.trainer.save())
            return copied
        return self.trainer.save() if unneeded is None else self.trainer.save_into(unneeded)

    def _load(self, state: State) -> None:
        """Put a state back; a trainer that may keep or overwrite what it loads gets a copy."""
        self.trainer.load(state if self._copies_in_place else arrays.independent(state))

    def snapshot(self) -> State:
        """The state in which the trainer stands, saved where `trained` keeps its own, which it makes anew after that.

        Whoever compares states bit for bit takes them from here one after the other and holds `arrays.fingerprints`:
        there never are more than two saved states, this one and the original.

        Returns:
            The state, good until the next one is saved.
        """
        return self._keep(None, 0)

    def _keep(self, asked: int | None, made: int) -> State:
        unneeded = self._kept.state if self._kept and self._copies_in_place else None
        self._kept = None  # half overwritten where saving fails, or in the way of the next one
        state = self._saved(unneeded)
        self._kept = _Kept(state, seeds.capture(), asked, made)
        return state

    @contextlib.contextmanager
    def trained(self, steps: int, *, last: bool = False) -> Iterator[tuple[Driven, int]]:
        """The trainer after so many updates at the user's own settings, and how many were made; put back at the end.

        Fewer where the loss ceased to be finite. The latest such state is kept, so that several checks train once.

        Args:
            steps: How many.
            last: Whether nobody is expected to ask for it again; its memory is then free inside already.
        """
        with self.borrowed() as trainer:
            kept = self._kept
            if steps == 0:
                made = 0
            elif kept is None or kept.asked != steps:
                made = self._train(trainer, steps)
                if not last:
                    self._keep(steps, made)
            else:
                self._load(kept.state)
                seeds.restore(kept.generators)
                made = kept.made
            if last:
                self._kept = kept = None
            yield trainer, made

    def _train(self, trainer: Driven, steps: int) -> int:
        made = 0
        for output in updates_of(trainer.step, self.stream(), steps):
            made += 1
            if not math.isfinite(output.loss):
                break
            self.advance(made, steps)
        return made

    @property
    def accumulated(self) -> int:
        """Calls of `step` for one update, as it is from the first update to the second; 1 where that can't be told."""
        return self.once("calls for an update", self._calls_for_an_update)

    def _calls_for_an_update(self) -> int:
        with self.borrowed() as trainer:
            first = next(updates_of(trainer.step, self.stream(), 1), None)
            if first is None or not first.updated:
                return 1
            before = trainer.steps
            second = next(updates_of(trainer.step, self.stream(), 1), None)
            return trainer.steps - before if second is not None and second.updated else 1

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

    def first_batches(self, examples: int, most: int = LOOKED) -> list[Batch]:
        """Whole training batches of the pool until there are this many examples, or no more.

        Whole ones, so that batch normalization sees the sizes that training sees.

        Args:
            examples: How many are enough.
            most: Batches at most.
        """
        chosen: list[Batch] = []
        total = 0
        for batch in self.pool()[:most]:
            chosen.append(batch)
            total += arrays.count(batch)
            if total >= examples:
                break
        return chosen

    @property
    def usual_size(self) -> int:
        """Examples of a usual training batch: the median of the pool's."""
        return int(statistics.median_high([arrays.count(batch) for batch in self.pool()]))

    def subset(self, examples: int, most: int | None = None) -> Batch:
        """One batch of this many training examples, spread evenly over the pool.

        Spread evenly, since a loader that doesn't shuffle may begin with examples of one class alone. Fewer where the
        pool is smaller, and where batches are small: four times a usual batch at most, which then needs not much more
        memory and time than training does.

        Args:
            examples: How many are wanted.
            most: How many it may have, in place of that limit.
        """
        pool = self.pool()
        shapes = _shapes(pool[0])
        alike = [batch for batch in pool if _shapes(batch) == shapes]
        places = [(b, i) for b, batch in enumerate(alike) for i in range(arrays.count(batch))]
        wanted = min(examples, most or JOINED * self.usual_size, len(places))
        chosen: dict[int, list[int]] = {}
        for k in range(wanted):
            place, example = places[k * len(places) // wanted]
            chosen.setdefault(place, []).append(example)
        joined: Batch = arrays.concatenate([arrays.take(alike[b], indices) for b, indices in chosen.items()])
        return joined


def _shapes(batch: Batch) -> list[tuple[str, tuple[int, ...]]]:
    """Shapes past axis 0: batches padded to different lengths can't be joined."""
    return [(name, tuple(leaf.shape[1:])) for name, leaf in arrays.leaves(batch) if is_array_api_obj(leaf)]
