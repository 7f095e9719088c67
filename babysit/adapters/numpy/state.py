"""All that a program written by hand holds, as a plain tree: taken, and put back bit for bit and in place."""

import contextlib
import copy
import random
import sys
import types
from collections import deque
from collections.abc import Iterator, MutableMapping
from typing import Any, TypeAlias

import numpy as np

from babysit.arrays import digest

Members: TypeAlias = MutableMapping[Any, Any]

_COPIED = (set, frozenset, deque, bytearray)
_PLAIN = (bool, int, float, complex, str, bytes, np.generic, type(None))
_RANDOM = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)
_LIBRARIES = {*sys.stdlib_module_names, "numpy"}  # whose objects hold nothing of the program's own


class Reference:
    """A leaf that no step can change, or that is held elsewhere in the tree already: the very object."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)

    def __deepcopy__(self, memo: Any) -> "Reference":
        return self


class _Owned(dict[Any, Any]):
    """What an object held, with the object, to be put back where it was."""

    def __init__(self, owner: Any, held: dict[Any, Any]) -> None:
        super().__init__(held)
        self.owner = owner


class _Cells(MutableMapping[Any, Any]):
    """What a function holds in its closure, by variable name."""

    def __init__(self, function: types.FunctionType) -> None:
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        self._cells = {name: cell for name, cell in cells if cell != types.CellType()}

    def __getitem__(self, name: Any) -> Any:
        return self._cells[name].cell_contents

    def __setitem__(self, name: Any, value: Any) -> None:
        self._cells[name].cell_contents = value

    def __delitem__(self, name: Any) -> None:
        del self._cells[name]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)


def members(value: Any) -> Members | None:
    """What a dict, an object of the user's or a closure holds, live; None for all else."""
    if isinstance(value, dict):
        return value
    if isinstance(value, types.FunctionType):
        return _Cells(value) if value.__closure__ else None
    if isinstance(value, types.MethodType):
        return members(value.__self__)
    if type(value).__module__.partition(".")[0] in _LIBRARIES and not isinstance(value, types.SimpleNamespace):
        return None
    return None if isinstance(value, type) else getattr(value, "__dict__", None)


def walk(root: Any, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Any, Any, Any]]:
    """Every (path, holder, key, value) below the root, a holder being members or a list or tuple; each holder once."""
    seen = set() if seen is None else seen
    holder = root if isinstance(root, list | tuple) else members(root)
    if holder is None or id(root) in seen:
        return
    seen.add(id(root))
    for key, value in list(enumerate(holder) if isinstance(holder, list | tuple) else holder.items()):
        inner = f"{path}.{key}" if path else str(key)
        yield inner, holder, key, value
        yield from walk(value, inner, seen)


