"""What a run found, as plain frozen values: findings, results, exhibits, the report and its exit code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, TypeAlias

SCHEMA_VERSION = 1


class Severity(StrEnum):
    """How much a finding matters. An error means: don't train yet."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


class Status(StrEnum):
    """How a check ended. Only `PASSED` is a pass."""

    PASSED = "passed"  # measured and judged, no error found
    FAILED = "failed"  # measured and judged, at least one error found
    SKIPPED = "skipped"  # the trainer lacks what the check needs
    BLOCKED = "blocked"  # an earlier finding took its ground away
    CRASHED = "crashed"  # the target failed while it was driven, or a part of the check's own judging did


class ExitCode(IntEnum):
    """The process's exit code. Where several hold: 130, then 2, 3, 1, 5, 0."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    TARGET = 3
    NOTHING_RAN = 5
    INTERRUPTED = 130


@dataclass(frozen=True)
class Finding:
    """One rule broken in one place.

    Args:
        rule: The rule's id.
        severity: How much it matters.
        message: What was seen, in one or two sentences with the numbers.
        where: The layer, parameter, split or step; empty for the whole program.
        evidence: The numbers behind the message, by name.
        suggestion: What to try first.
        explains: Ids of rules whose findings are consequences of this one.
    """

    rule: str
    severity: Severity
    message: str
    where: str = ""
    evidence: Mapping[str, float | int | str | list[float] | list[str]] = field(default_factory=dict)
    suggestion: str = ""
    explains: tuple[str, ...] = ()

    @property
    def seen(self) -> str:
        """The message, with its place in front where it doesn't name it."""
        return self.message if self.where in self.message else f"{self.where}: {self.message}"


@dataclass(frozen=True)
class Fact:
    """One number of a check, with its name."""

    label: str
    value: str


@dataclass(frozen=True)
class Curve:
    """Values over x, one line a series; NaN is a gap. `marks` names places on the x axis, `bands` stretches of it.

    A scattered one is single points, in any order.
    """

    title: str
    x: tuple[float, ...]
    series: Mapping[str, tuple[float, ...]]
    x_label: str = ""
    y_label: str = ""
    log_x: bool = False
    log_y: bool = False
    marks: Mapping[str, float] = field(default_factory=dict)
    bands: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    scattered: bool = False


@dataclass(frozen=True)
class Histogram:
    """Counts between consecutive `edges` (one more edge than counts)."""

    title: str
    edges: tuple[float, ...]
    counts: tuple[float, ...]


@dataclass(frozen=True)
class Histograms:
    """Several histograms over the same `edges` (one more edge than counts), by name: to be seen side by side."""

    title: str
    edges: tuple[float, ...]
    counts: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Table:
    """Rows of text under named columns.

    Args:
        title: What they are.
        columns: Their names.
        rows: A cell for each column.
        keys: Columns, the first ones, that name a row: where a console is too narrow for all columns, these stand in
            front of each part of them. 0 where such a row is better shown by itself.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    keys: int = 0


@dataclass(frozen=True)
class Snippet:
    """Text to copy, as it is."""

    title: str
    text: str


Exhibit: TypeAlias = Fact | Curve | Histogram | Histograms | Table | Snippet


@dataclass(frozen=True)
class Seconds:
    """Wall-clock seconds.

    Args:
        target: Spent in the user's code while it was driven.
        own: Spent in babysit's own.
        loading: Until there was a trainer to drive: imports, babysit's among them, and the target's own construction.
    """

    target: float = 0.0
    own: float = 0.0
    loading: float = 0.0

    @property
    def total(self) -> float:
        """All that one waits."""
        return self.target + self.own + self.loading


@dataclass(frozen=True)
class Result:
    """What became of one check.

    Args:
        check: The check's name.
        status: How it ended.
        reason: Why it was skipped or blocked, or what crashed while it was measured.
        measurement: The check's `Measurement`, or None.
        settings: The settings it was judged with, as plain values.
        exhibits: What to show of the measurement.
        steps: Updates that the target made for it.
        seconds: Time it took.
    """

    check: str
    status: Status
    reason: str = ""
    measurement: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    exhibits: tuple[Exhibit, ...] = ()
    steps: int = 0
    seconds: Seconds = Seconds()


@dataclass(frozen=True)
class Crash:
    """A part of babysit's own that failed while it judged or showed what had been measured.

    Args:
        check: The check that it belongs to; "run" for none.
        part: A rule's id, "exhibits", "diagnosis", or a format: "format json".
        message: What was raised, and where.
    """

    check: str
    part: str
    message: str

    @property
    def seen(self) -> str:
        """The message, with what crashed in front."""
        return f"{self.part}{'' if self.check == 'run' else f' of {self.check}'} crashed: {self.message}"


@dataclass(frozen=True)
class Report:
    """All that one run found.

    Args:
        target: What was checked, as named on the command line.
        seed: The seed that the target was built and driven with.
        version: The version of babysit that measured.
        results: One for each check that was asked for, in the lecture's order.
        findings: All findings, the root first, consequences behind their cause.
        ignored: Reasons for rules that the configuration ignores and that were broken.
        expected: Reasons for rules that the configuration expects and that were broken.
        unmet: Reasons for rules that the configuration expects and that were not broken.
        crashes: Parts of babysit's own that failed after measuring; what the others found is all here.
        interrupted: Whether Ctrl-C ended the run early.
        seconds: Time of the whole run.
    """

    target: str
    seed: int
    version: str
    results: tuple[Result, ...] = ()
    findings: tuple[Finding, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, str] = field(default_factory=dict)
    unmet: Mapping[str, str] = field(default_factory=dict)
    crashes: tuple[Crash, ...] = ()
    interrupted: bool = False
    seconds: Seconds = Seconds()


def counts_as_failure(report: Report, finding: Finding, fail_on: Severity) -> bool:
    """Whether the finding turns the exit code to 1."""
    return finding.severity.rank <= fail_on.rank and finding.rule not in report.expected


def exit_code(report: Report, fail_on: Severity = Severity.ERROR) -> ExitCode:
    """The report's verdict as an exit code; the same for every format."""
    statuses = {result.status for result in report.results}
    if report.interrupted:
        return ExitCode.INTERRUPTED
    if report.crashes or Status.CRASHED in statuses:
        return ExitCode.TARGET
    if report.unmet or any(counts_as_failure(report, f, fail_on) for f in report.findings):
        return ExitCode.FINDINGS
    if not statuses & {Status.PASSED, Status.FAILED}:
        return ExitCode.NOTHING_RAN
    return ExitCode.OK
