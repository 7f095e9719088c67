"""Runs checks on a trainer and makes the report; a crash is a result, not an abort."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from babysit.check import Check, plain
from babysit.driving.ranks import launched_together
from babysit.errors import TargetError
from babysit.report import Crash, Finding, Report, Result, Seconds, Severity, Status
from babysit.running import judging
from babysit.running.judging import Judged
from babysit.running.plan import Plan
from babysit.running.walk import Notices, Progress, Walk

if TYPE_CHECKING:
    from babysit.driving.bench import Show
    from babysit.driving.target import Source
    from babysit.trainer import Trainer


def run(
    trainer: "Trainer",
    plan: Plan,
    *,
    target: str,
    seed: int = 0,
    progress: Progress | None = None,
    show: "Show | None" = None,
    notices: Notices | None = None,
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
        notices: Hears what is known before the report is.
        source: Where other trainers like it come from.
        started: When the user began to wait, by `time.perf_counter`: what has passed since was spent on loading. None
            where nobody waited before this call.

    Raises:
        UsageError: A setting doesn't fit the target.
        TargetError: The trainer fails before any check can begin.
    """
    import numpy as np

    from babysit.driving.bench import Bench
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
        walk = Walk(bench, plan, progress, notices)
        walk.go()
    wall = time.perf_counter() - began
    blank = Report(
        target,
        seed,
        version("babysit"),
        interrupted=walk.interrupted,
        seconds=Seconds(
            bench.trainer.seconds,
            max(0.0, wall - bench.trainer.seconds),
            0.0 if started is None else began - started,
        ),
    )
    return conclude(blank, walk.results, walk.plan, walk.judged)


def conclude(
    blank: Report, results: Iterable[Result], plan: Plan, judged: Mapping[str, Judged] | None = None
) -> Report:
    """The report of these measurements under this plan's settings. Pure: nothing is measured again.

    Args:
        blank: A report that says what was run; its results, findings and crashes are replaced.
        results: What was measured; others than the plan's checks are left out.
        plan: How to judge.
        judged: What the rules have found, by check; they are asked where it isn't there.
    """
    planned = {check.name: check for check in plan.checks}
    kept = [result for result in results if result.check in planned]
    measured = {result.check: result.measurement for result in kept if result.measurement is not None}
    known = judged or {}
    judged = {
        name: known.get(name) or judging.judge(planned[name], m, plan.settings[name]) for name, m in measured.items()
    }
    everything = [f for one in judged.values() for f in one.findings if plan.rules is None or f.rule in plan.rules]
    present = {f.rule for f in everything}
    crashes = [crash for one in judged.values() for crash in one.crashes if _asked(crash, plan)]
    findings, crashed = judging.diagnosed(measured, tuple(f for f in everything if f.rule not in plan.ignore))
    shown = [_judged(result, planned[result.check], plan, findings, crashes) for result in kept]
    lost = {crash.part for crash in crashes}
    testable = {rule for name in measured for rule in planned[name].rules if plan.rules is None or rule in plan.rules}
    return replace(
        blank,
        results=tuple(result for result, _ in shown),
        findings=findings,
        ignored={rule: reason for rule, reason in plan.ignore.items() if rule in present},
        expected={rule: reason for rule, reason in plan.expected.items() if rule in present},
        unmet={rule: reason for rule, reason in plan.expected.items() if rule in testable - present - lost},
        crashes=(*crashes, *(crash for _, own in shown for crash in own), *crashed),
    )


def _asked(crash: Crash, plan: Plan) -> bool:
    """Whether it is of a rule that was to be judged."""
    return (plan.rules is None or crash.part in plan.rules) and crash.part not in plan.ignore


def _judged(
    result: Result, check: Check, plan: Plan, findings: tuple[Finding, ...], crashes: Iterable[Crash]
) -> tuple[Result, tuple[Crash, ...]]:
    """The result with its status and exhibits, and whether those crashed."""
    if result.measurement is None:
        return result, ()
    settings = plan.settings[check.name]
    exhibits, crashed = judging.exhibits(check, result.measurement, settings)
    errors = any(f.rule in check.rules and f.severity is Severity.ERROR for f in findings)
    status = Status.FAILED if errors else Status.PASSED
    if crashed or any(crash.check == check.name for crash in crashes):
        status = Status.CRASHED
    return replace(result, status=status, settings=plain(settings), exhibits=exhibits), crashed
