"""The report for a person: the verdict, what was found and why it matters, then each check with its numbers."""

import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from babysit import checks
from babysit.outline import Explained, Owner
from babysit.report import (
    Curve,
    ExitCode,
    Fact,
    Finding,
    Histogram,
    Histograms,
    Report,
    Result,
    Seconds,
    Severity,
    Snippet,
    Status,
    Table,
    exit_code,
)
from babysit.reporting.terminal.axes import number
from babysit.reporting.terminal.characters import Pen
from babysit.reporting.terminal.histograms import HistogramPlot, HistogramsPlot
from babysit.reporting.terminal.plots import LinePlot, sparkline
from babysit.reporting.terminal.tables import INDENT, SnippetBlock, TablePlot, pairs

_VERDICTS = {
    ExitCode.OK: ("✓ PASSED", "bold green"),
    ExitCode.FINDINGS: ("✗ FAILED", "bold red"),
    ExitCode.TARGET: ("✗ CRASHED", "bold red"),
    ExitCode.NOTHING_RAN: ("✗ NOTHING RAN", "bold yellow"),
    ExitCode.INTERRUPTED: ("✗ INTERRUPTED", "bold yellow"),
}
STATUSES = {
    Status.PASSED: ("✓", "green"),
    Status.FAILED: ("✗", "red"),
    Status.SKIPPED: ("-", "yellow"),
    Status.BLOCKED: ("-", "yellow"),
    Status.CRASHED: ("✗", "red"),
}
SEVERITIES = {Severity.ERROR: ("✗", "red"), Severity.WARNING: ("!", "yellow"), Severity.INFO: ("·", "blue")}
_DRAWN_BY: Mapping[type, Callable[[Any], RenderableType]] = {
    Curve: LinePlot,
    Histogram: HistogramPlot,
    Histograms: HistogramsPlot,
    Table: TablePlot,
    Snippet: SnippetBlock,
}
_RAN = (Status.PASSED, Status.FAILED)
_PLACES = 8  # of one rule in text; JSON has them all


def render(report: Report, console: Console, *, fail_on: Severity = Severity.ERROR, quiet: bool = False) -> None:
    """Print the report.

    Args:
        report: What to print.
        console: Where to; its width, colors and encoding are kept to.
        fail_on: The least severity that fails the run.
        quiet: Print only the verdict and one line for each finding.
    """
    pen = Pen(console.options.ascii_only)
    verdict = _verdict(pen, report, fail_on)
    for part in _briefly(pen, report, verdict) if quiet else _fully(pen, report, verdict):
        console.print(part)


def text(report: Report, *, fail_on: Severity = Severity.ERROR, width: int = 100) -> str:
    """The report as lines of plain UTF-8 text, `width` columns wide."""
    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None, force_terminal=False, force_jupyter=False)
    render(report, console, fail_on=fail_on)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def render_rule(owner: Owner, explained: Explained, console: Console) -> None:
    """Print a rule's page."""
    pen = Pen(console.options.ascii_only)
    console.print(pen.line((explained.id, "bold"), (f"  a rule of {owner.name}", "dim")))
    console.print(pen.write(explained.title))
    for heading, section in explained.page.items():
        console.print()
        console.print(pen.write(heading, "bold"))
        console.print(Padding(pen.write(section), INDENT))


def render_rules(rules: Mapping[str, tuple[Owner, Explained]], console: Console) -> None:
    """Print every rule with its title, check by check."""
    pen = Pen(console.options.ascii_only)
    for name, group in itertools.groupby(rules.values(), key=lambda pair: pair[0].name):
        owned = list(group)
        console.print(pen.line((name, "bold"), (f"  {owned[0][0].summary}", "dim")))
        console.print(Padding(pairs((pen.write(r.id), pen.write(r.title)) for _, r in owned), INDENT))
        console.print()
    console.print(pen.write("babysit explain RULE prints a rule's page.", "dim"))


