"""What else is tried where the user's own rate memorizes nothing, unless it is known already why it doesn't."""

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from babysit.checks.overfit.attempts import other_attempts, treated_attempts
from babysit.checks.overfit.schema import LEARNED, Attempt, Outcome
from babysit.errors import OverBudget
from babysit.measuring.treatments import Treated

if TYPE_CHECKING:
    from babysit.checks.overfit.attempts import Aim
    from babysit.checks.overfit.schema import Settings
    from babysit.driving.bench import Bench
    from babysit.trainer import Batch

STUCK = ("cannot-overfit", "overfit-too-slow", "constant-predictions")  # what an attempt comes to that fails,
FAILURES = {Outcome.DIVERGED: ("overfit-diverges",)}  # or, where it ends so


@dataclass(frozen=True)
class Remedies:
    """What was tried.

    Args:
        attempts: At other learning rates.
        treated: With one thing changed.
        explained: The certain finding of an earlier check that explains the failure, so that nothing was tried.
    """

    attempts: tuple[Attempt, ...] = ()
    treated: tuple[Treated, ...] = ()
    explained: str = ""


def remedies(bench: "Bench", batch: "Batch", own: Attempt, aim: "Aim", settings: "Settings") -> Remedies:
    """Other learning rates and treatments, as far as the budget goes; none where they are not asked for or needed.

    What comes near to the aim at the user's rate needs more steps, and nothing else.
    """
    nearly = own.outcome is Outcome.UNFINISHED and own.losses[-1] < settings.nearly * aim.constant
    if not settings.treatment or nearly or own.outcome in (*LEARNED, Outcome.BY_LOSS_ALONE):
        return Remedies()
    if explained := bench.explained(FAILURES.get(own.outcome, STUCK)):
        return Remedies(explained=explained)
    attempts: list[Attempt] = []
    treated: list[Treated] = []
    with contextlib.suppress(OverBudget):  # what was tried to its end counts; the user's own rate has its verdict
        for attempt in other_attempts(bench, batch, own, aim, settings):
            attempts.append(attempt)
        for one in treated_attempts(bench, batch, aim, settings):
            treated.append(one)
    return Remedies(tuple(attempts), tuple(treated))
