"""babysit: the checklist for training neural networks, as a command.

The public names: what a training program needs in order to be checked, and the checks from Python.
"""

from babysit.errors import BabysitError, Skip, TargetError, UsageError
from babysit.task import (
    Binary,
    ChanceLoss,
    Classification,
    Hinge,
    LanguageModel,
    MultiLabel,
    Regression,
    Task,
)
from babysit.trainer import (
    ForwardOnly,
    Output,
    Record,
    SupportsParameters,
    SupportsRanks,
    SupportsRegularization,
    SupportsSaveInto,
    SupportsTrace,
    Trainer,
)

__all__ = [
    "BabysitError",
    "Binary",
    "ChanceLoss",
    "Classification",
    "ForwardOnly",
    "Hinge",
    "LanguageModel",
    "MultiLabel",
    "Output",
    "Record",
    "Regression",
    "Skip",
    "SupportsParameters",
    "SupportsRanks",
    "SupportsRegularization",
    "SupportsSaveInto",
    "SupportsTrace",
    "TargetError",
    "Task",
    "Trainer",
    "UsageError",
]
