"""Can this program be driven, and put back as it was?

Before anything is measured: an evaluation must change nothing and repeat itself, a step must change the
parameters, and loading a saved state must bring back all of it. What every other check finds rests on that.
"""

from babysit.checks.check_target.exhibits import exhibits
from babysit.checks.check_target.measure import measure, needs
from babysit.checks.check_target.rules import (
    bad_output,
    evaluate_changes_state,
    nondeterministic_evaluation,
    state_not_restored,
    step_changes_nothing,
)
from babysit.checks.check_target.schema import Measurement, Settings

__all__ = ["BLOCKED_BY", "ORDER", "RULES", "Measurement", "Settings", "exhibits", "measure", "needs"]

ORDER = 0
BLOCKED_BY = ()
RULES = (
    state_not_restored,
    evaluate_changes_state,
    step_changes_nothing,
    nondeterministic_evaluation,
    bad_output,
)
