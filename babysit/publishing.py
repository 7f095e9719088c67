"""A report to where it is wanted: printed, and written to files."""

import os
import sys
from pathlib import Path

from rich.console import Console

from babysit.blame import shown
from babysit.config import Config
from babysit.errors import UsageError
from babysit.render import formats, terminal
from babysit.report import ExitCode, Report, exit_code


def publish(report: Report, config: Config) -> ExitCode:
    """Print the report, write it where the configuration says, and give its exit code.

    Raises:
        UsageError: A file can't be written; the report is printed all the same.
    """
    known = formats()
    wanted = {path: name for name, path in config.report.items()}
    if config.output is not None:
        wanted[config.output] = config.format
    failed = [
        f"{shown(str(path))} can't be written: {error.strerror}"
        for path, name in wanted.items()
        if (error := _write(path, known[name](report, config.fail_on)))
    ]
    if config.output is None or failed:
        failed += _printed(report, config)
    if failed and not report.interrupted:
        raise UsageError("; ".join(failed))
    sys.stderr.writelines(f"babysit: {reason}\n" for reason in failed)
    return exit_code(report, config.fail_on)


def write_best(report: Report, path: Path) -> None:
    """Write the best configuration of a search as YAML; where it found none, say so and leave the file as it is.

    Args:
        report: The search's.
        path: Where to.

    Raises:
        UsageError: The file can't be written.
    """
    from babysit.search_exhibits import best_yaml
    from babysit.search_results import knows_nothing

    measured = report.results[0].measurement
    text = best_yaml(measured) if measured is not None and not knows_nothing(measured) else ""
    if not text:
        sys.stderr.write(f"babysit: nothing was found, so nothing is written to {shown(str(path))}\n")
    elif error := _write(path, text):
        raise UsageError(f"{shown(str(path))} can't be written: {error.strerror}")


class _Output(Console):
    """Standard output; a reader that leaves early is told of by its exception, not by an exit code of Rich's own."""

    def on_broken_pipe(self) -> None:
        """Let the exception pass on."""
        raise BrokenPipeError


def _printed(report: Report, config: Config) -> list[str]:
    """Print the report; why standard output can't be written, if so. A reader that has seen enough is no failure."""
    try:
        if config.format == "text":
            terminal.render(report, _Output(), fail_on=config.fail_on, quiet=config.quiet)
        else:
            sys.stdout.write(formats()[config.format](report, config.fail_on))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's own last flush finds a reader
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return [f"standard output can't be written: {error.strerror}"]
    return []


def _write(path: Path, text: str) -> OSError | None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        return error
    return None
