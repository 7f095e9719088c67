"""babysit.yaml, `--set NAME=VALUE` and lists of rules -> `Config`.

Every error is a `UsageError` that names the file and line, or the option, and the nearest right name.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from babysit.check import Check
from babysit.config.values import NULL, Wrong, entries, given, items, one_of, read, unknown
from babysit.driving.budget import Budget, read_budget
from babysit.driving.target import names_a_file, split
from babysit.errors import UsageError
from babysit.report import Severity
from babysit.search.space import Parameter, read_space, value_of

FILE_NAME = "babysit.yaml"
SEED_LIMITS = {"least": 0, "most": 2**32 - 1}  # what numpy.random.seed takes

Checks: TypeAlias = Mapping[str, Check]


@dataclass(frozen=True)
class Config:
    """What a run was asked to do, from babysit.yaml or the defaults; options come on top.

    Args:
        target: `path/to/file.py:factory` or `package.module:factory`.
        seed: Seeds the generators before the target is built; 0 to 2^32 - 1.
        format: What standard output (or `output`) is written as.
        output: File to write instead of standard output.
        report: Further reports, path by format.
        select: Names of checks or ids of rules; empty for all.
        ignore: Rules to leave out, with the reason or "".
        expected: Rules known to be broken, with the reason or "".
        fail_on: The least severity that fails the run.
        quiet: Whether to print the verdict alone.
        budget: What the checks may take together; None for no bound.
        fail_fast: Whether to end at the first error.
        settings: An instance of its frozen `Settings` for each check, by the check's name.
    """

    target: str | None = None
    seed: int = 0
    format: str = "text"
    output: Path | None = None
    report: Mapping[str, Path] = field(default_factory=dict)
    select: tuple[str, ...] = ()
    ignore: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, str] = field(default_factory=dict)
    fail_on: Severity = Severity.ERROR
    quiet: bool = False
    budget: Budget | None = None
    fail_fast: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


def find(start: Path) -> Path | None:
    """The nearest babysit.yaml in `start` or a folder above it, as seen from the working folder."""
    for folder in (start.absolute(), *start.absolute().parents):
        if (folder / FILE_NAME).is_file():
            return Path(os.path.relpath(folder / FILE_NAME))
    return None


def load(path: Path | None, checks: Checks, formats: Collection[str]) -> Config:
    """Read a configuration file; no file or an empty one gives the defaults.

    Args:
        path: The file. Paths written in it are relative to its folder.
        checks: All checks by name; each has a section.
        formats: The names of the output formats.

    Raises:
        UsageError: The file can't be read, or holds an unknown key or a bad value.
    """
    settings = {name: check.settings() for name, check in checks.items()}
    root = _compose(path) if path else None
    if path is None or root is None:
        return Config(settings=settings)
    readers = _readers(path.parent, checks, formats)
    options: dict[str, Any] = {}
    try:
        for key, node in entries(root, "the file"):
            name = one_of([*readers, *checks], key.value, "unknown key", key)
            if name in checks:
                settings[name] = _section(node, checks[name])
            else:
                options[name.replace("-", "_")] = readers[name](node)
    except Wrong as wrong:
        raise UsageError(f"{path}{wrong.line}: {wrong}") from None
    return Config(**options, settings=settings)


def override(
    config: Config,
    assignments: Sequence[str],
    checks: Checks,
    only: str | None = None,
    *,
    what: str = "--set: ",
    saved: bool = False,
) -> Config:
    """The configuration with settings replaced by `--set NAME=VALUE`.

    Args:
        config: Where the settings come from.
        assignments: `examples=20` or `overfit.examples=20`; a list as `rates=1e-3,1e-2`.
        checks: All checks by name.
        only: The one check that the command runs, if it runs one.
        what: Where they come from, to begin the message with.
        saved: Whether the measurements are there already, so that settings which act on measuring come too late.

    Raises:
        UsageError: No check, or more than one, has such a setting, or the value is bad.
    """
    changed: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        name, equals, text = (part.strip() for part in assignment.partition("="))
        if not equals:
            raise UsageError(f"--set takes NAME=VALUE, such as --set examples=20; {assignment!r} has no '='")
        try:
            check, key = _setting_named(name, checks, only)
            value = _setting(given(text, _hint(check, key)), check, key)
        except Wrong as wrong:
            raise UsageError(f"{what}{wrong}") from None
        if saved and check.settings.__dataclass_fields__[key].metadata["measures"]:
            raise UsageError(f"{what}{check.name}.{key} acts on what is measured; run the check again to change it")
        changed.setdefault(check.name, {})[key] = value
    settings = dict(config.settings)
    for name, values in changed.items():
        try:
            settings[name] = dataclasses.replace(settings[name], **values)
        except ValueError as error:  # from a check whose settings must agree with one another
            raise UsageError(f"{what}{name}: {error}") from None
    return dataclasses.replace(config, settings=settings)


def names(values: Sequence[str], checks: Checks, what: str) -> tuple[str, ...]:
    """Names of checks and ids of rules from the command line, one a value or with commas between.

    Args:
        values: As written.
        checks: All checks by name.
        what: The option, for the message.

    Raises:
        UsageError: There is no such check or rule.
    """
    known = [*checks, *_rules(checks)]
    return _named(_listed(",".join(values)), known, "unknown check or rule", what)


def reasons(values: Sequence[str], checks: Checks, what: str) -> dict[str, str]:
    """Reasons by rule from the command line: `RULE=REASON`, or rules with commas between and no reason.

    Args:
        values: As written.
        checks: All checks by name.
        what: The option, for the message.

    Raises:
        UsageError: There is no such rule.
    """
    found: dict[str, str] = {}
    for value in values:
        rules, _, reason = value.partition("=")
        found |= dict.fromkeys(_named(_listed(rules), _rules(checks), "unknown rule", what), reason.strip())
    return found


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _named(written: Sequence[str], known: Collection[str], complaint: str, what: str) -> tuple[str, ...]:
    try:
        return tuple(one_of(known, name, complaint) for name in written)
    except Wrong as wrong:
        raise UsageError(f"{what}: {wrong}") from None


def _rules(checks: Checks) -> list[str]:
    return [rule for check in checks.values() for rule in check.rules]


def _compose(path: Path) -> Node | None:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: byte 0x{error.object[error.start]:02X} is not UTF-8 text") from None
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UsageError(f"{path}:{line}: control character {text[error.position]!r} in the text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UsageError(f"{path}{place}: not YAML: {error.problem}") from None


def _readers(folder: Path, checks: Checks, formats: Collection[str]) -> Mapping[str, Callable[[Node], Any]]:
    """What reads each key that is no check's section."""

    def format_name(node: Node) -> str:
        return one_of(formats, read(node, "format", str), "unknown format", node)

    def file(node: Node, name: str) -> Path:
        return Path(folder, read(node, name, str))

    def rules(node: Node, name: str) -> Mapping[str, str]:
        return _reasons(node, name, _rules(checks), "unknown rule")

    return {
        "target": lambda node: _beside(folder, read(node, "target", str)),
        "seed": lambda node: read(node, "seed", int, SEED_LIMITS),
        "format": format_name,
        "output": lambda node: file(node, "output"),
        "report": lambda node: {format_name(k): file(v, f"report.{k.value}") for k, v in entries(node, "report")},
        "select": lambda node: _names(node, "select", [*checks, *_rules(checks)], "unknown check or rule"),
        "ignore": lambda node: rules(node, "ignore"),
        "expected": lambda node: rules(node, "expected"),
        "fail-on": lambda node: Severity(one_of(list(Severity), read(node, "fail-on", str), "unknown severity", node)),
        "quiet": lambda node: read(node, "quiet", bool),
        "budget": _budget,
        "fail-fast": lambda node: read(node, "fail-fast", bool),
    }


