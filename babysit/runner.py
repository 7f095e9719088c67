"""Runs checks on a trainer in the lecture's order and makes the report; a crash is a result, not an abort."""

import itertools
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from babysit.blame import blame
from babysit.check import Check, plain
from babysit.config import Config
from babysit.diagnose import diagnose
from babysit.errors import BabysitError, Interrupted, LostError, RanksError, Skip, TargetError, UsageError
from babysit.ranks import launched_together
from babysit.report import Finding, Report, Result, Seconds, Severity, Status

if TYPE_CHECKING:
    from babysit.bench import Bench, Show
    from babysit.target import Source
    from babysit.trainer import Trainer

Progress = Callable[[str, int, int], None]  # (check, done, total)


@dataclass(frozen=True)
class Plan:
    """Which checks to run, and how to judge them.

    Args:
        checks: In the order in which they run.
        settings: The settings of each, by its name.
        rules: Ids of the rules to judge by; None for all.
        ignore: Reasons by rule that is left out.
        expected: Reasons by rule that is known to be broken.
    """

    checks: tuple[Check, ...]
    settings: Mapping[str, Any]
    rules: frozenset[str] | None = None
    ignore: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, str] = field(default_factory=dict)


def plan(
    config: Config, checks: Mapping[str, Check], only: str | None = None, *, ran: Collection[str] | None = None
) -> Plan:
    """What a configuration asks for.

    Args:
        config: Its `select` names checks and rules; a rule brings its check along.
        checks: All checks by name, in the lecture's order.
        only: The one check to run.
        ran: Those that have run already, and are to be judged.

    Raises:
        UsageError: Something is selected that is not among what can be.
    """
    together = launched_together()
    usual = {name for name, check in checks.items() if check.usual or (together and check.together)}
    chosen, rules = usual if ran is None else set(ran), None
    if config.select:
        names = set(config.select)
        chosen = {name for name, check in checks.items() if name in names or names & set(check.rules)}
        for name in chosen:
            if checks[name].alone and name != only and ran is None:
                raise UsageError(f"{name} is no part of a run; it is a command of its own: babysit {name}")
        rules = frozenset(id for name in names for id in (checks[name].rules if name in checks else (name,)))
    if only is not None:
        if config.select and only not in chosen:
            raise UsageError(f"nothing of {only} is selected: {', '.join(config.select)}")
        chosen = {only}
    return Plan(
        checks=tuple(check for name, check in checks.items() if name in chosen),
        settings=config.settings,
        rules=rules,
        ignore=config.ignore,
        expected=config.expected,
    )


def run(
    trainer: "Trainer",
    plan: Plan,
    *,
    target: str,
    seed: int = 0,
    progress: Progress | None = None,
    show: "Show | None" = None,
    source: "Source | None" = None,
    started: float | None = None,
) -> Report:
    """Measure and judge.

    Args:
        trainer: The user's; left as it was found.
        plan: What to run.
        target: Its name, for the report.
        seed: The seed that it was built with.
        progress: Called as the checks proceed.
        show: Called with a way to see how far the check has come that runs.
        source: Where other trainers like it come from.
        started: When the user began to wait, by `time.perf_counter`: what has passed since was spent on loading. None
            where nobody waited before this call.

    Raises:
        UsageError: A setting doesn't fit the target.
        TargetError: The trainer fails before any check can begin.
    """
    import numpy as np

    from babysit.bench import Bench
    from babysit.trainer import SupportsRanks

    began = time.perf_counter()
    with np.errstate(all="ignore"):  # learning rates are tried on purpose until the numbers overflow
        bench = Bench(trainer)
        bench.show = show or bench.show
        bench.source = source
        if launched_together() and bench.trainer.supports(SupportsRanks) and bench.trainer.ranks.size == 1:
            raise TargetError(
                "several processes were started, but each runs the program alone: call "
                "torch.distributed.init_process_group in the factory"
            )
        results, interrupted = _measure(bench, plan, progress or (lambda check, done, total: None))  # noqa: ARG005
    wall = time.perf_counter() - began
    blank = Report(
        target,
        seed,
        version("babysit"),
        interrupted=interrupted,
        seconds=Seconds(
            bench.trainer.seconds,
            max(0.0, wall - bench.trainer.seconds),
            0.0 if started is None else began - started,
        ),
    )
    return conclude(blank, results, plan)


