"""Trainers of what people have: one module or folder per framework, alike in shape.

An adapter is a module or a package with a line `FRAMEWORK = "torch"`, the top-level module without which no program
could have made what it wraps, and a function `adapt(made)` that returns a trainer, or None for what it doesn't know.
Modules without such a line serve an adapter.
"""

import importlib
import pkgutil
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from babysit.errors import TargetError
from babysit.trainer import Trainer

_FRAMEWORK = re.compile(r'^FRAMEWORK = "(\w+)"$', re.M)
_NEEDED = (*Trainer.__annotations__, "batches", "evaluate", "step", "save", "load")


def _source(module: str) -> str:
    spec = find_spec(f"{__name__}.{module}")
    return spec.loader.get_source(spec.name) or ""  # type: ignore[union-attr]  # modules of a package have a loader


def find_adapters() -> Iterator[ModuleType]:
    """The adapters of the frameworks imported by now; no other framework is imported to find out."""
    for info in pkgutil.iter_modules(__path__):
        framework = _FRAMEWORK.search(_source(info.name))
        if framework and framework[1] in sys.modules:
            yield importlib.import_module(f"{__name__}.{info.name}")


def wrap(made: Any) -> Trainer:
    """The trainer that a factory made, or the one an adapter makes of it.

    Args:
        made: What the factory returned: a trainer, or what some framework calls one.

    Raises:
        TargetError: It is neither; the message says what is missing or what to write instead.
    """
    missing = [name for name in _NEEDED if not hasattr(made, name)]
    if not missing:
        trainer: Trainer = made
        return trainer
    for adapter in find_adapters():
        adapted: Trainer | None = adapter.adapt(made)
        if adapted is not None:
            return adapted
    if made is None:
        raise TargetError("the factory returned None; it must return a trainer (is a `return` missing?)")
    lacks = ", ".join(f"`{name}`" for name in missing)
    raise TargetError(f"the factory returned a {type(made).__name__}, which is no trainer: it lacks {lacks}")
