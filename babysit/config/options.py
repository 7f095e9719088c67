"""What the command line says, on top of the file."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from babysit.check import Check
from babysit.checks import find_checks
from babysit.config import file as configuration
from babysit.config.file import Config
from babysit.driving.budget import Budget, read_budget
from babysit.errors import UsageError
from babysit.messages import shown
from babysit.report import Severity
from babysit.reporting.formats import formats


@dataclass(frozen=True)
class Options:
    """What the command line says; None or empty where it says nothing.

    Args:
        target: The target named.
        config: A configuration file instead of the one found upward.
        seed: The seed.
        format: What to print.
        output: Where to, instead of standard output.
        report: Further reports, each `FORMAT=PATH`.
        select: Checks and rules.
        ignore: Rules, each with or without `=REASON`.
        expected: The same.
        fail_on: The least severity that fails.
        quiet: The verdict alone.
        budget: What the checks may take together.
        fail_fast: Whether to end at the first error.
        set: Settings, each `NAME=VALUE`.
        settings: Settings that have options of their own, by name.
        started: When the command was called, by `time.perf_counter`; None where nobody says.
    """

    target: str | None = None
    config: Path | None = None
    seed: int | None = None
    format: str | None = None
    output: Path | None = None
    report: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    fail_on: Severity | None = None
    quiet: bool = False
    budget: str | None = None
    fail_fast: bool = False
    set: tuple[str, ...] = ()
    settings: Mapping[str, Any] | None = None
    started: float | None = None


def configured(options: Options, only: str | None = None, *, search: bool = True) -> Config:
    """The configuration file with the options on top.

    Args:
        options: The command line's.
        only: The one check that runs.
        search: Whether to look for babysit.yaml upward from the working folder where none is named.

    Raises:
        UsageError: An option, a key or a value is wrong, or a report can't be written where it should.
    """
    checks = find_checks()
    found = options.config or (configuration.find(Path.cwd()) if search else None)
    base = configuration.load(found, checks, formats())
    said = {
        name: value
        for name in ("target", "seed", "format", "output", "fail_on")
        if (value := getattr(options, name)) is not None
    }
    config = replace(
        base,
        **said,
        quiet=base.quiet or options.quiet,
        budget=base.budget if options.budget is None else _budget(options.budget),
        fail_fast=base.fail_fast or options.fail_fast,
        select=configuration.names(options.select, checks, "--select") or _selected(base, checks, only),
        ignore={**base.ignore, **configuration.reasons(options.ignore, checks, "--ignore")},
        expected={**base.expected, **configuration.reasons(options.expected, checks, "--expected")},
        report={**base.report, **_reports(options.report)},
    )
    _known_format(config.format)
    return _with_outputs(_with_settings(config, options, checks, only))


def _budget(text: str) -> Budget:
    try:
        return read_budget(text)
    except ValueError as error:
        raise UsageError(f"--{error}") from None


def _with_settings(config: Config, options: Options, checks: Mapping[str, Check], only: str | None) -> Config:
    """The configuration with the settings that the command line gives, by options of their own or by `--set`."""
    said = {name: value for name, value in (options.settings or {}).items() if value not in (None, ())}
    lists = {name: said.pop(name) for name, value in list(said.items()) if isinstance(value, tuple)}
    if only is not None and lists:
        changed = replace(config.settings[only], **lists)
        config = replace(config, settings={**config.settings, only: changed})
    config = configuration.override(config, [f"{name}={v}" for name, v in said.items()], checks, only, what="")
    return configuration.override(config, options.set, checks, only)


def _with_outputs(config: Config) -> Config:
    """The configuration with output paths that stay right where the target changes the working folder."""
    output = config.output.absolute() if config.output else None
    report = {name: path.absolute() for name, path in config.report.items()}
    paths = [*report.values(), *([output] if output else [])]
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(f"two reports would be written to {shown(str(path))}")
        _writable(path)
    return replace(config, output=output, report=report)


def _selected(base: Config, checks: Mapping[str, Check], only: str | None) -> tuple[str, ...]:
    """What the file selects; of the one check that the command names, where it names one."""
    if only is None:
        return base.select
    return tuple(name for name in base.select if name == only or name in checks[only].rules)


def _reports(texts: tuple[str, ...]) -> dict[str, Path]:
    """Paths by format, as `--report FORMAT=PATH` gives them."""
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise UsageError(f"--report takes FORMAT=PATH, such as --report json=report.json, not {text!r}")
        _known_format(name)
        if name in found:
            raise UsageError(f"--report {name} is given twice: {found[name]} and {path}")
        found[name] = Path(path)
    return found


def _known_format(name: str) -> None:
    if name not in formats():
        raise UsageError(f"unknown format {name!r}; known are {', '.join(formats())}")


def _writable(path: Path) -> None:
    """Known before anything runs, since a lost report costs a run.

    Raises:
        UsageError: Nothing can be written there.
    """
    fresh = not path.exists()
    try:
        with path.open("a"):
            pass
    except OSError as error:
        raise UsageError(f"{shown(str(path))} can't be written: {error.strerror}") from None
    if fresh:
        path.unlink(missing_ok=True)  # several ranks may try at once
