"""Goes through the checks in the lecture's order on one bench; a crash is a result, not an abort."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from babysit import judging
from babysit.blame import LESS_MEMORY, blame, ran_out_of_memory
from babysit.check import Check, plain
from babysit.errors import BabysitError, Interrupted, LostError, RanksError, Skip, UsageError
from babysit.judging import OWN_FAULT, Judged
from babysit.plan import Plan
from babysit.report import Finding, Result, Seconds, Severity, Status

if TYPE_CHECKING:
    from babysit.bench import Bench

Progress = Callable[[str, int, int], None]  # (check, done, total)


class Walk:
    """One way through the checks of a plan.

    Args:
        bench: What they measure on.
        plan: Which they are.
        progress: Called as they proceed.

    Attributes:
        results: One for each check, as far as it got.
        judged: What their rules found, by check.
        interrupted: Whether Ctrl-C ended it.
    """

    def __init__(self, bench: "Bench", plan: Plan, progress: Progress | None = None) -> None:
        self.bench, self.plan = bench, plan
        self.results: list[Result] = []
        self.judged: dict[str, Judged] = {}
        self.interrupted = False
        self._progress: Progress = progress or (lambda check, done, total: None)  # noqa: ARG005
        self._gone: dict[str, str] = {}  # reasons to block, by rule; "" blocks all

    def go(self) -> None:
        """Measure and judge every check; Ctrl-C keeps what was found."""
        checks = self.plan.checks
        try:
            for check in checks:
                began = _Mark.now(self.bench)
                self.bench.advance = lambda done, total, name=check.name: self._progress(name, done, total)  # type: ignore[misc]
                self.results.append(self._next(check))
        except Interrupted as stop:
            self.interrupted = True
            check = checks[len(self.results)]
            settings = plain(self.plan.settings[check.name])
            status = Status.BLOCKED if stop.measurement is None else Status.PASSED
            ended = began.since(self.bench)
            self.results.append(Result(check.name, status, str(stop), stop.measurement, settings, **ended))
        except KeyboardInterrupt:
            self.interrupted = True
            reasons = itertools.chain(["interrupted before it ended"], itertools.repeat("interrupted before it began"))
            left = zip(checks[len(self.results) :], reasons, strict=False)
            self.results += [Result(check.name, Status.BLOCKED, reason) for check, reason in left]

    def _next(self, check: Check) -> Result:
        """The check's result; what it takes away from those behind it is noted."""
        settings = self.plan.settings[check.name]
        blocked = [reason for rule, reason in self._gone.items() if rule in (*check.blocked_by, "")]
        if blocked:
            return Result(check.name, Status.BLOCKED, blocked[0], settings=plain(settings))
        self.bench.advance(0, 1)
        result, lost = _result(self.bench, check, settings)
        self.bench.advance(1, 1)
        if lost:
            self._gone[""] = f"{lost} {check.name}"
        if result.measurement is not None:
            self.judged[check.name] = judging.judge(check, result.measurement, settings)
            self._gone |= {f.rule: f"{f.rule} was found by {check.name}" for f in self._errors(check)}
        return result

    def _errors(self, check: Check) -> list[Finding]:
        """Errors of the check's rules that the user does not ignore."""
        found = self.judged[check.name].findings
        return [f for f in found if f.severity is Severity.ERROR and f.rule not in self.plan.ignore]


def _result(bench: "Bench", check: Check, settings: Any) -> tuple[Result, str]:
    """One check, measured, and how the trainer got lost, if so; what fails makes a result too."""
    began = _Mark.now(bench)
    measurement, status, reason, lost = None, Status.PASSED, "", ""
    try:
        measurement = check.measure(bench, settings)
    except Skip as skip:
        status, reason = Status.SKIPPED, str(skip)
    except BabysitError as raised:
        if isinstance(raised, UsageError) and check.alone:
            raise  # its own command line is wrong, and nothing else was measured that could be lost
        error = raised if isinstance(raised, LostError) else bench.trainer.ranks.failed(str(raised))
        status, reason = Status.CRASHED, str(error)
        if isinstance(error, LostError):
            lost = "a rank failed in" if isinstance(error, RanksError) else "the trainer could not be put back after"
    except Exception as error:  # noqa: BLE001  # one check's own crash must not lose what the others found
        status, reason = Status.CRASHED, _own_crash(error)
    return Result(check.name, status, reason, measurement, plain(settings), **began.since(bench)), lost


def _own_crash(error: Exception) -> str:
    """What to say of an exception in a check's own code."""
    told = blame(error, ours=True)
    return f"it ran out of memory: {told}; {LESS_MEMORY}" if ran_out_of_memory(error) else f"{OWN_FAULT}: {told}"


@dataclass(frozen=True)
class _Mark:
    """A moment, to tell later what a check has taken since."""

    time: float
    seconds: float
    steps: int

    @classmethod
    def now(cls, bench: "Bench") -> "_Mark":
        return cls(time.perf_counter(), bench.trainer.seconds, bench.trainer.steps)

    def since(self, bench: "Bench") -> dict[str, Any]:
        """Steps and seconds, as a result holds them."""
        now = self.now(bench)
        spent = now.seconds - self.seconds
        own = max(0.0, now.time - self.time - spent)
        return {"steps": now.steps - self.steps, "seconds": Seconds(spent, own)}
