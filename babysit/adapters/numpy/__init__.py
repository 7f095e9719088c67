"""Networks written by hand in NumPy, as in the course's assignments: a dict `params` and a method `loss`."""

from babysit.adapters.numpy.trainer import NumpyTrainer, adapt

__all__ = ["FRAMEWORK", "NumpyTrainer", "adapt"]

FRAMEWORK = "numpy"
