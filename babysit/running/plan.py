"""Which checks a run does, and how it judges them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from babysit.check import Check
from babysit.driving.budget import Budget


@dataclass(frozen=True)
class Plan:
    """Which checks to run, and how to judge them.

    Args:
        checks: In the order in which they run.
        settings: The settings of each, by its name.
        rules: Ids of the rules to judge by; None for all.
        ignore: Reasons by rule that is left out.
        expected: Reasons by rule that is known to be broken.
        budget: What the checks may take together; None for no bound.
        fail_fast: Whether to end at the first error.
    """

    checks: tuple[Check, ...]
    settings: Mapping[str, Any]
    rules: frozenset[str] | None = None
    ignore: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, str] = field(default_factory=dict)
    budget: Budget | None = None
    fail_fast: bool = False
