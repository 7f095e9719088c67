"""Reads layers from the graph of a NumPy program's operations: matrix products, nonlinearities by their spelling."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from babysit.adapters.numpy_trace import Array, Node, Parameter
from babysit.trainer import Record

_PRODUCTS = ("matmul", "dot", "einsum", "tensordot", "inner")
_SAME_VALUES = ("copy", "positive", "ascontiguousarray", "asanyarray", "nan_to_num")
_ABOVE, _BELOW = ("greater", "greater_equal"), ("less", "less_equal")


@dataclass(frozen=True)
class Match:
    """A nonlinearity found: its kind, and the nodes it is a function of (several for maxout)."""

    kind: str
    sources: tuple[Node, ...]


def _of(node: Any) -> Any:
    """The operand below copies."""
    while isinstance(node, Node) and node.op in _SAME_VALUES:
        node = node.args[0]
    return node


def _args(node: Any, *ops: str) -> tuple[Any, ...] | None:
    """The operands of a node that is one of these operations, copies looked through."""
    node = _of(node)
    if not isinstance(node, Node) or node.op not in ops:
        return None
    return tuple(_of(arg) for arg in node.args)


def _pairs(node: Any, *ops: str) -> Iterator[tuple[Any, Any]]:
    """Both orders of the two operands of a commutative operation."""
    args = _args(node, *ops)
    if args and len(args) >= 2:
        yield args[0], args[1]
        yield args[1], args[0]


def _number(x: Any) -> float | None:
    if isinstance(x, Node) and x.op in ("zeros_like", "ones_like"):
        return 0.0 if x.op == "zeros_like" else 1.0
    return x if isinstance(x, float) else None


def _sided(node: Any, upper: tuple[str, ...], lower: tuple[str, ...]) -> Node | None:
    if (args := _args(node, *upper)) and isinstance(args[0], Node) and _number(args[1]) == 0:
        return args[0]
    if (args := _args(node, *lower)) and isinstance(args[1], Node) and _number(args[0]) == 0:
        return args[1]
    return None


def _positive(node: Any) -> Node | None:
    """The x of a node that says x > 0."""
    if (args := _args(node, "where")) and len(args) == 3 and _number(args[1]) == 1 and _number(args[2]) == 0:
        return _positive(args[0])
    if args := _args(node, "logical_not", "invert"):
        return _negative(args[0])
    return _sided(node, _ABOVE, _BELOW)


def _negative(node: Any) -> Node | None:
    """The x of a node that says x < 0."""
    if args := _args(node, "logical_not", "invert"):
        return _positive(args[0])
    return _sided(node, _BELOW, _ABOVE)


def _scaled(node: Any, x: Node) -> str:
    """The kind of a nonlinearity whose lower half is this node, if it is x times a slope; prelu if a parameter is."""
    for slope, other in _pairs(node, "multiply"):
        if other is x and (number := _number(slope)) is not None and number != 1:
            return "relu" if number == 0 else "leaky-relu"
        if other is x and isinstance(slope, Parameter):
            return "prelu"
    if (args := _args(node, "divide", "true_divide")) and args[0] is x and _number(args[1]) not in (None, 1.0):
        return "leaky-relu"
    return ""


def _exponential(node: Any) -> Any:
    """The x of exp(x)."""
    args = _args(node, "exp")
    return args[0] if args else None


def _minus(node: Any) -> Any:
    """The x of -x."""
    if args := _args(node, "negative"):
        return args[0]
    if (args := _args(node, "subtract")) and _number(args[0]) == 0:
        return args[1]
    return next((x for number, x in _pairs(node, "multiply") if _number(number) == -1), None)


def _clipped(node: Node) -> Node | None:
    """The x of max(0, x)."""
    for number, x in _pairs(node, "maximum", "fmax"):
        if _number(number) == 0 and isinstance(x, Node):
            return x
    args = _args(node, "clip") or ()
    low = _number(args[1]) if len(args) > 1 else node.options.get("a_min", node.options.get("min"))
    high = args[2] if len(args) > 2 else node.options.get("a_max", node.options.get("max"))
    if args and isinstance(args[0], Node) and low == 0 and (high is None or high == np.inf):
        return args[0]
    return None


def _masked(node: Node) -> Node | None:
    """The x whose negative part is set to zero by a product or an assignment."""
    for x, mask in _pairs(node, "multiply"):
        if isinstance(x, Node) and _positive(mask) is x:
            return x
    args = _args(node, "setitem")
    if args and _number(args[2]) == 0 and isinstance(args[0], Node) and _negative(args[1]) is args[0]:
        return args[0]
    if args and _number(args[0]) == 0 and (x := _positive(args[1])) is not None and _part(args[2], args[1]) is x:
        return x
    return None


def _part(node: Any, mask: Any) -> Any:
    """The x of x[mask]."""
    args = _args(node, "getitem")
    same = args and (
        args[1] is mask or (_positive(args[1]) or _negative(args[1]) or mask) is (_positive(mask) or _negative(mask))
    )
    return args[0] if args and same else None


def _relu(node: Node) -> Match | None:
    x = _clipped(node) or _masked(node)
    if x is None and (args := _args(node, "where")) and len(args) == 3:
        mask, yes, no = args
        if _number(no) == 0 and _positive(mask) is yes and isinstance(yes, Node):
            x = yes
        elif _number(yes) == 0 and _negative(mask) is no and isinstance(no, Node):
            x = no
    return Match("relu", (x,)) if x is not None else None


def _leaky(node: Node) -> Match | None:
    for x, scaled in _pairs(node, "maximum", "fmax"):
        if isinstance(x, Node) and (kind := _scaled(scaled, x)):
            return Match(kind, (x,))
    for relu, rest in _pairs(node, "add"):
        if isinstance(relu, Node) and (x := _clipped(relu)) is not None:
            for slope, low in _pairs(rest, "multiply"):
                if any(_number(n) == 0 and z is x for n, z in _pairs(low, "minimum", "fmin")):
                    return Match("prelu" if isinstance(slope, Parameter) else "leaky-relu", (x,))
    if (args := _args(node, "setitem")) and isinstance(x := args[0], Node) and _negative(args[1]) is x:
        for slope, part in _pairs(args[2], "multiply"):
            if _part(part, args[1]) is x and (_number(slope) is not None or isinstance(slope, Parameter)):
                return Match("prelu" if isinstance(slope, Parameter) else "leaky-relu", (x,))
    return None


def _branches(node: Node) -> Match | None:
    """`np.where(x > 0, x, other)` with what makes it a leaky ReLU, a PReLU or an ELU."""
    args = _args(node, "where")
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
    candidates = [node, *(tail for scale, tail in _pairs(node, "multiply") if not isinstance(scale, Node))]
    below = [z for tail in candidates if (args := _args(tail, "expm1")) for z in args[:1]]
    for tail in candidates:
        if (args := _args(tail, "subtract")) and _number(args[1]) == 1:
            below.append(_exponential(args[0]))
    return any(z is x or any(w is x for n, w in _pairs(z, "minimum") if _number(n) == 0) for z in below)


def _one_plus_exp(node: Any) -> Any:
    """The x of 1 + exp(x)."""
    return next((_exponential(e) for one, e in _pairs(node, "add") if _number(one) == 1), None)


def _sigmoid(node: Node) -> Match | None:
    if (args := _args(node, "expit")) and isinstance(args[0], Node):
        return Match("sigmoid", (args[0],))
    below = None
    if (args := _args(node, "divide", "true_divide")) and _number(args[0]) == 1:
        below = args[1]
    elif (args := _args(node, "reciprocal")) or ((args := _args(node, "power")) and _number(args[1]) == -1):
        below = args[0]
    if below is not None and isinstance(x := _minus(_one_plus_exp(below)), Node):
        return Match("sigmoid", (x,))
    if (args := _args(node, "divide", "true_divide")) and isinstance(x := _exponential(args[0]), Node):
        return Match("sigmoid", (x,)) if _one_plus_exp(args[1]) is x else None
    if (args := _args(node, "where")) and len(args) == 3 and all(isinstance(arg, Node) for arg in args[1:]):
        left, right = _sigmoid(args[1]), _sigmoid(args[2])
        return left if left and left == right else None
    return None


def _tanh(node: Node) -> Match | None:
    if (args := _args(node, "tanh")) and isinstance(args[0], Node):
        return Match("tanh", (args[0],))
    quotient = _args(node, "divide", "true_divide")
    if not quotient or not (above := _args(quotient[0], "subtract")) or not (below := _args(quotient[1], "add")):
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
    args = _args(node, "divide", "true_divide")
    if not args or not isinstance(shifted := _exponential(args[0]), Node):
        return None
    total = args[1]
    while isinstance(total, Node) and total.op in ("view", "getitem", "reshape", "expand_dims", "transpose"):
        total = _of(total.args[0])
    if not (summed := _args(total, "add.reduce", "sum")) or _exponential(summed[0]) is not shifted:
        return None
    difference = _args(shifted, "subtract")
    return Match("softmax", (difference[0] if difference and isinstance(difference[0], Node) else shifted,))


@dataclass(frozen=True)
class Linear:
    """A matrix product with a parameter, its bias with it.

    Args:
        node: What came out.
        inputs: What went in.
        names: The parameters.
        unit_axis: The axis of the output that counts units.
    """

    node: Node
    inputs: Node
    names: tuple[str, ...]
    unit_axis: int


def _product(node: Any) -> Linear | None:
    node = _of(node)
    if not isinstance(node, Node) or node.op not in _PRODUCTS:
        return None
    weights = [arg for arg in node.args if isinstance(arg, Parameter)]
    if len(node.parents) != 1 or len(weights) != 1:
        return None
    left = node.op != "einsum" and isinstance(node.args[0], Parameter)  # W x, with the examples in columns
    axis = node.value.ndim - 2 if left and node.value.ndim > 1 else node.value.ndim - 1
    return Linear(node, node.parents[0], (weights[0].name,), max(axis, 0))


def linear(node: Any) -> Linear | None:
    """The linear layer that the node is the output of."""
    for product, bias in _pairs(node, "add"):
        if isinstance(bias, Parameter) and (found := _product(product)):
            units = found.node.value.shape[found.unit_axis] if found.node.value.ndim else 1
            if np.prod(bias.shape, dtype=int) in (1, units):
                return Linear(_of(node), found.inputs, (*found.names, bias.name), found.unit_axis)
    return _product(node)


def _pieces(node: Any) -> list[Any]:
    """What a tree of maxima compares."""
    args = _args(node, "maximum")
    return [piece for arg in args for piece in _pieces(arg)] if args else [node]


def _maxout(node: Node) -> Match | None:
    pieces = _pieces(node)
    return Match("maxout", tuple(pieces)) if len(pieces) > 1 and all(linear(piece) for piece in pieces) else None


_SPELLINGS: tuple[Callable[[Node], Match | None], ...] = (
    *(_relu, _leaky, _branches, _sigmoid, _tanh, _softmax, _maxout),
)


def ancestors(node: Node, until: Callable[[Node], bool] = lambda _: False) -> set[Node]:
    """The node and all that it was made from; what `until` names is left out with all behind it."""
    found: set[Node] = set()
    waiting = [node]
    while waiting:
        if (now := waiting.pop()) not in found and (now is node or not until(now)):
            found.add(now)
            waiting.extend(now.parents)
    return found


@dataclass(frozen=True)
class Layers:
    """What was recognized on the way to some output, in the order of the calls.

    Args:
        linear: Linear layers.
        matches: Nonlinearities by their output.
        order: Every operation on the way.
    """

    linear: dict[Node, Linear]
    matches: dict[Node, Match]
    order: list[Node]


def layers_of(output: Node, nodes: list[Node]) -> Layers:
    """The layers between the inputs and the output, each operation being part of one at most."""
    on_the_way = ancestors(output)
    order = [node for node in nodes if node in on_the_way]
    inside: set[Node] = set()
    matches: dict[Node, Match] = {}
    products: dict[Node, Linear] = {}
    for node in reversed(order):
        if node in inside or node.op in _SAME_VALUES:
            continue
        if match := next((m for spelling in _SPELLINGS if (m := spelling(node))), None):
            matches[node] = match
            inside |= ancestors(node, match.sources.__contains__)
        elif found := linear(node):
            products[node] = found
            inside |= ancestors(node, lambda n, x=found.inputs: n is x)  # type: ignore[misc]
    return Layers(products, matches, order)


def _parameters(node: Node, matches: dict[Node, Match], order: dict[Node, int]) -> tuple[str, ...]:
    """Names of the parameters used since the nonlinearities before the node, in the order of their use."""
    behind = sorted(ancestors(node, matches.__contains__), key=order.__getitem__)
    names = (arg.name for n in behind for arg in n.args if isinstance(arg, Parameter))
    return tuple(dict.fromkeys(names))


def _unit_axis(node: Node, products: dict[Node, Linear]) -> int:
    """The axis that counts the node's units: that of the linear layer before it, or by its length, or by custom."""
    shape = node.value.shape
    while node not in products and node.parents:
        node = node.parents[0]
    if node in products:
        before = products[node]
        if shape == node.value.shape:
            return before.unit_axis
        units = node.value.shape[before.unit_axis]
        alike = [axis for axis in range(1, len(shape)) if shape[axis] == units]
        if len(alike) == 1:
            return alike[0]
    return 1 if len(shape) in (2, 4) else len(shape) - 1  # (N, D), (N, C, H, W); (N, T, D)


