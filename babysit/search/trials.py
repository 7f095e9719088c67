"""One trial of a search: a trainer built with one configuration, trained for some epochs, graded on validation data."""

import collections
import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from babysit.errors import TargetError
from babysit.measuring import curves
from babysit.search.space import OF_ANY_TRAINER, Configuration, Value

if TYPE_CHECKING:
    from babysit.driving.guard import Driven
    from babysit.driving.target import Factory
    from babysit.measuring.split_sample import Part
    from babysit.trainer import Batch

SMOOTHED = 32  # examples, over whose mean cost a trial is given up: single ones scatter by more than three times
GRADED = 10_000  # validation examples, at most: what they say of an accuracy is within half a percent
GRADED_BYTES = 2**30  # of them, at most, since they are kept from epoch to epoch
NO_VALIDATION = (
    "batches('val') yielded no batch: a search is judged by examples that it did not train on (PyTorchTrainer and "
    "NumpyTrainer take them as `val`)"
)

Watch = Callable[[float], bool]  # takes the score after an epoch; whether to end the trial

Halted = Callable[[], bool]  # whether to drop the trial, asked at each step


class Outcome(StrEnum):
    """How a trial ended."""

    FINISHED = "finished"
    EXPLODED = "exploded"  # its cost rose too far above the first, or was not finite
    PRUNED = "pruned"  # it lagged behind the others
    CRASHED = "crashed"  # the program failed
    LOST = "lost"  # its worker died, again and again


@dataclass(frozen=True)
class Trial:
    """One configuration, tried once.

    Args:
        stage: The stage that it belongs to.
        number: Its number there, from 0.
        configuration: Value by hyperparameter.
        seed: What the trainer was built with.
        epochs: Passes through the training data that were planned.
        outcome: How it ended.
        reason: Why, where it did not finish.
        score: The metric on validation data after the last epoch; the loss where there is no metric. NaN without one.
        first_cost: Loss and penalty at the start.
        last_cost: The same at the end.
        scores: The score after each epoch; of each fold where the trial is cross-validated.
        steps: Updates that were made for it.
        seconds: Time in the program's own code.
    """

    stage: str
    number: int
    configuration: dict[str, bool | int | float | str | None]
    seed: int
    epochs: float
    outcome: Outcome
    reason: str = ""
    score: float = math.nan
    first_cost: float = math.nan
    last_cost: float = math.nan
    scores: tuple[float, ...] = ()
    steps: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Course:
    """What every trial of a stage is trained for.

    Args:
        epochs: Passes through the training data; less than 1 for a share of one.
        examples: How many one pass has, where `epochs` is no whole number: batches may differ in size from trial to
            trial.
        explosion: Multiple of the first cost that ends a trial.
        folds: Trainers of a cross-validation; 0 for the program's own validation split.
        by_loss: Whether the loss is the score, since there is no metric or nothing to grade.
    """

    epochs: float
    examples: int
    explosion: float
    folds: int = 0
    by_loss: bool = False


@dataclass
class Training:
    """One trainer on its way.

    Args:
        driven: The trainer, as it was built.
        course: What it is trained for.
        first: Its first cost, loss and penalty, a mean over `SMOOTHED` examples; NaN where there were none yet.
        last: Its latest.
        scores: After each epoch.
    """

    driven: "Driven"
    course: Course
    first: float = math.nan
    last: float = math.nan
    scores: list[float] = field(default_factory=list)

    def run(self, watch: Watch, halted: Halted) -> tuple[Outcome, str]:
        """Train; how that ended.

        Raises:
            KeyboardInterrupt: The trial is not wanted any more.
        """
        validation = _validation(self.driven)
        recent: collections.deque[tuple[float, int]] = collections.deque()
        for batch in _lesson(self.driven, self.course):
            if halted():
                raise KeyboardInterrupt
            if batch is not None:
                if reason := self._step(batch, recent):
                    return Outcome.EXPLODED, reason
                continue
            self.scores.append(graded(self.driven, validation, by_loss=self.course.by_loss))
            if not math.isfinite(self.scores[-1]):
                judge = "loss" if self.course.by_loss else self.driven.task.metric
                return Outcome.EXPLODED, f"the validation {judge} is {self.scores[-1]:g}"
            if watch(self.scores[-1]) and len(self.scores) < self.course.epochs:
                return Outcome.PRUNED, f"behind the others after {len(self.scores)} of {self.course.epochs:g} epochs"
        return Outcome.FINISHED, ""

    def _step(self, batch: "Batch", recent: collections.deque[tuple[float, int]]) -> str:
        """One step; why the trial is given up, if it is."""
        from babysit import arrays

        output = self.driven.step(batch)
        cost = output.loss + output.penalty
        if not math.isfinite(cost):
            self.last = cost
            return f"the cost is {cost:g} in step {self.driven.steps}"
        recent.append((cost, arrays.count(batch)))
        while sum(n for _, n in itertools.islice(recent, 1, None)) >= SMOOTHED:
            recent.popleft()
        examples = sum(n for _, n in recent)
        self.last = sum(c * n for c, n in recent) / examples
        if examples < SMOOTHED:
            return ""
        self.first = self.last if math.isnan(self.first) else self.first
        if self.last > curves.limit((self.first,), self.course.explosion):
            return f"the cost rose from {self.first:.4g} to {self.last:.4g} in {self.driven.steps} steps"
        return ""


