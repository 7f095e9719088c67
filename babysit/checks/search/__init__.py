"""Which hyperparameters does this program learn best with?

Random configurations, rates and strengths drawn evenly in log space, first many of them for an epoch or less, then
fewer for longer in a range about the best; what explodes is given up at once, what lies at an edge is said, and the
best are run again with other seeds (CS231n, lecture 6, "hyperparameter optimization"; notes "neural networks 3").
"""

from babysit.checks.search.exhibits import exhibits
from babysit.checks.search.measure import measure
from babysit.checks.search.rules import all_trials_failed, best_at_edge, one_seed_winner, search_too_small
from babysit.search.schema import Measurement, Settings

__all__ = ["ALONE", "BLOCKED_BY", "EXTRA", "ORDER", "RULES", "Measurement", "Settings", "exhibits", "measure"]

ORDER = 120
BLOCKED_BY = ()
ALONE = True
EXTRA = ("optuna", "search")
RULES = (all_trials_failed, best_at_edge, one_seed_winner, search_too_small)
