"""The pages of checks and rules, read from the sources without importing any of them.

A command line that only wants to show names and pages should not wait for modules that measure.
"""

import ast
import functools
import inspect
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SECTIONS = ("What it finds", "Why it matters", "What to try", "When it is wrong", "References")
_HEADING = re.compile(rf"^({'|'.join(SECTIONS)}):\s*", re.M)
_DEFINITION = re.compile(r"^(?:@|class |def )", re.M)
_STATEMENT = re.compile(r"^(?=[A-Za-z_@])", re.M)
_WORD = re.compile(r"\w+")
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
        path: The file of a module that defines the function that judges, or imports it.
    """

    id: str
    path: Path

    @property
    def title(self) -> str:
        """The fault in one sentence."""
        return title(_docstring(self.path, self.id.replace("-", "_")))

    @property
    def page(self) -> dict[str, str]:
        """The sections by heading."""
        return sections(_docstring(self.path, self.id.replace("-", "_")))


@dataclass(frozen=True)
class CheckOutline:
    """A check's name, place and page.

    Args:
        name: The subcommand.
        summary: The check in one line, the first of its module's docstring.
        order: Its place in the lecture.
        path: The file of the module, or of the package.
    """

    name: str
    summary: str
    order: int
    path: Path

    @property
    def rules(self) -> Mapping[str, RuleOutline]:
        """Its rules by id, in the order in which they are judged."""
        ids = (name.replace("_", "-") for name in _rules(_statements(self.path)))
        return {id: RuleOutline(id, self.path) for id in ids}


@functools.cache
def outlines() -> Mapping[str, CheckOutline]:
    """Every check by name, in the lecture's order."""
    folder = _PACKAGE / "checks"
    modules = (path for path in folder.glob("*.py") if path.stem != "__init__")
    paths = itertools.chain(modules, folder.glob("*/__init__.py"))
    return {found.name: found for found in sorted(map(_outline, paths), key=lambda found: found.order)}


@functools.cache
def rule_outlines() -> Mapping[str, tuple[CheckOutline, RuleOutline]]:
    """Every rule by id, with the check it belongs to."""
    return {id: (check, rule) for check in outlines().values() for id, rule in check.rules.items()}


def _outline(path: Path) -> CheckOutline:
    head = ast.parse(_DEFINITION.split(path.read_text(encoding="utf-8"), maxsplit=1)[0])
    assigned = (node for node in head.body if isinstance(node, ast.Assign))
    order = next(ast.literal_eval(node.value) for node in assigned if ast.unparse(node.targets[0]) == "ORDER")
    name = path.parent.name if path.stem == "__init__" else path.stem
    return CheckOutline(name.replace("_", "-"), title(ast.get_docstring(head) or ""), order, path)


@functools.cache
def _statements(path: Path) -> list[str]:
    """A module's text, divided where its statements begin: to parse the few that are asked for is ten times faster."""
    return _STATEMENT.split(path.read_text(encoding="utf-8"))


def _rules(statements: list[str]) -> list[str]:
    """The names of a check's rules: those it lists, or all that it decorates."""
    for statement in statements:
        if statement.startswith("RULES = "):
            return [node.id for node in ast.walk(ast.parse(statement)) if isinstance(node, ast.Name)][1:]
    pairs = itertools.pairwise(statements)
    return [after.partition("(")[0].removeprefix("def ") for before, after in pairs if before == "@rule\n"]


def _docstring(path: Path, name: str) -> str:
    """The docstring of a function that the module defines, or imports from another of babysit's."""
    for statement in _statements(path):
        if statement.startswith(f"def {name}("):
            function = ast.parse(statement).body[0]
            assert isinstance(function, ast.FunctionDef)
            return ast.get_docstring(function) or ""
        if statement.startswith("from babysit.") and name in _WORD.findall(statement):
            module = statement.split()[1]
            return _docstring(_PACKAGE.parent / f"{module.replace('.', '/')}.py", name)
    raise LookupError(f"{path} has no function {name}")
