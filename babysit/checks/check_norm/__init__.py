"""Does the network compute the same in evaluation as in training, each example by itself?

Batch normalization has two faces: batch statistics in training, running ones in evaluation (CS231n, lecture 6, "batch
normalization"). After some steps both are held against each other, layer by layer, while the running statistics
settle at a learning rate of 0. And whatever the layers are: the neighbours of an example are changed, which may not
change its scores in evaluation.
"""

from babysit.checks.check_norm.exhibits import exhibits
from babysit.checks.check_norm.measure import measure, needs
from babysit.checks.check_norm.rules import (
    batch_leak,
    frozen_statistics,
    redundant_bias,
    tiny_norm_batch,
    train_eval_gap,
    zero_gamma,
)
from babysit.checks.check_norm.schema import Measurement, Settings

__all__ = ["BLOCKED_BY", "ORDER", "RULES", "Measurement", "Settings", "exhibits", "measure", "needs"]

ORDER = 40
BLOCKED_BY = ("state-not-restored", "ranks-diverge", "step-changes-nothing", "inputs-not-finite")
RULES = (
    batch_leak,
    tiny_norm_batch,
    frozen_statistics,
    train_eval_gap,
    zero_gamma,
    redundant_bias,
)
