"""What `check-loss` shows."""

import math
from collections.abc import Iterator

from babysit.checks.check_loss.schema import Measurement, Settings
from babysit.report import Exhibit, Fact


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """The first loss beside what it should be."""
    noise = settings.sigmas * measured.standard_error
    yield Fact(
        "first loss, training mode", f"{measured.training_loss:.4g} ± {noise:.2g} ({measured.examples} examples)"
    )
    yield Fact("first loss, evaluation mode", f"{measured.evaluation_loss:.4g}")
    for reason, value in measured.chance.items():
        yield Fact(f"chance: {reason}", f"{value:.4g}")
    if measured.task == "unknown":
        yield Fact("chance loss", "not known; task= or ChanceLoss(value) states it")
    if math.isfinite(measured.excess):
        yield Fact("spread of the scores", f"{measured.spread:.3g}, which may add {measured.excess:.3g}")
    if math.isfinite(measured.score):
        yield Fact(f"{measured.metric} before learning", f"{measured.score:.3g}")
