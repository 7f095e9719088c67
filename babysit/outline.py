"""The pages of checks and rules, read from the sources without importing any of them.

A command line that only wants to show names and pages should not wait for modules that measure.
"""

import ast
import functools
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SECTIONS = ("What it finds", "Why it matters", "What to try", "When it is wrong", "References")
_HEADING = re.compile(rf"^({'|'.join(SECTIONS)}):\s*", re.M)
_DEFINITION = re.compile(r"^(?:@|class |def )", re.M)
_PACKAGE = Path(__file__).parent


def title(docstring: str) -> str:
    """A rule's fault in one sentence: its docstring's first line."""
    return inspect.cleandoc(docstring).partition("\n")[0]


def sections(docstring: str) -> dict[str, str]:
    """The sections of a rule's docstring by heading, each with its lines unwrapped into paragraphs."""
    parts = _HEADING.split(inspect.cleandoc(docstring))
    texts = (re.sub(r"(?<!\n)\n(?!\n)", " ", text).strip() for text in parts[2::2])
    return {heading: text[:1].upper() + text[1:] for heading, text in zip(parts[1::2], texts, strict=True)}


class Owner(Protocol):
    """Who a rule belongs to, as far as pages show it."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def summary(self) -> str: ...  # noqa: D102


class Explained(Protocol):
    """A rule, as far as pages show it."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def page(self) -> dict[str, str]: ...  # noqa: D102


@dataclass(frozen=True)
class RuleOutline:
    """A rule's page.

    Args:
        id: The rule's, in kebab case.
        docstring: Of the function that judges.
    """

    id: str
    docstring: str

    @property
    def title(self) -> str:
        """The fault in one sentence."""
        return title(self.docstring)

    @property
    def page(self) -> dict[str, str]:
        """The sections by heading."""
        return sections(self.docstring)


@dataclass(frozen=True)
class CheckOutline:
    """A check's name, place and page.

    Args:
        name: The subcommand.
        summary: The check in one line, the first of its module's docstring.
        order: Its place in the lecture.
        path: The module's file.
    """

    name: str
    summary: str
    order: int
    path: Path

    @property
    def rules(self) -> Mapping[str, RuleOutline]:
        """Its rules by id, in the order in which they are judged."""
        tree = _tree(self.path)
        named = _assigned(tree, "RULES")
        names = [n.id for n in named.elts if isinstance(n, ast.Name)] if isinstance(named, ast.Tuple) else _ruled(tree)
        found = (RuleOutline(name.replace("_", "-"), _docstring(tree, name)) for name in names)
        return {rule.id: rule for rule in found}


@functools.cache
def outlines() -> Mapping[str, CheckOutline]:
    """Every check by name, in the lecture's order."""
    paths = (path for path in (_PACKAGE / "checks").glob("*.py") if path.stem != "__init__")
    return {found.name: found for found in sorted(map(_outline, paths), key=lambda found: found.order)}


def rule_outlines() -> Mapping[str, tuple[CheckOutline, RuleOutline]]:
    """Every rule by id, with the check it belongs to."""
    return {id: (check, rule) for check in outlines().values() for id, rule in check.rules.items()}


def _outline(path: Path) -> CheckOutline:
    head = _DEFINITION.split(path.read_text(encoding="utf-8"), maxsplit=1)[0]  # parsed in a tenth of the whole's time
    tree = ast.parse(head)
    order = _assigned(tree, "ORDER")
    assert isinstance(order, ast.Constant)  # as `babysit.check` says
    return CheckOutline(path.stem.replace("_", "-"), title(ast.get_docstring(tree) or ""), order.value, path)


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _assigned(tree: ast.Module, name: str) -> ast.expr | None:
    """What a module assigns to a name."""
    assigned = (node for node in tree.body if isinstance(node, ast.Assign))
    return next((a.value for a in assigned if isinstance(a.targets[0], ast.Name) and a.targets[0].id == name), None)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in tree.body if isinstance(node, ast.FunctionDef))


def _ruled(tree: ast.Module) -> list[str]:
    """The functions that are rules."""
    return [f.name for f in _functions(tree) if "rule" in map(ast.unparse, f.decorator_list)]


def _docstring(tree: ast.Module, name: str) -> str:
    """The docstring of a function that a module defines, or imports from another of babysit's."""
    for function in _functions(tree):
        if function.name == name:
            return ast.get_docstring(function) or ""
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    module = next(node.module or "" for node in imports if name in (alias.name for alias in node.names))
    return _docstring(_tree(_PACKAGE.parent / f"{module.replace('.', '/')}.py"), name)
