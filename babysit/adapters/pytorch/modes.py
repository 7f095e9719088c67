"""Training and evaluation mode of a model's modules, and the rates of an optimizer's groups: what babysit turns."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class Modes:
    """Which modules of a model are in training mode.

    In a step they stand as they were found, where the model itself was in training mode: parts may be frozen on
    purpose. Else they stand as `model.train()` puts them.

    Args:
        model: With its wrappers.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._in_training = _training_modes(model)

    def set(self, *, training: bool) -> None:
        """Put the model in training or evaluation mode."""
        if not training:
            self._model.eval()
            return
        if not self._model.training:
            self._model.train()  # what it does beside setting modes, such as taking weights apart that eval() merged
        for module, mode in self._in_training:
            if module.training is not mode:
                module.training = mode

    @contextmanager
    def borrowed(self, *, training: bool) -> Iterator[None]:
        """The model in this mode inside, and as it was behind it."""
        own = self._model.training
        before = [(module, module.training) for module in self._model.modules()]
        try:
            self.set(training=training)
            yield
        finally:
            if own is not training:
                self._model.train(own)
            for module, mode in before:
                if module.training is not mode:
                    module.training = mode


def _training_modes(model: nn.Module) -> list[tuple[nn.Module, bool]]:
    """Every module's mode in a step: as found where the model is in training mode, else as `train()` sets it."""
    found = [(module, module.training) for module in model.modules()]
    if model.training:
        return found
    model.train()
    modes = [(module, module.training) for module in model.modules()]
    for module, mode in found:
        module.training = mode
    return modes


class Rates:
    """The learning rates of all parameter groups, in proportion to the first that has one.

    They are held while babysit drives: what a scheduler makes of them within an update doesn't last. The program's own
    rates are those that a schedule peaks at, or goes back to, where one has begun.

    Args:
        optimizers: All of the program's.
        schedulers: Those that are known.
    """

    def __init__(self, optimizers: Sequence[Optimizer], schedulers: Sequence[LRScheduler]) -> None:
        places = [(optimizer, k) for optimizer in optimizers for k in range(len(optimizer.param_groups))]
        scheduled = {id(scheduler.optimizer) for scheduler in schedulers}
        waiting = not any(float(optimizer.param_groups[k]["lr"]) for optimizer, k in places)
        self._own = [
            (optimizer, k, _own_rate(optimizer.param_groups[k], begun=waiting or id(optimizer) in scheduled))
            for optimizer, k in places
        ]
        self._unit = next((rate for _, _, rate in self._own if rate), 0.0)
        self._schedulers = schedulers
        self.first = self._unit

    @property
    def first(self) -> float:
        """The first group's rate."""
        return self._first

    @first.setter
    def first(self, value: float) -> None:
        self._first = value
        self.hold()

    def hold(self) -> None:
        """Set every group's rate to what it should be."""
        for optimizer, k, own in self._own:
            ratio = own / self._unit if self._unit else 1.0
            rate = own if self._first == self._unit else self._first * ratio
            group = optimizer.param_groups[k]
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    @contextmanager
    def schedules_without_end(self) -> Iterator[None]:
        """Schedulers may step past their end inside: a check may make more steps than the schedule is for."""
        for scheduler in self._schedulers:
            scheduler.step = functools.partial(_step, scheduler.step)  # type: ignore[method-assign]
        try:
            yield
        finally:
            for scheduler in self._schedulers:
                del scheduler.step  # the method is there again


def _step(step: Callable[..., None], *args: Any, **options: Any) -> None:
    with suppress(ValueError):  # what OneCycleLR raises past its end
        step(*args, **options)


def _own_rate(group: dict[str, Any], *, begun: bool) -> float:
    """What the schedule peaks at, or goes back to, where it has begun; else the rate."""
    rate = group.get("max_lr", group.get("initial_lr", group["lr"])) if begun else group["lr"]
    return float(rate) if isinstance(rate, Tensor) else rate
