"""All that a step of a PyTorch program can change: copied, and put back bit for bit."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from babysit.adapters.pytorch.copies import Copies, Saving
from babysit.arrays import duplicate
from babysit.errors import TargetError


class Everything:
    """A program's state as a named tree of tensors and plain values.

    Args:
        modules: Modules by name: the model as "", the loss where it is a module, ...
        optimizers: All of them.
        stateful: What else has a `state_dict`.
        loaders: Loaders by split, for the generators that they own.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        optimizers: Sequence[Optimizer],
        stateful: Sequence[Any],
        loaders: Mapping[str, Any],
    ) -> None:
        self._modules, self._optimizers, self._stateful = modules, optimizers, stateful
        self._generators = dict(own_generators(loaders))
        self.placement = ""  # of the copies, in words, where they are not beside the program's own

    def capture(self, into: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A copy of all of it, in the tensors of an earlier one where they fit; on the host where a device is short."""
        parameters = self.parameters()
        live = {
            "parameters": {name: p.detach() for name, p in parameters.items()},
            "gradients": {name: None if p.grad is None else p.grad.detach() for name, p in parameters.items()},
            "requires_grad": {name: p.requires_grad for name, p in parameters.items()},
            "buffers": {path: getattr(module, name) for path, module, name in self._owners()},
            "training": {name: module.training for name, module in self._named_modules()},
            "optimizer": [_of_optimizer(optimizer, parameters) for optimizer in self._optimizers],
        }
        saving = Saving(live, into)
        self.placement = saving.placement or self.placement
        return {
            **saving.copied(),
            "homes": saving.homes,
            "stateful": [copy.deepcopy(thing.state_dict()) for thing in self._stateful],
            "generators": self.generators(),
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, Any]) -> None:
        """Put everything back, by copies."""
        for name, module in self._named_modules():
            module.training = state["training"].get(name, module.training)
        parameters = self.parameters()
        copies = Copies(state["homes"])
        for name, p in ((name, p) for name, p in parameters.items() if name in state["parameters"]):
            if p.requires_grad is not state["requires_grad"][name]:
                p.requires_grad_(state["requires_grad"][name])
            if not copies.add(p, state["parameters"][name], f"parameters.{name}"):
                p.data = copies.fresh(state["parameters"][name], f"parameters.{name}")
            p.grad = copies.added(p.grad, state["gradients"][name], f"gradients.{name}")
        for thing, saved in zip(self._stateful, state["stateful"], strict=True):
            if isinstance(thing, torch.amp.GradScaler):
                if not saved:
                    continue  # it is switched off: it holds nothing, and refuses to be given that
                thing._per_optimizer_states.clear()  # of an update that failed half-way
            thing.load_state_dict(copy.deepcopy(saved))
        for k, (optimizer, saved) in enumerate(zip(self._optimizers, state["optimizer"], strict=True)):
            _into_optimizer(optimizer, saved, parameters, copies, f"optimizer.{k}")
        self._restore_buffers(state["buffers"], copies)
        copies.run()
        self.restore_generators(state["generators"])

    def parameters(self) -> dict[str, nn.Parameter]:
        """Every parameter of the modules, and those of the optimizers that belong to none of them."""
        named = {f"{prefix}{name}": p for prefix, m in self._modules.items() for name, p in m.named_parameters()}
        known = {id(p) for p in named.values()}
        for k, optimizer in enumerate(self._optimizers):
            for g, group in enumerate(optimizer.param_groups):
                others = {f"optimizer.{k}.{g}.{i}": p for i, p in enumerate(group["params"]) if id(p) not in known}
                named |= others
                known |= {id(p) for p in others.values()}
        return named

    def _named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        for prefix, root in self._modules.items():
            for name, module in root.named_modules():
                yield f"{prefix}{name}", module

    def _owners(self) -> Iterator[tuple[str, nn.Module, str]]:
        """Every buffer's full name, its module and its name there; those that `state_dict` leaves out too."""
        for path, module in self._named_modules():
            scripted = not isinstance(module._buffers, dict)  # TorchScript has another kind of container
            for name in dict(module.named_buffers(recurse=False)) if scripted else module._buffers:
                yield (f"{path}.{name}" if path else name), module, name

    def held_buffers(self) -> list["Held"]:
        """The buffers themselves, with a copy of each."""
        return [
            Held(module, name, buffer, None if buffer is None else buffer.detach().clone())
            for _, module, name in self._owners()
            for buffer in (getattr(module, name),)
        ]

    def put_back(self, held: Sequence["Held"]) -> None:
        """The very buffers, with what was in them; what came since goes."""
        known = {(id(module), name) for module, name, _, _ in held}
        for _, module, name in list(self._owners()):
            if (id(module), name) not in known:
                delattr(module, name)
        with torch.no_grad():
            copies = Copies()
            for module, name, buffer, saved in held:
                if getattr(module, name, None) is not buffer or name not in module._buffers:
                    module._buffers[name] = buffer
                if buffer is not None and saved is not None:
                    copies.add(buffer, saved)
            copies.run()

    def _restore_buffers(self, saved: Mapping[str, Tensor | None], copies: "Copies") -> None:
        for path, module, name in list(self._owners()):
            if path not in saved:
                delattr(module, name)
                continue
            held = getattr(module, name)
            if (buffer := copies.added(held, saved[path], f"buffers.{path}")) is not held:
                setattr(module, name, buffer)
        modules = dict(self._named_modules())
        for path in saved.keys() - {path for path, _, _ in self._owners()}:
            place, _, name = path.rpartition(".")
            modules[place]._buffers[name] = copies.added(None, saved[path], f"buffers.{path}")

    def generators(self) -> dict[str, Tensor]:
        """Where torch's generators stand: the CPU's, those of the devices in use, those that loaders own."""
        states = {"cpu": torch.get_rng_state()}
        for name, device in self._devices().items():
            states[name] = torch.get_device_module(device).get_rng_state(device)
        return states | {name: generator.get_state() for name, generator in self._generators.items()}

    def restore_generators(self, states: Mapping[str, Tensor]) -> None:
        """Put the generators back."""
        torch.set_rng_state(states["cpu"])
        for name, device in self._devices().items():
            torch.get_device_module(device).set_rng_state(states[name], device)
        for name, generator in self._generators.items():
            generator.set_state(states[name])

    def _devices(self) -> dict[str, torch.device]:
        roots = self._modules.values()
        found = {p.device for root in roots for p in root.parameters()}
        return {str(device): device for device in found if device.type not in ("cpu", "meta")}


def everything(
    module: nn.Module,
    loss: Any,
    optimizers: Sequence[Optimizer],
    stateful: Sequence[Any],
    loaders: Mapping[str, Any],
) -> Everything:
    """The state of a program: its model, its loss and what is stateful where these are modules, its optimizers."""
    modules = {"": module} | ({"loss.": loss} if isinstance(loss, nn.Module) else {})
    modules |= {f"stateful.{k}.": thing for k, thing in enumerate(stateful) if isinstance(thing, nn.Module)}
    others = [thing for thing in stateful if not isinstance(thing, nn.Module | Optimizer)]
    return Everything(modules, optimizers, others, loaders)


class Held(NamedTuple):
    """A buffer where it was found."""

    module: nn.Module
    name: str
    buffer: Tensor | None
    copy: Tensor | None


def own_generators(loaders: Mapping[str, Any]) -> Iterator[tuple[str, torch.Generator]]:
    """The generators that the loaders, or their samplers, hold; each once."""
    known: set[int] = set()
    for split, loader in loaders.items():
        batch_sampler = getattr(loader, "batch_sampler", None)
        places = {
            "loader": loader,
            "sampler": getattr(loader, "sampler", None),
            "batch_sampler": batch_sampler,
            "batch_sampler.sampler": getattr(batch_sampler, "sampler", None),
            "dataset": getattr(loader, "dataset", None),
        }
        for name, place in places.items():
            generator = getattr(place, "generator", None)
            if isinstance(generator, torch.Generator) and id(generator) not in known:
                known.add(id(generator))
                yield f"{split}.{name}", generator


def _of_optimizer(optimizer: Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Any]:
    """What it holds, itself; entries that belong to no tensor as copies."""
    return {
        "others": duplicate({key: value for key, value in optimizer.state.items() if not isinstance(key, Tensor)}),
        "state": {name: optimizer.state[p] for name, p in parameters.items() if p in optimizer.state},
        "groups": [{key: value for key, value in g.items() if key != "params"} for g in optimizer.param_groups],
    }


def _into_optimizer(
    optimizer: Optimizer,
    saved: Mapping[str, Any],
    parameters: Mapping[str, nn.Parameter],
    copies: Copies,
    path: str,
) -> None:
    for name, p in parameters.items():
        if name in saved["state"]:
            _into_dict(optimizer.state[p], saved["state"][name], copies, f"{path}.state.{name}")
        else:
            optimizer.state.pop(p, None)
    for key in [key for key in optimizer.state if not isinstance(key, Tensor)]:
        del optimizer.state[key]
    optimizer.state.update(duplicate(saved["others"]))
    del optimizer.param_groups[len(saved["groups"]) :]
    for g, (group, values) in enumerate(zip(optimizer.param_groups, saved["groups"], strict=True)):
        _into_dict(group, {**values, "params": group["params"]}, copies, f"{path}.groups.{g}", keep="params")


def _into_dict(held: dict[str, Any], saved: Mapping[str, Any], copies: Copies, path: str, keep: str = "") -> None:
    for key in [key for key in held if key not in saved]:
        del held[key]
    for key, value in saved.items():
        if key == keep:
            continue
        old = held.get(key)
        if isinstance(value, Tensor):
            held[key] = copies.added(old if isinstance(old, Tensor) else None, value, f"{path}.{key}")
        else:
            held[key] = duplicate(value)


def require_state_dict(stateful: Sequence[Any]) -> None:
    """Know that each of them can be saved.

    Raises:
        TargetError: One can't.
    """
    for thing in stateful:
        if not (hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")):
            raise TargetError(f"stateful= names a {type(thing).__name__}, which has no state_dict and load_state_dict")
