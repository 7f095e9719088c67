"""The task that a program's own loss states, seen as it calls torch's loss functions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from babysit.errors import TargetError
from babysit.tasks.classification import Classification, Hinge, LanguageModel
from babysit.tasks.task import Binary, MultiLabel, Regression, Task


@dataclass(frozen=True)
class Call:
    """One call of a loss function of torch's.

    Args:
        name: The function's name in `torch.nn.functional`.
        given: What it was given first: the scores as the loss wants them.
        options: Its keyword arguments.
    """

    name: str
    given: Tensor
    options: Mapping[str, Any]


@dataclass
class Watch(TorchFunctionMode):
    """Notes which of torch's loss functions are called, inside modules and functions of the user's own too."""

    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Notes the call and makes it."""
        options = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in LOSSES or (name.endswith(("_loss", "_div")) and getattr(torch.nn.functional, name, None) is func):
            given = args[0] if args else options["input"]
            self.calls.append(Call(name, given.detach(), options))
        return func(*args, **options)


def task_of(calls: list[Call], scores: Tensor | None) -> Task:
    """The task of a program whose loss made these calls.

    Raises:
        TargetError: It calls none of torch's losses, several, or one that says nothing of a chance loss.
    """
    names = sorted({call.name for call in calls})
    if len(names) == 1 and names[0] in LOSSES:
        return LOSSES[names[0]](calls[0], scores)
    seen = f"it calls {' and '.join(names)}" if names else "it calls none of torch's own"
    raise TargetError(
        f"the task can't be read off the loss ({seen}): give task=, a name such as 'classification' or 'regression', "
        "or babysit.ChanceLoss(value) with the loss of predictions that know nothing"
    )


def _classification(call: Call, scores: Tensor | None) -> Task:
    """One of C; along the last axis where the loss is given (N, T, C) flattened, or with that axis moved."""
    classes = int(call.given.shape[1 if call.given.ndim > 1 else 0])
    if scores is not None and scores.ndim > 2 and scores.shape[-1] == classes:
        moved = scores.movedim(-1, 1)
        flattened = call.given.ndim == 2
        if flattened or (call.given.shape == moved.shape and torch.equal(call.given, moved)):
            return LanguageModel(classes)
    return Classification(classes)


def _smooth(call: Call) -> Task:
    beta = call.options.get("beta", 1.0)
    return Regression(error="huber", delta=beta) if beta else Regression(error="absolute")


def _binary(call: Call, scores: Tensor | None) -> Task:
    shape = call.given.shape if scores is None else scores.shape
    return Binary() if shape[1:].numel() == 1 else MultiLabel()


LOSSES: Mapping[str, Callable[[Call, Tensor | None], Task]] = {
    "cross_entropy": _classification,
    "nll_loss": _classification,
    "nll_loss_nd": _classification,
    "binary_cross_entropy_with_logits": _binary,
    "binary_cross_entropy": _binary,
    "multilabel_soft_margin_loss": lambda call, scores: MultiLabel(),  # noqa: ARG005
    "mse_loss": lambda call, scores: Regression(),  # noqa: ARG005
    "l1_loss": lambda call, scores: Regression(error="absolute"),  # noqa: ARG005
    "huber_loss": lambda call, scores: Regression(error="huber", delta=call.options.get("delta", 1.0)),  # noqa: ARG005
    "smooth_l1_loss": lambda call, scores: _smooth(call),  # noqa: ARG005
    "multi_margin_loss": lambda call, scores: Hinge(  # noqa: ARG005
        int(call.given.shape[1]), margin=call.options.get("margin", 1.0)
    ),
}
