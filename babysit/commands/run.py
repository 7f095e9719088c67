"""One call of the command: options -> config -> trainer -> report -> files -> exit code."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from babysit import runner
from babysit.checks import find_checks
from babysit.commands.plan import plan
from babysit.commands.publish import publish, write_best
from babysit.config.file import Config
from babysit.config.options import Options, configured
from babysit.driving.ranks import launched_rank
from babysit.errors import MissingError, TargetError, UsageError
from babysit.report import ExitCode
from babysit.reporting.terminal import live, notices

if TYPE_CHECKING:
    from babysit.driving.target import Source
    from babysit.trainer import Trainer

Made: TypeAlias = "tuple[Trainer, Source | None]"


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
    asked = plan(config, find_checks(), only)
    silent = config.quiet or launched_rank() > 0
    try:
        names = [check.name for check in asked.checks]
        with live.display(names, quiet=silent) as seen, _printing_aside():
            progress, show = (seen.progress, seen.show) if seen else (None, None)
            told = notices.notices(seen.console if seen else None) if len(names) > 1 and not silent else None
            trainer, source = make()
            report = runner.run(
                trainer,
                asked,
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
