"""Follows a NumPy program's operations as they are: an ndarray that remembers, by NumPy's override protocols.

`record` runs a function on such an array and gives the graph of what was done to it. What the operations mean is
read from the graph afterwards, in `babysit.adapters.numpy.lineage`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Parameter:
    """An operand that is a parameter, a view of one, or cut from one.

    Args:
        name: Its key in the model's `params`.
        shape: The operand's own shape.
    """

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Constant:
    """An operand that doesn't depend on the inputs and isn't one number throughout."""

    shape: tuple[int, ...]


@dataclass(eq=False)
class Node:
    """One operation.

    Args:
        op: The NumPy function's name ("maximum", "add.reduce"); "copy" and "view" for methods without one,
            "setitem" for an assignment to a part.
        args: What it was given: nodes, parameters, numbers and constants.
        value: What came out, without lineage; a copy once it is about to be overwritten.
        options: Keyword arguments such as `axis`.
    """

    op: str
    args: tuple[Any, ...]
    value: Array
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parents(self) -> tuple["Node", ...]:
        """The operands that have a lineage themselves."""
        return tuple(arg for arg in self.args if isinstance(arg, Node))


@dataclass
class Tape:
    """The operations of one run, in order; it records while `running`."""

    params: Mapping[str, Array]
    nodes: list[Node] = field(default_factory=list)
    running: bool = True

    def add(self, op: str, args: tuple[Any, ...], value: Array, options: Mapping[str, Any] | None = None) -> Node:
        """Records an operation."""
        node = Node(op, tuple(self.operand(arg) for arg in args), value, options or {})
        self.nodes.append(node)
        return node

    def operand(self, arg: Any) -> Any:
        """What an operand is: a node, a number, a parameter, a constant; anything else as it is."""
        if isinstance(arg, Traced):
            return arg.node
        if isinstance(arg, int | float | np.number) and not isinstance(arg, bool):
            return float(arg.real)
        if isinstance(arg, list | tuple):
            return tuple(self.operand(item) for item in arg)
        if not isinstance(arg, np.ndarray):
            return arg
        for name, param in self.params.items():
            if param.size and np.may_share_memory(arg, param):
                return Parameter(name, arg.shape)
        uniform = arg.size > 0 and arg.dtype.kind in "iuf" and (arg == arg.flat[0]).all()
        return float(arg.flat[0]) if uniform else Constant(arg.shape)


def _plain(value: Any) -> Any:
    if isinstance(value, Traced):
        return value.view(np.ndarray)
    if isinstance(value, list | tuple) and any(isinstance(item, Traced | list | tuple) for item in value):
        return type(value)(_plain(item) for item in value) if type(value) in (list, tuple) else value
    return value


def _flat(args: Any) -> tuple[Any, ...]:
    """Operands of a call, a sequence of arrays (as of `np.concatenate`) opened."""
    return tuple(item for arg in args for item in (arg if isinstance(arg, list | tuple) else (arg,)))


class Traced(np.ndarray[Any, Any]):
    """An array that knows the operation it came from."""

    tape: Tape | None = None
    node: Node

    def __array_finalize__(self, source: Any) -> None:
        if isinstance(source, Traced) and source.tape is not None and source.tape.running:
            self.tape, plain = source.tape, self.view(np.ndarray)
            alike = (
                plain.shape == source.shape and plain.strides == source.strides and _address(plain) == _address(source)
            )
            self.node = self.tape.add("copy" if alike else "view", (source,), plain)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        tape = _tape_of((*inputs, *(out or ())))
        plain_options = {key: _plain(value) for key, value in options.items()}
        if out is not None:
            _keep_old(out)
            plain_options["out"] = tuple(_plain(o) for o in out)
        plain = getattr(ufunc, method)(*(_plain(x) for x in inputs), **plain_options)
        op = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        return _wrapped(tape, op, inputs, plain, out or (), options)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        out = kwargs.get("out")
        out = () if out is None else out if isinstance(out, tuple) else (out,)
        written = (args[0],) if func in (np.copyto, np.put, np.place, np.putmask, np.fill_diagonal) else ()
        tape = _tape_of((*_flat(args), *_flat(kwargs.values())))
        _keep_old((*out, *written))
        plain = func(*(_plain(a) for a in args), **{key: _plain(value) for key, value in kwargs.items()})
        options = {key: value for key, value in kwargs.items() if key != "out"}
        if written and isinstance(written[0], Traced) and tape is not None:
            written[0].node = tape.add(func.__name__, _flat(args), written[0].view(np.ndarray), options)
        return _wrapped(tape, func.__name__, _flat(args), plain, out, options)

    def __setitem__(self, index: Any, value: Any) -> None:
        _keep_old((self,))
        plain = self.view(np.ndarray)
        if self.tape is not None and self.tape.running:
            node = self.tape.add("setitem", (self, index, value), plain)
            plain[_plain(index)] = _plain(value)
            self.node = node
        else:
            plain[_plain(index)] = _plain(value)

    def __getitem__(self, index: Any) -> Any:
        part = self.view(np.ndarray)[_plain(index)]
        return _wrapped(self.tape, "getitem", (self, index), part, (), {})

    def dot(self, other: Any, out: Any = None) -> Any:
        """As `np.dot`, which NumPy's protocols see."""
        return np.dot(self, other) if out is None else np.dot(self, other, out=out)

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """A copy, as far as lineage goes."""
        return _wrapped(self.tape, "copy", (self,), self.view(np.ndarray).astype(dtype, *args, **kwargs), (), {})

    def copy(self, order: Any = "C") -> Any:
        """A copy that is known to be one."""
        return _wrapped(self.tape, "copy", (self,), self.view(np.ndarray).copy(order), (), {})


