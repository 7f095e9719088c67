"""The trainer protocol: the little that babysit needs from a training program.

Satisfy it by structure, no base class needed, or let an adapter in `babysit.adapters` do it.

    Trainer                  batches, evaluate, step, save, load; a task and two settable numbers
    ├── SupportsSaveInto     + save_into: saved states in memory that is used again
    ├── SupportsTrace        + trace: what flows through the layers, forward and backward
    ├── SupportsParameters   + parameters and gradients by name
    ├── SupportsRegularization  + the strengths the program states
    └── SupportsRanks        + rank, size, gather, ...: one program on several processes

A check that needs a power the trainer lacks is skipped, with the reason; it never passes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from babysit.tasks.task import Task

Array: TypeAlias = Any  # an array of any library that the Python array API standard covers
Scalar: TypeAlias = Any  # a number, or an array of one element
Tree: TypeAlias = Any  # an array, or a tuple, list or dict of trees
Batch: TypeAlias = tuple[Tree, Tree]  # (inputs, targets), examples along axis 0 of every array
State: TypeAlias = Mapping[str, Any]  # a named tree of arrays and plain values


@dataclass(frozen=True)
class Output:
    """What one evaluation or step gives.

    Args:
        loss: The data loss, reduced as the program itself reduces it (a mean over examples, as a rule).
        penalty: The regularization term of the loss at the present `regularization_scale`.
        scores: What the loss sees, shape (N, C, ...) or (N, ...): logits, margins or predictions.
        updated: False where the step was skipped (loss scaling) or only accumulated gradients.
    """

    loss: Scalar
    penalty: Scalar = 0.0
    scores: Array | None = None
    updated: bool = True


@runtime_checkable
class Trainer(Protocol):
    """A training program, one batch at a time.

    Attributes:
        task: What the scores mean; gives the chance loss.
        learning_rate: Settable. Other parameter groups keep their ratio to the first.
        regularization_scale: Settable. 1.0 as the program has it, 0.0 all off (penalty, decay, dropout).
    """

    task: Task
    learning_rate: float
    regularization_scale: float

    def batches(self, split: str = "train") -> Iterable[Batch]:
        """Batches of the split `"train"` or `"val"`, anew at each call; empty if there is no such split."""
        ...

    def evaluate(self, batch: Batch, *, training: bool = False) -> Output:
        """Forward pass only, in training mode or not. Changes nothing in either mode."""
        ...

    def step(self, batch: Batch) -> Output:
        """One update in training mode. The loss returned is from before the update."""
        ...

    def save(self) -> State:
        """A copy of all that a step can change: parameters, optimizer state, running statistics, generators."""
        ...

    def load(self, state: State) -> None:
        """Put back what `save` gave, bit for bit."""
        ...


@runtime_checkable
class SupportsSaveInto(Protocol):
    """A trainer that can save into the arrays of an earlier state, and that copies what it loads.

    Its states are loaded as they are: `load` must keep none of the arrays that it is given, nor write into them. From
    other trainers babysit protects what it saved by one more copy at each `load`.

    Attributes:
        placement: Where states are saved, if not beside the program's own, and why; empty otherwise.
    """

    placement: str

    def save_into(self, state: State) -> State:
        """As `save`, but in the arrays of this state, which `save` or `save_into` gave, wherever they fit."""
        ...


Phase: TypeAlias = Literal["forward", "backward"]


@dataclass(frozen=True)
class Record:
    """One layer's call as a trace sees it; arrays may be overwritten once `visit` returns.

    Args:
        name: The layer's own name, the same in both phases and over several traces.
        kind: "linear", "norm", or the nonlinearity: "relu", "leaky-relu", "prelu", "elu", "tanh",
            "sigmoid", "maxout", "softmax", ...
        phase: "forward" with the layer's output, "backward" with the gradient of that output.
        unit_axis: The axis of `values` that counts units; all others count examples and positions.
        inputs: What went in; for maxout (N, units, pieces), else shaped so that it broadcasts with
            `values` where the layer is elementwise.
        values: What came out (N, units, ...), or the loss's gradient with respect to it.
        parameters: Names of the parameters used on the way since the previous nonlinearity.
    """

    name: str
    kind: str
    phase: Phase
    unit_axis: int
    inputs: Array | None
    values: Array
    parameters: tuple[str, ...] = ()


Visit: TypeAlias = Callable[[Record], None]


class ForwardOnly:
    """A visit that asks for no gradients: a trace may end with the forward pass.

    Args:
        visit: Gets the records.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit

    def __call__(self, record: Record) -> None:
        """Hand the record on, unless it is a gradient's."""
        if record.phase == "forward":
            self._visit(record)


@runtime_checkable
class SupportsTrace(Protocol):
    """A trainer that can show what flows through its layers."""

    def trace(self, batch: Batch, visit: Visit, *, training: bool = True) -> Output:
        """One forward and, where possible, backward pass without an update.

        `visit` receives a record as each layer is called and, from trainers that can tell, again as its
        gradient arrives; of a `ForwardOnly` visit the backward pass may be left out. Changes nothing.

        Raises:
            Skip: The network's operations can't be followed; the message says where and why.
        """
        ...


@runtime_checkable
class SupportsParameters(Protocol):
    """A trainer whose parameters and gradients have names."""

    def parameters(self) -> Mapping[str, Array]:
        """The trainable parameters by name."""
        ...

    def set_parameters(self, values: Mapping[str, Array]) -> None:
        """Overwrite the named parameters; others stay."""
        ...

    def gradients(self, batch: Batch) -> tuple[Output, Mapping[str, Array]]:
        """Gradients of loss plus penalty in training mode, at the present scale. Changes nothing."""
        ...

    def last_gradients(self) -> Mapping[str, Array]:
        """What the latest step used, after accumulation and clipping; it need not outlast the next step."""
        ...


@runtime_checkable
class SupportsRegularization(Protocol):
    """A trainer that can say what regularization the program states."""

    def strengths(self) -> Mapping[str, float]:
        """Stated strengths by name at scale 1 (`{"reg": 1e-3}`); empty if the program states none.

        Raises:
            Skip: The strength can't be scaled from outside; the message says why.
        """
        ...


@runtime_checkable
class SupportsRanks(Protocol):
    """A trainer that runs as one of several processes, each on its share of the data.

    Attributes:
        rank: This process's number, from 0.
        size: How many there are.
    """

    rank: int
    size: int

    def gather(self, value: Any) -> list[Any]:
        """The value of every rank, in the order of ranks, on every rank; arrays arrive on this rank's device."""
        ...

    def replicas(self) -> Mapping[str, Array]:
        """What all ranks must hold alike: parameters, and buffers but for those that the next pass makes alike."""
        ...

    def fail(self, message: str) -> None:
        """Leave word for the other ranks that this one can't go on."""
        ...

    def failure(self) -> str:
        """The word left by the first rank that couldn't go on; empty if none has."""
        ...
