"""PyTorch programs as they are: a module, a loss, an optimizer and loaders."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from babysit import seeds
from babysit.adapters.pytorch.batches import read
from babysit.adapters.pytorch.modes import Modes, Rates
from babysit.adapters.pytorch.program import Loss, Program, is_token_by_token, losses_here_and_next, original, stepping
from babysit.adapters.pytorch.ranks import ProcessGroup, replicas
from babysit.adapters.pytorch.regularization import Regularization, WithoutDropout, is_dropping
from babysit.adapters.pytorch.state import everything, require_state_dict
from babysit.adapters.pytorch.tasks import Call, Watch, task_of, task_told
from babysit.adapters.pytorch.trace import Names, Trace
from babysit.adapters.pytorch.update import Updates
from babysit.errors import TargetError
from babysit.tasks.task import Task
from babysit.trainer import Batch, ForwardOnly, Output, State, Visit


class PyTorchTrainer:
    """Drives a PyTorch program.

    Data goes to the model's device. A compiled model is measured through the module that was compiled, a distributed
    one steps through its wrapper and is measured through the module inside. Modules that are in evaluation mode in a
    model that is in training mode stay so in every step. Schedulers are left alone, but a check holds the learning
    rate: what one makes of it within an update does not last. Of a schedule that has begun, the program's own rate is
    its peak (`max_lr`) or what it goes back to (`initial_lr`).

    Args:
        model: The network. Gets a batch's inputs: a tensor, a tuple as arguments, a dict as keywords.
        loss: `loss(scores, targets)`, a module or any callable; None for a model that returns its own, which then gets
            the targets too (as `labels` where it has them).
        optimizer: Any of torch's optimizers.
        train: A DataLoader or any iterable of (inputs, targets), or of dicts with `labels`; begins anew each time.
        val: The same for the validation split.
        task: A task or its name; None where the program calls one of torch's losses that says it.
        penalty: A term of the loss beside the data's; a function without arguments.
        update: `update(total)` in place of zero_grad, backward and step: for clipping, accumulation, loss scaling,
            several optimizers.
        stateful: What else a step changes, by its `state_dict`: a scaler, a scheduler, an average, further optimizers
            (whose learning rates and decay are scaled along).

    Raises:
        TargetError: One of these can't be used; the message says which and why.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss | None,
        optimizer: Optimizer,
        train: Iterable[Any],
        val: Iterable[Any] | None = None,
        *,
        task: Task | str | None = None,
        penalty: Callable[[], Any] | None = None,
        update: Callable[[Tensor], Any] | None = None,
        stateful: Sequence[Any] = (),
    ) -> None:
        _require(model, optimizer, train, stateful)
        self._model, self._module = model, original(model)
        self._optimizers = [optimizer, *(thing for thing in stateful if isinstance(thing, Optimizer))]
        self._loaders: dict[str, Iterable[Any]] = {"train": train} | ({} if val is None else {"val": val})
        self._measured = Program(self._module, loss)
        self._stepped = Program(stepping(model), loss)
        self._rates = Rates(self._optimizers, [thing for thing in stateful if isinstance(thing, LRScheduler)])
        self._updates = Updates(self._module, self._optimizers, update, self._rates)
        self._regularization = Regularization(self._module, self._optimizers, penalty)
        self._everything = everything(self._module, loss, self._optimizers, stateful, self._loaders)
        self._modes = Modes(model)
        self._names = Names(self._module)
        self._ranks = ProcessGroup()
        self.rank, self.size = self._ranks.rank, self._ranks.size
        self._stated: Mapping[str, float] | None = None
        self._differentiates = False  # whether the forward pass takes gradients itself, as physics-informed ones do
        self.task = self._read_task(task)

    @property
    def learning_rate(self) -> float:
        """The rate of the first parameter group that has one; the others keep their ratio to it."""
        return self._rates.first

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._rates.first = value

    @property
    def regularization_scale(self) -> float:
        """Scales weight decay and the penalty; at 0 dropout is off too, whether a module or a function."""
        return self._regularization.scale

    @regularization_scale.setter
    def regularization_scale(self, value: float) -> None:
        self._regularization.scale = value

    def batches(self, split: str = "train") -> Iterator[Batch]:
        """Batches of the split on the model's device; none if there is no such split."""
        if split in self._loaders:
            for inputs, targets in read(self._loaders[split], self._device):
                yield inputs, targets[:, 1:] if self._measured.shifted else targets

    def evaluate(self, batch: Batch, *, training: bool = False) -> Output:
        """Loss, penalty and scores. Statistics that training moves, and all generators, are put back."""

        def look() -> Output:
            context = torch.set_grad_enabled(self._differentiates)
            with self._unchanged(training=training), context, self._regularization.applied():
                loss, scores = self._measured(batch)
                return Output(loss.detach(), self._regularization.value(self._regularization.term()), scores)

        return self._sparing_the_graph(look)

    def _sparing_the_graph(self, look: Callable[[], Output]) -> Output:
        """What `look` gives, once more with a graph where the program can't do without."""
        try:
            return look()
        except RuntimeError as error:
            if self._differentiates or "does not require grad" not in str(error):
                raise
        self._differentiates = True
        return look()

    def step(self, batch: Batch) -> Output:
        """One update in training mode; the scores are not kept, so that memory holds no more than the program's own."""
        if not self._model.training:
            self._modes.set(training=True)
        self._updates.forget()
        regularization = self._regularization
        with regularization.applied():
            total = loss = self._stepped.loss_of(batch)
        penalty = 0.0
        if regularization.in_the_loss:
            term = regularization.term()
            penalty = float(regularization.value(term))
            total = loss + term
        updated = self._updates(total, lambda: self._total(batch))
        return Output(loss.item(), penalty, updated=updated)

    def _total(self, batch: Batch) -> Tensor:
        with torch.enable_grad(), self._regularization.applied():
            return self._stepped.loss_of(batch) + self._regularization.term()

    def save(self) -> State:
        """A copy of everything that a step can change."""
        return self._everything.capture()

    def save_into(self, state: State) -> State:
        """The same, in the tensors of an earlier copy wherever they fit; that one is used up."""
        return self._everything.capture(state)

    @property
    def placement(self) -> str:
        """Where saved states are, in words, if a device was short of room for them; else empty."""
        return self._everything.placement

    def load(self, state: State) -> None:
        """Put all of it back by copies, bit for bit."""
        self._everything.restore(state)
        self._regularization.scale = self._regularization.scale  # the state has the decay of another

    def trace(self, batch: Batch, visit: Visit, *, training: bool = True) -> Output:
        """One forward and, in training mode and unless no gradients are asked for, backward pass without an update."""
        backward = training and not isinstance(visit, ForwardOnly)

        def look() -> Output:
            trace = Trace(self._names, visit)
            graph = torch.set_grad_enabled(backward or self._differentiates)
            with self._unchanged(training=training), graph, self._regularization.applied():
                loss, scores = self._measured(batch, trace.watching)
                term = self._regularization.term()
                if backward and loss.requires_grad:
                    self._measured.gradients(loss + term, list(self._trainable().values()), self._everything.parameters)
                return Output(loss.detach(), self._regularization.value(term), scores)

        return look() if backward else self._sparing_the_graph(look)

    def parameters(self) -> Mapping[str, Tensor]:
        """The trainable parameters by name."""
        return {name: p.detach() for name, p in self._trainable().items()}

    def _trainable(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self._module.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def set_parameters(self, values: Mapping[str, Any]) -> None:
        """Overwrite the named parameters."""
        named = self._trainable()
        for name, value in values.items():
            named[name].copy_(torch.as_tensor(value))

    def gradients(self, batch: Batch) -> tuple[Output, Mapping[str, Tensor]]:
        """Gradients of loss plus penalty, that of coupled decay included; none for what the loss doesn't reach."""
        named = self._trainable()
        with self._unchanged(training=True), torch.enable_grad(), self._regularization.applied():
            loss, scores = self._measured(batch)
            term = self._regularization.term()
            found = self._measured.gradients(loss + term, list(named.values()), self._everything.parameters)
            dense = (g.to_dense() if g is not None and g.is_sparse else g for g in found)  # an embedding's, on request
            pairs = ((name, g) for name, g in zip(named, dense, strict=True) if g is not None)
            reached = {name: self._regularization.with_decay(named[name], g) for name, g in pairs}
            penalty = self._regularization.value(term)
        return Output(loss.detach(), penalty, scores), reached

    def last_gradients(self) -> Mapping[str, Tensor]:
        """What the latest step used, after accumulation, unscaling and clipping; the next step overwrites it."""
        return self._updates.last_gradients()

    def strengths(self) -> Mapping[str, float]:
        """Weight decay, the penalty's first value and the highest dropout rate, where there are such."""
        if self._stated is None:
            self._stated = self._seen_strengths()
        return self._stated

    def gather(self, value: Any) -> list[Any]:
        """The value of every rank of the process group."""
        return self._ranks.gather(value, self._device)

    def replicas(self) -> Mapping[str, Tensor]:
        """Parameters, and buffers that no distributed wrapper makes alike ahead of the next pass."""
        return replicas(self._stepped.model, self._module)

    def fail(self, message: str) -> None:
        """Leave word for the other ranks."""
        self._ranks.fail(message)

    def failure(self) -> str:
        """The word that another has left."""
        return self._ranks.failure()

    def _seen_strengths(self) -> Mapping[str, float]:
        scale, self._regularization.scale = self._regularization.scale, 1.0
        try:
            with self._first_batch() as batch, self._modes.borrowed(training=True):
                with WithoutDropout(keep=True) as seen:
                    output = self.evaluate(batch, training=True)
                modules = (m for m in self._module.modules() if m.training and is_dropping(m))
                rates = [float(getattr(m, name, None) or 0) for m in modules for name in ("p", "drop_prob")]
        finally:
            self._regularization.scale = scale
        return self._regularization.strengths(float(output.penalty), float(max([seen.rate, *rates])))

    def _read_task(self, task: Task | str | None) -> Task:
        """The task given, the one of this name, or the one that the loss says, by the scores of the first batch."""
        if task is not None and not isinstance(task, str) and self._measured.loss is not None:
            return task
        with self._first_batch() as batch:
            calls, loss, output = self._watched(batch)
            if self._measured.loss is None and self._predicts_the_next(batch, output):
                self._measured.shifted = self._stepped.shifted = True
        scores = output.scores[:, :-1] if self._measured.shifted and output.scores is not None else output.scores
        return task_told(task, task_of(calls, scores, loss, batch), scores)

    def _watched(self, batch: Batch) -> tuple[list[Call], Tensor, Output]:
        """The calls of torch's losses in a pass in evaluation mode, and the loss with its graph."""
        with self._unchanged(training=False), torch.enable_grad(), self._regularization.applied(), Watch() as watch:
            loss, scores = self._measured(batch)
        return watch.calls, loss, Output(loss.detach(), 0.0, scores)

    def _predicts_the_next(self, batch: Batch, output: Output) -> bool:
        """Whether a model's own loss holds its scores against the labels that follow."""
        inputs, labels = batch
        if output.scores is None or not is_token_by_token(output.scores, labels):
            return False
        here, next_one = losses_here_and_next(output.scores, labels)
        if abs(here - next_one) > 1e-4 * abs(here):
            return abs(next_one - float(output.loss)) < abs(here - float(output.loss))
        first_alone = torch.full_like(labels, -100)  # which a loss that looks ahead never sees: it has nothing to mean
        first_alone[:, 0] = 0
        try:
            return not math.isfinite(self.evaluate((inputs, first_alone)).loss)
        except (IndexError, RuntimeError):  # to which -100 is no label to leave out
            return False

    @contextlib.contextmanager
    def _first_batch(self) -> Iterator[Batch]:
        """The first training batch; drawing it moves no generator."""
        kept, outside = self._everything.generators(), seeds.capture()
        try:
            batch = next(self.batches(), None)
            if batch is None:
                raise TargetError("`train` yielded no batch, so there is nothing to train on")
            yield batch
        finally:
            self._everything.restore_generators(kept)
            seeds.restore(outside)

    @contextlib.contextmanager
    def _unchanged(self, *, training: bool) -> Iterator[None]:
        """The model in this mode; modes, generators and what training moves are put back."""
        generators, outside = self._everything.generators(), seeds.capture()
        buffers = self._everything.held_buffers() if training else None
        try:
            with self._modes.borrowed(training=training):
                yield
        finally:
            self._everything.restore_generators(generators)
            seeds.restore(outside)
            if buffers is not None:
                self._everything.put_back(buffers)

    @property
    def _device(self) -> torch.device:
        held = next((x for x in (*self._module.parameters(), *self._module.buffers())), None)
        return torch.device("cpu") if held is None else held.device


def _require(model: Any, optimizer: Any, train: Any, stateful: Sequence[Any]) -> None:
    if not isinstance(model, nn.Module):
        raise TargetError(f"model= must be a torch.nn.Module, not a {type(model).__name__}")
    if not isinstance(optimizer, Optimizer):
        raise TargetError(f"optimizer= must be a torch.optim.Optimizer, not a {type(optimizer).__name__}")
    if any(not isinstance(group["lr"], int | float | Tensor) for group in optimizer.param_groups):
        raise TargetError(f"optimizer= has no learning rate that could be set (lr={optimizer.param_groups[0]['lr']})")
    if not isinstance(train, Iterable):
        raise TargetError(f"train= must be a DataLoader or another iterable of batches, not a {type(train).__name__}")
    require_state_dict(stateful)


def adapt(made: Any) -> PyTorchTrainer | None:
    """A module alone is no program yet.

    Raises:
        TargetError: It is one; the message says what to write.
    """
    if isinstance(made, nn.Module):
        raise TargetError(
            f"the factory returned a {type(made).__name__} without loss, optimizer and data; write "
            "`return PyTorchTrainer(model, loss, optimizer, train)` with `from babysit.adapters.pytorch import "
            "PyTorchTrainer`"
        )
    return None
