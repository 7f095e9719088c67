"""Goes through the checks in the lecture's order on one bench; a crash is a result, not an abort."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from babysit.check import Check, plain
from babysit.diagnosis.consequences import explained_by
from babysit.driving.budget import Share
from babysit.errors import BabysitError, Interrupted, LostError, OverBudget, RanksError, Skip, UsageError
from babysit.messages import LESS_MEMORY, blame, ran_out_of_memory
from babysit.report import Finding, Result, Seconds, Severity, Status
from babysit.running import judging
from babysit.running.judging import OWN_FAULT, Judged
from babysit.running.plan import Plan
from babysit.running.purse import Purse

if TYPE_CHECKING:
    from babysit.driving.bench import Bench

Progress = Callable[[str, int, int], None]  # (check, done, total)


class Notices(Protocol):
    """Hears what is known before the report is."""

    def estimated(self, text: str) -> None:
        """How long all will take."""

    def ended(self, result: Result, findings: Sequence[Finding], certain: Sequence[Finding]) -> None:
        """A check's result, what its rules found, and the errors among them that stand."""


class Walk:
    """One way through the checks of a plan.

    Args:
        bench: What they measure on.
        plan: Which they are, and how far to go.
        progress: Called as they proceed.
        notices: Hears what is known early.

    Attributes:
        plan: As given, with the settings that the budget left.
        results: One for each check, as far as it got.
        judged: What their rules found, by check.
        interrupted: Whether Ctrl-C ended it.
    """

    def __init__(
        self, bench: "Bench", plan: Plan, progress: Progress | None = None, notices: Notices | None = None
    ) -> None:
        self.bench, self.plan = bench, plan
        bench.explained_by = explained_by
        self.results: list[Result] = []
        self.judged: dict[str, Judged] = {}
        self.interrupted = False
        self._progress: Progress = progress or (lambda check, done, total: None)  # noqa: ARG005
        self._notices, self._estimated = notices, False
        self._gone: dict[str, str] = {}  # reasons to block, by rule; "" blocks all
        self._purse = Purse(bench, plan.budget, plan.checks, plan.settings)

    def go(self) -> None:
        """Measure and judge every check; Ctrl-C keeps what was found."""
        checks = self.plan.checks
        began = _Mark.now(self.bench)
        try:
            self._purse.open()
            self._estimate()
            if len(checks) > 1 and self._purse.is_too_small():
                self._skip_all()
            for check in checks[len(self.results) :]:
                began = _Mark.now(self.bench)
                self.bench.advance = lambda done, total, name=check.name: self._progress(name, done, total)  # type: ignore[misc]
                self.results.append(self._next(check))
                self._tell(check)
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

    def _skip_all(self) -> None:
        reason = f"not enough budget for any check: all of them take {self._purse.takes()}"
        self.results += [
            Result(check.name, Status.SKIPPED, reason, settings=plain(self.plan.settings[check.name]))
            for check in self.plan.checks
        ]

    def _next(self, check: Check) -> Result:
        """The check's result; what it takes away from those behind it is noted."""
        settings = self.plan.settings[check.name]
        if blocked := self._blocked(check):
            return Result(check.name, Status.BLOCKED, blocked, settings=plain(settings))
        behind = [one for one in self.plan.checks[len(self.results) + 1 :] if not self._blocked(one)]
        share = self._purse.share(check, behind)
        if share is not None and not share.granted:
            needs = f"needs about {self._purse.least(check):.0f} steps, had {share.steps:.0f}"
            return Result(check.name, Status.SKIPPED, f"not enough budget: {needs}", settings=plain(settings))
        settings = self._purse.shortened(check, share)
        self.plan = replace(self.plan, settings={**self.plan.settings, check.name: settings})
        self.bench.advance(0, 1)
        result, lost = _result(self.bench, check, settings, share)
        self.bench.advance(1, 1)
        if lost:
            self._gone[""] = f"{lost} {check.name}"
        if result.measurement is not None:
            self._judge(check, result.measurement, settings)
        return result

    def _blocked(self, check: Check) -> str:
        """Why the check's ground has gone; empty where it hasn't."""
        return next((self._gone[rule] for rule in ("", *check.blocked_by) if rule in self._gone), "")

    def _judge(self, check: Check, measurement: Any, settings: Any) -> None:
        """Note what the check found, and what that means for those behind it."""
        self.judged[check.name] = judging.judge(check, measurement, settings)
        errors = [f for f in self.judged[check.name].findings if f.severity is Severity.ERROR]
        gone = {f.rule for f in errors if f.rule not in self.plan.ignore}
        self._gone |= {rule: f"{rule} was found by {check.name}" for rule in gone}
        self.bench.known |= {rule for rule in gone if check.rules[rule].certain}

    def _tell(self, check: Check) -> None:
        """Let be known what the check has brought, and end at an error where that is asked for."""
        result, found = self.results[-1], self._asked(check.name)
        errors = [f for f in found if f.severity is Severity.ERROR]
        certain = [f for f in errors if check.rules[f.rule].certain and f.rule not in self.plan.expected]
        self._estimate()
        if self._notices and result.status is not Status.BLOCKED:
            seen = replace(result, status=Status.FAILED) if errors else result
            self._notices.ended(seen, found, certain)
        if self.plan.fail_fast and not self._gone.get("") and result.measurement is not None:
            rule = next((f.rule for f in certain), "") or self._first_error()
            if rule:
                self._gone[""] = f"--fail-fast: {rule} was found by {check.name}"

    def _asked(self, name: str) -> tuple[Finding, ...]:
        """The check's findings of rules that are asked for and not ignored."""
        found = self.judged[name].findings if name in self.judged else ()
        rules = self.plan.rules
        return tuple(f for f in found if f.rule not in self.plan.ignore and (rules is None or f.rule in rules))

    def _first_error(self) -> str:
        """The rule of the worst error as all that was measured shows it by now; empty where there is none."""
        measured = {result.check: result.measurement for result in self.results if result.measurement is not None}
        findings, _ = judging.diagnosed(measured, tuple(f for name in measured for f in self._asked(name)))
        errors = (f.rule for f in findings if f.severity is Severity.ERROR and f.rule not in self.plan.expected)
        return next(errors, "")

    def _estimate(self) -> None:
        """Let be known how long all takes, once that is; every rank finds it out, since they draw batches together."""
        if self._estimated or len(self.plan.checks) == 1:
            return
        text = self._purse.estimate()
        self._estimated = bool(text)
        if text and self._notices:
            self._notices.estimated(text)


def _result(bench: "Bench", check: Check, settings: Any, share: Share | None = None) -> tuple[Result, str]:
    """One check, measured, and how the trainer got lost, if so; what fails makes a result too."""
    began = _Mark.now(bench)
    measurement, status, reason, lost = None, Status.PASSED, "", ""
    try:
        measurement = check.measure(bench, settings)
    except Skip as skip:
        status, reason = Status.SKIPPED, str(skip)
    except OverBudget:
        had = f"the {share.limit:.0f} steps" if share else "what"
        status, reason = Status.SKIPPED, f"not enough budget: needs more than {had} that it had"
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
