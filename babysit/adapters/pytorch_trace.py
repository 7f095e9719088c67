"""What flows through a PyTorch model: its functions are seen where they are called, whatever calls them.

A function-override mode sees modules, functions and methods alike. Each tensor made on the way carries its lineage:
which axis counts units, the parameters since the last nonlinearity, and what it may still turn out to be half of.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from babysit.adapters.pytorch_functions import (
    BOUNDED,
    CLAMPS,
    LINEAR,
    NONLINEAR,
    NORMS,
    RECURRENT,
    ROLES,
    clamps,
    is_zero,
    plain_name,
)
from babysit.adapters.pytorch_lineage import (
    ATTRIBUTE,
    LAST,
    Bounded,
    Given,
    Lineage,
    choice,
    joined,
    maximum,
    moved_axis,
    product,
    tensors_in,
)
from babysit.trainer import Record, Visit


class Names:
    """Names of a model's modules, and the lineage of its parameters and buffers, by `id`.

    Args:
        model: The model.
    """

    def __init__(self, model: nn.Module) -> None:
        self.modules = {id(m): name for name, m in model.named_modules()}
        self.weights = {id(b): Lineage(weight=True) for b in model.buffers()}
        self.weights |= {id(p): Lineage(names=(name,), weight=True) for name, p in model.named_parameters()}


class Trace(TorchFunctionMode):
    """Gives `visit` a record of every nonlinearity, norm and linear map, forward and, as it arrives, of its gradient.

    Args:
        names: Of the model.
        visit: Gets the records.
    """

    def __init__(self, names: Names, visit: Visit) -> None:
        super().__init__()
        self._visit = visit
        self._weights, self._modules = names.weights, names.modules
        self._inside: list[nn.Module] = []
        self._layers: dict[str, dict[Any, str]] = {}  # names by place, and by what tells the layers of one place apart
        self._open: list[Bounded] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See what is called inside."""
        entered = register_module_forward_pre_hook(lambda module, inputs: self._inside.append(module))  # noqa: ARG005
        left = register_module_forward_hook(lambda *call: self._leave(), always_call=True)  # noqa: ARG005
        try:
            with self:
                yield
            for bounded in self._open:
                self._settle(bounded)
        finally:
            entered.remove()
            left.remove()

    def _leave(self) -> None:
        self._inside.pop()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Makes the call and looks at what came out."""
        name, overwrites = plain_name(func)
        if not name:
            return func(*args, **kwargs) if kwargs else func(*args)
        options = kwargs or {}
        tensors = tensors_in((*args, *options.values()) if options else args)
        given = [(x, lineage) for x in tensors if (lineage := self._lineage(x)) is not None]
        if overwrites and given and (bounded := given[0][1].bounded) and not bounded.done:
            bounded.record = replace(bounded.record, values=bounded.record.values.clone())
        result = func(*args, **options)
        role = ROLES.get(name, "")
        if given and len(given) == len(tensors) and all(side.weight for _, side in given):
            self._mark(result, joined(given, weight=True))  # made of parameters alone, as in weight normalization
        elif given or role in ("nonlinear", "bounded"):
            out = result if isinstance(result, Tensor) else next(iter(tensors_in((result,))), None)
            if out is not None:
                self._mark(result, self._look(name, role, args, options, tensors, given, out))
        return result

    def _lineage(self, x: Tensor) -> Lineage | None:
        found: Lineage | None = getattr(x, ATTRIBUTE, None)
        return found if found is not None else self._weights.get(id(x))

    def _mark(self, result: Any, lineage: Lineage) -> None:
        for x in (result,) if isinstance(result, Tensor) else tensors_in((result,)):
            if id(x) not in self._weights:
                setattr(x, ATTRIBUTE, lineage)

    def _look(
        self,
        name: str,
        role: str,
        args: Any,
        options: Mapping[str, Any],
        tensors: list[Tensor],
        given: Given,
        out: Tensor,
    ) -> Lineage:
        """Records what the call is, if it is a layer; the lineage of its result."""
        if role in ("gating", "choosing", "nonlinear") and (kind := _nonlinearity(name, args, options, given)):
            lineage = joined(given)
            self._settle_all(given, gated=kind in ("silu", "gate"))
            pieces = torch.stack((args[0], args[1]), dim=-1) if kind == "maxout" else None
            x = pieces if pieces is not None else None if out is tensors[0] else tensors[0]
            self._emit(self._record(kind, kind, lineage, x, out), out)
            return Lineage(lineage.axis)
        if role == "linear" or (role == "product" and any(side.weight for _, side in given)):
            lineage = Lineage(LINEAR.get(name, -1), joined(given).names)
            return self._layer(
                "linear", name, lineage, None if name == "embedding" else self._data(tensors), given, out
            )
        if role == "norm":
            lineage = Lineage(NORMS[name] if out.ndim > 2 else -1, joined(given).names)
            return self._layer("norm", name, lineage, self._data(tensors), given, out)
        if role == "recurrent":
            lineage = Lineage(-1, joined(given).names)
            self._layer(RECURRENT[name], name, lineage, None, given, out)
            return LAST
        if role == "bounded":
            return self._waiting(BOUNDED[name], tensors[0], given, out)
        return self._carried(name, role, args, tensors, given, out)

    def _data(self, tensors: list[Tensor]) -> Tensor | None:
        """The first that is no parameter."""
        return next((x for x in tensors if id(x) not in self._weights), None)

    def _layer(
        self, kind: str, name: str, lineage: Lineage, inputs: Tensor | None, given: Given, out: Tensor
    ) -> Lineage:
        self._settle_all(given)
        self._emit(self._record(kind, name, lineage, inputs, out), out)
        return lineage

    def _waiting(self, kind: str, x: Tensor, given: Given, out: Tensor) -> Lineage:
        """A sigmoid or tanh, whose record waits until its use is seen."""
        self._settle_all(given)
        lineage = joined(given)
        bounded = Bounded(self._record(kind, kind, lineage, None if out is x else x, out), out)
        self._open.append(bounded)
        return Lineage(lineage.axis, bounded=bounded)

    def _carried(self, name: str, role: str, args: Any, tensors: list[Tensor], given: Given, out: Tensor) -> Lineage:
        """The lineage behind an operation that is no layer."""
        source, first = given[0]
        lineage = first if len(given) == 1 and not first.weight else joined(given)
        axis = moved_axis(name, source, out, lineage.axis)
        if role == "comparing" and len(args) == 2 and is_zero(args[1]):
            return Lineage(axis, mask_of=source)
        keeps = role == "gating" or (first.waits and role in ("reshaping", "scaling"))
        if keeps and all(id(x) in self._weights or x.numel() == 1 for x in tensors[1:]):
            scaled = source if role == "gating" and len(tensors) == 1 else None
            return Lineage(axis, lineage.names, False, first.bounded, first.mask_of, scaled)
        self._settle_all(given)
        return Lineage(axis, lineage.names) if axis != lineage.axis or lineage.waits or lineage.weight else lineage

    def _settle_all(self, given: Given, *, gated: bool = False) -> None:
        """What is used otherwise than in a gate is a layer of its own."""
        for _, side in given:
            if side.bounded is not None:
                self._settle(side.bounded, gated=gated)

    def _settle(self, bounded: Bounded, *, gated: bool = False) -> None:
        if not bounded.done:
            bounded.done = True
            if not gated:
                self._emit(bounded.record, bounded.out)

    def _record(self, kind: str, what: str, lineage: Lineage, inputs: Tensor | None, out: Tensor) -> Record:
        axis = lineage.axis if -out.ndim <= lineage.axis < out.ndim else -1
        units = out.shape[axis] if out.ndim else 1
        name = self._name(what, (lineage.names, units))
        seen = None if inputs is None else inputs.detach()
        return Record(name, kind, "forward", axis % max(1, out.ndim), seen, out.detach(), lineage.names)

    def _name(self, what: str, layer: Any) -> str:
        """The module's name, with what is called in it where it does more than that one thing.

        Calls with the same parameters behind them are one layer, as in the steps of a recurrent network; others are
        told apart by a number.
        """
        module = self._inside[-1] if self._inside else None
        kind = type(module)
        own = self._modules.get(id(module), kind.__name__) if module is not None else ""
        alone = module is not None and kind.__module__.startswith("torch.nn.modules")
        place = (own or kind.__name__.lower()) if alone else f"{own}.{what}" if own else what
        layers = self._layers.setdefault(place, {})
        if layer not in layers:
            layers[layer] = f"{place} ({len(layers) + 1})" if layers else place
        return layers[layer]

    def _emit(self, record: Record, out: Tensor) -> None:
        visit = self._visit
        visit(record)
        if out.requires_grad:
            name, kind, axis, names = record.name, record.kind, record.unit_axis, record.parameters

            def arrived(gradient: Tensor) -> None:
                visit(Record(name, kind, "backward", axis, None, gradient, names))

            out.register_hook(arrived)  # type: ignore[no-untyped-call]


def _nonlinearity(name: str, args: Any, options: Mapping[str, Any], given: Given) -> str:
    """The kind of nonlinearity that the call is; empty where it is none."""
    if name in CLAMPS:
        return clamps(name, args, options)
    if name == "mul" and len(args) == 2:
        return product(args[0], args[1], given)
    if name in ("maximum", "max") and len(args) == 2 and isinstance(args[1], Tensor):
        return maximum(args[0], args[1], given)
    if name == "where" and len(args) == 3:
        return choice(args[0], args[1], args[2], given)
    return NONLINEAR.get(name, "")
