"""What can go wrong outside a check, and the exit code each one means.

    BabysitError
    ├── UsageError        2  the command line, babysit.yaml or a saved report is wrong
    └── TargetError       3  the user's program raised, or returned the wrong thing
        └── RestoreError  3  the trainer could not take its own state back

`Skip` is no error: a check raises it to say why it can't be measured on this trainer.
"""


class BabysitError(Exception):
    """An error with one clear message for the user; never a traceback."""

    exit_code = 3


class UsageError(BabysitError):
    """The command line, the configuration or a saved report can't be used as given."""

    exit_code = 2


class TargetError(BabysitError):
    """The target could not be built, or failed while it was driven."""


class RestoreError(TargetError):
    """The trainer could not take its own state back, so no check can go on."""


class Skip(Exception):  # noqa: N818  # control flow of a check, not an error
    """Raised by `measure` where the trainer lacks what the check needs; the message is the reason."""
