"""What `check-init` shows."""

import math
from collections.abc import Iterator

from babysit.checks.check_init.schema import Measurement, Settings
from babysit.measuring.reductions.plain import BOUNDED, RECTIFIED
from babysit.report import Exhibit, Fact, Histograms, Table


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """The lecture's table, and its picture."""
    yield Fact("examples traced", str(measured.examples))
    rows = []
    for layer, gradient in zip(measured.at_start, measured.gradients, strict=True):
        lost = f"{layer.dead / layer.units:.0%} dead" if layer.kind in RECTIFIED else "-"
        lost = f"{layer.saturated:.0%} saturated" if layer.kind in BOUNDED else lost
        shown = f"{gradient:.3g}" if math.isfinite(gradient) else "-"
        rows.append((layer.name, layer.kind, f"{layer.mean:.3g}", f"{layer.spread:.3g}", lost, shown))
    yield Table("activations", ("layer", "kind", "mean", "spread", "lost", "gradient"), tuple(rows))
    if measured.histograms:
        names = (layer.name for layer in measured.at_start)
        counts = {name: tuple(map(float, found)) for name, found in zip(names, measured.histograms, strict=True)}
        rectified = any(layer.kind in RECTIFIED for layer in measured.at_start)
        yield Histograms(f"outputs by layer{', zeros left out' if rectified else ''}", measured.edges, counts)
