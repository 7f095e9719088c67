"""One update of a PyTorch program, by its own `update` or as a plain loop makes it, and the gradients that it used."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from babysit.adapters.pytorch.modes import Rates
from babysit.arrays import digest


class Used:
    """The gradients that an update used, kept past it.

    An update may clear them behind its step, or its optimizer overwrite them (Nesterov's momentum is added in place),
    so the first one's are copied and compared with what is left in their tensors. Where that is the same, tensors are
    kept from then on, not copies: one more copy of the network, in every step, for what hardly anyone asks for.
    """

    def __init__(self) -> None:
        self._gradients: dict[str, Tensor] | None = None
        self._tensors: dict[str, Tensor] = {}  # what they were taken from
        self._versions: dict[str, int] = {}  # of these tensors as they were
        self._stay: bool | None = None  # whether tensors still have behind the update what it used; unknown at first

    def forget(self) -> None:
        """Let go of them, so that a forward pass has their memory."""
        self._gradients, self._tensors = None, {}

    def note(self, tensors: dict[str, Tensor], scale: Tensor | None = None) -> None:
        """Keep what these hold now.

        Args:
            tensors: The gradients.
            scale: What the optimizer will divide them by.
        """
        if self._stay and scale is None:
            self._gradients = self._tensors = tensors
            self._versions = {name: g._version for name, g in tensors.items()}
            return
        self._gradients = {name: g.clone() for name, g in tensors.items()}
        self._tensors = tensors if self._stay is None else {}
        if scale is not None:
            for g in self._gradients.values():
                g.div_(scale)

    def settle(self) -> None:
        """See what has become of the tensors, the update being made."""
        if self._gradients is None or not self._tensors:
            return
        if self._stay is None:
            self._stay = all(digest(g) == digest(self._gradients[name]) for name, g in self._tensors.items())
            self._tensors = {}
        elif any(g._version != self._versions[name] for name, g in self._tensors.items()):
            self._stay, self._gradients, self._tensors = False, {}, {}  # lost this once; from now on there are copies

    def found(self) -> dict[str, Tensor] | None:
        """What was noted; None where nothing was."""
        return self._gradients


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
        self._used = Used()

    def forget(self) -> None:
        """Let go of the latest gradients that an update has cleared."""
        self._used.forget()

    def __call__(self, total: Tensor, again: Callable[[], Tensor]) -> bool:
        """Updates, and says whether any optimizer really did.

        Args:
            total: With its graph.
            again: The total once more, with a graph of its own, for line searches.
        """
        self.forget()
        if self._update is not None:
            with self._noting() as noted, self._rates.schedules_without_end():
                self._update(total)
            self._used.settle()
            return bool(noted)
        if isinstance(self._optimizer, LBFGS):
            self._search(total, again)
            return True
        self._optimizer.zero_grad()
        torch.autograd.backward(total)
        if self._overwrites:
            self._used.note(self._held_gradients())
        self._optimizer.step()
        self._used.settle()
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
            self._used.note(self._held_gradients(), getattr(optimizer, "grad_scale", None))

        handles = [optimizer.register_step_pre_hook(note) for optimizer in self._optimizers]
        try:
            yield stepped
        finally:
            for handle in handles:
                handle.remove()

    def last_gradients(self) -> Mapping[str, Tensor]:
        """What the latest update used, after accumulation, unscaling and clipping; good until the next one."""
        used = self._used.found()
        return self._held_gradients() if used is None else used

    def _held_gradients(self) -> dict[str, Tensor]:
        trainable = ((name, p.grad) for name, p in self._module.named_parameters() if p.requires_grad)
        return {name: gradient.detach() for name, gradient in trainable if gradient is not None}


def _skips(optimizer: Optimizer) -> bool:
    """Whether a fused optimizer, which looks itself, will leave this step out for what loss scaling found."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)
