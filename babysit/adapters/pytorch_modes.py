"""Training and evaluation mode of a model's modules, and the rates of an optimizer's groups: what babysit turns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer


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
        for module, mode in self._in_training:
            module.training = mode

    @contextmanager
    def borrowed(self, *, training: bool) -> Iterator[None]:
        """The model in this mode inside, and as it was behind it."""
        before = [(module, module.training) for module in self._model.modules()]
        try:
            self.set(training=training)
            yield
        finally:
            for module, mode in before:
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

    Args:
        optimizers: All of the program's.
    """

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self._groups = _with_ratios([group for optimizer in optimizers for group in optimizer.param_groups])

    @property
    def first(self) -> float:
        """The first group's rate."""
        return float(self._groups[0][0]["lr"])

    @first.setter
    def first(self, value: float) -> None:
        for group, ratio in self._groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(value * ratio)
            else:
                group["lr"] = value * ratio


def _with_ratios(groups: list[dict[str, Any]]) -> list[tuple[dict[str, Any], float]]:
    """Every group with its rate over the first's; a warm-up's 0 everywhere gives way to what it goes back to."""
    if not any(float(group["lr"]) for group in groups):
        for group in groups:
            group["lr"] = group.get("initial_lr", group["lr"])
    first = next((group for group in groups if float(group["lr"])), groups[0])
    unit = float(first["lr"])
    ordered = [first, *(group for group in groups if group is not first)]
    return [(group, float(group["lr"]) / unit if unit else 1.0) for group in ordered]