def _number_of(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 or noun == 'info' else 's'}"


def _open(report: Report) -> list[Finding]:
    """The findings that the configuration does not expect."""
    return [finding for finding in report.findings if finding.rule not in report.expected]


def _verdict(pen: Pen, report: Report, fail_on: Severity) -> Text:
    word, style = _VERDICTS[exit_code(report, fail_on)]
    statuses = [result.status for result in report.results]
    ran = sum(status in _RAN for status in statuses)
    others = [f"{n} {status}" for status in (Status.SKIPPED, Status.BLOCKED) if (n := statuses.count(status))]
    others += [f"{result.check} crashed" for result in report.results if result.status == Status.CRASHED]
    others += [f"{crash.part} crashed" for crash in report.crashes if crash.check == "run"]
    severities = [finding.severity for finding in _open(report)]
    counts = [_number_of(n, severity) for severity in Severity if (n := severities.count(severity))]
    counts += [f"{n} ignored" for n in [len(report.ignored)] if n]
    counts += [f"{n} expected" for n in [len(report.findings) - len(severities)] if n]
    counts += [f"{_number_of(n, 'expected fault')} gone" for n in [len(report.unmet)] if n]
    found = f"{', '.join(counts) or 'nothing found'} in {_number_of(ran, 'check')}" if ran else "no check was measured"
    rest = f" ({', '.join(others)})" if others else ""
    return pen.line((word, style), f"  {found}{rest}", (f" - {report.target}, seed {report.seed}", "dim"))


def _briefly(pen: Pen, report: Report, verdict: Text) -> Iterator[RenderableType]:
    yield verdict
    for result in report.results:
        if result.status == Status.CRASHED:
            yield pen.line(("crashed", "red"), f"  {result.check}  {result.reason}")
    yield from (pen.line(("crashed", "red"), f"  {crash.seen}") for crash in report.crashes)
    for finding in _open(report):
        yield pen.line((finding.severity, SEVERITIES[finding.severity][1]), f"  {finding.rule}  {finding.seen}")
    for rule, reason in report.unmet.items():
        yield pen.line(("gone", "red"), f"  {rule}  {reason}")


def _fully(pen: Pen, report: Report, verdict: Text) -> Iterator[RenderableType]:
    yield verdict
    if report.crashes:
        yield ""
        yield from (pen.line(("✗ crashed", "bold red"), f"  {crash.seen}") for crash in report.crashes)
    for entry in _entries(report):
        yield ""
        yield from _found(pen, entry)
    for result in report.results:
        yield ""
        yield from _measured(pen, result, _open(report))
    notes = _notes(pen, report)
    if notes:
        yield ""
        yield pairs(notes)
    yield ""
    yield pen.write(_time(report.seconds, sum(result.steps for result in report.results)), "dim")
    yield verdict


@dataclass(frozen=True)
class _Entry:
    """One rule broken in one or more places, with the findings folded beneath it."""

    places: list[Finding]
    folded: list[Finding]


def _entries(report: Report) -> list[_Entry]:
    """The findings that nothing before them explains, by rule; each of the others beneath its root."""
    entries: dict[tuple[str, Severity], _Entry] = {}
    roots: dict[str, _Entry] = {}  # by the rules they explain
    for finding in _open(report):
        root = roots.get(finding.rule)
        entry = root or entries.setdefault((finding.rule, finding.severity), _Entry([], []))
        (entry.folded if root else entry.places).append(finding)
        for rule in finding.explains:
            if rule != entry.places[0].rule:
                roots.setdefault(rule, entry)
    return list(entries.values())


