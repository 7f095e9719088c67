"""The processes of a distributed PyTorch program, on its own process group's side."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from babysit.arrays import tree_map

_FAILURE = "babysit/failure"


class ProcessGroup:
    """The ranks of the default process group; a single one where there is none.

    Values are gathered on a group of their own, over gloo: a program's own collectives must not meet them.
    """

    def __init__(self) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.rank: int = dist.get_rank() if together else 0
        self.size: int = dist.get_world_size() if together else 1
        self._group = dist.new_group(backend="gloo") if self.size > 1 else None

    def gather(self, value: Any, device: torch.device) -> list[Any]:
        """The value of every rank, its tensors on this device."""
        if self._group is None:
            return [value]
        every: list[Any] = [None] * self.size
        dist.all_gather_object(every, tree_map(lambda x: x.cpu() if isinstance(x, Tensor) else x, value), self._group)
        return [tree_map(lambda x: x.to(device) if isinstance(x, Tensor) else x, other) for other in every]

    def fail(self, message: str) -> None:
        """Leave word in the store that the ranks met at; the first word stands."""
        _store().compare_set(_FAILURE, "", message)

    def failure(self) -> str:
        """The first word left; empty if there is none."""
        if not (dist.is_available() and dist.is_initialized()):
            return ""
        store = _store()
        return str(store.get(_FAILURE).decode()) if store.check([_FAILURE]) else ""


def _store() -> Any:
    return dist.distributed_c10d._get_default_store()


def replicas(model: nn.Module, module: nn.Module) -> dict[str, Tensor]:
    """Parameters, and the buffers that nothing makes alike ahead of the next forward pass."""
    alike = {name: p.detach() for name, p in module.named_parameters()}
    if isinstance(model, DistributedDataParallel) and model.will_sync_module_buffers():  # type: ignore[no-untyped-call]
        return alike
    return alike | dict(module.named_buffers())
