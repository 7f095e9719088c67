"""The mode that a network written by hand keeps in its attributes, and how it is held against the network's own will.

In the course's second assignment `loss` sets the mode of every layer by whether y is given, so the loss in test mode
can't be asked for; entries "mode" of its dicts that ignore what they are told make it the user's own loss all the same.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from babysit.adapters.numpy.state import walk

FLAGS = ("training", "train", "is_training", "train_mode", "is_train", "train_flg", "train_flag")
_TRAIN_WORDS, _TEST_WORDS = ("train", "training"), ("test", "eval", "evaluate", "val", "inference", "predict")
# values of attributes that switch dropout off; bare `dropout` is read as the share that is dropped
_NO_DROPOUT = {
    **dict.fromkeys(("dropout", "dropout_rate", "dropout_ratio", "dropout_prob", "dropout_p"), 0.0),
    **dict.fromkeys(("drop_rate", "drop_ratio", "drop_prob", "drop_p", "p_drop", "p_dropout"), 0.0),
    **dict.fromkeys(("keep_prob", "keep_ratio", "keep_rate", "p_keep", "dropout_keep_ratio", "dropout_keep_prob"), 1.0),
}


class NotHeld(Exception):  # noqa: N818  # control flow: the caller takes another way
    """The model sets its mode in a way that can't be overruled; the message says where."""


@dataclass(frozen=True)
class Switch:
    """One place that holds the mode: an entry of a dict or of an object's attributes.

    Args:
        path: Where, from the model on, with the types on the way.
        holder: Holds `value` under `key`.
        words: The values for training and for testing.
    """

    path: str
    holder: Any
    key: Any
    words: tuple[Any, Any]


def _words(key: Any, value: Any) -> tuple[Any, Any] | None:
    if key in FLAGS and isinstance(value, bool):
        return True, False
    if key == "mode" and value in (*_TRAIN_WORDS, *_TEST_WORDS):
        return ("train" if value not in _TRAIN_WORDS else value), ("test" if value not in _TEST_WORDS else value)
    return None


def find_switches(model: Any) -> list[Switch]:
    """Every place in the model that holds the mode."""
    places = [("", None, "", model), *walk(model)]
    owners = {id(getattr(value, "__dict__", value)): type(value).__name__ for _, _, _, value in places}
    found = [(path, holder, key, _words(key, value)) for path, holder, key, value in places[1:] if isinstance(key, str)]
    return [Switch(f"{owners.get(id(h), '')} {path}", h, key, words) for path, h, key, words in found if words]


class _Held(dict[Any, Any]):
    """A dict whose mode can't be changed; it remembers what it was last told."""

    def hold(self, key: str, word: Any) -> None:
        self.key, self.told = key, self[key]
        super().__setitem__(key, word)

    def __setitem__(self, key: Any, value: Any) -> None:
        if key == self.key:
            self.told = value
        else:
            super().__setitem__(key, value)

    def update(self, *others: Any, **values: Any) -> None:
        for key, value in dict(*others, **values).items():
            self[key] = value


@contextlib.contextmanager
def _holding_dict(model: Any, switch: Switch, word: Any) -> Iterator[None]:
    original = switch.holder
    held = _Held(original)
    held.hold(switch.key, word)
    places = [(holder, key) for _, holder, key, value in walk(model) if value is original]
    try:
        for holder, key in places:
            if isinstance(holder, tuple):
                raise NotHeld(f"`{switch.path.strip()}` sits in a tuple")
            holder[key] = held
        yield
        if any(holder[key] is not held for holder, key in places):
            raise NotHeld(f"`loss` replaces the dict of `{switch.path.strip()}`")
    finally:
        for holder, key in places:
            if not isinstance(holder, tuple):
                holder[key] = original
        mode = original[switch.key]
        dict.clear(original)
        dict.update(original, {**held, switch.key: mode})
        original[switch.key] = held.told  # which it ignores where it is held itself


@contextlib.contextmanager
def _holding_attribute(switch: Switch, word: Any) -> Iterator[None]:
    before = switch.holder[switch.key]
    switch.holder[switch.key] = word
    try:
        yield
        if switch.holder[switch.key] is not word:
            raise NotHeld(f"`loss` sets `{switch.path.strip()}` itself")
    finally:
        switch.holder[switch.key] = before


@contextlib.contextmanager
def holding(model: Any, switches: list[Switch], training: bool) -> Iterator[None]:
    """Keeps the switches in training or in test mode, against what the model sets them to.

    Raises:
        NotHeld: The model got round it.
    """
    attributes = {id(getattr(v, "__dict__", None)) for v in [model, *(value for *_, value in walk(model))]}
    with contextlib.ExitStack() as stack:
        for switch in switches:
            word = switch.words[0 if training else 1]
            if id(switch.holder) in attributes:
                stack.enter_context(_holding_attribute(switch, word))
            else:
                stack.enter_context(_holding_dict(model, switch, word))
        yield


@contextlib.contextmanager
def setting(places: Sequence[tuple[Any, Any, Any]]) -> Iterator[None]:
    """Holds other values, (holder, key, value), in the model for a while."""
    before = [(holder, key, holder[key]) for holder, key, _ in places]
    try:
        for holder, key, value in places:
            holder[key] = value
        yield
    finally:
        for holder, key, value in before:
            holder[key] = value


def _dropout_rates(model: Any) -> list[tuple[Any, Any, Any]]:
    named = [(h, k, v) for _, h, k, v in walk(model) if isinstance(k, str) and k.lstrip("_") in _NO_DROPOUT]
    shares = [(h, k) for h, k, v in named if isinstance(v, float | np.floating) and 0 < v < 1]
    return [(holder, key, _NO_DROPOUT[key.lstrip("_")]) for holder, key in shares]


@contextlib.contextmanager
def without_dropout(model: Any) -> Iterator[None]:
    """Switches off the dropout that shows in the model's attributes; dropout that is only in its code stays."""
    switches = [switch for switch in find_switches(model) if "drop" in switch.path.lower()]
    with setting(_dropout_rates(model)), holding(model, switches, training=False):
        yield
