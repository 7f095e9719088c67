"""What a loader yields, as (inputs, targets) on the model's device, and inputs as a model takes them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

from babysit.errors import TargetError
from babysit.trainer import Batch, Tree

LABELS = ("labels", "label", "label_ids")  # where Transformers' collators and models have the targets


def read(source: Iterable[Any], device: torch.device) -> Iterator[Batch]:
    """The source's batches as pairs on the device.

    Raises:
        TargetError: The source can be gone through once only, or a batch has no targets.
    """
    iterator = iter(source)
    if iterator is source:
        raise TargetError(
            f"the batches come from a {type(source).__name__}, which can be gone through only once; give a DataLoader, "
            "a list, or an object whose `__iter__` begins anew"
        )
    for made in iterator:
        inputs, targets = _pair(made)
        yield _moved(inputs, device), _moved(targets, device)


def _pair(made: Any) -> tuple[Tree, Tree]:
    if isinstance(made, Mapping):
        named = dict(made)
        name = next((label for label in LABELS if label in named), None)
        if name is None:
            raise TargetError(f"a batch is a dict without `labels`: it has {', '.join(map(repr, named)) or 'nothing'}")
        targets = named.pop(name)
        return named, targets
    if isinstance(made, tuple | list) and len(made) >= 2:
        *inputs, targets = made
        return (inputs[0] if len(inputs) == 1 else tuple(inputs)), targets
    what = f"a {type(made).__name__}" + (f" of {len(made)}" if isinstance(made, tuple | list) else "")
    raise TargetError(f"a batch must be (inputs, targets), or a dict with `labels`; this one is {what}")


def _moved(tree: Tree, device: torch.device) -> Tree:
    if isinstance(tree, PackedSequence):
        packed: Tree = tree.to(device)  # type: ignore[arg-type]  # its signature is narrower than what it passes on
        return packed
    if isinstance(tree, Mapping):
        return {key: _moved(child, device) for key, child in tree.items()}
    if isinstance(tree, tuple | list):
        parts = [_moved(child, device) for child in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return tree.to(device, non_blocking=True) if isinstance(tree, torch.Tensor) else tree


def call(model: Any, inputs: Tree, **more: Any) -> Any:
    """The model's output: a dict is passed as keywords, a tuple or list as arguments, anything else as the one."""
    if isinstance(inputs, torch.Tensor):
        return model(inputs, **more)
    if isinstance(inputs, dict):
        return model(**inputs, **more)
    if isinstance(inputs, tuple | list) and not hasattr(inputs, "_fields"):
        return model(*inputs, **more)
    return model(inputs, **more)
