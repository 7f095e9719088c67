"""Do the activations let signal and gradient through?

Unit by unit over many examples, at initialization and again after some steps at the user's learning rate: dead
rectifiers, saturated sigmoids and tanhs, units that say the same for every example (CS231n, lecture 6, "activation
functions"). Both times are looked at, so that a unit dead at birth and one killed by the learning rate are told apart.
"""

from babysit.checks.check_activations.exhibits import exhibits
from babysit.checks.check_activations.measure import measure
from babysit.checks.check_activations.rules import (
    collapsed_slope,
    constant_activation,
    dead_relu,
    idle_maxout_piece,
    killed_by_learning_rate,
    same_sign_gradient,
    saturated_activation,
)
from babysit.checks.check_activations.schema import Measurement, Settings

__all__ = ["BLOCKED_BY", "ORDER", "RULES", "Measurement", "Settings", "exhibits", "measure"]

ORDER = 30
BLOCKED_BY = ("state-not-restored", "ranks-diverge")
RULES = (
    dead_relu,
    killed_by_learning_rate,
    saturated_activation,
    constant_activation,
    same_sign_gradient,
    idle_maxout_piece,
    collapsed_slope,
)