def _measure(bench: "Bench", plan: Plan, progress: Progress) -> tuple[list[Result], bool]:
    """Every check's result, so far as it got, and whether Ctrl-C ended it."""
    results: list[Result] = []
    gone: dict[str, str] = {}  # reasons to block, by rule
    try:
        for check in plan.checks:
            began = _Mark.now(bench)
            bench.advance = lambda done, total, name=check.name: progress(name, done, total)  # type: ignore[misc]
            results.append(_next(bench, check, plan, gone))
    except KeyboardInterrupt as stop:
        if isinstance(stop, Interrupted):
            check = plan.checks[len(results)]
            settings = plain(plan.settings[check.name])
            status = Status.BLOCKED if stop.measurement is None else Status.PASSED
            results.append(Result(check.name, status, str(stop), stop.measurement, settings, **began.since(bench)))
            return results, True
        reasons = itertools.chain(["interrupted before it ended"], itertools.repeat("interrupted before it began"))
        left = zip(plan.checks[len(results) :], reasons, strict=False)
        return [*results, *(Result(check.name, Status.BLOCKED, reason) for check, reason in left)], True
    return results, False


def _next(bench: "Bench", check: Check, plan: Plan, gone: dict[str, str]) -> Result:
    """The check's result; what it takes away from those behind it is added to `gone`."""
    settings = plan.settings[check.name]
    blocked = [reason for rule, reason in gone.items() if rule in (*check.blocked_by, "")]
    if blocked:
        return Result(check.name, Status.BLOCKED, blocked[0], settings=plain(settings))
    bench.advance(0, 1)
    result, lost = _result(bench, check, settings)
    bench.advance(1, 1)
    if lost:
        gone[""] = f"{lost} {check.name}"
    if result.measurement is not None:
        gone |= {rule: f"{rule} was found by {check.name}" for rule in _errors(check, result, settings, plan)}
    return result


def _errors(check: Check, result: Result, settings: Any, plan: Plan) -> set[str]:
    """Rules that found an error and that the user does not ignore."""
    found = check.judge(result.measurement, settings)
    return {f.rule for f in found if f.severity is Severity.ERROR} - set(plan.ignore)


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
        status, reason = Status.CRASHED, f"a fault of babysit's own, please report it: {blame(error, ours=True)}"
    return Result(check.name, status, reason, measurement, plain(settings), **began.since(bench)), lost


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


def conclude(blank: Report, results: Iterable[Result], plan: Plan) -> Report:
    """The report of these measurements under this plan's settings. Pure: nothing is measured again.

    Args:
        blank: A report that says what was run; its results and findings are replaced.
        results: What was measured; others than the plan's checks are left out.
        plan: How to judge.
    """
    planned = {check.name: check for check in plan.checks}
    kept = [result for result in results if result.check in planned]
    measured = {result.check: result.measurement for result in kept if result.measurement is not None}
    judged = {name: planned[name].judge(m, plan.settings[name]) for name, m in measured.items()}
    everything = [f for found in judged.values() for f in found if plan.rules is None or f.rule in plan.rules]
    present = {f.rule for f in everything}
    findings = diagnose(measured, [f for f in everything if f.rule not in plan.ignore])
    testable = {rule for name in measured for rule in planned[name].rules if plan.rules is None or rule in plan.rules}
    return replace(
        blank,
        results=tuple(_judged(result, planned[result.check], plan, findings) for result in kept),
        findings=findings,
        ignored={rule: reason for rule, reason in plan.ignore.items() if rule in present},
        expected={rule: reason for rule, reason in plan.expected.items() if rule in present},
        unmet={rule: reason for rule, reason in plan.expected.items() if rule in testable - present},
    )


def _judged(result: Result, check: Check, plan: Plan, findings: tuple[Finding, ...]) -> Result:
    """The result with its status and exhibits."""
    if result.measurement is None:
        return result
    settings = plan.settings[check.name]
    errors = any(f.rule in check.rules and f.severity is Severity.ERROR for f in findings)
    return replace(
        result,
        status=Status.FAILED if errors else Status.PASSED,
        settings=plain(settings),
        exhibits=tuple(check.exhibits(result.measurement, settings)),
    )
