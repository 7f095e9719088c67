"""What is known before the report is: how long it will take, how each check ended, and what is certain already."""

from collections.abc import Sequence

from rich.console import Console

from babysit.report import Finding, Result
from babysit.reporting.terminal.characters import Pen
from babysit.reporting.terminal.report import SEVERITIES, STATUSES


class Notices:
    """Lines on standard error while checks run; above the progress bar where there is one.

    Args:
        console: Where to.
        each: Whether every check gets a line as it ends; a progress bar says that in its own way.
    """

    def __init__(self, console: Console, *, each: bool) -> None:
        self._console, self._each = console, each

    def estimated(self, text: str) -> None:
        """How long all will take is known."""
        self._print((text, "dim"))

    def ended(self, result: Result, findings: Sequence[Finding], certain: Sequence[Finding]) -> None:
        """A check ended.

        Args:
            result: Its result.
            findings: What its rules found.
            certain: Errors among them that stand.
        """
        if self._each:
            mark, style = STATUSES[result.status]
            count = len(findings)
            said = f"{count or 'no'} finding{'s' * (count != 1)}" if result.measurement is not None else result.reason
            seconds = result.seconds.total
            self._print((mark, style), f" {result.check}  {said}", (f"  {seconds:.1f} s", "dim"))
        for finding in certain:
            mark, style = SEVERITIES[finding.severity]
            self._print(
                f"{'  ' * self._each}", (f"{mark} {finding.severity}", style), f"  {finding.rule}  {finding.seen}"
            )

    def _print(self, *parts: str | tuple[str, str]) -> None:
        self._console.print(Pen(self._console.options.ascii_only).line(*parts), soft_wrap=True)


def notices(bar: Console | None) -> Notices:
    """Those above a progress bar, or else those of a run that nobody watches.

    Args:
        bar: The bar's console.
    """
    return Notices(bar or Console(stderr=True), each=bar is None)
