"""Reads layers from the graph of a NumPy program's operations: matrix products with parameters, and nonlinearities."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from babysit.adapters.numpy.spellings import SAME_VALUES, SPELLINGS, Match, beneath, either_order, operands
from babysit.adapters.numpy.trace import Array, Node, Parameter
from babysit.trainer import Record

_PRODUCTS = ("matmul", "dot", "einsum", "tensordot", "inner")


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
    node = beneath(node)
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
    for product, bias in either_order(node, "add"):
        if isinstance(bias, Parameter) and (found := _product(product)):
            units = found.node.value.shape[found.unit_axis] if found.node.value.ndim else 1
            if np.prod(bias.shape, dtype=int) in (1, units):
                return Linear(beneath(node), found.inputs, (*found.names, bias.name), found.unit_axis)
    return _product(node)


def _pieces(node: Any) -> list[Any]:
    """What a tree of maxima compares."""
    args = operands(node, "maximum")
    return [piece for arg in args for piece in _pieces(arg)] if args else [node]


def _maxout(node: Node) -> Match | None:
    pieces = _pieces(node)
    return Match("maxout", tuple(pieces)) if len(pieces) > 1 and all(linear(piece) for piece in pieces) else None


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
        if node in inside or node.op in SAME_VALUES:
            continue
        if match := next((m for spelling in (*SPELLINGS, _maxout) if (m := spelling(node))), None):
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
            went_in = _matrix(found.inputs.value)
            fed = went_in if went_in.ndim == values.ndim else None  # several products at once, as of maxout's pieces
            yield Record(name, "linear", "forward", axis, fed, values, found.names)
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
