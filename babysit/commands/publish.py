"""A report to where it is wanted: printed, and written to files."""

import functools
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from rich.console import Console

from babysit.config.file import Config
from babysit.errors import UsageError
from babysit.messages import shown
from babysit.report import ExitCode, Report, Severity, exit_code
from babysit.reporting.formats import Format, formats
from babysit.reporting.terminal import report as terminal
from babysit.running.judging import guarded

Maker: TypeAlias = Callable[[Report], str]
PRINTED = ""  # what goes to standard output, among documents by format


def publish(report: Report, config: Config) -> ExitCode:
    """Print the report, write it where the configuration says, and give its exit code.

    A format that crashes costs itself alone; the others name the crash.

    Raises:
        UsageError: A file can't be written; the report is printed all the same.
    """
    wanted = {path: name for name, path in config.report.items()}
    if config.output is not None:
        wanted[config.output] = config.format
    known = formats()
    makers: dict[str, Maker] = {name: functools.partial(_document, known[name], config) for name in wanted.values()}
    print_it: dict[str, Maker] = {PRINTED: functools.partial(_text, config)}
    makers |= print_it if config.output is None else {}
    report, documents = _rendered(report, makers, config)
    failed = [
        f"{shown(str(path))} can't be written: {error.strerror}"
        for path, name in wanted.items()
        if name in documents and (error := _write(path, documents[name]))
    ]
    if config.output is not None and (failed or len(documents) < len(makers)):
        makers |= print_it
        report, late = _rendered(report, print_it, config)
        documents |= late
    if PRINTED in makers:
        failed += _printed(documents.get(PRINTED) or _least(report, config.fail_on))
    if failed and not report.interrupted:
        raise UsageError("; ".join(failed))
    sys.stderr.writelines(f"babysit: {reason}\n" for reason in failed)
    return exit_code(report, config.fail_on)


def _rendered(report: Report, makers: Mapping[str, Maker], config: Config) -> tuple[Report, dict[str, str]]:
    """The report with the crashes of what renders it, and the documents of what doesn't crash; all name the crashes."""
    made: dict[str, str] = {}
    for key, make in makers.items():
        name = config.format if key == PRINTED else key
        document, crashes = guarded("run", f"format {name}", functools.partial(make, report))
        if document is None:  # which those made before don't name
            named = replace(report, crashes=tuple(dict.fromkeys((*report.crashes, *crashes))))
            return _rendered(named, {other: maker for other, maker in makers.items() if other != key}, config)
        made[key] = document
    return report, made


def _document(render: Format, config: Config, report: Report) -> str:
    return render(report, config.fail_on)


def write_best(report: Report, path: Path) -> None:
    """Write the best configuration of a search as YAML; where it found none, say so and leave the file as it is.

    Args:
        report: The search's.
        path: Where to.

    Raises:
        UsageError: The file can't be written.
    """
    from babysit.checks.search.exhibits import best_yaml
    from babysit.checks.search.results import knows_nothing

    measured = report.results[0].measurement
    text = best_yaml(measured) if measured is not None and not knows_nothing(measured) else ""
    if not text:
        sys.stderr.write(f"babysit: nothing was found, so nothing is written to {shown(str(path))}\n")
    elif error := _write(path, text):
        raise UsageError(f"{shown(str(path))} can't be written: {error.strerror}")


def _printed(text: str) -> list[str]:
    """Print it; why standard output can't be written, if so. A reader that has seen enough is no failure."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's own last flush finds a reader
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return [f"standard output can't be written: {error.strerror}"]
    return []


def _text(config: Config, report: Report) -> str:
    """What standard output shows, as wide, colored and encoded as it can be."""
    if config.format != "text":
        return formats()[config.format](report, config.fail_on)
    console = Console()
    with console.capture() as captured:
        terminal.render(report, console, fail_on=config.fail_on, quiet=config.quiet)
    return captured.get()


def _least(report: Report, fail_on: Severity) -> str:
    """The verdict and a line for each finding and crash, in ASCII, by nothing that could crash in its turn."""
    code = exit_code(report, fail_on)
    verdict = "INTERRUPTED" if code is ExitCode.INTERRUPTED else "CRASHED"  # the format has crashed, if nothing else
    lines = [f"{verdict} (exit code {int(code)}) - {report.target}, seed {report.seed}"]
    lines += [f"{result.status}  {result.check}  {result.reason}" for result in report.results if result.reason]
    lines += [f"crashed  {crash.seen}" for crash in report.crashes]
    lines += [f"{finding.severity}  {finding.rule}  {finding.seen}" for finding in report.findings]
    return "".join(f"{line}\n" for line in lines).encode("ascii", "backslashreplace").decode()


def _write(path: Path, text: str) -> OSError | None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        return error
    return None
