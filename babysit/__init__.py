"""babysit: the checklist for training neural networks, as a command.

The public names: what a training program needs in order to be checked, and the checks from Python.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from babysit.errors import BabysitError, Skip, TargetError, UsageError
    from babysit.tasks.task import (
        Binary,
        ChanceLoss,
        Classification,
        Hinge,
        LanguageModel,
        MultiLabel,
        Regression,
        Task,
        UnknownLoss,
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
    "UnknownLoss",
    "UsageError",
]


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for: `babysit --help` asks for none."""
    if name in __all__:
        for home in ("errors", "trainer", "tasks.task"):
            module = importlib.import_module(f"babysit.{home}")
            if hasattr(module, name):
                return globals().setdefault(name, getattr(module, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
