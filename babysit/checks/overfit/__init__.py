"""Can the network memorize 20 examples?

With all regularization off, a network that works drives the loss of a tiny subset to its floor, and its training
accuracy to 1.00 (CS231n, lecture 6, "babysitting the learning process", step 3). It is a test of the machinery:
random labels are memorized too. Where it fails at the user's learning rate, other rates are tried from the same start,
and then treatments, one at a time: standardized inputs, weights drawn anew, plain gradients instead of the program's
own update. What cures it is told.
"""

from babysit.checks.overfit.exhibits import exhibits
from babysit.checks.overfit.measure import measure, needs, shortened
from babysit.checks.overfit.rules import (
    cannot_overfit,
    constant_predictions,
    floor_above_zero,
    frozen_parameters,
    output_range,
    overfit_diverges,
    overfit_too_slow,
)
from babysit.checks.overfit.schema import Measurement, Settings

__all__ = ["BLOCKED_BY", "ORDER", "RULES", "Measurement", "Settings", "exhibits", "measure", "needs", "shortened"]

ORDER = 80
BLOCKED_BY = ("state-not-restored", "ranks-diverge", "non-finite-loss", "task-mismatch")
RULES = (
    overfit_diverges,
    overfit_too_slow,
    cannot_overfit,
    frozen_parameters,
    constant_predictions,
    floor_above_zero,
    output_range,
)
