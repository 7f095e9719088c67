"""Who may import whom: all imports of babysit, those inside functions and for annotations too, against one table."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import babysit

PACKAGE = Path(babysit.__file__).parent

# What stands directly below each room, a room being a folder or a module at the root. A room imports what stands below
# it, at any depth, and nothing above or beside it.
BELOW = {
    "errors": (),
    "report": (),
    "messages": (),
    "seeds": (),
    "outline": (),
    "tasks": (),
    "trainer": ("tasks",),
    "arrays": ("trainer",),
    "lab": ("trainer",),
    "adapters": ("arrays", "lab", "errors", "seeds"),
    "driving": ("adapters", "report", "messages"),
    "check": ("driving", "outline"),
    "measuring": ("driving",),
    "search": ("check", "measuring"),
    "checks": ("search",),
    "diagnosis": ("checks",),
    "reporting": ("checks",),
    "config": ("reporting",),
    "running": ("diagnosis",),
    "runner": ("running",),
    "commands": ("runner", "config"),
    "cli": ("commands",),
    "__main__": ("cli",),
    "__init__": ("errors", "trainer"),
}
# Who names a check beside `diagnosis` and the check itself, and why.
NAMES_A_CHECK = {
    "babysit.commands.publish": {"search"},  # what `babysit search --output best.yaml` writes
}
JUDGES = ("rules", "exhibits", "schema")  # modules of a check that drive nothing, nor know who drives


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_in(text: str, modules=MODULES) -> Iterator[str]:
    """The modules that this one names; of `from a import b`, a.b where that is a module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (one if one in modules else node.module for one in full)


@cache
def graph() -> dict[str, set[str]]:
    return {name: set(imports_in(path.read_text())) - {name} for name, path in MODULES.items()}


def room(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def check_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[2] if parts[:2] == ["babysit", "checks"] and len(parts) > 2 else None


@cache
def below(name: str) -> frozenset[str]:
    return frozenset(BELOW[name]).union(*(below(one) for one in BELOW[name]))


def drives(module: str) -> bool:
    """Whether a module of a check has a trainer in its hands."""
    return bool(graph()[module] & {"babysit.driving.bench", "babysit.driving.guard"})


def test_the_table_names_every_room():
    assert {room(module) for module in MODULES} == set(BELOW)


def test_nothing_is_imported_from_above_or_beside():
    arrows = [(one, other) for one, others in graph().items() for other in others if room(one) != room(other)]
    assert len(arrows) > 500
    assert [(one, other) for one, other in arrows if room(other) not in below(room(one))] == []


def test_no_module_imports_itself_by_way_of_others():
    try:
        assert len(list(TopologicalSorter(graph()).static_order())) == len(MODULES)
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_the_root_is_small():
    assert len(list(PACKAGE.glob("*.py"))) <= 12


def test_no_check_imports_another_and_only_diagnosis_names_one():
    named = {
        one: {c for other in others if (c := check_of(other))} - {check_of(one)} for one, others in graph().items()
    }
    named = {one: checks for one, checks in named.items() if checks and room(one) != "diagnosis"}
    assert named == NAMES_A_CHECK


def test_what_judges_knows_nobody_who_drives():
    judges = [one for one in MODULES if check_of(one) and one.endswith(JUDGES)]
    assert len(judges) > 30
    found = {one: {other for other in graph()[one] if check_of(other) and drives(other)} for one in judges}
    assert {one: others for one, others in found.items() if others} == {}
    assert [one for one in judges if drives(one)] == []


def test_only_the_runner_makes_a_bench():
    calls = {
        name
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Bench"
    }
    assert calls == {"babysit.runner"}


def test_imports_are_found_wherever_they_stand():
    text = (
        "from typing import TYPE_CHECKING\nimport babysit.cli\nif TYPE_CHECKING:\n    from babysit import arrays\n"
        "def f():\n    from babysit.report import Fact\n    from babysit.checks import overfit, find_check\n"
    )
    found = ["babysit.cli", "babysit.arrays", "babysit.report", "babysit.checks.overfit", "babysit.checks"]
    assert sorted(imports_in(text)) == sorted(found)
