"""What `lr-scan` shows."""

import math
from collections.abc import Iterator

from babysit.checks.lr_scan.schema import Measurement, Settings, Trial
from babysit.checks.lr_scan.usable_rates import (
    decades,
    diverges_from,
    own_trial,
    spread,
    suggestion,
    usable_range,
)
from babysit.report import Curve, Exhibit, Fact

MANY = 24  # batches, whose evaluation takes half as long as a run


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """The scan, and what it answers."""
    usable, advised = usable_range(measured, settings), suggestion(measured, settings)
    own = own_trial(measured)
    yield Fact("usable range", f"{usable[0]:.2g} to {usable[1]:.2g}" if usable else "none")
    if usable:
        yield Fact("suggestion", f"{advised:.2g}, for {settings.horizon} updates")
        yield Fact("confidence", f"{spread(measured, settings):.2f} decades between two runs on different batches")
    if measured.compared > MANY:
        yield Fact("compared", f"{measured.compared} batches after each run, since they hold few examples")
    if measured.widened:
        yield Fact("updates", f"{measured.updates}: {measured.widened}")
    limit = diverges_from(measured, settings)
    yield Fact("the loss rises at and above", f"{limit:.2g}" if math.isfinite(limit) else "no rate tried")
    fell = f"{measured.first_loss:.4g} to {own.loss:.4g}" if math.isfinite(own.loss) else "the loss explodes"
    yield Fact(f"your learning rate, {measured.own:.3g}", f"{fell} in {own.steps} steps{_distance(own, advised)}")
    if settings.plot:
        yield from _curves(measured, settings)


def _distance(own: Trial, advised: float) -> str:
    """How far the user's rate is from the suggestion, in words."""
    away = decades(advised, own.learning_rate)
    side = "above" if away > 0 else "below"
    return f", {abs(away):.1f} decades {side} the suggestion" if math.isfinite(away) else ""


def _curves(measured: Measurement, settings: Settings) -> Iterator[Curve]:
    """The loss after each run, with what its rates are good for."""
    usable = usable_range(measured, settings)
    marks, bands = {"yours": measured.own}, {}
    rates = tuple(t.learning_rate for t in measured.trials)
    if usable:
        marks["suggestion"] = suggestion(measured, settings)
        limit = diverges_from(measured, settings)
        bands = {"too low": (min(rates[0], usable[0] / 10), usable[0]), "usable": usable}
        bands |= {"too high": (limit, max(rates[-1], limit * 10))} if math.isfinite(limit) else {}
    finite = [t.loss for t in measured.trials if math.isfinite(t.loss)]
    yield Curve(
        f"loss after {max((t.steps for t in measured.trials), default=0)} updates",
        rates,
        {"loss": tuple(t.loss if math.isfinite(t.loss) else math.nan for t in measured.trials)},
        x_label="learning rate",
        y_label="loss",
        log_x=True,
        log_y=bool(finite) and min(finite) > 0 and max(finite) > 10 * min(finite),
        marks=marks,
        bands=bands,
    )
