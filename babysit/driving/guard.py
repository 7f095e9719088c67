"""The user's trainer behind a guard: timed, counted, its exceptions named, its outputs checked."""

import math
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from babysit.arrays import are_scores
from babysit.driving.budget import EVALUATION
from babysit.driving.meter import Meter
from babysit.driving.ranks import Ranks
from babysit.errors import Skip, TargetError
from babysit.messages import LESS_MEMORY, blame, ran_out_of_memory
from babysit.tasks.task import Task
from babysit.trainer import (
    Array,
    Batch,
    ForwardOnly,
    Output,
    Record,
    Scalar,
    State,
    SupportsParameters,
    SupportsRanks,
    SupportsRegularization,
    SupportsSaveInto,
    SupportsTrace,
    Trainer,
    Visit,
)


def as_number(value: Scalar, what: str, call: str = "") -> float:
    """The value as a float; NaN and infinities are numbers.

    Raises:
        TargetError: It is no real number, or an array of several.
    """
    if type(value) is float:
        return value
    if call:
        what = f"{what} of {call}"
    if is_array_api_obj(value):
        if math.prod(value.shape) != 1:
            raise TargetError(f"{what} has shape {tuple(value.shape)}; it must be one number")
        value = value.item()
    if isinstance(value, str | bytes | complex | np.complexfloating):
        raise TargetError(f"{what} must be a number, not {value!r} ({type(value).__name__})")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError) as error:
        raise TargetError(f"{what} must be a number, not {value!r} ({type(value).__name__})") from error


TIMED = 8  # steps whose time is kept, to tell what one takes
_END = object()  # an exhausted loader; None may be a batch, and a wrong one


class _Guard:
    """Around a call into the user's code: times it, and makes one message of whatever it raises.

    A class, since what `contextlib` makes of a generator costs several microseconds a step.
    """

    __slots__ = ("began", "call", "driven")

    def __init__(self, driven: "Driven", call: str) -> None:
        self.driven, self.call = driven, call

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.driven.seconds += time.perf_counter() - self.began
        if error is None or isinstance(error, Skip | TargetError):
            return
        if isinstance(error, KeyboardInterrupt):
            self.driven.ranks.leave_word("interrupted")
            return
        failed = self.driven.ranks.failed
        if isinstance(error, SystemExit):
            code = "" if error.code is None else repr(error.code)
            raise failed(f"{self.call} called sys.exit({code})") from error
        if ran_out_of_memory(error):
            raise failed(f"{self.call} ran out of memory: {blame(error)}; {LESS_MEMORY}") from error
        raise failed(f"{self.call} raised {blame(error)}") from error  # the user's code may raise anything


