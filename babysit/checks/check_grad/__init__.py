"""Are the gradients those of the loss?

Each parameter's gradient against centered differences of the loss, as the course notes teach ("neural networks 3",
gradient checks): a few examples, a short burn-in first, the steepest way through all entries of a parameter together
and a few entries alone, kinks and rounding told apart from mistakes, the penalty apart from the data loss. Then some
updates, to see that each uses its own gradients alone. Meant for gradients written by hand, and as right about others.
"""

from babysit.checks.check_grad.exhibits import exhibits
from babysit.checks.check_grad.measure import measure, needs
from babysit.checks.check_grad.rules import accumulated_gradient, missing_gradient, wrong_gradient
from babysit.checks.check_grad.schema import Measurement, Settings

__all__ = ["BLOCKED_BY", "ORDER", "RULES", "Measurement", "Settings", "exhibits", "measure", "needs"]

ORDER = 70
BLOCKED_BY = ("state-not-restored", "ranks-diverge", "non-finite-loss")
RULES = (
    wrong_gradient,
    missing_gradient,
    accumulated_gradient,
)
