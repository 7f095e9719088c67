"""Do the initial weights hand signal and gradient on, through all layers?

The lecture's table: mean and spread of every layer's activations at initialization, with the gradient's spread beside
it, and one histogram a layer (CS231n, lecture 6, "weight initialization"). What the first steps put right by themselves
is told apart from what stays.
"""

from babysit.checks.check_init.exhibits import exhibits
from babysit.checks.check_init.measure import measure, needs
from babysit.checks.check_init.rules import (
    exploding_activations,
    exploding_gradient,
    mis_scaled_weights,
    shrinking_activations,
    symmetric_weights,
    vanishing_gradient,
)
from babysit.checks.check_init.schema import Measurement, Settings

__all__ = ["BLOCKED_BY", "ORDER", "RULES", "Measurement", "Settings", "exhibits", "measure", "needs"]

ORDER = 20
BLOCKED_BY = ("state-not-restored", "ranks-diverge", "inputs-not-finite")
RULES = (
    symmetric_weights,
    mis_scaled_weights,
    shrinking_activations,
    exploding_activations,
    vanishing_gradient,
    exploding_gradient,
)
