"""How NumPy programs spell their nonlinearities: patterns in the graph of operations, by what they compute."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from babysit.adapters.numpy.trace import Node, Parameter

SAME_VALUES = ("copy", "positive", "ascontiguousarray", "asanyarray", "nan_to_num")
_ABOVE, _BELOW = ("greater", "greater_equal"), ("less", "less_equal")


@dataclass(frozen=True)
class Match:
    """A nonlinearity found: its kind, and the nodes it is a function of (several for maxout)."""

    kind: str
    sources: tuple[Node, ...]


def beneath(node: Any) -> Any:
    """The operand below copies."""
    while isinstance(node, Node) and node.op in SAME_VALUES:
        node = node.args[0]
    return node


def operands(node: Any, *ops: str) -> tuple[Any, ...] | None:
    """The operands of a node that is one of these operations, copies looked through."""
    node = beneath(node)
    if not isinstance(node, Node) or node.op not in ops:
        return None
    return tuple(beneath(arg) for arg in node.args)


def either_order(node: Any, *ops: str) -> Iterator[tuple[Any, Any]]:
    """Both orders of the two operands of a commutative operation."""
    args = operands(node, *ops)
    if args and len(args) >= 2:
        yield args[0], args[1]
        yield args[1], args[0]


def _number(x: Any) -> float | None:
    if isinstance(x, Node) and x.op in ("zeros_like", "ones_like"):
        return 0.0 if x.op == "zeros_like" else 1.0
    return x if isinstance(x, float) else None


def _sided(node: Any, upper: tuple[str, ...], lower: tuple[str, ...]) -> Node | None:
    if (args := operands(node, *upper)) and isinstance(args[0], Node) and _number(args[1]) == 0:
        return args[0]
    if (args := operands(node, *lower)) and isinstance(args[1], Node) and _number(args[0]) == 0:
        return args[1]
    return None


def _positive(node: Any) -> Node | None:
    """The x of a node that says x > 0."""
    if (args := operands(node, "where")) and len(args) == 3 and _number(args[1]) == 1 and _number(args[2]) == 0:
        return _positive(args[0])
    if args := operands(node, "logical_not", "invert"):
        return _negative(args[0])
    return _sided(node, _ABOVE, _BELOW)


def _negative(node: Any) -> Node | None:
    """The x of a node that says x < 0."""
    if args := operands(node, "logical_not", "invert"):
        return _positive(args[0])
    return _sided(node, _BELOW, _ABOVE)


def _scaled(node: Any, x: Node) -> str:
    """The kind of a nonlinearity whose lower half is this node, if it is x times a slope; prelu if a parameter is."""
    for slope, other in either_order(node, "multiply"):
        if other is x and (number := _number(slope)) is not None and number != 1:
            return "relu" if number == 0 else "leaky-relu"
        if other is x and isinstance(slope, Parameter):
            return "prelu"
    if (args := operands(node, "divide", "true_divide")) and args[0] is x and _number(args[1]) not in (None, 1.0):
        return "leaky-relu"
    return ""


def _exponential(node: Any) -> Any:
    """The x of exp(x)."""
    args = operands(node, "exp")
    return args[0] if args else None


def _minus(node: Any) -> Any:
    """The x of -x."""
    if args := operands(node, "negative"):
        return args[0]
    if (args := operands(node, "subtract")) and _number(args[0]) == 0:
        return args[1]
    return next((x for number, x in either_order(node, "multiply") if _number(number) == -1), None)


def _clipped(node: Node) -> Node | None:
    """The x of max(0, x)."""
    for number, x in either_order(node, "maximum", "fmax"):
        if _number(number) == 0 and isinstance(x, Node):
            return x
    args = operands(node, "clip") or ()
    low = _number(args[1]) if len(args) > 1 else node.options.get("a_min", node.options.get("min"))
    high = args[2] if len(args) > 2 else node.options.get("a_max", node.options.get("max"))
    if args and isinstance(args[0], Node) and low == 0 and (high is None or high == np.inf):
        return args[0]
    return None


def _masked(node: Node) -> Node | None:
    """The x whose negative part is set to zero by a product or an assignment."""
    for x, mask in either_order(node, "multiply"):
        if isinstance(x, Node) and _positive(mask) is x:
            return x
    args = operands(node, "setitem")
    if args and _number(args[2]) == 0 and isinstance(args[0], Node) and _negative(args[1]) is args[0]:
        return args[0]
    if args and _number(args[0]) == 0 and (x := _positive(args[1])) is not None and _part(args[2], args[1]) is x:
        return x
    return None


def _part(node: Any, mask: Any) -> Any:
    """The x of x[mask]."""
    args = operands(node, "getitem")
    same = args and (
        args[1] is mask or (_positive(args[1]) or _negative(args[1]) or mask) is (_positive(mask) or _negative(mask))
    )
    return args[0] if args and same else None


def _relu(node: Node) -> Match | None:
    x = _clipped(node) or _masked(node)
    if x is None and (args := operands(node, "where")) and len(args) == 3:
        mask, yes, no = args
        if _number(no) == 0 and _positive(mask) is yes and isinstance(yes, Node):
            x = yes
        elif _number(yes) == 0 and _negative(mask) is no and isinstance(no, Node):
            x = no
    return Match("relu", (x,)) if x is not None else None


def _leaky(node: Node) -> Match | None:
    for x, scaled in either_order(node, "maximum", "fmax"):
        if isinstance(x, Node) and (kind := _scaled(scaled, x)):
            return Match(kind, (x,))
    for relu, rest in either_order(node, "add"):
        if isinstance(relu, Node) and (x := _clipped(relu)) is not None:
            for slope, low in either_order(rest, "multiply"):
                if any(_number(n) == 0 and z is x for n, z in either_order(low, "minimum", "fmin")):
                    return Match("prelu" if isinstance(slope, Parameter) else "leaky-relu", (x,))
    if (args := operands(node, "setitem")) and isinstance(x := args[0], Node) and _negative(args[1]) is x:
        for slope, part in either_order(args[2], "multiply"):
            if _part(part, args[1]) is x and (_number(slope) is not None or isinstance(slope, Parameter)):
                return Match("prelu" if isinstance(slope, Parameter) else "leaky-relu", (x,))
    return None


def _branches(node: Node) -> Match | None:
    """`np.where(x > 0, x, other)` with what makes it a leaky ReLU, a PReLU or an ELU."""
    args = operands(node, "where")
    if not args or len(args) != 3:
        return None
    mask, yes, no = args
    if (x := _positive(mask)) is None:
        x, yes, no = _negative(mask), no, yes
    if x is None or yes is not x:
        return None
    if kind := _scaled(no, x):
        return Match(kind, (x,))
    return Match("elu", (x,)) if _is_elu_tail(no, x) else None


def _is_elu_tail(node: Any, x: Node) -> bool:
    """Whether the node is a (exp(x) - 1), a number or parameter a, x perhaps kept below 0."""
    candidates = [node, *(tail for scale, tail in either_order(node, "multiply") if not isinstance(scale, Node))]
    below = [z for tail in candidates if (args := operands(tail, "expm1")) for z in args[:1]]
    for tail in candidates:
        if (args := operands(tail, "subtract")) and _number(args[1]) == 1:
            below.append(_exponential(args[0]))
    return any(z is x or any(w is x for n, w in either_order(z, "minimum") if _number(n) == 0) for z in below)


def _one_plus_exp(node: Any) -> Any:
    """The x of 1 + exp(x)."""
    return next((_exponential(e) for one, e in either_order(node, "add") if _number(one) == 1), None)


def _sigmoid(node: Node) -> Match | None:
    if (args := operands(node, "expit")) and isinstance(args[0], Node):
        return Match("sigmoid", (args[0],))
    below = None
    if (args := operands(node, "divide", "true_divide")) and _number(args[0]) == 1:
        below = args[1]
    elif (args := operands(node, "reciprocal")) or ((args := operands(node, "power")) and _number(args[1]) == -1):
        below = args[0]
    if below is not None and isinstance(x := _minus(_one_plus_exp(below)), Node):
        return Match("sigmoid", (x,))
    if (args := operands(node, "divide", "true_divide")) and isinstance(x := _exponential(args[0]), Node):
        return Match("sigmoid", (x,)) if _one_plus_exp(args[1]) is x else None
    if (args := operands(node, "where")) and len(args) == 3 and all(isinstance(arg, Node) for arg in args[1:]):
        left, right = _sigmoid(args[1]), _sigmoid(args[2])
        return left if left and left == right else None
    return None


def _tanh(node: Node) -> Match | None:
    if (args := operands(node, "tanh")) and isinstance(args[0], Node):
        return Match("tanh", (args[0],))
    quotient = operands(node, "divide", "true_divide")
    if not quotient or not (above := operands(quotient[0], "subtract")) or not (below := operands(quotient[1], "add")):
        return None
    x = _exponential(above[0])
    mirrored = isinstance(x, Node) and _minus(_exponential(above[1])) is x
    return (
        Match("tanh", (x,))
        if mirrored and set(map(_exponential_key, above)) == set(map(_exponential_key, below))
        else None
    )


def _exponential_key(node: Any) -> Any:
    x = _exponential(node)
    return ("-", id(z)) if isinstance(z := _minus(x), Node) else ("+", id(x))


def _softmax(node: Node) -> Match | None:
    args = operands(node, "divide", "true_divide")
    if not args or not isinstance(shifted := _exponential(args[0]), Node):
        return None
    total = args[1]
    while isinstance(total, Node) and total.op in ("view", "getitem", "reshape", "expand_dims", "transpose"):
        total = beneath(total.args[0])
    if not (summed := operands(total, "add.reduce", "sum")) or _exponential(summed[0]) is not shifted:
        return None
    difference = operands(shifted, "subtract")
    return Match("softmax", (difference[0] if difference and isinstance(difference[0], Node) else shifted,))


SPELLINGS: tuple[Callable[[Node], Match | None], ...] = (_relu, _leaky, _branches, _sigmoid, _tanh, _softmax)
