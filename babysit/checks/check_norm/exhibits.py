"""What `check-norm` shows."""

import math
from collections.abc import Iterator

from babysit.checks.check_norm.schema import Layer, Measurement, Settings
from babysit.report import Exhibit, Fact, Table


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """How scores change with the neighbours, the layers, and the losses in both modes."""
    start, after = (seen.reason or f"{seen.change:.2g} of their spread" for seen in (measured.at_start, measured.after))
    yield Fact("examples in a usual batch", str(measured.examples))
    yield Fact(
        "neighbours change scores", start if start == after else f"{start}; after {measured.steps} steps {after}"
    )
    count, over = len(measured.layers), len(measured.over_batch)
    told = f"{count}, {over} of them over the batch" if count else "no normalization layer was seen"
    yield Fact("normalization layers", measured.unseen or told)
    if measured.over_batch:
        columns = ("layer", "units", "values", "mean off", "spread off", "units off", "momentum")
        yield Table("evaluation against training mode", columns, tuple(_row(layer) for layer in measured.over_batch))
    if measured.settled:
        yield Fact("loss in training mode", f"{measured.training_loss:.4g}")
        yield Fact("loss in evaluation mode", ", ".join(f"{loss:.4g}" for loss in measured.evaluation_losses))
    if len(measured.settled) > 1:
        yield Fact("after steps at rate 0", ", ".join(map(str, measured.settled)))


def _row(layer: Layer) -> tuple[str, ...]:
    known = math.isfinite(layer.share)
    return (
        layer.name if layer.named else f"ahead of {layer.name}",
        str(layer.units),
        str(layer.values),
        f"{layer.shift:.2g}" if known else "-",
        f"x {layer.stretch:.2f}" if known else "-",
        f"{layer.share:.0%}" if known else "-",
        f"{layer.momentum:.2g}" if math.isfinite(layer.momentum) else "-",
    )
