"""The user's model and loss, called as their own program calls them."""

import contextlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from babysit.adapters.pytorch.batches import call
from babysit.arrays import leaves, tree_map
from babysit.errors import TargetError
from babysit.tasks.classification import LanguageModel
from babysit.trainer import Batch, Tree

Loss: TypeAlias = Callable[[Any, Any], Tensor]
Around: TypeAlias = Callable[[Tree], AbstractContextManager[Any]]


def original(model: nn.Module) -> nn.Module:
    """The module itself, out of `torch.compile`, DistributedDataParallel and their like."""
    for wrapper in ("_orig_mod", "module"):
        inner = getattr(model, wrapper, None)
        if isinstance(inner, nn.Module) and (wrapper == "_orig_mod" or _is_parallel(model)):
            return original(inner)
    return model


def stepping(model: nn.Module) -> nn.Module:
    """The module to step through: a distributed wrapper, but not a compiled one."""
    inner = getattr(model, "_orig_mod", model)
    return inner if isinstance(inner, nn.Module) else model


def _copy(leaf: Any) -> Any:
    return leaf.detach().clone().requires_grad_(leaf.requires_grad) if isinstance(leaf, Tensor) else leaf


def _is_parallel(model: nn.Module) -> bool:
    return isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel)


def _parameters(function: Any) -> Mapping[str, Any]:
    try:
        return inspect.signature(function).parameters
    except ValueError:  # what TorchScript compiled doesn't tell
        return {}


class Program:
    """Scores and loss of a batch.

    Args:
        model: The module; gets the inputs of a batch.
        loss: `loss(scores, targets)`, or None for a model that returns its own; it then gets the targets too.

    Attributes:
        shifted: Whether the model predicts the next token of its labels, the first of which it never sees as one.
    """

    def __init__(self, model: nn.Module, loss: Loss | None) -> None:
        self.model, self.loss = model, loss
        self.shifted = False
        self._checkpointed: bool | None = None
        self._overwrites: bool | None = None  # whether inputs or targets are; None until a pass in training mode
        parameters = _parameters(original(model).forward)
        self._labels = "labels" in parameters
        several = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
        self._takes_targets = not parameters or several or len(parameters) > 1

    def __call__(self, batch: Batch, around: Around = contextlib.nullcontext) -> tuple[Tensor, Tensor | None]:
        """The data loss with its graph, and the scores.

        Args:
            batch: On the model's device.
            around: Makes a context of the inputs, in which the model runs and its loss does not.

        Raises:
            TargetError: The loss is no tensor of one element.
        """
        own: Batch = self._own(batch)
        with around(own[0]):
            output = self._output(own)
        scores = scores_of(output)
        loss = self._loss(output, own[1])
        self._look_for_overwriting(own, batch)
        return loss, scores[:, :-1] if self.shifted and scores is not None else scores

    def loss_of(self, batch: Batch) -> Tensor:
        """The data loss alone; nothing else of the output is kept while gradients are computed."""
        if self._overwrites is not False:
            return self(batch)[0]
        if self.loss is None:
            return own_loss(self._output(batch))
        return self._loss(call(self.model, batch[0]), batch[1])

    def gradients(
        self, total: Tensor, wanted: Sequence[nn.Parameter], everything: Callable[[], Mapping[str, nn.Parameter]]
    ) -> list[Tensor | None]:
        """Gradients of the total; None for a parameter that it doesn't reach. Leaves every `.grad` as it is.

        Args:
            total: With its graph.
            wanted: Parameters whose gradients to return.
            everything: Gives all parameters that a backward pass may reach.
        """
        if not wanted:
            return []
        if self._checkpointed is None:
            self._checkpointed = _is_checkpointed(total)
        if not self._checkpointed:
            return list(torch.autograd.grad(total, wanted, allow_unused=True))
        kept = [(p, p.grad) for p in everything().values()]
        try:
            for p, _ in kept:
                p.grad = None
            torch.autograd.backward(total)
            return [p.grad for p in wanted]
        finally:
            for p, gradient in kept:
                p.grad = gradient

    def _own(self, batch: Batch) -> Batch:
        """A copy where the program may overwrite what it gets: loaders make batches anew, babysit uses them again."""
        return batch if self._overwrites is False else tree_map(_copy, batch)

    def _look_for_overwriting(self, own: Batch, batch: Batch) -> None:
        if not self._overwrites:
            pairs = zip(leaves(own), leaves(batch), strict=True)
            tensors = [(x, given) for (_, x), (_, given) in pairs if isinstance(x, Tensor)]
            overwritten = any(x._version or x.requires_grad is not given.requires_grad for x, given in tensors)
            self._overwrites = True if overwritten else False if self.model.training else self._overwrites

    def _output(self, batch: Batch) -> Any:
        inputs, targets = batch
        return call(self.model, inputs) if self.loss is not None else self._call_with_targets(inputs, targets)

    def _loss(self, output: Any, targets: Any) -> Tensor:
        if self.loss is None:
            return own_loss(output)
        loss = self.loss(output if isinstance(output, Tensor) else getattr(output, "logits", output), targets)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            shape = f" of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else ""
            raise TargetError(f"the loss must be a tensor of one number, not a {type(loss).__name__}{shape}")
        return loss

    def _call_with_targets(self, inputs: Tree, targets: Any) -> Any:
        if self.shifted:
            unseen = torch.full_like(targets[:, :1], -100)
            targets = torch.cat([unseen, targets], dim=1)
        if self._labels:
            return call(self.model, inputs, labels=targets)
        if isinstance(inputs, dict):
            raise TargetError("loss=None, but the model's forward takes no `labels`: give loss=")
        if not self._takes_targets:
            raise TargetError("loss=None, but the model's forward takes inputs alone: give loss=")
        return call(self.model, (*inputs, targets) if isinstance(inputs, tuple | list) else (inputs, targets))