def tried(
    factory: "Factory",
    configuration: Configuration,
    seed: int,
    course: Course,
    watch: Watch,
    halted: Halted,
) -> tuple[Outcome, str, list[Training]]:
    """Build and train with one configuration; how that ended, and each training's course.

    What the program raises is the trial's own failure: other configurations may do.
    """
    trainings: list[Training] = []
    try:
        for fold in range(max(1, course.folds)):
            split: dict[str, Value] = {"fold": fold, "folds": course.folds} if course.folds else {}
            trainings.append(Training(built(factory, configuration, seed, split), course))
            outcome, reason = trainings[-1].run(_unwatched if course.folds else watch, halted)
            if outcome is not Outcome.FINISHED:
                return outcome, f"fold {fold}: {reason}" if course.folds else reason, trainings
            if course.folds and watch(mean_score(trainings)) and fold + 1 < course.folds:
                return Outcome.PRUNED, f"behind the others after {fold + 1} of {course.folds} folds", trainings
    except TargetError as error:
        return Outcome.CRASHED, str(error), trainings
    return Outcome.FINISHED, "", trainings


def _unwatched(score: float) -> bool:  # noqa: ARG001
    """One fold of several: whether they are pruned is asked of them together."""
    return False


def mean_score(trainings: list[Training]) -> float:
    """Of the last epoch of each."""
    return sum(t.scores[-1] for t in trainings) / len(trainings)


def built(factory: "Factory", configuration: Configuration, seed: int, more: Configuration) -> "Driven":
    """A trainer with this configuration: keywords go to the factory, what any trainer has is set on the trainer.

    Raises:
        TargetError: The program fails.
    """
    from babysit.driving.guard import Driven

    taken = factory.keywords
    later = {n: v for n, v in configuration.items() if n in OF_ANY_TRAINER and taken is not None and n not in taken}
    began = time.perf_counter()
    driven = Driven(factory.build(seed, {n: v for n, v in configuration.items() if n not in later} | dict(more)))
    driven.seconds += time.perf_counter() - began
    for name, value in later.items():
        setattr(driven, name, value)
    return driven


def _lesson(driven: "Driven", course: Course) -> Iterator["Batch | None"]:
    """The batches of so many epochs, None at the end of each, and of the share of one that is left over.

    Raises:
        TargetError: There is no batch to train on.
    """
    from babysit import arrays

    whole, share = divmod(course.epochs, 1)
    for most in [math.inf] * int(whole) + [share * course.examples] * bool(share):
        seen = 0
        for batch in driven.batches("train"):
            seen += arrays.count(batch)
            yield batch
            if seen >= most:
                break
        _require_some(seen)
        yield None


def _require_some(examples: int) -> None:
    if not examples:
        raise TargetError("batches('train') yielded no example, so there is nothing to train on")


def _validation(driven: "Driven") -> "Part":
    """The validation batches, or as many as tell enough.

    Raises:
        TargetError: There are none.
    """
    from babysit import arrays
    from babysit.measuring.split_sample import Part

    batches: list[Batch] = []
    sizes: list[int] = []
    held = 0
    for batch in driven.batches("val"):
        batches.append(arrays.duplicate(batch))  # a loader may hand out the same memory again
        sizes.append(arrays.count(batch))
        held += arrays.size_in_bytes(batch)
        if sum(sizes) >= GRADED or held >= GRADED_BYTES:
            break
    if not sum(sizes):
        raise TargetError(NO_VALIDATION)
    return Part(batches, sizes)


def graded(driven: "Driven", validation: "Part", *, by_loss: bool) -> float:
    """The task's metric on these examples, or the loss; NaN where that is not finite."""
    from babysit.measuring.split_sample import looked_at

    loss, _, score = looked_at(driven, driven.task, validation)
    return loss if by_loss else score
