"""Where a tensor comes from, carried by the tensor itself from one operation to the next."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from torch import Tensor

from babysit.adapters.pytorch.functions import is_zero
from babysit.trainer import Record

ATTRIBUTE = "_babysit_lineage"  # of a tensor
MOVING = frozenset(("T", "mT", "H", "mH", "transpose", "swapaxes", "swapdims", "permute", "movedim", "moveaxis"))


class Bounded:
    """A sigmoid or tanh of which it is not known yet whether it gates something.

    Args:
        record: The record to give of it where it doesn't.
        out: The tensor itself, with its graph.
    """

    def __init__(self, record: Record, out: Tensor) -> None:
        self.record, self.out = record, out
        self.done = False


class Lineage(NamedTuple):
    """Where a tensor comes from.

    Args:
        axis: The axis that counts units, -1 where it is the last; None where there is one unit, without an axis.
        names: Parameters used since the last nonlinearity.
        weight: Whether it is made of parameters alone.
        bounded: The bounded output that it is, reshaped or scaled.
        mask_of: The tensor that it tells the signs of.
        positive: Whether it is true where that tensor is positive, rather than where it is negative.
        scaled: The tensor of which it is a multiple.
    """

    axis: int | None = -1
    names: tuple[str, ...] = ()
    weight: bool = False
    bounded: Bounded | None = None
    mask_of: Tensor | None = None
    positive: bool = True
    scaled: Tensor | None = None

    @property
    def waits(self) -> bool:
        """Whether what comes next may tell more of it."""
        return self.bounded is not None or self.mask_of is not None or self.scaled is not None


Given: TypeAlias = list[tuple[Tensor, Lineage]]  # the operands that have a lineage
LAST = Lineage()


def tensors_in(args: Sequence[Any]) -> list[Tensor]:
    """The tensors among the arguments, those in lists and tuples too."""
    found: list[Tensor] = []
    for arg in args:
        if isinstance(arg, Tensor):
            found.append(arg)
        elif type(arg) is tuple or type(arg) is list:
            found += tensors_in(arg)
    return found


def joined(given: Given, *, weight: bool = False) -> Lineage:
    """The lineage of what is made of these: the axis of the first that is no weight, the parameters of all."""
    if not given:
        return LAST
    if len(given) == 1:
        side = given[0][1]
        return side if side.weight is weight and not side.waits else Lineage(side.axis, side.names, weight)
    names = given[0][1].names
    for _, side in given[1:]:
        if side.names and side.names != names:
            names = tuple(dict.fromkeys(names + side.names))
    axis = next((side.axis for _, side in given if not side.weight), -1)
    return Lineage(axis, names, weight)


Layer: TypeAlias = tuple[str, Any]  # the kind of a nonlinearity, empty if it is none, and what went in
NO_LAYER: Layer = ("", None)


def maximum(a: Any, b: Any, given: Given) -> Layer:
    """Which kind max(x, 0) and max(x, cx) are, or maxout, the largest of several maps."""
    lineages = {id(x): side for x, side in given}
    for x, other in ((a, b), (b, a)):
        if isinstance(x, Tensor) and id(x) in lineages and id(other) not in lineages and is_zero(other):
            return "relu", x
        if id(other) in lineages and lineages[id(other)].scaled is x:
            return _sloped(x, lineages[id(other)], lineages), x
    if len(lineages) != 2 or any(side.weight for side in lineages.values()) or a.shape != b.shape:
        return NO_LAYER
    one, two = (set(side.names) for side in lineages.values())
    maps = bool(one and two) and (one == two or not one & two)  # maps of their own, or halves of one
    return ("maxout", None) if maps else NO_LAYER


def choice(condition: Any, x: Any, other: Any, given: Given) -> Layer:
    """Which kind where(x > 0, x, 0) and where(x > 0, x, cx) are."""
    lineages: Mapping[int, Lineage] = {id(y): side for y, side in given}
    mask = lineages.get(id(condition))
    if mask is None or mask.mask_of is None:
        return NO_LAYER
    if not mask.positive:
        x, other = other, x
    if mask.mask_of is not x:
        return NO_LAYER
    if id(other) not in lineages:
        return ("relu" if is_zero(other) else "elu"), x
    below = lineages[id(other)]
    return (_sloped(x, below, lineages) if below.scaled is x else "elu"), x


def _sloped(x: Any, below: Lineage, lineages: Mapping[int, Lineage]) -> str:
    """A slope that is learned, or a number."""
    return "prelu" if set(below.names) - set(lineages[id(x)].names) else "leaky-relu"


def product(a: Any, b: Any, given: Given) -> Layer:
    """Which kind x * (x > 0), x * sigmoid(x) and other gates are: what is bounded, times what flows through."""
    if not any(side.bounded is not None or side.mask_of is not None for _, side in given):
        return NO_LAYER
    lineages = {id(x): side for x, side in given}
    for x, other in ((a, b), (b, a)):
        side, flow = lineages.get(id(other)), lineages.get(id(x))
        if side is None or flow is None or flow.weight:
            continue
        if side.mask_of is x and side.positive:
            return "relu", x
        if side.bounded is not None and x.numel() > 1 and flow.mask_of is None and x.is_floating_point():
            bounded = side.bounded.record
            return ("silu" if bounded.kind == "sigmoid" and _is(bounded.inputs, x) else "gate"), x
    return NO_LAYER


def _is(a: Any, b: Tensor) -> bool:
    """Whether both are the same memory, seen alike."""
    return isinstance(a, Tensor) and a.data_ptr() == b.data_ptr() and a.shape == b.shape


def moved_axis(name: str, source: Tensor, out: Tensor, axis: int | None) -> int | None:
    """Where the units lie after an operation that may move axes."""
    if axis is None or name in MOVING:
        return None if axis is None else _moved(source, out, axis)
    if axis == -1 and out.ndim < source.ndim and name in ("squeeze", "__getitem__", "select"):
        return -1 if out.ndim and out.shape[-1] == source.shape[-1] else None
    if out.ndim <= 2:
        return -1
    if axis == 1 and name in ("flatten", "reshape", "view") and out.shape[:2] != source.shape[:2]:
        return -1
    return axis


def product_axis(name: str, args: Sequence[Any], given: Given, out: Tensor) -> int:
    """Where a product with a weight has its units: on the weight's own side."""
    weights = {id(x) for x, side in given if side.weight}
    if name == "einsum" and isinstance(args[0], str) and "->" in args[0]:
        told, _, result = args[0].replace(" ", "").partition("->")
        operands = tensors_in(args[1:])
        pairs = list(zip(told.split(","), operands, strict=False))
        seen = {letter for letters, x in pairs if id(x) not in weights for letter in letters}
        own = (k for letters, x in pairs if id(x) in weights for k in letters if k not in seen)
        return next((result.index(k) for k in own if k in result), -1)
    left = args[0] if args and isinstance(args[0], Tensor) else None
    from_left = name in ("matmul", "mm", "bmm", "mv") and id(left) in weights
    return out.ndim - 2 if from_left and out.ndim > 1 else -1


def _moved(source: Tensor, out: Tensor, axis: int) -> int:
    """The axis of the result that steps through memory as the units' axis did."""
    if not -source.ndim <= axis < source.ndim:
        return axis
    step = (source.shape[axis], source.stride(axis))
    places = [k for k in range(out.ndim) if (out.shape[k], out.stride(k)) == step]
    return -1 if not places or places[0] == out.ndim - 1 else places[0]