def _address(x: Array) -> int:
    return int(x.__array_interface__["data"][0])


def _tape_of(values: tuple[Any, ...]) -> Tape | None:
    return next((v.tape for v in values if isinstance(v, Traced) and v.tape is not None), None)


def _keep_old(arrays: tuple[Any, ...]) -> None:
    """Before arrays are overwritten: what was recorded of them becomes a copy."""
    for x in arrays:
        if isinstance(x, Traced) and x.tape is not None and x.tape.running:
            plain = x.view(np.ndarray)
            for node in x.tape.nodes:
                if np.may_share_memory(node.value, plain):
                    node.value = node.value.copy()


def _wrapped(tape: Tape | None, op: str, args: Any, plain: Any, out: tuple[Any, ...], options: Any) -> Any:
    """The result with its lineage; the very array that was written where there is one."""
    if tape is None or not tape.running:
        return plain
    if isinstance(plain, list | tuple):
        return type(plain)(_wrapped(tape, op, args, item, (), options) for item in plain)
    if out and isinstance(out[0], Traced):
        out[0].tape, out[0].node = tape, tape.add(op, tuple(args), out[0].view(np.ndarray), options)
        return out[0]
    if not isinstance(plain, np.ndarray):
        return plain  # single numbers stay what they are: as arrays they could be written to
    return _with_node(plain, tape, lambda value: tape.add(op, tuple(args), value, options))


def _with_node(value: Array, tape: Tape, make: Callable[[Array], Node]) -> Traced:
    traced = value.view(Traced)
    traced.tape, traced.node = tape, make(value)
    return traced


def record(function: Callable[[Array], Any], inputs: Array, params: Mapping[str, Array]) -> tuple[Any, Tape]:
    """What the function returns for the inputs, and the operations that led there.

    Args:
        function: Gets the inputs as an array with lineage.
        inputs: Shape (N, ...); not written to.
        params: The parameters by name, recognized by the memory they share.
    """
    tape = Tape(params)
    plain = np.array(inputs)
    try:
        return function(_with_node(plain, tape, lambda value: tape.add("inputs", (), value))), tape
    finally:
        tape.running = False
