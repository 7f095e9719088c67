"""What `check-grad` shows."""

import math
from collections.abc import Iterator

from babysit.checks.check_grad.schema import Measurement, Settings, limit
from babysit.checks.check_grad.slopes import Slope
from babysit.report import Exhibit, Fact, Table

LISTED = 12  # parameters in the table


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """How many slopes agree, and the parameters, the worst first."""
    totals = [slopes.total for slopes in measured.slopes]
    differ = [slope for slope in totals if slope.differs(limit(measured, settings), settings.margin)]
    agree = [slope for slope in totals if slope.error <= settings.wrong and slope not in differ]
    undecided = len(totals) - len(agree) - len(differ)
    yield Fact(
        "slopes compared",
        f"{len(totals)}: {len(agree)} agree, {len(differ)} differ, {undecided} too near a kink or rounding",
    )
    worst = max((slope.error for slope in [*agree, *differ]), default=math.nan)
    yield Fact("largest relative error", f"{worst:.2g}")
    also = ", and at the start where that told nothing" if {slope.steps for slope in totals} > {measured.steps} else ""
    seen = len({slope.parameter for slope in totals} | {u.parameter for u in measured.unreached})
    if seen < measured.parameters:
        yield Fact("parameters", f"{seen} of {measured.parameters} looked at, evenly spaced")
    yield Fact("looked at", f"{measured.examples} examples, after {measured.steps} updates{also}")
    yield Fact("rounding of the loss", f"{measured.epsilon:.1g} of itself")
    if measured.scale == 0:
        yield Fact("regularization", "off")
    parameters = {slope.parameter: [s for s in totals if s.parameter == slope.parameter] for slope in totals}
    rows = sorted((_row(name, own, agree, differ) for name, own in parameters.items()), key=lambda row: -row[0])
    columns = ("parameter", "agree", "differ", "at", "gradient", "difference", "relative error")
    yield Table("slopes", columns, tuple(row for _, row in rows[:LISTED]))


def _row(name: str, own: list[Slope], agree: list[Slope], differ: list[Slope]) -> tuple[float, tuple[str, ...]]:
    """A parameter's row, with the error to sort it by."""
    known = [slope for slope in own if slope in agree or slope in differ]
    worst = max(known or own, key=lambda slope: (slope in differ, slope.error))
    counts = (f"{sum(slope in agree for slope in own)} of {len(own)}", str(sum(slope in differ for slope in own)))
    numbers = (f"{worst.analytic:.4g}", f"{worst.numeric:.4g}", f"{worst.error:.1g}" if known else "undecided")
    return (worst.error if known else 0.0), (name, *counts, worst.place, *numbers)
