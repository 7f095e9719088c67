"""The demo broken on purpose, one named fault for each rule that the lecture explains, in the lecture's order.

Each function in these modules makes a broken trainer. Its name, in kebab case, is the fault's; its docstring is the
explanation that `babysit demo --list-faults` prints.
"""

# ruff: noqa: I001  # the order of the imports is that of the list
from babysit.lab.faults import target, data, initialization, activations, norm  # noqa: F401  # each adds its faults
from babysit.lab.faults import loss, regularization, gradient, updates, monitoring  # noqa: F401
from babysit.lab.faults.fault import FAULTS, Fault

__all__ = ["FAULTS", "Fault"]
