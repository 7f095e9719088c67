"""What `check-reg` shows."""

import math
from collections.abc import Iterator

from babysit.checks.check_reg.schema import Measurement, Settings
from babysit.report import Exhibit, Fact, Table


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """The ladder."""
    for name, value in measured.strengths.items():
        yield Fact(f"stated strength: {name}", f"{value:g}")
    yield Fact("penalty's share of the first loss", f"{measured.share:.2%}")
    if math.isfinite(measured.pull):
        yield Fact("pull towards zero in a step", f"{measured.pull:.3g} of the data's step")
    rows = zip(measured.scales, measured.data_losses, measured.penalties, strict=True)
    yield Table(
        "regularization scaled",
        ("scale", "data loss", "penalty", "total loss"),
        tuple((f"{s:g}", f"{loss:.5g}", f"{p:.5g}", f"{loss + p:.5g}") for s, loss, p in rows),
    )
