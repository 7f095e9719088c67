"""What can go wrong outside a check, and the exit code each one means.

    BabysitError
    ├── UsageError        2  the command line, babysit.yaml or a saved report is wrong
    ├── MissingError      3  a package is missing, which an extra of babysit's brings
    └── TargetError       3  the user's program raised, or returned the wrong thing
        └── LostError     3  the trainer can't be driven any further
            ├── RestoreError  3  it could not take its own state back
            └── RanksError    3  one of the program's processes failed, or went its own way

    KeyboardInterrupt
    └── Interrupted     130  Ctrl-C in a check that can say what it has by then

`Skip` is no error: a check raises it to say why it can't be measured on this trainer. Nor is `OverBudget`, which ends a
check that has spent its share of the budget.
"""

from typing import Any


class BabysitError(Exception):
    """An error with one clear message for the user; never a traceback."""

    exit_code = 3


class UsageError(BabysitError):
    """The command line, the configuration or a saved report can't be used as given."""

    exit_code = 2


class MissingError(BabysitError):
    """The command needs a package that one of babysit's extras brings."""


class TargetError(BabysitError):
    """The target could not be built, or failed while it was driven."""


class LostError(TargetError):
    """The trainer can't be driven any further, so no check can go on."""


class RestoreError(LostError):
    """The trainer could not take its own state back."""


class RanksError(LostError):
    """One of the processes that run the program failed, or went its own way."""


class Skip(Exception):  # noqa: N818  # control flow of a check, not an error
    """Raised by `measure` where the trainer lacks what the check needs; the message is the reason."""


class OverBudget(Exception):  # noqa: N818  # control flow of a run; no `Skip`, which checks catch where they can go on
    """Raised ahead of the call that would pass the budget of the check that makes it."""


class Interrupted(KeyboardInterrupt):  # Ctrl-C, and no error of anybody's
    """Ctrl-C in a check that can say what it has; the message says what the user can do.

    Args:
        message: What became of the rest.
        measurement: The check's, of what was done by then.
    """

    def __init__(self, message: str, measurement: Any) -> None:
        super().__init__(message)
        self.measurement = measurement
