"""What flows through a PyTorch model: its functions are seen where they are called, whatever calls them.

A function-override mode sees modules, functions and methods alike. Each tensor made on the way carries its lineage:
which axis counts units, the parameters since the last nonlinearity, and what it may still turn out to be half of.
"""

import sys
import warnings
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from babysit.adapters.pytorch.functions import (
    BOUNDED,
    CLAMPS,
    COMPARING,
    LINEAR,
    NONLINEAR,
    NORMS,
    RECURRENT,
    ROLES,
    argument,
    clamps,
    is_zero,
    plain_name,
)
from babysit.adapters.pytorch.lineage import (
    ATTRIBUTE,
    LAST,
    Bounded,
    Given,
    Layer,
    Lineage,
    choice,
    joined,
    maximum,
    moved_axis,
    product,
    product_axis,
    tensors_in,
)
from babysit.arrays import leaves
from babysit.trainer import Record, Tree, Visit


class Names:
    """Names of a model's modules, and the lineage of its parameters and buffers, by `id`.

    Args:
        model: The model.
    """

    def __init__(self, model: nn.Module) -> None:
        self.modules = {id(m): name for name, m in model.named_modules()}
        self._kept = list(model.buffers())  # so that no other tensor gets the id of one that is replaced
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
        self._marked: list[weakref.ref[Tensor]] = []
        self._strangers: dict[int, tuple[Tensor, Lineage]] = {}  # parameters that the model doesn't know of
        self._watching = True

    @contextmanager
    def watching(self, inputs: Tree) -> Iterator[None]:
        """See what is called inside, and what becomes of these inputs."""
        entered = register_module_forward_pre_hook(lambda module, inputs: self._inside.append(module))  # noqa: ARG005
        left = register_module_forward_hook(lambda *call: self._leave(), always_call=True)  # noqa: ARG005
        try:
            with _uncompiled():
                self._mark([x for _, x in leaves(inputs) if isinstance(x, Tensor) and x.is_floating_point()], LAST)
                with self:
                    yield
                for bounded in self._open:
                    self._settle(bounded)
        finally:
            self._watching = False
            self._open.clear()  # they hold tensors whose hooks hold this trace
            entered.remove()
            left.remove()
            for mark in self._marked:
                if (x := mark()) is not None:
                    x.__dict__.pop(ATTRIBUTE, None)

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
        overwrites = overwrites or name == "__setitem__" or bool(options.get("inplace")) or "out" in options
        if overwrites and given and (bounded := given[0][1].bounded) and not bounded.done:
            bounded.record = replace(bounded.record, values=bounded.record.values.clone())
        result = func(*args, **options)
        role = ROLES.get(name, "")
        if given and len(given) == len(tensors) and all(side.weight for _, side in given):
            self._mark(result, joined(given, weight=True))  # made of parameters alone, as in weight normalization
        elif given:
            out = result if isinstance(result, Tensor) else next(iter(tensors_in((result,))), None)
            if out is not None:
                self._mark(result, self._look(name, role, args, options, tensors, given, out))
        return result

    def _lineage(self, x: Tensor) -> Lineage | None:
        found: Lineage | None = getattr(x, ATTRIBUTE, None) or self._weights.get(id(x))
        return self._stranger(x) if found is None and isinstance(x, nn.Parameter) else found

    def _stranger(self, x: Tensor) -> Lineage:
        """That of a parameter which the model doesn't know of: layers in a plain list, or made on the way."""
        if id(x) not in self._strangers:
            name = f"unregistered parameter {len(self._strangers) + 1}"
            self._strangers[id(x)] = x, Lineage(names=(name,), weight=True)
        return self._strangers[id(x)][1]

    def _mark(self, result: Any, lineage: Lineage) -> None:
        for x in (result,) if isinstance(result, Tensor) else tensors_in((result,)):
            if id(x) not in self._weights:
                if not hasattr(x, ATTRIBUTE):
                    self._marked.append(weakref.ref(x))
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
        if role in ("gating", "choosing", "nonlinear"):
            kind, x = _nonlinearity(name, args, options, given)
            if kind:
                lineage = joined(given)
                self._settle_all(given, gated=kind in ("silu", "gate"))
                if kind == "maxout":
                    x = _pieces(args[0], args[1], lineage.axis)
                self._emit(self._record(kind, kind, lineage, None if out is x else x, out), out)
                return Lineage(lineage.axis)
        if role == "linear" or (role == "product" and len({side.weight for _, side in given}) == 2):
            units = LINEAR[name] if role == "linear" else product_axis(name, args, given, out)
            x = None if name == "embedding" else self._data(tensors)
            return self._layer("linear", name, Lineage(units, joined(given).names), x, given, out)
        if role == "norm":
            before = joined(given)
            axis = before.axis if name == "layer_norm" else NORMS[name] if out.ndim > 2 else -1
            return self._layer("norm", name, Lineage(axis, before.names), self._data(tensors), given, out)
        if role == "recurrent":
            self._layer(RECURRENT[name], name, Lineage(-1, joined(given).names), None, given, out)
            return LAST
        if role == "bounded":
            return self._waiting(BOUNDED[name], tensors[0], given, out)
        return self._carried(name, role, args, tensors, given, out)

    def _data(self, tensors: list[Tensor]) -> Tensor | None:
        """The first that is not made of parameters."""
        return next((x for x in tensors if (side := self._lineage(x)) is None or not side.weight), None)

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
        source, first = next((pair for pair in given if not pair[1].weight), given[0])
        lineage = first if len(given) == 1 and not first.weight else joined(given)
        axis = moved_axis(name, source, out, lineage.axis)
        if role == "comparing" and len(args) == 2 and is_zero(args[1]):
            return Lineage(axis, mask_of=source, positive=COMPARING[name])
        if first.bounded is not None and role == "gating" and any(x is not source and is_zero(x) for x in tensors):
            first.bounded.done = True  # it gates the zeros that a recurrent network begins with
        keeps = role == "gating" or (first.waits and role in ("reshaping", "scaling"))
        if keeps and (role == "reshaping" or all(self._scales(x, given) for x in tensors if x is not source)):
            scaled = source if role == "gating" else None
            return Lineage(axis, lineage.names, False, first.bounded, first.mask_of, first.positive, scaled)
        self._settle_all(given)
        return Lineage(axis, lineage.names) if axis != lineage.axis or lineage.waits or lineage.weight else lineage

    def _scales(self, x: Tensor, given: Given) -> bool:
        """Whether a factor or summand is a number, made of parameters, or made without the inputs, as masks are."""
        side = next((side for y, side in given if y is x), None)
        return side is None or side.weight or x.numel() == 1

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
        values, seen, axis = out.detach(), None if inputs is None else inputs.detach(), lineage.axis
        if axis is None or out.ndim < 2:  # one unit, whose axis is gone
            axis, values = -1, values.reshape(*values.shape, 1) if out.ndim else values.reshape(1, 1)
            seen = seen.reshape(values.shape) if seen is not None and seen.numel() == values.numel() else None
        axis = axis % values.ndim if -values.ndim <= axis < values.ndim else values.ndim - 1
        if seen is not None and (not seen.is_floating_point() or seen.layout is not torch.strided):
            seen = None
        if kind == "linear" and seen is not None and seen.ndim != values.ndim:
            seen = None
        name = self._name(what, (lineage.names, values.shape[axis]))
        return Record(name, kind, "forward", axis, seen, values, lineage.names)

    def _name(self, what: str, layer: Any) -> str:
        """The module's name, with what is called in it where it does more than that one thing.

        Calls with the same parameters behind them are one layer, as in the steps of a recurrent network; others are
        told apart by a number.
        """
        known = next((module for module in reversed(self._inside) if id(module) in self._modules), None)
        kind, own = type(known), self._modules.get(id(known), "")
        alone = known is self._inside[-1] if self._inside else False
        alone = alone and kind.__module__.startswith("torch.nn.modules")
        place = (own or kind.__name__.lower()) if alone else f"{own}.{what}" if own else what
        layers = self._layers.setdefault(place, {})
        if layer not in layers:
            layers[layer] = f"{place} ({len(layers) + 1})" if layers else place
        return layers[layer]

    def _emit(self, record: Record, out: Tensor) -> None:
        if not out.is_floating_point() or is_functorch_wrapped_tensor(out):
            return
        visit = self._visit
        visit(record)
        if out.requires_grad:
            name, kind, axis, names = record.name, record.kind, record.unit_axis, record.parameters
            shape = record.values.shape

            def arrived(gradient: Tensor) -> None:
                if not self._watching:  # a gradient taken inside the forward pass is not the loss's
                    visit(Record(name, kind, "backward", axis, None, gradient.reshape(shape), names))

            out.register_hook(arrived)  # type: ignore[no-untyped-call]


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Parts that are compiled run as they were written; where nothing is, the compiler isn't even imported."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*hooks.*", category=UserWarning)
        yield


def _pieces(a: Tensor, b: Tensor, axis: int | None) -> Tensor:  # (M, units, 2)
    stacked = torch.stack((a.detach(), b.detach()), dim=-1)
    if a.ndim < 2 or axis is None:
        return stacked.reshape(-1, 1, 2)
    return stacked.movedim(axis % a.ndim, -2).flatten(0, -3)


def _nonlinearity(name: str, args: Any, options: Mapping[str, Any], given: Given) -> Layer:
    """The kind of nonlinearity that the call is, and what goes in."""
    if name in CLAMPS:
        return clamps(name, args, options), given[0][0]
    if name in ("mul", "multiply") and len(args) == 2:
        return product(args[0], args[1], given)
    if name in ("maximum", "max", "fmax") and isinstance(other := argument(args, options, 1, "other"), Tensor):
        return maximum(args[0], other, given)
    if name == "where" and len(args) == 3:
        condition, x, other = args if args[0].dtype is torch.bool else (args[1], args[0], args[2])
        return choice(condition, x, other, given)
    if name == "masked_fill":
        return choice(args[1], args[2], args[0], given)
    return NONLINEAR.get(name, ""), given[0][0]