def _budget(node: Node) -> Budget | None:
    if node.tag == NULL:
        return None
    try:
        return read_budget(read(node, "budget", str))
    except ValueError as error:
        raise Wrong(str(error), node) from None


def _beside(folder: Path, target: str) -> str:
    """The target as seen from the working folder."""
    source, factory = split(target)
    if names_a_file(source):
        source = str(folder / source)
    return f"{source}:{factory}" if factory else source


def _names(node: Node, name: str, known: Collection[str], complaint: str) -> tuple[str, ...]:
    return tuple(one_of(known, read(item, f"an entry of {name}", str), complaint, item) for item in items(node))


def _reasons(node: Node, name: str, known: Collection[str], complaint: str) -> Mapping[str, str]:
    if not isinstance(node, MappingNode):
        return dict.fromkeys(_names(node, name, known, complaint), "")
    return {
        one_of(known, key.value, complaint, key): read(value, f"{name}.{key.value}", str | None) or ""
        for key, value in entries(node, name)
    }


def _section(node: Node, check: Check) -> Any:
    known = [spec.name for spec in dataclasses.fields(check.settings)]
    keys = {
        one_of(known, key.value, f"{check.name} has no setting", key): value for key, value in entries(node, check.name)
    }
    values = {key: _setting(value, check, key) for key, value in keys.items()}
    try:
        return check.settings(**values)
    except ValueError as error:  # from a check whose settings must agree with one another
        raise Wrong(f"{check.name}: {error}", node) from None


def _hint(check: Check, key: str) -> Any:
    return get_type_hints(check.settings)[key]


def _setting(node: Node, check: Check, key: str) -> Any:
    if _hint(check, key) == tuple[str, ...] and isinstance(node, MappingNode):
        return tuple(_assignment(f"{check.name}.{key}", name.value, value) for name, value in entries(node, key))
    spec = check.settings.__dataclass_fields__[key]
    unlimited = isinstance(spec.default, float) and not math.isfinite(spec.default)
    return read(node, f"{check.name}.{key}", _hint(check, key), {**spec.metadata, "infinite": unlimited})


def _assignment(setting: str, name: str, node: Node) -> str:
    """`NAME=SPEC`, as the command line has it, of a key and its value; a list is a choice, what is quoted text."""
    if isinstance(node, SequenceNode):
        words = zip(read(node, f"{setting}.{name}", tuple[str, ...]), node.value, strict=True)
        values = tuple(word if item.style else value_of("null" if item.tag == NULL else word) for word, item in words)
        text = f"{name}={Parameter(name, 'choice', choices=values).spec if values else 'choice:'}"
    else:
        text = f"{name}={read(node, f'{setting}.{name}', str)}"
    try:
        read_space([text], setting)
    except UsageError as error:
        raise Wrong(str(error), node) from None
    return text


def _setting_named(name: str, checks: Checks, only: str | None) -> tuple[Check, str]:
    """The check and field that `examples` or `overfit.examples` means."""
    open_to = [check for check in checks.values() if only in (None, check.name)]
    known = [(check, spec.name) for check in open_to for spec in dataclasses.fields(check.settings)]
    spelled = {f"{check.name}.{key}": (check, key) for check, key in known}
    found = [full for full, (_, key) in spelled.items() if name in (full, key)]
    if len(found) > 1:
        raise Wrong(f"more than one check has a setting {name!r}; write {' or '.join(found)}")
    if not found:
        keys = [key for _, key in known]
        raise unknown(
            keys if only else [*keys, *spelled], name, f"{only} has no setting" if only else "no check has a setting"
        )
    return spelled[found[0]]