def _matrix(x: Array) -> Array:
    return x if x.ndim > 1 else x.reshape(-1, 1)


def records(layers: Layers) -> Iterator[Record]:
    """One record for each layer, in the order of the calls; only the forward phase of such programs is known."""
    order = {node: i for i, node in enumerate(layers.order)}
    seen: dict[str, int] = {}
    count = 0
    for node in layers.order:
        values = _matrix(node.value)
        axis = min(_unit_axis(node, layers.linear), values.ndim - 1)
        if found := layers.linear.get(node):
            name = ",".join(found.names)
            seen[name] = seen.get(name, 0) + 1
            name = name if seen[name] == 1 else f"{name} ({seen[name]})"
            yield Record(name, "linear", "forward", axis, _matrix(found.inputs.value), values, found.names)
        elif match := layers.matches.get(node):
            count += 1
            inputs = [_matrix(source.value) for source in match.sources]
            went_in = np.stack(inputs, axis=-1) if match.kind == "maxout" else inputs[0]
            names = _parameters(node, layers.matches, order)
            yield Record(f"{match.kind}{count}", match.kind, "forward", axis, went_in, values, names)


def unseen(layers: Layers, params: dict[str, Array]) -> list[str]:
    """Names of parameters that none of the operations used."""
    used = {arg.name for node in layers.order for arg in node.args if isinstance(arg, Parameter)}
    return [name for name in params if name not in used]
