"""Loss and scores of a hand-written network in either mode, and the ways there are to them.

In training mode they are what `loss` returns. In test mode the program's own loss is had, in this order, by

- handing it the mode, or holding the mode that its attributes keep;
- `loss(X, y)` as it is, if it draws no random numbers and the loss of many examples is made of the losses of few;
- the task's standard loss of the test scores, if in training mode the program's loss is that of its training scores;
- `loss(X, y)` as it comes out, if `loss(X)` draws random numbers too: then the program's own evaluation is random.

Where none is honest, `Skip` says so.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

import numpy as np

from babysit.adapters.numpy.lineage import linear
from babysit.adapters.numpy.model import Program
from babysit.adapters.numpy.modes import NotHeld, find_switches, holding
from babysit.adapters.numpy.state import capture, generator_states, move_generators, untouched
from babysit.adapters.numpy.trace import Array, Node, Traced, record
from babysit.arrays import differing, fingerprints
from babysit.errors import Skip, TargetError
from babysit.tasks.task import Task
from babysit.trainer import Batch, Output

# what a backward pass or an array with lineage can run into where a plain training pass doesn't
_PROGRAM_ERRORS = (TypeError, ValueError, LookupError, AttributeError, NameError, NotImplementedError)
_COMPOSED = 1e-4  # single precision summed in another order stays below it, statistics of half a batch don't
_LOSSES = {
    "classification": "cross-entropy",
    "language-model": "cross-entropy",
    "binary": "binary cross-entropy",
    "multilabel": "binary cross-entropy",
    "regression": "mean squared error",
    "hinge": "hinge loss",
}


UNFOLLOWED = "the network's operations can't be followed"
_NO_STRENGTH = "`loss` takes no strength such as `reg` and the model has no such attribute"


class Way(Enum):
    """How the program's loss in test mode is had."""

    HELD = "with the mode held"
    AS_IT_IS = "by loss(X, y)"
    STANDARD = "by the task's standard loss of the test scores"
    RANDOM = "by loss(X, y), as random as loss(X)"


@dataclass(frozen=True)
class Forward:
    """A traced forward pass: where the scores came out, and all operations in order."""

    output: Node
    nodes: list[Node]


def _tolerance(scores: Array) -> float:
    """Relative; a program's log(p + 1e-8) and the rounding of single precision stay below it."""
    return max(1e-6, float(np.sqrt(np.finfo(scores.dtype if scores.dtype.kind == "f" else float).eps)))


def _agree(a: float, b: float, scores: Array) -> bool:
    return math.isfinite(a) and math.isfinite(b) and abs(a - b) <= _tolerance(scores) * max(1.0, abs(a), abs(b))


def _reference(task: Task, scores: Array, y: Array) -> float:
    try:
        return task.reference_loss(scores, y)
    except (ValueError, IndexError):  # of shapes that aren't the task's
        return math.nan


def _checked(scores: Any) -> Array:
    if not isinstance(scores, np.ndarray) or scores.dtype.kind not in "iufb":
        raise TargetError(f"`loss(X)` must return the scores, an array; it returned a {type(scores).__name__}")
    return np.array(scores)


