"""Does regularization raise the loss, and reach the weights?

Turn the regularization up and the loss must go up, by the penalty alone (CS231n, lecture 6, "babysitting the
learning process", step 2). Decay inside an optimizer never shows in a loss, so it is looked for in a real step.
"""

from babysit.checks.check_reg.exhibits import exhibits
from babysit.checks.check_reg.measure import measure, needs
from babysit.checks.check_reg.rules import (
    decay_not_applied,
    regularization_dominates,
    regularization_lowers_loss,
    regularization_without_effect,
)
from babysit.checks.check_reg.schema import Measurement, Settings

__all__ = ["BLOCKED_BY", "ORDER", "RULES", "Measurement", "Settings", "exhibits", "measure", "needs"]

ORDER = 60
BLOCKED_BY = ("state-not-restored", "ranks-diverge", "non-finite-loss")
RULES = (
    regularization_without_effect,
    regularization_lowers_loss,
    regularization_dominates,
    decay_not_applied,
)
