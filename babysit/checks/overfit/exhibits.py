"""What `overfit` shows."""

from collections.abc import Iterator

from babysit.checks.overfit.schema import Measurement, Settings
from babysit.measuring.treatments import RATE
from babysit.report import Curve, Exhibit, Fact


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """How the attempts went."""
    own = measured.own
    yield Fact("examples", f"{measured.examples}, all regularization off; random labels would be memorized, too")
    yield Fact(
        "loss", f"{own.losses[0]:.4g} to {own.losses[-1]:.3g} in {len(own.losses)} steps (aim: {measured.aim:.3g})"
    )
    if measured.metric:
        yield Fact(f"training {measured.metric}", f"{own.score:.2f}")
    yield Fact("loss of the best constant prediction", f"{measured.constant_loss:.4g}")
    for tried in measured.attempts[1:]:
        rate = RATE.format(tried.learning_rate)
        yield Fact(f"tried {rate}", f"{tried.outcome}, loss {tried.losses[-1]:.3g}")
    if measured.explained:
        yield Fact("not treated", f"{measured.explained} explains it")
    for treated in measured.treated:
        yield Fact(f"tried {treated.treatment}", str(treated))
    yield Curve(
        "loss on the tiny subset",
        tuple(float(i) for i in range(len(own.losses))),
        {f"learning rate {own.learning_rate:.3g}": own.losses},
        x_label="step",
        y_label="loss",
        log_y=min(own.losses) > 0,
    )
