"""The report as plain text, 100 columns wide, as `--output FILE` writes it."""

from babysit.report import Report, Severity
from babysit.reporting.terminal import report as terminal


def render(report: Report, fail_on: Severity) -> str:
    """The report as the terminal shows it, without color."""
    return terminal.text(report, fail_on=fail_on)
