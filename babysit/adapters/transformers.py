"""`transformers.Trainer`, as a factory may return it: its model, optimizer and loaders, driven as PyTorch's own are."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from babysit.adapters.pytorch import PyTorchTrainer
from babysit.errors import TargetError

FRAMEWORK = "transformers"


def adapt(made: Any) -> PyTorchTrainer | None:
    """The PyTorch program inside a `transformers.Trainer`; None for anything else.

    Its updates accumulate and clip gradients as its arguments say. Its scheduler is left alone. Mixed precision
    that its arguments ask for is not used.

    Raises:
        TargetError: It computes its loss in a way of its own, or has no data to train on.
    """
    if not isinstance(made, Trainer):
        return None
    if type(made).compute_loss is not Trainer.compute_loss or made.compute_loss_func or made.label_smoother:
        raise TargetError(
            f"this {type(made).__name__} computes its loss in a way of its own; return "
            "PyTorchTrainer(model, loss, optimizer, train) from `babysit.adapters.pytorch` in its place"
        )
    if made.train_dataset is None or made.model is None:
        raise TargetError(f"this {type(made).__name__} has no {'model' if made.model is None else 'train_dataset'}")
    optimizer = made.optimizer or made.create_optimizer()
    val = made.get_eval_dataloader() if made.eval_dataset is not None else None
    update = Update(made.args, made.model, optimizer)
    train = made.get_train_dataloader()
    return PyTorchTrainer(made.model, None, optimizer, train, val, update=update, stateful=(update,))


class Update:
    """One step of the optimizer behind so many passes as the arguments accumulate, its gradients clipped.

    Args:
        args: The trainer's arguments.
        model: Its model.
        optimizer: Its optimizer.
    """

    def __init__(self, args: TrainingArguments, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._model, self._optimizer = model, optimizer
        self._every, self._largest = args.gradient_accumulation_steps, args.max_grad_norm
        self._passes = 0

    def __call__(self, total: Tensor) -> None:
        """Adds the gradients of this pass, and steps where they are complete."""
        torch.autograd.backward(total / self._every)
        self._passes += 1
        if self._passes % self._every:
            return
        if self._largest:
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._largest)
        self._optimizer.step()
        self._optimizer.zero_grad()

    def state_dict(self) -> dict[str, int]:
        """How many passes were made."""
        return {"passes": self._passes}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go back to so many passes."""
        self._passes = state["passes"]
