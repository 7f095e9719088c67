"""The budget of a run while it is spent: each check's share of it, and a stop ahead of the call that would pass it."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from babysit.check import Check
from babysit.driving.budget import Budget, Needs, Share, estimate, shares
from babysit.driving.meter import Meter
from babysit.errors import Skip, TargetError

if TYPE_CHECKING:
    from babysit.driving.bench import Bench

PROBED = 4  # updates that tell a step's time; the first is left out, since it builds and compiles
BATCH = 32  # examples of one, where none can be drawn


class Purse:
    """Hands out a budget, check by check.

    Args:
        bench: What the checks measure on.
        budget: What they may take together; None for no bound.
        checks: All that will run, in their order.
        settings: Theirs, by name.
    """

    def __init__(self, bench: "Bench", budget: Budget | None, checks: Sequence[Check], settings: Any) -> None:
        self._bench, self._budget = bench, budget
        self._checks, self._settings = checks, settings
        self._meter = Meter(bench.trainer, in_steps=budget.in_steps) if budget else None
        self._needs: dict[str, Needs] = {}
        self._batch = 0

    def open(self) -> None:
        """Find out what a plan takes: a step's time, where the budget is one."""
        if self._meter is None or self._budget is None:
            return
        if not self._budget.in_steps and self._total:
            self._meter.price = self._probed()
        self._bench.trainer.meter = self._meter
        self._meter.limit = self._budget.amount

    def _probed(self) -> float:
        """The seconds of a step; 0 where it can't make one, which the checks will tell."""
        with contextlib.suppress(TargetError, Skip), self._bench.borrowed() as trainer:
            for _ in range(PROBED):
                trainer.step(self._bench.pool()[0])
        found: float = self._bench.trainer.ranks.gather(self._bench.trainer.step_seconds or 0.0)[0]
        return found

    def estimate(self) -> str:
        """What all checks take, in words; empty while a step's time is unknown."""
        seconds = self._bench.trainer.step_seconds  # of this rank: the first alone tells
        return estimate(self._total, seconds) if seconds else ""

    def takes(self) -> str:
        """The same, whether a step's time is known or not."""
        return self.estimate() or f"about {self._total:.0f} steps"

    @property
    def _total(self) -> float:
        """The steps that all checks take."""
        return sum(self._need(check).usual for check in self._checks)

    def share(self, check: Check, behind: Sequence[Check]) -> Share | None:
        """What the check may take; from here on the trainer stops it there. None for no bound.

        Args:
            check: The next.
            behind: Those that come after it.
        """
        meter, budget = self._meter, self._budget
        if meter is None or budget is None or not meter.price:
            return None
        meter.mark(counts=self._need(check).usual > 0)
        left = max(0.0, budget.amount - meter.spent) / meter.rate
        found, spare = shares({one.name: self._need(one) for one in (check, *behind)}, left)
        own = found[check.name]
        others = sum(self._need(one).least for one in behind if found[one.name].granted)
        limit = left - others if own.granted else own.steps
        meter.limit = min(budget.amount, meter.spent + limit * meter.rate)
        return Share(own.steps + (spare if own.granted else 0.0), own.granted, limit)

    def is_too_small(self) -> bool:
        """Whether no check that takes steps gets what it needs."""
        if self._meter is None or self._budget is None or not self._meter.price:
            return False
        needs = {check.name: self._need(check) for check in self._checks}
        found, _ = shares(needs, max(0.0, self._budget.amount - self._meter.spent) / self._meter.price)
        dear = [found[name].granted for name, need in needs.items() if need.least > 0]
        return bool(dear) and not any(dear)

    def shortened(self, check: Check, share: Share | None) -> Any:
        """The check's settings, made to fit into its share."""
        settings = self._settings[check.name]
        return settings if share is None else check.shortened(settings, share.steps, self._examples())

    def least(self, check: Check) -> float:
        """What the check's verdict needs, in steps."""
        return self._need(check).least

    def _need(self, check: Check) -> Needs:
        if check.name not in self._needs:
            self._needs[check.name] = check.needs(self._settings[check.name], self._examples())
        return self._needs[check.name]

    def _examples(self) -> int:
        """Examples in a batch."""
        from babysit import arrays

        if not self._batch:
            with contextlib.suppress(TargetError, Skip):
                self._batch = arrays.count(self._bench.pool()[0])
        return self._batch or BATCH
