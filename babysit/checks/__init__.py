"""The checks of the lecture, a module or a folder each; see `babysit.check` for what it holds."""

import functools
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from babysit import outline
from babysit.check import Check, Rule


def check_of(module: Any) -> Check:
    """The check that a module of `babysit.checks` describes."""
    named = getattr(module, "RULES", vars(module).values())
    rules = {value.id: value for value in named if isinstance(value, Rule)}
    hooks = {name: getattr(module, name) for name in ("needs", "shortened") if hasattr(module, name)}
    return Check(
        name=module.__name__.rpartition(".")[2].replace("_", "-"),
        page=inspect.cleandoc(module.__doc__),
        order=module.ORDER,
        blocked_by=module.BLOCKED_BY,
        settings=module.Settings,
        measurement=module.Measurement,
        measure=module.measure,
        exhibits=module.exhibits,
        rules=rules,
        together=getattr(module, "TOGETHER", False),
        alone=getattr(module, "ALONE", False),
        extra=getattr(module, "EXTRA", ()),
        **hooks,
    )


@functools.cache
def find_check(name: str) -> Check:
    """The check of this name; no other's module is imported."""
    return check_of(importlib.import_module(f"babysit.checks.{name.replace('-', '_')}"))


@functools.cache
def find_checks() -> Mapping[str, Check]:
    """Every check by name, in the lecture's order."""
    return {name: find_check(name) for name in outline.outlines()}


@functools.cache
def find_rules() -> Mapping[str, tuple[Check, Rule]]:
    """Every rule by id, with the check it belongs to."""
    return {id: (check, rule) for check in find_checks().values() for id, rule in check.rules.items()}