def _random_state(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return copy.deepcopy(getattr(generator, "bit_generator", generator).state)


def _put_random_state(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        getattr(generator, "bit_generator", generator).state = state


def capture(value: Any, into: Any = None, seen: set[int] | None = None) -> Any:
    """A copy of the value and of all it holds: dicts and objects as dicts, generators as their state.

    Args:
        value: What to copy.
        into: An earlier copy, whose arrays are overwritten where they fit; it is used up.
        seen: What was copied already, by identity.
    """
    seen = set() if seen is None else seen
    if isinstance(value, np.ndarray):
        return _captured_array(value, into)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, _COPIED):
        return copy.deepcopy(value)
    if isinstance(value, _RANDOM):
        return _random_state(value)
    if isinstance(value, tuple):
        return tuple(capture(item, _child(into, k), seen) for k, item in enumerate(value))
    held = None if id(value) in seen else value if isinstance(value, list) else members(value)
    if held is None:
        return Reference(value)
    seen.add(id(value))
    if isinstance(held, list):
        return [capture(item, _child(into, k), seen) for k, item in enumerate(held)]
    copies = {key: capture(item, _child(into, key), seen) for key, item in held.items()}
    return copies if isinstance(value, dict) else _Owned(value, copies)


def _captured_array(value: np.ndarray[Any, Any], into: Any) -> Any:
    if value.dtype.hasobject:
        return copy.deepcopy(value)
    fits = isinstance(into, np.ndarray) and (type(into), into.dtype) == (type(value), value.dtype)
    if not (fits and into.shape == value.shape and into.strides == value.strides and into.flags.writeable):
        return value.copy(order="K")
    np.copyto(into, value)
    return into


def _child(into: Any, key: Any) -> Any:
    if isinstance(into, list | tuple):
        return into[key] if key < len(into) else None
    return into.get(key) if isinstance(into, dict) else None


def _restore_array(current: Any, saved: Any, written: dict[int, tuple[Any, Any]]) -> Any:
    if type(current) is not type(saved) or current.shape != saved.shape or current.dtype != saved.dtype:
        return saved.copy(order="K")
    if id(current) not in written and current.flags.writeable:
        np.copyto(current, saved)
        written[id(current)] = current, saved
        return current
    # two names may have come to share one array since: the first keeps it, another keeps it if it held the same
    return current if digest(current) == digest(saved) else saved.copy(order="K")


def _restore_items(current: Any, saved: Any, written: dict[int, tuple[Any, Any]]) -> list[Any]:
    now = [*current, *[None] * len(saved)] if isinstance(current, list | tuple) else [None] * len(saved)
    return [restore(now[i], item, written) for i, item in enumerate(saved)]


def restore(current: Any, saved: Any, written: dict[int, tuple[Any, Any]] | None = None) -> Any:
    """What has to be held where `current` is held now, for all to be as it was when `saved` was captured.

    Arrays, lists, dicts, objects and generators that are still in their place are written into, so that whoever
    else holds them sees the old values too.
    """
    written = {} if written is None else written
    if isinstance(saved, Reference):
        return saved.value
    if isinstance(saved, np.ndarray):
        return _restore_array(current, saved, written)
    if isinstance(current, _RANDOM):
        _put_random_state(current, saved)
        return current
    if isinstance(saved, list):
        target = current if isinstance(current, list) else []
        target[:] = _restore_items(current, saved, written)
        return target
    if isinstance(saved, tuple):
        items = tuple(_restore_items(current, saved, written))
        return current if isinstance(current, tuple) and [*map(id, items)] == [*map(id, current)] else items
    if isinstance(saved, dict):
        return _restore_members(current, saved, written)
    return copy.deepcopy(saved) if isinstance(saved, _COPIED) else saved


def _restore_members(current: Any, saved: dict[Any, Any], written: dict[int, tuple[Any, Any]]) -> Any:
    current = saved.owner if isinstance(saved, _Owned) else current
    held = members(current)
    if held is None:
        current = held = {}
    for key in [key for key in held if key not in saved]:
        del held[key]
    for key, item in saved.items():
        held[key] = restore(held.get(key), item, written)
    return current


@contextlib.contextmanager
def untouched(root: Any, *, generators: bool = True) -> Iterator[None]:
    """Puts the root, NumPy's global generator and Python's back at the end, whatever happened.

    Args:
        root: What is put back, with all that it holds.
        generators: Whether generators go back too; else they stay where the program left them.
    """
    saved, before = capture(root), _all_states(root)
    try:
        yield
    finally:
        after = before if generators else _all_states(root)
        restore(root, saved)
        for generator, state in after:
            _put_random_state(generator, state)


def _all_states(root: Any) -> list[tuple[Any, Any]]:
    """Every generator with where it stands."""
    return [(generator, _random_state(generator)) for generator in _generators(root)]


def _generators(root: Any) -> list[Any]:
    held = (value for *_, value in walk(root) if isinstance(value, _RANDOM))
    return [random._inst, np.random.mtrand._rand, *held]  # the two global ones first


def generator_states(root: Any) -> list[Any]:
    """Where NumPy's global generator, Python's, and those that the root holds stand."""
    return [_random_state(generator) for generator in _generators(root)]


def move_generators(root: Any) -> None:
    """Draws from each, so that what comes next differs."""
    for generator in _generators(root):
        if isinstance(generator, np.random.BitGenerator):
            generator.random_raw()
        else:
            generator.random()
