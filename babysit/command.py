"""One call of the command: options -> config -> trainer -> report -> files -> exit code."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from babysit import config as configuration
from babysit import runner
from babysit.check import Check, find_checks
from babysit.config import Config
from babysit.driving.budget import Budget, read_budget
from babysit.driving.ranks import launched_rank
from babysit.errors import MissingError, TargetError, UsageError
from babysit.messages import shown
from babysit.publishing import publish, write_best
from babysit.report import ExitCode, Severity
from babysit.reporting.formats import formats
from babysit.reporting.terminal import live, notices

if TYPE_CHECKING:
    from babysit.driving.target import Source
    from babysit.trainer import Trainer

Made: TypeAlias = "tuple[Trainer, Source | None]"


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


def check(options: Options, only: str | None = None) -> ExitCode:
    """Run the checks, or one of them, on the target.

    Raises:
        BabysitError: The options are wrong, or the target can't be built.
    """
    from babysit.driving import target

    if only is not None:
        _require(only)
    config = configured(options, only)
    best = config.output if only == "search" and config.output and config.output.suffix in (".yaml", ".yml") else None
    config = replace(config, output=None) if best else config
    named, folder = config.target, Path.cwd()
    if named is None:
        command = f"babysit {only or 'run'} path/to/file.py:factory"
        raise UsageError(f"no target: {command} (or write `target:` into babysit.yaml)")

    def make() -> Made:
        source = target.Source(target.imported(named, config.seed), config.seed, folder)
        try:
            return source.factory.build(config.seed), source
        except TargetError as error:
            if only != "search":
                raise
            raise TargetError(f"{error}; ahead of all trials it is called without arguments, which must do") from error

    return _check(config, make, named, options.started, only, best)


def _require(name: str) -> None:
    """Know that the package is there which a check needs.

    Raises:
        MissingError: It isn't.
    """
    extra = find_checks()[name].extra
    if extra and find_spec(extra[0]) is None:
        raise MissingError(f"babysit {name} needs {extra[0]}: pip install 'babysit[{extra[1]}]'")


def demo(options: Options, build: Callable[[int], "Trainer"], name: str) -> ExitCode:
    """Run the checks on the embedded network."""
    from babysit.seeds import seed_everything

    config = configured(options, search=False)  # a project's own file speaks of the project's own target
    seed_everything(config.seed + launched_rank())
    return _check(config, lambda: (build(config.seed), None), name, options.started)


def _check(
    config: Config,
    make: Callable[[], Made],
    name: str,
    started: float | None,
    only: str | None = None,
    best: Path | None = None,
) -> ExitCode:
    plan = runner.plan(config, find_checks(), only)
    silent = config.quiet or launched_rank() > 0
    try:
        names = [check.name for check in plan.checks]
        with live.display(names, quiet=silent) as seen, _printing_aside():
            progress, show = (seen.progress, seen.show) if seen else (None, None)
            told = notices.notices(seen.console if seen else None) if len(names) > 1 and not silent else None
            trainer, source = make()
            report = runner.run(
                trainer,
                plan,
                target=name,
                seed=config.seed,
                progress=progress,
                show=show,
                notices=told,
                source=source,
                started=started,
            )
    except KeyboardInterrupt:
        sys.stderr.write("babysit: interrupted before anything ran\n")
        return ExitCode.INTERRUPTED
    if launched_rank():
        return ExitCode.OK  # rank 0 has measured the same, and tells it
    code = publish(report, config)
    if code is ExitCode.NOTHING_RAN and config.budget and report.results:
        sys.stderr.write(f"babysit: {report.results[0].reason}\n")
    if best is not None:
        write_best(report, best)
    return code


@contextlib.contextmanager
def _printing_aside() -> Iterator[None]:
    """What the program and its processes print goes to standard error: it must not run into a machine's format."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def judge(path: Path, options: Options) -> ExitCode:
    """Judge a saved report again, under its own settings with `--set` on top. Nothing is trained."""
    from babysit.reporting.formats import json

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a JSON report: it is not UTF-8 text") from None
    checks = find_checks()
    config = configured(replace(options, set=()))
    try:
        saved = json.read(text)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    ran = {result.check: checks[result.check].settings(**result.settings) for result in saved.results}
    settings = {**config.settings, **ran}
    config = configuration.override(replace(config, settings=settings), options.set, checks, saved=True)
    return publish(runner.conclude(saved, saved.results, runner.plan(config, checks, ran=ran)), config)
