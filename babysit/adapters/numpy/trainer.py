"""Networks written by hand in NumPy, as in the course's assignments: a dict `params` and a method `loss`."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from babysit.adapters.numpy.evaluation import UNFOLLOWED, Evaluation
from babysit.adapters.numpy.lineage import layers_of, records, unseen
from babysit.adapters.numpy.model import read_program
from babysit.adapters.numpy.state import capture, restore, untouched
from babysit.adapters.numpy.trace import Array
from babysit.errors import Skip, TargetError
from babysit.lab.optimizers import OPTIMIZERS
from babysit.tasks.task import Task, task_named
from babysit.trainer import Batch, Output, State, Visit

Update: TypeAlias = Callable[[dict[str, Array], dict[str, Array], float], Any]


class NumpyTrainer:
    """Drives a network written by hand.

    `model.loss(X, y)` returns the loss and the gradients by parameter, `model.loss(X)` (or `loss(X, None)`) the
    scores. The regularization strength is a parameter of `loss` (`reg`), an attribute (`model.reg`), or in the code.
    The penalty is the loss with the strength minus the loss without it, on the same batch and random numbers.

    The mode may be a parameter of `loss` (`mode`, `training`), an attribute, entries "mode" of dicts that `loss` sets
    by whether y is given (`dropout_param`, `bn_params`), or in the code. Dropout is switched off at
    `regularization_scale = 0` by the mode of what is named for it, or by an attribute such as `dropout_rate` or
    `keep_prob` (`dropout` is read as the share dropped); dropout in the code alone stays on. Traces have no backward
    phase: a backward pass written by hand doesn't say which layer a gradient belongs to.

    Args:
        model: The network, with its parameters in `model.params`, arrays by name; updated in place.
        train: Inputs (N, ...) and targets (N, ...).
        val: The same of the validation split.
        task: A task or its name; the number of classes is then read from the scores.
        learning_rate: The step size, as the optimizer takes it.
        regularization: The strength; None leaves the model's own (0 where `loss` wants one and has no default).
        batch_size: Examples a step; the last batch of a pass may be smaller.
        optimizer: "sgd", "momentum", "nesterov", "rmsprop" or "adam", or a function (params, grads, learning_rate)
            of your own that updates `params` in place.

    Raises:
        TargetError: One of these can't be used; the message says which and why.
    """

    def __init__(
        self,
        model: Any,
        train: tuple[Any, Any],
        val: tuple[Any, Any] | None = None,
        *,
        task: Task | str,
        learning_rate: float,
        regularization: float | None = None,
        batch_size: int = 64,
        optimizer: str | Update = "sgd",
    ) -> None:
        self.model = model
        self.placement = ""  # of saved states: where the program's own is
        self.learning_rate = learning_rate
        self.regularization_scale = 1.0
        self._program = read_program(model, regularization)
        self._splits = {"train": _pair(train, "train")}
        if val is not None:
            self._splits["val"] = _pair(val, "val")
        if batch_size < 1:
            raise TargetError(f"batch_size={batch_size} must be at least 1")
        self._batch_size = batch_size
        self._optimizer = _known_optimizer(optimizer)
        self._memory: dict[str, dict[str, Array]] = {}
        self._last_gradients: dict[str, Array] = {}
        # from NumPy's global generator, so that who seeds it governs the order of the batches
        self._order = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002
        self.task = self._task(task) if isinstance(task, str) else task
        self._check_labels()
        self._evaluation = Evaluation(self._program, self.task)

    def _task(self, name: str) -> Task:
        X = self._splits["train"][0][: self._batch_size]
        with untouched(self.model):
            scores = self._program.scores(np.array(X), dropout=False)
        try:
            return task_named(name, np.asarray(scores))
        except ValueError as error:
            raise TargetError(str(error)) from error
        except IndexError as error:
            raise TargetError(f"`loss(X)` returned scores of shape {np.shape(scores)}, not (N, classes)") from error

    def _check_labels(self) -> None:
        """Labels beyond the classes end in an IndexError at every step, so they are named before the first.

        Raises:
            TargetError: There is such a label.
        """
        classes = getattr(self.task, "classes", 0)
        for name, (_, y) in self._splits.items():
            if classes and y.dtype.kind in "iu" and y.max() >= classes:
                raise TargetError(
                    f"{name}: labels go from {y.min()} to {y.max()}, but {classes} classes go from 0 to {classes - 1}"
                )

    def batches(self, split: str = "train") -> Iterator[Batch]:
        """Mini-batches: of the training split in a new random order each time, of the others in their order."""
        if split not in self._splits:
            return
        X, y = self._splits[split]
        order = self._order.permutation(len(X)) if split == "train" else np.arange(len(X))
        for start in range(0, len(X), self._batch_size):
            chosen = order[start : start + self._batch_size]
            yield X[chosen], y[chosen]

    def evaluate(self, batch: Batch, *, training: bool = False) -> Output:
        """Loss, penalty and scores in training or in test mode; the model and all generators stay as they are.

        Raises:
            Skip: The program's loss in test mode can't be had; the message says why.
        """
        return self._evaluation.output(*batch, scale=self.regularization_scale, training=training)

    def _loss_and_gradients(self, batch: Batch) -> tuple[Output, dict[str, Array]]:
        scale, dropout = self.regularization_scale, self.regularization_scale != 0
        data = None
        if scale and any(self._program.strengths().values()):
            with untouched(self.model):
                data, _ = self._program.loss(*batch, scale=0.0, dropout=dropout)
        total, grads = self._program.loss(*batch, scale=scale, dropout=dropout)
        data, penalty = (total, 0.0) if data is None else (data, total - data)
        return Output(data, penalty), grads

    def step(self, batch: Batch) -> Output:
        """One update, without scores: they would cost another forward pass. Parameters without a gradient stay."""
        output, grads = self._loss_and_gradients(batch)
        self._last_gradients = grads
        if callable(self._optimizer):
            self._optimizer(self.model.params, {name: grad.copy() for name, grad in grads.items()}, self.learning_rate)
            return output
        optimizer = OPTIMIZERS[self._optimizer]
        for name, grad in grads.items():
            w = self.model.params[name]
            memory = self._memory.get(name) or optimizer.start({name: w})[name]
            moved, self._memory[name] = optimizer.update(w, grad, memory, self.learning_rate)
            np.copyto(w, moved)
        return output

    def save(self) -> State:
        """All that the model, a model-like optimizer and the order of batches hold."""
        return self.save_into({})

    def save_into(self, state: State) -> State:
        """The same, in the arrays of an earlier one wherever they fit; that one is used up."""
        own = self._optimizer if callable(self._optimizer) else None
        held = {"model": self.model, "optimizer": own, "memory": self._memory, "order": self._order}
        return {name: capture(value, state.get(name)) for name, value in held.items()}

    def load(self, state: State) -> None:
        """Put copies of it back, in the very arrays, dicts and generators that held it."""
        restore(self.model, state["model"])
        own = self._optimizer if callable(self._optimizer) else None
        restore(own, state["optimizer"])
        self._memory = restore(self._memory, state["memory"])
        restore(self._order, state["order"])

    def parameters(self) -> Mapping[str, Array]:
        """Copies of the parameters."""
        return {name: w.copy() for name, w in self.model.params.items()}

    def set_parameters(self, values: Mapping[str, Array]) -> None:
        """Write these into the model's own arrays."""
        for name, value in values.items():
            np.copyto(self.model.params[name], value)

    def gradients(self, batch: Batch) -> tuple[Output, Mapping[str, Array]]:
        """What `loss` returns in training mode at the present scale; nothing changes."""
        with untouched(self.model):
            return self._loss_and_gradients(batch)

    def last_gradients(self) -> Mapping[str, Array]:
        """The gradients that the latest step used; empty before the first."""
        return self._last_gradients

    def strengths(self) -> Mapping[str, float]:
        """The strengths that aren't zero, by the name of the parameter or attribute.

        Raises:
            Skip: `loss` takes no strength and the model has none, and yet the loss is not that of its scores alone.
        """
        program = self._program
        if program.signature.strength or program.attributes:
            return {name: value for name, value in program.strengths().items() if value}
        X, y = self._splits["train"]
        many, few = max(1, self._batch_size), max(1, self._batch_size // 2)
        if reason := self._evaluation.hidden_penalty([(X[:many], y[:many]), (X[-few:], y[-few:])]):
            raise Skip(reason)
        return {}

    def trace(self, batch: Batch, visit: Visit, *, training: bool = True) -> Output:
        """A forward pass on an array that remembers what is done to it; `visit` gets forward records alone.

        Raises:
            Skip: The operations can't be followed; the message says why.
        """
        output = self.evaluate(batch, training=training)
        found = self._evaluation.forward(*batch, scale=self.regularization_scale, training=training)
        layers = layers_of(found.output, found.nodes)
        if not layers.linear and not layers.matches:
            raise Skip(f"{UNFOLLOWED}: no matrix product with a parameter and no nonlinearity was recognized")
        if lost := unseen(layers, self.model.params):
            names = ", ".join(f"`{name}`" for name in lost)
            raise Skip(f"{UNFOLLOWED}: {names} took no part in them, or where a copy or `np.array(x)` hid it")
        for record in records(layers):
            visit(record)
        return output


def _pair(split: Any, name: str) -> tuple[Array, Array]:
    if not isinstance(split, tuple | list) or len(split) != 2:
        raise TargetError(f"{name} must be a pair (X, y), not a {type(split).__name__}")
    X, y = (np.asarray(part) for part in split)
    if X.ndim < 1 or y.ndim < 1 or len(X) != len(y):
        raise TargetError(f"{name}: X has shape {X.shape} and y {y.shape}; both need one row for each example")
    if len(X) == 0:
        raise TargetError(f"{name}: X has shape {X.shape}, so there are no examples")
    return X, y


def _known_optimizer(optimizer: str | Update) -> str | Update:
    if not callable(optimizer) and optimizer not in OPTIMIZERS:
        raise TargetError(
            f"unknown optimizer {optimizer!r}; known are {', '.join(OPTIMIZERS)}, or a function of your own"
        )
    return optimizer


def adapt(made: Any) -> None:
    """Nothing: a hand-written network alone has no data.

    Raises:
        TargetError: It is one; the message says what to write.
    """
    if isinstance(getattr(made, "params", None), dict) and callable(getattr(made, "loss", None)):
        raise TargetError(
            f"the factory returned a {type(made).__name__} without data; write "
            "`return NumpyTrainer(model, train=(X, y), task=..., learning_rate=...)` "
            "with `from babysit.adapters.numpy import NumpyTrainer`"
        )