class Evaluation:
    """The loss and the scores of a program in training and in test mode; nothing it does leaves a trace.

    Args:
        program: The model and how it is called.
        task: What its scores mean.
    """

    def __init__(self, program: Program, task: Task) -> None:
        self._program = program
        self._task = task
        self._ways: dict[bool, Way] = {}  # found once, by whether dropout is on
        self._alike: dict[bool, bool] = {}

    def output(self, X: Array, y: Array, *, scale: float, training: bool) -> Output:
        """Loss, penalty and scores.

        Args:
            X: Inputs (N, ...).
            y: Targets (N, ...).
            scale: Of the penalty; at 0 dropout is off too.
            training: The mode.

        Raises:
            Skip: The program's loss in test mode can't be had.
        """
        dropout = scale != 0
        held = not training and self._way(X, y, dropout) is Way.HELD
        random = not training and self._way(X, y, dropout) is Way.RANDOM
        data = self._loss(X, y, 0.0, dropout, training=not held, random=random)
        penalized = scale and any(self._program.strengths().values())
        penalty = self._loss(X, y, scale, dropout, training=not held) - data if penalized else 0.0
        if training:
            return Output(data, penalty, self._training_scores(X, y, dropout))
        scores = self._scores(X, dropout, training=False)
        if self._way(X, y, dropout) is Way.STANDARD:
            data = _reference(self._task, scores, y)
        return Output(data, penalty, scores)

    def _has_mode(self) -> bool:
        return bool(self._program.signature.mode or find_switches(self._program.model))

    @contextlib.contextmanager
    def _mode(self, training: bool) -> Iterator[None]:
        model = self._program.model
        # in test mode a program has no business to draw random numbers: where it does, the next evaluation shows it
        with untouched(model, generators=training), holding(model, find_switches(model), training):
            yield

    def _loss(self, X: Array, y: Array, scale: float, dropout: bool, *, training: bool, random: bool = False) -> float:
        hold = untouched(self._program.model, generators=not random) if training else self._mode(training=False)
        with hold:
            return self._program.loss(X, y, scale=scale, dropout=dropout, training=training)[0]

    def _scores(self, X: Array, dropout: bool, *, training: bool) -> Array:
        try:
            with self._mode(training):
                return _checked(self._program.scores(X.copy(), dropout=dropout, training=training))
        except NotHeld:
            if training:
                raise
        with untouched(self._program.model, generators=False):  # the model's own test mode
            return _checked(self._program.scores(X.copy(), dropout=dropout, training=False))

    def _plain_training_scores(self, X: Array, y: Array, dropout: bool) -> Array | None:
        """What `loss(X, y)` sees, where `loss(X)` can be made to return it."""
        if self._has_mode() or self._is_alike_in_both_modes(X, y, dropout):
            with contextlib.suppress(NotHeld):
                return self._scores(X, dropout, training=True)
        return None

    def _training_scores(self, X: Array, y: Array, dropout: bool) -> Array | None:
        scores = self._plain_training_scores(X, y, dropout)
        if scores is not None:
            return scores
        found = self._forward_in_loss(X, y, dropout)
        return None if found is None else np.array(found.output.value)

    def _way(self, X: Array, y: Array, dropout: bool) -> Way:
        if dropout in self._ways:
            return self._ways[dropout]
        loss = self._loss(X, y, 0.0, dropout, training=True)
        if not math.isfinite(loss) and not self._has_mode():
            return Way.AS_IT_IS
        if self._has_mode() and self._can_be_held(X, y, dropout):
            way = Way.HELD
        elif not self._has_mode() and self._is_alike_in_both_modes(X, y, dropout):
            way = Way.AS_IT_IS
        elif self._is_standard(X, y, loss, dropout):
            way = Way.STANDARD
        elif not self._has_mode() and self._evaluation_draws(X, dropout):
            way = Way.RANDOM
        else:
            raise Skip(
                "the loss in test mode can't be had: `loss(X, y)` always trains (it draws random numbers, as for "
                "dropout, or mixes the examples of a batch), and it isn't the standard loss of scores that can be seen"
            )
        self._ways[dropout] = way
        return way

    def _can_be_held(self, X: Array, y: Array, dropout: bool) -> bool:
        """Whether `loss(X, y)` runs in test mode, where chance has no part in it."""
        losses = []
        with untouched(self._program.model):
            for _ in range(2):
                try:
                    losses.append(self._loss(X, y, 0.0, dropout, training=False))
                except (NotHeld, TargetError, *_PROGRAM_ERRORS):
                    return False
                move_generators(self._program.model)
        return losses[0] == losses[1] or not math.isfinite(losses[0])

    def _is_alike_in_both_modes(self, X: Array, y: Array, dropout: bool) -> bool:
        """Whether `loss(X, y)` draws no random number, and keeps nothing or is made of the losses of half batches.

        What it keeps may be running statistics, which a test would use and a training pass does not; a loss that is the
        mean or sum of the losses of the batch's halves has none.
        """
        if dropout not in self._alike:
            whole = self._loss(X, y, 0.0, dropout, training=True)
            if not math.isfinite(whole) or len(X) < 2:
                return True  # nothing to find out from it
            self._alike[dropout] = not self._draws(X, y, dropout) and (
                self._is_composed(X, y, dropout) or not self._keeps_something(X, y, dropout)
            )
        return self._alike[dropout]

    def _is_composed(self, X: Array, y: Array, dropout: bool) -> bool:
        half = len(X) // 2
        cuts = (slice(0, 2 * half), slice(0, half), slice(half, 2 * half))
        try:
            whole, left, right = (self._loss(X[cut], y[cut], 0.0, dropout, training=True) for cut in cuts)
        except _PROGRAM_ERRORS:
            return True  # it works for this number of examples alone, which says nothing about modes
        close = partial(math.isclose, whole, rel_tol=_COMPOSED, abs_tol=_COMPOSED)
        return close((left + right) / 2) or close(left + right)

    def _keeps_something(self, X: Array, y: Array, dropout: bool) -> bool:
        model = self._program.model
        with untouched(model):
            before = fingerprints(capture(model))
            self._program.loss(X, y, scale=0.0, dropout=dropout)
            return bool(differing(before, fingerprints(capture(model))))

    def _draws(self, X: Array, y: Array, dropout: bool) -> bool:
        model = self._program.model
        with untouched(model):
            before = generator_states(model)
            self._program.loss(X, y, scale=0.0, dropout=dropout)
            return bool(differing(before, generator_states(model)))

    def _evaluation_draws(self, X: Array, dropout: bool) -> bool:
        model = self._program.model
        with untouched(model):
            before = generator_states(model)
            self._program.scores(X.copy(), dropout=dropout, training=False)
            return bool(differing(before, generator_states(model)))

    def _is_standard(self, X: Array, y: Array, loss: float, dropout: bool) -> bool:
        scores = self._training_scores(X, y, dropout)
        return scores is not None and _agree(loss, _reference(self._task, scores, y), scores)

    def _forward_in_loss(self, X: Array, y: Array, dropout: bool) -> Forward | None:
        """The forward pass within `loss(X, y)`: up to the scores whose standard loss is what it returns."""
        shape = self._scores(X, dropout, training=False).shape
        params = self._program.model.params
        with untouched(self._program.model):
            try:
                (loss, _), tape = record(lambda x: self._program.loss(x, y, scale=0.0, dropout=dropout), X, params)
            except _PROGRAM_ERRORS:
                return None
        alike = [node for node in tape.nodes if node.value.shape == shape and node.value.dtype.kind == "f"]
        fitting = [node for node in alike if _agree(loss, _reference(self._task, node.value, y), node.value)]
        # scores without a bias that is zero fit too, and so do scores less their maximum
        outputs = [node for node in fitting if linear(node)][-1:] or fitting[:1]
        return Forward(outputs[0], tape.nodes) if outputs else None

    def forward(self, X: Array, y: Array, *, scale: float, training: bool) -> Forward:
        """The operations of a forward pass in this mode.

        Raises:
            Skip: They can't be followed.
        """
        dropout = scale != 0
        if training and not self._has_mode() and not self._is_alike_in_both_modes(X, y, dropout):
            if (found := self._forward_in_loss(X, y, dropout)) is None:
                raise Skip(f"{UNFOLLOWED}: no scores are seen in `loss(X, y)` whose standard loss is the one returned")
            return found
        plain = self._scores(X, dropout, training=training)
        try:
            with self._mode(training):
                return self._forward_to_scores(X, plain, dropout, training)
        except NotHeld as error:
            raise Skip(f"{UNFOLLOWED} in the mode asked for: {error}") from error

    def _forward_to_scores(self, X: Array, plain: Array, dropout: bool, training: bool) -> Forward:
        params = self._program.model.params
        try:
            call = partial(self._program.scores, dropout=dropout, training=training)
            scores, tape = record(call, X, params)
        except _PROGRAM_ERRORS as error:
            raise Skip(f"{UNFOLLOWED}: on an array with lineage it raises {type(error).__name__}: {error}") from error
        if not isinstance(scores, Traced):
            raise Skip(
                f"{UNFOLLOWED}: the scores don't know where they come from (`np.array(x)`, results written into an "
                "array made by `np.zeros`, and other libraries' functions lose the lineage)"
            )
        if np.asarray(scores).tobytes() != plain.tobytes():
            raise Skip(f"{UNFOLLOWED}: the scores come out differently")
        return Forward(scores.node, tape.nodes)

    def hidden_penalty(self, batches: Sequence[Batch]) -> str:
        """Why a strength in the program's code can't be ruled out; empty where the loss is the scores' own."""
        name = _LOSSES.get(self._task.name, "standard loss")
        excesses, tolerance = [], 0.0
        for X, y in batches:
            scores = self._training_scores(X, y, dropout=True)
            loss = self._loss(X, y, 1.0, True, training=True)
            reference = math.nan if scores is None else _reference(self._task, scores, y)
            tolerance = max(tolerance, _tolerance(X if scores is None else scores) * max(1.0, abs(loss)))
            excesses.append(loss - reference)
        if not all(math.isfinite(excess) for excess in excesses):
            return f"{_NO_STRENGTH}; a strength written into its code can't be seen or scaled"
        if max(map(abs, excesses)) <= tolerance:
            return ""
        if excesses[0] > 0 and max(excesses) - min(excesses) <= tolerance:
            return (
                f"{_NO_STRENGTH}, but the loss is {excesses[0]:.4g} above the {name} of its own scores: "
                "a penalty whose strength is written into the code can't be scaled"
            )
        apart = " and ".join(f"{excess:+.4g}" for excess in excesses)
        return (
            f"{_NO_STRENGTH}, and the loss is not the {name} of its own scores ({apart} on two batches), "
            "so a strength written into its code can't be ruled out"
        )