class Driven:
    """A trainer whose every call is guarded. Satisfies `Trainer` itself, with plain floats in its outputs.

    Attributes:
        seconds: Time spent in the user's code.
        steps: Calls of `step` so far.
        meter: Stops ahead of the call that would pass a budget; None for no bound.
        ranks: The processes that run the program.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self.ranks = Ranks(trainer)
        self.seconds = 0.0
        self.steps = 0
        self.meter: Meter | None = None
        self._times: list[float] = []

    @property
    def step_seconds(self) -> float | None:
        """Median seconds of the first steps, all but the very first; None before there are any."""
        return statistics.median(self._times[1:]) if len(self._times) >= TIMED // 2 else None

    def _spend(self, steps: float) -> None:
        """Know that a call of so many steps' time is within the budget."""
        if self.meter is not None:
            self.meter.before(steps)

    def _guard(self, call: str) -> "_Guard":
        return _Guard(self, call)

    def supports(self, power: type[Any]) -> bool:
        """Whether the user's trainer has an optional power."""
        return isinstance(self._trainer, power)

    def _power(self, power: type[Any], what: str) -> Any:
        if not self.supports(power):
            asked = (name for name in vars(power) if not name.startswith("_"))
            missing = next(name for name in asked if not hasattr(self._trainer, name))
            raise Skip(f"the trainer can't {what}: it has no method `{missing}`")
        return self._trainer

    @property
    def task(self) -> Task:
        """The trainer's task.

        Raises:
            TargetError: It is none.
        """
        with self._guard("task"):
            task = self._trainer.task
        if not callable(getattr(task, "chance_losses", None)) or isinstance(task, type):
            raise TargetError(f"task must be a task such as babysit.Classification(10), not {task!r}")
        return task

    @property
    def learning_rate(self) -> float:
        """The trainer's learning rate."""
        with self._guard("learning_rate"):
            rate = as_number(self._trainer.learning_rate, "learning_rate")
        if not 0 <= rate < math.inf:
            raise TargetError(f"learning_rate is {rate:g}; it must be a finite number, 0 or more")
        return rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        with self._guard("learning_rate = ..."):
            self._trainer.learning_rate = value

    @property
    def regularization_scale(self) -> float:
        """The scale of all regularization; 1 as the program has it."""
        with self._guard("regularization_scale"):
            return as_number(self._trainer.regularization_scale, "regularization_scale")

    @regularization_scale.setter
    def regularization_scale(self, value: float) -> None:
        with self._guard("regularization_scale = ..."):
            self._trainer.regularization_scale = value

    def batches(self, split: str = "train") -> Iterator[Batch]:
        """The batches of a split, each known to be a pair.

        Raises:
            TargetError: The loader raises, or yields something else than (inputs, targets).
        """
        call = f"batches({split!r})"
        with self._guard(call):
            source: Iterable[Any] = self._trainer.batches(split)
            iterator = iter(source)
        while True:
            with self._guard(call):
                batch = next(iterator, _END)
            if batch is _END:
                return
            if not (isinstance(batch, tuple | list) and len(batch) == 2):
                raise TargetError(f"{call} must yield (inputs, targets), not {type(batch).__name__}")
            yield (batch[0], batch[1])

    def _output(self, call: str, output: Any) -> Output:
        if not isinstance(output, Output):
            raise TargetError(f"{call} must return babysit.Output, not {type(output).__name__}")
        if output.scores is not None and not are_scores(output.scores):
            raise TargetError(
                f"the scores of {call} must be an array of real numbers with an axis of examples, not "
                f"{type(output.scores).__name__} {getattr(output.scores, 'dtype', '')}".rstrip()
            )
        if type(output.loss) is float and type(output.penalty) is float:
            return output
        loss, penalty = as_number(output.loss, "the loss", call), as_number(output.penalty, "the penalty", call)
        return Output(loss, penalty, output.scores, output.updated)

    def evaluate(self, batch: Batch, *, training: bool = False) -> Output:
        """The trainer's evaluation, loss and penalty as floats."""
        self._spend(EVALUATION)
        call = f"evaluate(batch, training={training})"
        with self._guard(call):
            self.ranks.agree(call)
            output = self._output(call, self._trainer.evaluate(self.ranks.share(batch), training=training))
            return self.ranks.reduced(output, batch)

    def alone(self, batch: Batch) -> float:
        """The loss of the whole batch in training mode, on this rank alone."""
        self._spend(EVALUATION)
        call = "evaluate(batch, training=True)"
        with self._guard(call):
            self.ranks.agree(call)
            return float(self._output(call, self._trainer.evaluate(batch, training=True)).loss)

    def replicas(self) -> Mapping[str, Array]:
        """What all ranks must hold alike.

        Raises:
            Skip: The trainer knows of no ranks.
        """
        trainer: SupportsRanks = self._power(SupportsRanks, "compare its ranks")
        with self._guard("replicas()"):
            return trainer.replicas()

    def step(self, batch: Batch) -> Output:
        """One update, loss and penalty as floats."""
        self._spend(1.0)
        self.steps += 1
        call, before = f"step {self.steps}", self.seconds
        with self._guard(call):
            self.ranks.agree(call)
            output = self._output(call, self._trainer.step(self.ranks.share(batch)))
            output = self.ranks.reduced(output, batch)
        if len(self._times) < TIMED:
            self._times.append(self.seconds - before)
        return output

    def save(self) -> State:
        """The trainer's state."""
        with self._guard("save()"):
            return self._trainer.save()

    def save_into(self, state: State) -> State:
        """The trainer's state, in the arrays of one that is not needed any more.

        Raises:
            Skip: The trainer can't.
        """
        trainer: SupportsSaveInto = self._power(SupportsSaveInto, "save into a state")
        with self._guard("save_into(state)"):
            return trainer.save_into(state)

    @property
    def placement(self) -> str:
        """Where states are saved, if not beside the program's own; empty where that isn't told."""
        return str(self._trainer.placement) if isinstance(self._trainer, SupportsSaveInto) else ""

    def load(self, state: State) -> None:
        """Put a state back."""
        with self._guard("load(state)"):
            self._trainer.load(state)

    def trace(self, batch: Batch, visit: Visit, *, training: bool = True) -> Output:
        """The trainer's trace; of several ranks, each sees its own share.

        Raises:
            Skip: The trainer has no trace, or can't follow this network.
        """
        trainer: SupportsTrace = self._power(SupportsTrace, "show what flows through its layers")
        self._spend(1.0)
        visiting = 0.0

        def timed(record: Record) -> None:
            nonlocal visiting
            began = time.perf_counter()
            visit(record)
            visiting += time.perf_counter() - began

        with self._guard("trace(batch, visit)"):
            self.ranks.agree("trace(batch, visit)")
            asked = ForwardOnly(timed) if isinstance(visit, ForwardOnly) else timed
            output = trainer.trace(self.ranks.share(batch), asked, training=training)
        self.seconds -= visiting  # what is done with a record is babysit's own time
        return self._output("trace(batch, visit)", output)

    def parameters(self) -> Mapping[str, Array]:
        """The trainable parameters.

        Raises:
            Skip: The trainer can't name them.
        """
        trainer: SupportsParameters = self._power(SupportsParameters, "name its parameters")
        with self._guard("parameters()"):
            return trainer.parameters()

    def set_parameters(self, values: Mapping[str, Array]) -> None:
        """Overwrite the named parameters.

        Raises:
            Skip: The trainer can't name them.
        """
        trainer: SupportsParameters = self._power(SupportsParameters, "set its parameters")
        with self._guard("set_parameters(values)"):
            trainer.set_parameters(values)

    def gradients(self, batch: Batch) -> tuple[Output, dict[str, Array]]:
        """Gradients of loss plus penalty by parameter, averaged over ranks; none for what the loss doesn't reach.

        A dict of the caller's own; its arrays may be those that the program computes with.

        Raises:
            Skip: The trainer has none to show.
        """
        trainer: SupportsParameters = self._power(SupportsParameters, "show its gradients")
        self._spend(1.0)
        with self._guard("gradients(batch)"):
            self.ranks.agree("gradients(batch)")
            output, found = trainer.gradients(self.ranks.share(batch))
            every = self.ranks.gather(dict(found))
        del found  # whoever lets go of a gradient frees it
        output = self._output("gradients(batch)", output)
        if len(every) == 1:
            return output, every[0]
        names = dict.fromkeys(name for own in every for name in own)  # a parameter that some ranks alone reach is one
        return output, {name: sum(own[name] for own in every if name in own) / len(every) for name in names}

    def last_gradients(self) -> Mapping[str, Array]:
        """What the latest step used, after accumulation and clipping.

        Raises:
            Skip: The trainer doesn't tell.
        """
        trainer: SupportsParameters = self._power(SupportsParameters, "show the gradients of a step")
        with self._guard("last_gradients()"):
            return trainer.last_gradients()

    def strengths(self) -> Mapping[str, float] | None:
        """The stated strengths of regularization; None if the trainer doesn't tell.

        Raises:
            Skip: The strength can't be scaled.
        """
        if not self.supports(SupportsRegularization):
            return None
        trainer: SupportsRegularization = self._power(SupportsRegularization, "state its regularization")
        with self._guard("strengths()"):
            return trainer.strengths()