def _found(pen: Pen, entry: _Entry) -> Iterator[RenderableType]:
    first = entry.places[0]
    mark, style = SEVERITIES[first.severity]
    yield pen.line((f"{mark} {first.severity}", f"bold {style}"), "  ", (first.rule, "bold"))
    shown, more = entry.places[:_PLACES], len(entry.places) - _PLACES
    rows = [("seen", _evidence(pen, finding)) for finding in shown]
    rows += [("", pen.write(f"and in {more} more places"))] if more > 0 else []
    why = checks.find_rules()[first.rule][1].page.get("Why it matters", "").partition("\n\n")[0]
    rows += [("why", pen.write(why))] if why else []
    rows += [("try", pen.write(tip)) for tip in dict.fromkeys(f.suggestion for f in shown) if tip]
    rows += [("explains", pen.line(f"{finding.rule}: {finding.seen}")) for finding in entry.folded]
    rows += [("more", pen.write(f"babysit explain {first.rule}", "dim"))]
    groups = (list(group) for _, group in itertools.groupby(rows, key=lambda row: row[0]))
    named = ((label if i == 0 else "", part) for group in groups for i, (label, part) in enumerate(group))
    yield Padding(pairs((pen.write(label, "dim"), part) for label, part in named), INDENT)


def _evidence(pen: Pen, finding: Finding) -> Text:
    """What was seen, and the course of any series of numbers behind it."""
    lines = [pen.write(finding.seen)]
    for name, values in finding.evidence.items():
        numbers = [v for v in values if isinstance(v, float | int)] if isinstance(values, list) else []
        if len(numbers) > 2:
            course = sparkline(numbers, 24, ascii_only=pen.ascii_only)
            ends = f" {number(numbers[0])} to {number(numbers[-1])}"
            lines.append(Text.assemble(pen.line((f"{name} ", "dim")), course, (ends, "dim")))
    return Text("\n").join(lines)


def _measured(pen: Pen, result: Result, findings: Sequence[Finding]) -> Iterator[RenderableType]:
    known = checks.find_checks()[result.check]
    mark, style = STATUSES[result.status]
    word = "" if result.status == Status.PASSED else f" {result.status}"
    cost = f"  {_duration(result.seconds.total)}" if result.status in _RAN else ""
    steps = f", {_number_of(result.steps, 'step')}" if result.steps else ""
    yield pen.line((mark, style), " ", (result.check, "bold"), (word, style), (cost + steps, "dim"))
    yield Padding(pen.write(known.summary, "dim"), INDENT)
    if result.reason:
        yield Padding(pen.write(result.reason), INDENT)
    rules = dict.fromkeys(finding.rule for finding in findings if finding.rule in known.rules)
    if rules:
        yield Padding(pen.line(("found ", style), ", ".join(rules)), INDENT)
    for kind, group in itertools.groupby(result.exhibits, key=type):
        if kind is Fact:
            rows = [(pen.write(fact.label, "dim"), pen.write(fact.value)) for fact in cast(Iterator[Fact], group)]
            yield Padding(pairs(rows), INDENT)
        else:
            yield from (Padding(part, INDENT) for exhibit in group for part in ("", _DRAWN_BY[kind](exhibit)))


def _notes(pen: Pen, report: Report) -> list[tuple[Text, RenderableType]]:
    """What the configuration expects or ignores."""
    groups = (
        ("gone", "red", "expected, but no longer there: ", report.unmet),
        ("expected", "yellow", "", report.expected),
        ("ignored", "yellow", "", report.ignored),
    )
    return [
        (pen.write(word, style), pen.line(rule, f"  {note}{reason}"))
        for word, style, note, reasons in groups
        for rule, reason in reasons.items()
    ]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.{1 if seconds >= 0.1 else 2}f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _time(seconds: Seconds, steps: int) -> str:
    """Where the time went; nothing of loading where another had loaded the program before the run began."""
    loading = [f"{_duration(seconds.loading)} loading"] if seconds.loading else []
    program = f"{_duration(seconds.target)} in your program ({_number_of(steps, 'update')})"
    return f"{_duration(seconds.total)} in all: {', '.join([*loading, program, f'{_duration(seconds.own)} babysit'])}"
