"""How `train` measures."""

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from babysit.checks.train.curve_rules import (
    loss_diverges,
    loss_not_falling,
)
from babysit.checks.train.monitor import LOOKS
from babysit.checks.train.schema import Measurement, Settings
from babysit.driving.budget import Needs, evaluations
from babysit.errors import OverBudget
from babysit.measuring.treatments import Treated
from babysit.report import Severity

if TYPE_CHECKING:
    from babysit.driving.bench import Bench

LEAST_STEPS = 60  # in which means over 20 updates make three points, the least that a course has
WATCHED = 1.1  # times the updates: traces, and sometimes further updates at a tenth of the rate


def needs(settings: Settings, batch: int) -> Needs:
    """The updates, watched, and the evaluations of both splits at a dozen moments."""
    looks = 2 * len(LOOKS) * evaluations(settings.examples, batch)
    return Needs(*(WATCHED * steps + looks for steps in (min(LEAST_STEPS, settings.steps), settings.steps)))


def shortened(settings: Settings, steps: float, batch: int) -> Settings:
    """With fewer updates, where it doesn't go by epochs; without treatments where there is no room for them."""
    room = (steps - 2 * len(LOOKS) * evaluations(settings.examples, batch)) / WATCHED
    fewer = settings if settings.epochs else replace(settings, steps=max(1, int(min(settings.steps, room))))
    return fewer if room >= fewer.steps + 6 * settings.treated else replace(fewer, treatment=False)


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Watch the run; where it ends flat, go on for a bit at a tenth of the learning rate; where it fails, treat it."""
    from babysit.checks.train.monitor import monitored
    from babysit.checks.train.treated_runs import treated_runs
    from babysit.measuring import scores

    scores.require_fit(bench)
    run, train, val = monitored(bench, settings)
    asked = 0 if settings.epochs else settings.steps
    measured = Measurement(bench.task.metric, bench.trainer.learning_rate, asked, run, train, val)
    found = (*loss_diverges(measured, settings), *loss_not_falling(measured, settings))
    failures = {finding.rule for finding in found if finding.severity is Severity.ERROR}
    if not (settings.treatment and run.losses and failures):
        return measured
    if explained := bench.explained(failures):
        return replace(measured, explained=explained)
    treated: list[Treated] = []
    with contextlib.suppress(OverBudget):  # the program's own run has its verdict
        for one in treated_runs(bench, settings, run.losses, train):
            treated.append(one)
    return replace(measured, treated=tuple(treated))
