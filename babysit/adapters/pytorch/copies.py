"""Copies of a PyTorch program's tensors: taken into memory that is used again, and written back in place."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from babysit import arrays

ROOM = 4  # times a saved state that must be free beside it: a second one, gradients and activations are yet to come
MB = 1e6


class Copies:
    """Tensors to overwrite, all at once.

    Args:
        homes: Devices of saved tensors that may lie on the host instead, by path.
    """

    def __init__(self, homes: Mapping[str, str] | None = None) -> None:
        self._homes = homes or {}
        self._targets: list[Tensor] = []
        self._sources: list[Tensor] = []

    def add(self, target: Tensor, source: Tensor, path: str = "") -> bool:
        """Whether the target can take the source in place; it then will."""
        alike = target.shape == source.shape and target.dtype == source.dtype
        at_home = place(target) == self._homes.get(path, place(source))
        fits = alike and at_home and target.layout is torch.strided and source.layout is torch.strided
        if fits:
            self.into(target.detach(), source)
        return fits

    def into(self, target: Tensor, source: Tensor) -> None:
        """Overwrite the target, wherever both are."""
        self._targets.append(target)
        self._sources.append(source)

    def fresh(self, source: Tensor, path: str = "") -> Tensor:
        """A copy where it belongs."""
        return source.to(self._homes.get(path, source.device), copy=True)

    def added(self, target: Tensor | None, source: Tensor | None, path: str = "") -> Tensor | None:
        """The target, to be overwritten, or a new tensor where it can't take the source."""
        if target is None or source is None or not self.add(target, source, path):
            return None if source is None else self.fresh(source, path)
        return target

    def run(self) -> None:
        """Overwrite them."""
        if self._targets:
            torch._foreach_copy_(self._targets, self._sources)


class Saving:
    """Copies a tree of live tensors into the tensors of an earlier copy, where they fit.

    Args:
        live: The tree, of dicts and lists.
        into: The earlier copy, of the same tree or nearly so; it is used up.

    Attributes:
        homes: Devices of the live tensors that are not on the host, by path.
        placement: Where the copy is, in words, if a device is short of room now; else empty.
    """

    def __init__(self, live: Mapping[str, Any], into: Mapping[str, Any] | None) -> None:
        self._earlier = dict(arrays.leaves(into)) if into is not None else {}
        tensors = {path: leaf for path, leaf in arrays.leaves(live) if isinstance(leaf, Tensor)}
        self.homes = {path: place(x) for path, x in tensors.items() if place(x) not in ("cpu", "meta")}
        self._short = dict(self._short_devices({path: tensors[path] for path in self.homes}))
        self.placement = "; ".join(sentence for sentence in self._short.values() if sentence)
        self._copies = Copies()
        self._live = live

    def _short_devices(self, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
        """Devices without room for what has to be copied there, in words, and those whose copies are elsewhere."""
        for name in sorted({place(x) for x in tensors.values()}):
            own = {path: x for path, x in tensors.items() if place(x) == name}
            wanted = {path: x for path, x in own.items() if self._reusable(path, x) is None}
            on_host = [path for path in own if path not in wanted and self._earlier[path].device.type == "cpu"]
            needed, room = _bytes(wanted), free(name)
            if room is not None and ROOM * needed > room:
                yield name, f"on the host: {_bytes(own) / MB:.0f} MB, {name} had {room / MB:.0f} MB free"
            elif on_host:
                yield name, ""

    def _reusable(self, path: str, x: Tensor) -> Tensor | None:
        """The earlier copy's tensor, if this one fits into it, on its own device or on the host."""
        old = self._earlier.get(path)
        if not isinstance(old, Tensor) or old.shape != x.shape or old.dtype != x.dtype or old.layout is not x.layout:
            return None
        alike = x.layout is torch.strided and old.stride() == x.stride()
        return old if alike and old.device.type in ("cpu", x.device.type) else None

    def copied(self) -> dict[str, Any]:
        """The copy."""
        tree = {key: self._copied(value, key) for key, value in self._live.items()}
        self._copies.run()
        return tree

    def _copied(self, value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {key: self._copied(child, f"{path}.{key}") for key, child in value.items()}
        if isinstance(value, list):
            return [self._copied(child, f"{path}.{k}") for k, child in enumerate(value)]
        if not isinstance(value, Tensor):
            return arrays.duplicate(value)
        value = value.detach()
        old = self._reusable(path, value)
        if old is not None:
            self._copies.into(old, value)
            return old
        return value.to("cpu", copy=True) if place(value) in self._short else value.clone()


def place(x: Tensor) -> str:
    """The device's name."""
    return str(x.device)


def free(device: str) -> int | None:
    """Bytes that the device has free, or that PyTorch holds of it without using them; None where that isn't known."""
    module = torch.get_device_module(device)
    if not hasattr(module, "mem_get_info"):
        return None
    unused = module.memory_reserved(device) - module.memory_allocated(device)
    return int(module.mem_get_info(device)[0]) + int(unused)


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(x.numel() * x.element_size() for x in tensors.values())
