"""One update of a PyTorch program, by its own `update` or as a plain loop makes it, and the gradients that it used."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from babysit.adapters.pytorch_modes import Rates


class Updates:
    """Makes updates.

    Args:
        module: The model, whose trainable parameters' gradients are kept.
        optimizers: All of the program's; the first is the one that a plain loop steps.
        update: The program's own way, given the total loss.
        rates: Held while the program's own way goes.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizers: Sequence[Optimizer],
        update: Callable[[Tensor], Any] | None,
        rates: Rates,
    ) -> None:
        self._module, self._optimizers, self._update, self._rates = module, optimizers, update, rates
        self._optimizer = optimizers[0]
        self._overwrites = any(group.get("nesterov") for group in self._optimizer.param_groups)  # the gradients
        self._last: dict[str, Tensor] | None = None

    def __call__(self, total: Tensor, again: Callable[[], Tensor]) -> bool:
        """Updates, and says whether any optimizer really did.

        Args:
            total: With its graph.
            again: The total once more, with a graph of its own, for line searches.
        """
        self._last = None
        if self._update is not None:
            with self._noting() as noted, self._rates.schedules_without_end():
                self._update(total)
            return bool(noted)
        if isinstance(self._optimizer, LBFGS):
            self._search(total, again)
            return True
        self._optimizer.zero_grad()
        torch.autograd.backward(total)
        if self._overwrites:
            self._last = self._held_gradients()
        self._optimizer.step()
        return True

    def _search(self, total: Tensor, again: Callable[[], Tensor]) -> None:
        """A line search asks for the loss and its gradients, the first time where the program stands."""
        at_hand = [total]

        def closure() -> Tensor:
            loss = at_hand.pop() if at_hand else again()
            self._optimizer.zero_grad()
            torch.autograd.backward(loss)
            return loss

        self._optimizer.step(closure)  # type: ignore[arg-type]  # PyTorch says float, and means a tensor

    @contextmanager
    def _noting(self) -> Iterator[list[Optimizer]]:
        """Which optimizers step inside, and with what gradients: an update may clear them behind the step."""
        stepped: list[Optimizer] = []

        def note(optimizer: Optimizer, *args: Any) -> None:  # noqa: ARG001
            if not _skips(optimizer):
                stepped.append(optimizer)
            self._rates.hold()
            self._last = self._held_gradients(getattr(optimizer, "grad_scale", None))

        handles = [optimizer.register_step_pre_hook(note) for optimizer in self._optimizers]
        try:
            yield stepped
        finally:
            for handle in handles:
                handle.remove()

    def last_gradients(self) -> Mapping[str, Tensor]:
        """What the latest update used, after accumulation, unscaling and clipping."""
        return self._last if self._last is not None else self._held_gradients()

    def _held_gradients(self, scale: Tensor | None = None) -> dict[str, Tensor]:
        trainable = ((name, p.grad) for name, p in self._module.named_parameters() if p.requires_grad)
        held = {name: gradient.detach().clone() for name, gradient in trainable if gradient is not None}
        return held if scale is None else {name: gradient.div_(scale) for name, gradient in held.items()}


def _skips(optimizer: Optimizer) -> bool:
    """Whether a fused optimizer, which looks itself, will leave this step out for what loss scaling found."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)
