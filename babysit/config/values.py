"""One value of a YAML file or of the command line -> the type that a setting wants, or a message in plain words.

PyYAML composes nodes here but never constructs: a node knows its line, for messages, and its text as
written. So `1e-3` is a number, which PyYAML would read as text, and `no` is never a text by accident.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, get_args

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from babysit import messages

NULL, BOOL = "tag:yaml.org,2002:null", "tag:yaml.org,2002:bool"
_EXPONENT = re.compile(r"[+-]?[\d.]+[eE][+-]?\d+")
_KINDS = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}


class Wrong(Exception):  # noqa: N818  # becomes a UsageError where the file or the option is known
    """What is wrong with a node of a file or a word of the command line.

    Attributes:
        line: ":7" for a node of a file, else "".
    """

    def __init__(self, message: str, node: Node | None = None) -> None:
        super().__init__(message)
        self.line = f":{node.start_mark.line + 1}" if node and node.start_mark else ""


def one_of(known: Collection[str], name: str, complaint: str, node: Node | None = None) -> str:
    """The name, if it is one of `known`; `complaint` is what to say of others: "unknown key".

    Raises:
        Wrong: It isn't.
    """
    if name not in known:
        raise unknown(known, name, complaint, node)
    return name


def unknown(known: Collection[str], name: str, complaint: str, node: Node | None = None) -> Wrong:
    """The error that a name is none of `known`, with the nearest one that is."""
    return Wrong(messages.unknown(known, name, complaint), node)


def entries(node: Node, name: str) -> Iterator[tuple[ScalarNode, Node]]:
    """Keys and values; none where the value is left out, as under a heading whose settings are all commented.

    Raises:
        Wrong: The node is no mapping, or has a key twice.
    """
    if node.tag == NULL:
        return
    if not isinstance(node, MappingNode):
        raise Wrong(f"{name} must hold keys and values, not {_shown(node)}", node)
    lines: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, ScalarNode):
            raise Wrong(f"a key must be a name, not {_shown(key)}", key)
        if key.value in lines:
            raise Wrong(f"duplicate key {key.value!r}; the first is in line {lines[key.value]}", key)
        lines[key.value] = key.start_mark.line + 1
        yield key, value


def items(node: Node) -> Sequence[Node]:
    """The nodes of a list; one that stands alone is a list of one, and nothing an empty list."""
    if node.tag == NULL:
        return []
    return node.value if isinstance(node, SequenceNode) else [node]


def given(text: str, hint: Any) -> Node:
    """The node that a value of the command line would be in a file; `1e-3,1e-2` is a list, and no text needs quotes."""
    inner, optional = _unwrap(hint)
    if optional and text.lower() in ("", "null", "none"):
        return ScalarNode(NULL, text)
    if get_args(inner):
        return SequenceNode("", [ScalarNode("", part.strip()) for part in text.strip("[]").split(",") if part.strip()])
    return ScalarNode("", text)


def read(node: Node, name: str, hint: Any, limits: Mapping[str, Any] | None = None) -> Any:
    """The node's value.

    Args:
        node: Where it is written.
        name: What it is called in messages.
        hint: The type wanted: float, int, bool, str, `tuple[one of these, ...]`, or any of them or None.
        limits: "above", "least" and "most", as in the metadata of `babysit.check.setting`. NaN and infinity
            are refused unless "default" is one of them.

    Raises:
        Wrong: It is of another type or beyond a limit.
    """
    from pydantic import TypeAdapter  # takes 0.1 s, and most runs have no value to read

    limits = limits or {}
    inner, optional = _unwrap(hint)
    if node.tag == NULL and optional:
        return None
    if node.tag == BOOL and inner is str:
        raise Wrong(f"{name} must be text; YAML reads {node.value} as true or false, so write '{node.value}'", node)
    try:
        return TypeAdapter(_constrained(inner, limits)).validate_python(_plain(node, inner))
    except ValueError:  # of which pydantic's error is one
        raise Wrong(f"{name} must be {wanted(hint, limits)}, not {_shown(node)}", node) from None


def wanted(hint: Any, limits: Mapping[str, Any]) -> str:
    """What `read` takes, in words: "a whole number of at least 2"."""
    inner, optional = _unwrap(hint)
    words = {"above": "greater than", "least": "at least", "most": "at most"}
    bounds = " and ".join(f"{words[k]} {limits[k]:.15g}" for k in words if limits.get(k) is not None)
    if element := next(iter(get_args(inner)), None):
        text = f"a list of {_KINDS[element].removeprefix('a ')}s" + f", each {bounds}" * bool(bounds)
    else:
        text = _KINDS[inner] + (" " if bounds.startswith("greater") else " of ") * bool(bounds) + bounds
    return f"{text}, or null" if optional else text


def _unwrap(hint: Any) -> tuple[Any, bool]:
    """The type without its None, and whether it had one."""
    members = get_args(hint)
    if NoneType in members:
        return next(member for member in members if member is not NoneType), True
    return hint, False


def _constrained(inner: Any, limits: Mapping[str, Any]) -> Any:
    """The type with the limits as pydantic has them."""
    from pydantic import Field

    if element := next(iter(get_args(inner)), None):
        return tuple[_constrained(element, limits), ...]  # type: ignore[misc]  # made at run time
    if inner not in (float, int):
        return inner
    bounds = Field(gt=limits.get("above"), ge=limits.get("least"), le=limits.get("most"))
    return Annotated[inner, bounds, Field(allow_inf_nan=limits.get("infinite", False))]


def _plain(node: Node, inner: Any) -> Any:
    """Text, or a list of texts, as written; pydantic knows `1e-3` for a float, but not `1e3` for a whole number."""
    if isinstance(node, SequenceNode):
        return [item.value if isinstance(item, ScalarNode) else None for item in node.value]
    if isinstance(node, MappingNode) or node.tag == NULL:
        return None
    if inner is int and _EXPONENT.fullmatch(node.value):
        return float(node.value)
    return node.value


def _shown(node: Node) -> str:
    if node.tag == NULL:
        return "nothing"
    if isinstance(node, ScalarNode):
        return repr(node.value)
    if isinstance(node, SequenceNode):
        return f"[{', '.join(item.value if isinstance(item, ScalarNode) else '...' for item in node.value)}]"
    return "keys and values"
