"""What `check-data` shows."""

import math
from collections.abc import Iterator

from babysit.checks.check_data.schema import Measurement, Settings
from babysit.report import Exhibit, Fact, Table


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """The arrays of both splits, and the labels."""
    for labels in measured.labels:
        if sum(labels.counts):
            share = max(labels.counts) / sum(labels.counts)
            entropy = f"entropy {labels.entropy:.3g}, that of equal shares {math.log(labels.classes):.3g}"
            yield Fact(f"labels, {labels.split}", f"{labels.classes} classes, the commonest {share:.0%}; {entropy}")
    if measured.order is not None:
        yield Fact("targets' variance between batches", f"{max(0.0, measured.order.share):.0%} beyond chance")
    if measured.overlap is not None:
        overlap = measured.overlap
        yield Fact("validation examples in training", f"{overlap.common} of {overlap.examples}")
    columns = ("array", "split", "examples", "shape", "mean ± spread", "from", "to")
    rows = (
        (
            leaf.name,
            leaf.split,
            f"{leaf.examples}{'' if leaf.split in measured.whole else '+'}",
            " x ".join(map(str, leaf.shape)) or "-",
            "names" if leaf.ids else f"{leaf.mean:.3g} ± {leaf.spread:.3g}",
            f"{leaf.least:.4g}",
            f"{leaf.most:.4g}",
        )
        for leaf in (*measured.inputs, *measured.targets)
    )
    yield Table("arrays", columns, tuple(rows))
