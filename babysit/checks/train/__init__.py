"""Does a short run of training go as it should?

A monitored run at the user's own settings, on what the program's own loader gives (CS231n, course notes "neural
networks 3", "babysitting the learning process"): the loss of every update and, at some moments, loss and metric of
both splits, how far each update moves the weights, the gradients, dead and saturated units. It ends early where the
loss passes three times what it began with, and behind two thirds of the updates where all goes well. Where it comes to
nothing, short runs from the same start show what cures it: other rates, no regularization, standardized inputs, weights
drawn anew, plain gradients. `--record FILE` keeps all of it, a JSON object a line, while the run goes.
"""

from babysit.checks.train.curve_rules import (
    loss_diverges,
    loss_not_falling,
    loss_plateau,
    noisy_loss,
    slow_start,
    update_ratio_out_of_range,
)
from babysit.checks.train.exhibits import exhibits
from babysit.checks.train.gap_rules import (
    loss_flat_accuracy_rising,
    loss_metric_disagree,
    overfitting_gap,
    underfitting,
)
from babysit.checks.train.measure import measure, needs, shortened
from babysit.checks.train.schema import Measurement, Settings

__all__ = ["BLOCKED_BY", "ORDER", "RULES", "Measurement", "Settings", "exhibits", "measure", "needs", "shortened"]

ORDER = 100
BLOCKED_BY = ("state-not-restored", "ranks-diverge", "non-finite-loss", "step-changes-nothing", "task-mismatch")
RULES = (
    loss_diverges,
    loss_not_falling,
    slow_start,
    loss_plateau,
    noisy_loss,
    update_ratio_out_of_range,
    overfitting_gap,
    underfitting,
    loss_metric_disagree,
    loss_flat_accuracy_rising,
)
