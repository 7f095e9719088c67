"""The task that a program's own loss states, seen as it calls torch's loss functions."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from babysit.arrays import leaves
from babysit.errors import TargetError
from babysit.tasks.classification import IGNORED, Classification, Hinge, LanguageModel
from babysit.tasks.task import Binary, MultiLabel, Regression, Task, UnknownLoss, task_named
from babysit.trainer import Batch


@dataclass(frozen=True)
class Call:
    """One call of a loss function of torch's.

    Args:
        name: The function's name in `torch.nn.functional`.
        given: What it was given first: the scores as the loss wants them.
        targets: What it was given beside them.
        options: Its keyword arguments.
        end: The node of the graph that it returned, as it was then: `loss += more` puts another in its place.
    """

    name: str
    given: Tensor
    options: Mapping[str, Any]
    targets: Any = None
    end: Any = None


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
        found = func(*args, **options)
        if name in LOSSES or (name.endswith(("_loss", "_div")) and getattr(torch.nn.functional, name, None) is func):
            given = args[0] if args else options["input"]
            targets = args[1] if len(args) > 1 else options.get("target")
            self.calls.append(Call(name, given.detach(), options, targets, getattr(found, "grad_fn", None)))
        return found


def task_of(calls: list[Call], scores: Tensor | None, loss: Tensor | None, batch: Batch) -> Task:
    """The task of a program whose loss made these calls.

    A loss whose chance value nobody knows, where none of torch's losses is called, or several; where what is returned
    is not the call's, or another term is added to it that depends on what the network gives (one of parameters alone
    is a penalty); and where the labels are none of the batch's.

    Args:
        calls: Of torch's losses.
        scores: The model's.
        loss: What the program returned, with its graph; None where that isn't known.
        batch: The batch.
    """
    why = _why_unknown(calls, loss, batch[1])
    if why:
        return UnknownLoss(why)
    task = LOSSES[calls[0].name](calls[0], scores)
    return replace(task, ignored=_padding(calls[0], task, batch)) if isinstance(task, Classification) else task


def task_told(stated: Task | str | None, seen: Task, scores: Tensor | None) -> Task:
    """The task that the program states, by its name or as it is; the one seen in its loss where it states none.

    Raises:
        TargetError: No task of this name fits the scores.
    """
    if stated is None:
        return seen
    if not isinstance(stated, str):
        return stated
    if scores is None:
        raise TargetError(f"task={stated!r}, but the model gives no scores to read it from; give a Task")
    try:
        named = task_named(stated, scores)
    except (ValueError, IndexError) as error:
        raise TargetError(f"task={stated!r}, with scores of shape {tuple(scores.shape)}: {error}") from error
    if isinstance(named, Classification) and isinstance(seen, Classification):
        return replace(named, ignored=seen.ignored)
    return named


def _padding(call: Call, task: Classification, batch: Batch) -> int:
    """The label that the loss leaves out, where that is padding: no class, or one that comes where inputs are padded.

    A class that is left out by mistake comes at inputs of all kinds.
    """
    left_out = int(call.options.get("ignore_index", IGNORED))
    if not 0 <= left_out < task.classes:
        return left_out if left_out >= task.classes else IGNORED  # which all negative labels are like
    inputs, targets = batch
    tokens = [x for _, x in leaves(inputs) if isinstance(x, Tensor) and isinstance(targets, Tensor)]
    padded = [x[targets == left_out] for x in tokens if x.shape == targets.shape and not x.is_floating_point()]
    return left_out if any(len(x) and bool((x == x[0]).all()) for x in padded) else IGNORED


def _why_unknown(calls: list[Call], loss: Tensor | None, targets: Any) -> str:
    """Why nobody knows the chance value of a loss that made these calls; empty where it is known."""
    names = sorted({call.name for call in calls})
    if not names:
        return "the loss calls none of torch's own"
    if len(names) > 1 or names[0] not in LOSSES:
        return f"the loss calls {' and '.join(names)}"
    if not _is_all(loss, calls):
        return f"the loss is more than what {names[0]} returns"
    if not all(_are_from(call, targets) for call in calls):
        return f"what {names[0]} is given as targets does not come from the batch's"
    return ""


def _is_all(loss: Tensor | None, calls: list[Call]) -> bool:
    """Whether the loss is made of what these calls returned, and of nothing else that the network gives."""
    ends = {call.end for call in calls} - {None}
    if loss is None or loss.grad_fn is None or not ends:
        return True  # nothing can be seen
    beyond = _behind({loss.grad_fn}, ends)
    inside = {node for node in _behind(ends) if node.next_functions}  # less the parameters, which a penalty has, too
    return bool(beyond & ends) and not (beyond - ends) & inside


def _behind(begin: Collection[Any], ends: Collection[Any] = ()) -> set[Any]:
    """The nodes of the graph that these were made from, they themselves and the ends among them, up to the ends."""
    seen: set[Any] = set()
    waiting = list(begin)
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node not in ends:
            waiting += [before for before, _ in node.next_functions]
    return seen


def _are_from(call: Call, targets: Any) -> bool:
    """Whether what a loss was given as targets comes from the batch's: true where that can't be told.

    They have the same values, or rise and fall with them, as scaled, smoothed or logarithmic ones do.
    """
    held = [leaf.detach() for _, leaf in leaves(targets) if isinstance(leaf, Tensor)]
    if not isinstance(call.targets, Tensor) or not held:
        return True
    known = torch.cat([leaf.reshape(-1).to(torch.float64) for leaf in held])
    if not bool(known.isfinite().all()):
        return True  # missing answers, which programs fill or leave out in many ways
    mine = call.targets.detach().to(torch.float64)
    if bool(torch.isin(mine[mine != call.options.get("ignore_index", IGNORED)], known).all()):
        return True
    return call.targets.is_floating_point() and any(
        _follow(mine, leaf) for leaf in held if leaf.numel() == mine.numel()
    )


def _follow(mine: Tensor, known: Tensor) -> bool:
    """Whether each column rises, or falls, with the known one."""
    width = known.shape[-1] if known.ndim > 1 else 1
    order = known.reshape(-1, width).to(torch.float64).argsort(dim=0, stable=True)
    steps = mine.reshape(-1, width).gather(0, order).diff(dim=0)
    return bool(((steps >= 0).all(dim=0) | (steps <= 0).all(dim=0)).all())


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
