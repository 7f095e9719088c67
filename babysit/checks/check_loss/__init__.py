"""Is the first loss the chance loss?

Before any learning, with regularization off, a network knows nothing, and the loss of knowing nothing can be
computed: ln C for a softmax over C classes. Another number means that something between the data and the loss
is not what you think (CS231n, lecture 6, "babysitting the learning process", step 1).
"""

from babysit.checks.check_loss.exhibits import exhibits
from babysit.checks.check_loss.measure import measure, needs
from babysit.checks.check_loss.rules import (
    confident_at_init,
    inputs_ignored,
    non_finite_loss,
    normalized_scores,
    summed_loss,
    task_mismatch,
    unexpected_initial_loss,
)
from babysit.checks.check_loss.schema import Measurement, Settings

__all__ = ["BLOCKED_BY", "ORDER", "RULES", "Measurement", "Settings", "exhibits", "measure", "needs"]

ORDER = 50
BLOCKED_BY = ("state-not-restored", "ranks-diverge")
RULES = (
    non_finite_loss,
    task_mismatch,
    normalized_scores,
    summed_loss,
    inputs_ignored,
    confident_at_init,
    unexpected_initial_loss,
)
