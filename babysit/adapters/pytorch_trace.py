"""What flows through a PyTorch model: its functions are seen where they are called, whatever calls them.

A function-override mode sees modules, functions and methods alike. Each tensor made on the way carries its lineage:
which axis counts units, the parameters since the last nonlinearity, and what it may still turn out to be half of.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from babysit.adapters.pytorch_functions import (
    BOUNDED,
    COMPARING,
    LINEAR,
    NONLINEAR,
    NORMS,
    PRODUCTS,
    RECURRENT,
    RESHAPING,
    SCALING,
    clamps,
    is_zero,
    plain_name,
)
from babysit.trainer import Record, Visit

LINEAGE = "_babysit_lineage"  # the attribute of a tensor that holds its `Lineage`


@dataclass(eq=False)
class Bounded:
    """A sigmoid or tanh of which it is not known yet whether it gates something.

    Args:
        record: The record to give of it where it doesn't.
    """

    record: Record
    done: bool = False


@dataclass(frozen=True, eq=False)
class Lineage:
    """Where a tensor comes from.

    Args:
        axis: The axis that counts units, -1 where it is the last.
        names: Parameters used since the last nonlinearity.
        weight: Whether it is made of parameters alone.
        bounded: The bounded output that it is, reshaped or scaled.
        mask_of: The tensor that it says of where it is positive.
        scaled: The tensor of which it is a multiple.
    """

    axis: int = -1
    names: tuple[str, ...] = ()
    weight: bool = False
    bounded: Bounded | None = None
    mask_of: Tensor | None = None
    scaled: Tensor | None = None


class Trace(TorchFunctionMode):
    """Gives `visit` a record of every nonlinearity, norm and linear map, forward and, as it arrives, of its gradient.

    Args:
        module: The model.
        visit: Gets the records.
    """

    def __init__(self, module: nn.Module, visit: Visit) -> None:
        super().__init__()
        self._visit = visit
        self._parameters = {id(p): Lineage(names=(name,), weight=True) for name, p in module.named_parameters()}
        self._parameters |= {id(b): Lineage(weight=True) for b in module.buffers()}
        self._modules = {id(m): name for name, m in module.named_modules()}
        self._inside: list[nn.Module] = []
        self._calls: dict[str, list[Any]] = {}  # what tells the layers of one place apart
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
        options = kwargs or {}
        name = plain_name(func)
        if not name:
            return func(*args, **options)
        tensors = list(_tensors(args, options))
        given = [(x, lineage) for x in tensors if (lineage := self._lineage(x)) is not None]
        overwritten = func.__name__.endswith("_") and not func.__name__.endswith("__")
        if overwritten and given and (bounded := given[0][1].bounded) and not bounded.done:
            bounded.record = replace(bounded.record, values=bounded.record.values.clone())
        result = func(*args, **options)
        if given and all(lineage.weight for _, lineage in given) and len(given) == len(tensors):
            _mark(result, _joined(given))  # made of parameters alone, as in weight normalization
        else:
            self._look(name, args, options, given, result)
        return result

    def _lineage(self, x: Tensor) -> Lineage | None:
        found: Lineage | None = getattr(x, LINEAGE, None)
        return found if found is not None else self._parameters.get(id(x))

    def _look(
        self, name: str, args: Any, options: Mapping[str, Any], given: list[tuple[Tensor, Lineage]], result: Any
    ) -> None:
        out = result if isinstance(result, Tensor) else next((x for x in _tensors((result,), {})), None)
        if out is None:
            return
        lineage = replace(_joined(given), weight=False)
        x = next((x for x in _tensors(args, options) if id(x) not in self._parameters), None)
        kind = self._nonlinearity(name, args, options, given)
        if name in BOUNDED and x is not None:
            lineage = self._bounded(BOUNDED[name], lineage, x, out)
        elif kind and x is not None:
            self._settle_all(given, gated=kind in ("silu", "gate"))
            inputs = self._inputs(kind, args, x, out)
            self._emit(self._record(kind, kind, lineage, lineage.axis, inputs, out))
            lineage = Lineage(lineage.axis)
        elif name in RECURRENT:
            self._emit(self._record(RECURRENT[name], "", lineage, -1, None, out))
            lineage = Lineage(-1)
        elif name in NORMS:
            self._settle_all(given)
            lineage = Lineage(NORMS[name] if out.ndim > 2 else -1, lineage.names)
            self._emit(self._record("norm", name, lineage, lineage.axis, x, out))
        elif name in LINEAR or (name in PRODUCTS and any(side.weight for _, side in given)):
            self._settle_all(given)
            axis = LINEAR.get(name, -1)
            lineage = Lineage(axis, lineage.names)
            inputs = None if name == "embedding" or x is None else x
            self._emit(self._record("linear", name, lineage, axis, inputs, out))
        else:
            lineage = self._carried(name, args, given, lineage, out)
        if lineage is not _NONE:
            _mark(result, lineage)

    def _nonlinearity(
        self, name: str, args: Any, options: Mapping[str, Any], given: list[tuple[Tensor, Lineage]]
    ) -> str:
        """The kind of nonlinearity that the call is; empty where it is none."""
        if name in ("clamp", "clip", "clamp_min", "threshold", "hardtanh"):
            return clamps(name, args, options)
        if name in ("maximum", "max") and len(args) == 2 and isinstance(args[1], Tensor):
            return _maximum(args[0], args[1], given)
        if name == "where" and len(args) == 3:
            return _where(args, given)
        if name == "mul" and len(args) == 2:
            return _product(args[0], args[1], given)
        return NONLINEAR.get(name, "")

    def _bounded(self, kind: str, before: Lineage, x: Tensor, out: Tensor) -> Lineage:
        """A sigmoid or tanh: its record waits until its use is seen."""
        bounded = Bounded(self._record(kind, kind, before, before.axis, None if out is x else x, out))
        self._open.append(bounded)
        return Lineage(before.axis, bounded=bounded)

    def _carried(
        self, name: str, args: Any, given: list[tuple[Tensor, Lineage]], lineage: Lineage, out: Tensor
    ) -> Lineage:
        """The lineage behind an operation that is no layer."""
        if not given:
            return _NONE
        source = given[0][0]
        if name in COMPARING and len(args) == 2 and is_zero(args[1]):
            return Lineage(lineage.axis, mask_of=source)
        numbers = all(side.weight for x, side in given[1:]) and _others_known(args, given)
        passing = name in RESHAPING or (name in SCALING and numbers)
        if passing and not given[0][1].weight:
            scaled = source if name == "mul" and len(given) == 1 else None
            return replace(given[0][1], axis=_axis(name, source, out, lineage.axis), names=lineage.names,
                           scaled=scaled)  # fmt: skip
        self._settle_all(given)
        return replace(lineage, axis=_axis(name, source, out, lineage.axis))

    def _settle_all(self, given: list[tuple[Tensor, Lineage]], *, gated: bool = False) -> None:
        """What is used otherwise than in a gate is a layer of its own."""
        for _, side in given:
            if side.bounded is not None:
                self._settle(side.bounded, gated=gated)

    def _settle(self, bounded: Bounded, *, gated: bool = False) -> None:
        if not bounded.done:
            bounded.done = True
            if not gated:
                self._emit(bounded.record)

    def _inputs(self, kind: str, args: Any, x: Tensor, out: Tensor) -> Tensor | None:
        if kind == "maxout":
            return torch.stack((args[0], args[1]), dim=-1).detach()
        return None if out is x else x

    def _record(self, kind: str, what: str, lineage: Lineage, axis: int, inputs: Tensor | None, out: Tensor) -> Record:
        units = out.shape[axis] if -out.ndim <= axis < out.ndim else 1
        axis = axis if -out.ndim <= axis < out.ndim else -1
        return Record(self._name(what, (lineage.names, units)), kind, "forward", axis % max(1, out.ndim), inputs, out,
                      lineage.names)  # fmt: skip

    def _name(self, what: str, layer: Any) -> str:
        """The module's name, with what is called in it where it does more than that one thing.

        Calls with the same parameters behind them are one layer, as in the steps of a recurrent network; others are
        told apart by a number.
        """
        module = self._inside[-1] if self._inside else None
        own = self._modules.get(id(module), type(module).__name__) if module is not None else ""
        alone = module is not None and type(module).__module__.startswith("torch.nn.modules")
        place = (own or type(module).__name__.lower()) if alone else f"{own}.{what}" if own else what
        layers = self._calls.setdefault(place, [])
        if layer not in layers:
            layers.append(layer)
        number = layers.index(layer) + 1
        return place if number == 1 else f"{place} ({number})"

    def _emit(self, record: Record) -> None:
        values = record.values
        with torch.no_grad():
            inputs = record.inputs.detach() if isinstance(record.inputs, Tensor) else None
            self._visit(replace(record, values=values.detach(), inputs=inputs))
        if values.requires_grad:
            empty = replace(record, phase="backward", inputs=None, values=None)

            def arrived(gradient: Tensor) -> None:
                with torch.no_grad():
                    self._visit(replace(empty, values=gradient))

            values.register_hook(arrived)


_NONE = Lineage()


def _mark(result: Any, lineage: Lineage) -> None:
    for x in _tensors((result,), {}):
        if not isinstance(x, nn.Parameter):
            setattr(x, LINEAGE, lineage)


def _tensors(args: Any, options: Mapping[str, Any]) -> Iterator[Tensor]:
    """The tensors among the arguments, those in lists and tuples too."""
    for arg in (*args, *options.values()):
        if isinstance(arg, Tensor):
            yield arg
        elif isinstance(arg, list | tuple):
            yield from _tensors(arg, {})


def _joined(given: list[tuple[Tensor, Lineage]]) -> Lineage:
    """The lineage of what is made of these: the axis of the first that is no weight, the parameters of all."""
    if len(given) == 1:
        side = given[0][1]
        return Lineage(side.axis, side.names, side.weight)
    names = tuple(dict.fromkeys(name for _, side in given for name in side.names))
    axis = next((side.axis for _, side in given if not side.weight), -1)
    return Lineage(axis, names, bool(given) and all(side.weight for _, side in given))


def _others_known(args: Any, given: list[tuple[Tensor, Lineage]]) -> bool:
    """Whether all tensors but the first are parameters, or numbers."""
    known = [x for x, _ in given]
    return all(x.numel() == 1 or any(x is y for y in known) for x in _tensors(args, {}))


def _maximum(a: Any, b: Any, given: list[tuple[Tensor, Lineage]]) -> str:
    """max(x, 0), max(x, cx), or maxout: the largest of several maps."""
    lineages = {id(x): side for x, side in given}
    for x, other in ((a, b), (b, a)):
        if isinstance(x, Tensor) and id(x) in lineages and id(other) not in lineages and is_zero(other):
            return "relu"
        if id(other) in lineages and lineages[id(other)].scaled is x:
            return "leaky-relu"
    both = len(lineages) == 2 and not any(side.weight for side in lineages.values())
    return "maxout" if both and a.shape == b.shape else ""


def _where(args: Any, given: list[tuple[Tensor, Lineage]]) -> str:
    """where(x > 0, x, 0), or where(x > 0, x, cx)."""
    condition, x, other = args
    lineages = {id(y): side for y, side in given}
    mask = lineages.get(id(condition))
    if mask is None or mask.mask_of is None or mask.mask_of is not x:
        return ""
    if id(other) not in lineages:
        return "relu" if is_zero(other) else "elu"
    return "leaky-relu" if lineages[id(other)].scaled is x else "elu"


def _product(a: Any, b: Any, given: list[tuple[Tensor, Lineage]]) -> str:
    """X * (x > 0), x * sigmoid(x), or any other gate."""
    lineages = {id(x): side for x, side in given}
    for x, other in ((a, b), (b, a)):
        side = lineages.get(id(other))
        if side is None or not isinstance(x, Tensor):
            continue
        if side.mask_of is x:
            return "relu"
        scale = x.numel() == 1 or (id(x) in lineages and lineages[id(x)].weight)
        if side.bounded is not None and not scale:
            return "silu" if side.bounded.record.inputs is x and side.bounded.record.kind == "sigmoid" else "gate"
    return ""


def _axis(name: str, source: Tensor, out: Tensor, axis: int) -> int:
    """Where the units lie after an operation that moves axes."""
    if name in ("T", "mT") or (name in ("transpose", "swapaxes", "swapdims", "permute", "movedim", "moveaxis")):
        return _moved(source, out, axis)
    if out.ndim <= 2:
        return -1
    if name in ("flatten", "reshape", "view") and axis == 1 and out.shape[:2] != source.shape[:2]:
        return -1
    return axis


def _moved(source: Tensor, out: Tensor, axis: int) -> int:
    """The axis of the result that steps through memory as the units' axis did."""
    if not -source.ndim <= axis < source.ndim:
        return axis
    step = (source.shape[axis], source.stride(axis))
    places = [k for k in range(out.ndim) if (out.shape[k], out.stride(k)) == step]
    return -1 if not places or places[0] == out.ndim - 1 else places[0]
