"""Is there a learning rate at which the loss falls, and is yours one?

A sweep with a growing rate finds where the loss blows up; short runs below it, each from the saved state, find where it
falls furthest: too low and it hardly moves, too high and it explodes (CS231n, lecture 6, "babysitting the learning
process", step 4). A range is named only where the loss falls by more than noise explains, twice, on examples that the
runs did not train on, and where targets that belong to other inputs fit worse; the answer may be "none".
"""

from babysit.checks.lr_scan.exhibits import exhibits
from babysit.checks.lr_scan.measure import measure, needs
from babysit.checks.lr_scan.rules import (
    learning_rate_too_high,
    learning_rate_too_low,
    no_usable_learning_rate,
    range_edge,
)
from babysit.checks.lr_scan.schema import Measurement, Settings

__all__ = ["BLOCKED_BY", "ORDER", "RULES", "Measurement", "Settings", "exhibits", "measure", "needs"]

ORDER = 90
BLOCKED_BY = (
    "state-not-restored",
    "ranks-diverge",
    "non-finite-loss",
    "step-changes-nothing",
    "task-mismatch",
)
RULES = (
    no_usable_learning_rate,
    learning_rate_too_low,
    learning_rate_too_high,
    range_edge,
)
