"""What `check-activations` shows."""

from collections.abc import Iterator

from babysit.checks.check_activations.schema import Measurement, Settings
from babysit.report import Exhibit, Fact, Table


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """The layers, at both times."""
    yield Fact("examples traced", f"{measured.examples}, before and after {measured.steps} steps")
    rows = []
    for start, after, killed in zip(measured.at_start, measured.after, measured.killed, strict=True):
        bounded = start.kind in ("tanh", "sigmoid")
        rows.append(
            (
                start.name,
                start.kind,
                str(start.units),
                f"{start.mean:.3g} ± {start.spread:.3g}",
                str(start.dead) if start.kind == "relu" else "-",
                str(killed) if start.kind == "relu" else "-",
                f"{start.saturated:.0%} -> {after.saturated:.0%}" if bounded else "-",
                str(start.constant),
            )
        )
    columns = ("layer", "kind", "units", "output", "dead", "killed", "saturated", "constant")
    yield Table("nonlinearities", columns, tuple(rows))
