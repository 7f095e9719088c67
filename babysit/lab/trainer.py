"""The embedded network as a trainer: what any training loop does, in the words of `babysit.trainer`."""

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from babysit.lab.data import Data
from babysit.lab.network import Call, Network
from babysit.lab.optimizers import OPTIMIZERS
from babysit.tasks.task import Task
from babysit.trainer import Batch, Output, Phase, Record, State, Visit

Array: TypeAlias = npt.NDArray[np.float64]

quiet = np.errstate(all="ignore")  # a loss that overflows is for babysit to report, not for NumPy


class LabTrainer:
    """Minibatch gradient descent on a `Network`.

    Args:
        network: What learns.
        train: Inputs (N, features) and targets.
        val: The same, held out; none if missing.
        task: What the scores mean.
        learning_rate: Step size.
        optimizer: A name in `OPTIMIZERS`.
        batch_size: Examples in a batch; the last of an epoch may have fewer.
        seed: Of the order of examples, shuffled anew each epoch.

    Attributes:
        regularization_scale: Multiplies the L2 strength; 0 turns dropout off as well.
    """

    def __init__(
        self,
        network: Network,
        train: Data,
        val: Data | None = None,
        *,
        task: Task,
        learning_rate: float,
        optimizer: str = "sgd",
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        self.network = network
        self.splits = {"train": train} if val is None else {"train": train, "val": val}
        self.task = task
        self.learning_rate = learning_rate
        self.regularization_scale = 1.0
        self.optimizer = OPTIMIZERS[optimizer]
        self.memories = self.optimizer.start(network.params)
        self.batch_size = batch_size
        self.order = np.random.default_rng(seed)
        self._last_gradients: dict[str, Array] = {}

    def batches(self, split: str = "train") -> Iterator[Batch]:
        """One epoch: the training split in a new order each time, the other as it is."""
        if split not in self.splits:
            return
        inputs, targets = self.splits[split]
        indices = np.arange(len(inputs))
        if split == "train":
            self.order.shuffle(indices)
        for start in range(0, len(indices), self.batch_size):
            chosen = indices[start : start + self.batch_size]
            yield inputs[chosen], targets[chosen]

    @quiet
    def evaluate(self, batch: Batch, *, training: bool = False) -> Output:
        """Forward pass only; running statistics and the dropout generator stay where they were."""
        with self._untouched():
            return self._forward(batch, training=training)[0]

    @quiet
    def step(self, batch: Batch) -> Output:
        """One update."""
        output, self._last_gradients = self._gradients(batch)
        self._update(self._last_gradients)
        return output

    def _update(self, gradients: Mapping[str, Array]) -> None:
        for name, gradient in gradients.items():
            self.network.params[name], self.memories[name] = self.optimizer.update(
                self.network.params[name], gradient, self.memories[name], self.learning_rate
            )

    def save(self) -> State:
        """Copies of the parameters, running statistics, optimizer's memory and both generators."""
        return copy.deepcopy(
            {
                "parameters": self.network.params,
                "statistics": self.network.statistics,
                "optimizer": self.memories,
                "order": self.order.bit_generator.state,
                "noise": self.network.noise.bit_generator.state,
            }
        )

    def load(self, state: State) -> None:
        """Put all of it back."""
        fresh: dict[str, Any] = copy.deepcopy(dict(state))
        self.network.params = fresh["parameters"]
        self.network.statistics = fresh["statistics"]
        self.memories = fresh["optimizer"]
        self.order.bit_generator.state = fresh["order"]
        self.network.noise.bit_generator.state = fresh["noise"]

    def parameters(self) -> Mapping[str, Array]:
        """The learned arrays; steps replace them rather than write into them."""
        return dict(self.network.params)

    def set_parameters(self, values: Mapping[str, Array]) -> None:
        """Overwrite the named ones."""
        self.network.params |= {name: np.array(value, dtype=np.float64) for name, value in values.items()}

    @quiet
    def gradients(self, batch: Batch) -> tuple[Output, Mapping[str, Array]]:
        """Of loss plus penalty in training mode."""
        with self._untouched():
            return self._gradients(batch)

    def last_gradients(self) -> Mapping[str, Array]:
        """Of the latest step."""
        return self._last_gradients

    def strengths(self) -> Mapping[str, float]:
        """The L2 strength and the share of dropout, where there are such."""
        design = self.network.design
        return {name: value for name, value in (("l2", design.l2), ("dropout", design.dropout)) if value}

    @quiet
    def trace(self, batch: Batch, visit: Visit, *, training: bool = True) -> Output:
        """Show every affine, norm and activation layer: outputs in order, then their gradients in reverse."""
        with self._untouched():
            output, calls, dscores = self._forward(batch, training=training)
        _, flows = self.network.backward(calls, dscores)
        used = self._parameters_used(calls)
        shown = [call for call in calls if call.layer.kind]

        def show(call: Call, phase: Phase, values: Array) -> None:
            visit(Record(call.name, call.layer.kind, phase, 1, call.inputs, values, used[call.name]))

        for call in shown:
            show(call, "forward", call.output)
        for call in reversed(shown):
            show(call, "backward", flows[call.name])
        return output

    def _forward(self, batch: Batch, *, training: bool) -> tuple[Output, list[Call], Array]:
        inputs, targets = batch
        calls = self.network.forward(inputs, training=training, dropout=self.regularization_scale > 0)
        loss, dscores = self.network.loss(calls[-1].output, targets)
        penalty = self.network.penalty(self.regularization_scale)
        return Output(loss, penalty, calls[-1].output), calls, dscores

    def _gradients(self, batch: Batch) -> tuple[Output, dict[str, Array]]:
        output, calls, dscores = self._forward(batch, training=True)
        gradients, _ = self.network.backward(calls, dscores)
        for name, gradient in self.network.penalty_gradients(self.regularization_scale).items():
            gradients[name] = gradients[name] + gradient
        return output, gradients

    def _parameters_used(self, calls: Sequence[Call]) -> dict[str, tuple[str, ...]]:
        """By layer, the parameters since the previous nonlinearity."""
        used: dict[str, tuple[str, ...]] = {}
        since: tuple[str, ...] = ()
        for call in calls:
            since += tuple(name for name in self.network.params if name.startswith(f"{call.name}."))
            used[call.name] = since
            if call.layer.kind not in ("linear", "norm", ""):
                since = ()
        return used

    @contextlib.contextmanager
    def _untouched(self) -> Iterator[None]:
        """Put back what a forward pass in training mode moves."""
        statistics, noise = dict(self.network.statistics), self.network.noise.bit_generator.state
        try:
            yield
        finally:
            self.network.statistics, self.network.noise.bit_generator.state = statistics, noise