def own_loss(output: Any) -> Tensor:
    """The loss in a model's own output: `.loss`, `["loss"]`, or the one number of a tuple.

    Raises:
        TargetError: There is none.
    """
    loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    if loss is None and isinstance(output, tuple | list):
        loss = next((part for part in output if isinstance(part, Tensor) and part.ndim == 0), None)
    if isinstance(output, Tensor) and output.numel() == 1:
        loss = output
    if not isinstance(loss, Tensor):
        raise TargetError(f"loss=None, but the model's output (a {type(output).__name__}) has no loss: give loss=")
    return loss.mean()  # data parallel models return one a device


def scores_of(output: Any) -> Tensor | None:
    """The scores in a model's output: itself, `.logits`, `["logits"]`, or the first tensor with examples."""
    if isinstance(output, Mapping):
        output = output["logits"] if "logits" in output else tuple(output.values())
    elif getattr(output, "logits", None) is not None:
        output = output.logits
    if isinstance(output, tuple | list):
        output = next((part for part in output if isinstance(part, Tensor) and part.ndim), None)
    return output.detach() if isinstance(output, Tensor) and output.ndim else None


def is_token_by_token(scores: Tensor, targets: Any) -> bool:
    """Whether there are scores (N, T, V) and a label for each of several positions (N, T)."""
    labelled = isinstance(targets, Tensor) and scores.ndim == 3 and targets.shape == scores.shape[:2]
    return labelled and targets.shape[1] > 1


def losses_here_and_next(scores: Tensor, labels: Tensor) -> tuple[float, float]:
    """The cross-entropy of scores against the labels at their own places, and against those that follow."""
    task = LanguageModel(int(scores.shape[-1]))
    return task.reference_loss(scores, labels), task.reference_loss(scores[:, :-1], labels[:, 1:])


def _is_checkpointed(total: Tensor) -> bool:
    """Whether reentrant checkpoints are in the graph; `torch.autograd.grad` doesn't get through them."""
    seen, waiting = set(), [total.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if node.name() == "CheckpointFunctionBackward":
            return True
        seen.add(node)
        waiting += [before for before, _ in node.next_functions]
    return False
