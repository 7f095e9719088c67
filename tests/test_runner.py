import dataclasses
import random
import types
from dataclasses import dataclass

import numpy as np
import pytest
from trainers import TinyTrainer

from babysit import runner
from babysit.check import rule, setting
from babysit.checks import check_of, find_checks
from babysit.commands import plan as planning
from babysit.config.file import Config
from babysit.errors import RestoreError, Skip, TargetError, UsageError
from babysit.lab import demo
from babysit.report import Fact, Seconds, Severity, Status
from babysit.running.plan import Plan


@dataclass(frozen=True)
class Settings:
    limit: int = setting(5, "the largest number that is good")


@dataclass(frozen=True)
class Measurement:
    number: int


def rule_named(id, severity=Severity.ERROR):
    """A rule that is broken above the limit."""

    def judge(measured, settings):
        if measured.number > settings.limit:
            yield made.find(severity, f"{measured.number} is above {settings.limit}.", suggestion="")

    judge.__name__ = id
    made = rule(judge)
    return made


def check(name, measure=7, *rules, blocked_by=(), together=False):
    """A check that measures this number, or as this function does."""
    module = types.ModuleType(f"checks.{name}", "Is it small?")
    vars(module).update(
        ORDER=0,
        BLOCKED_BY=blocked_by,
        TOGETHER=together,
        Settings=Settings,
        Measurement=Measurement,
        measure=measure if callable(measure) else lambda bench, settings: Measurement(measure),
        exhibits=lambda measured, settings: [Fact("number", f"{measured.number} of {settings.limit}")],
        **{one.id: one for one in rules},
    )
    return check_of(module)


def raising(error):
    def measure(bench, settings):
        raise error

    return measure


def plan(*checks, limit=5, **fields):
    return Plan(checks, {one.name: Settings(limit) for one in checks}, **fields)


def run(*checks, trainer=None, progress=None, **fields):
    return runner.run(trainer or TinyTrainer(), plan(*checks, **fields), target="t", seed=3, progress=progress)


def ends(report):
    return [(result.check, str(result.status), result.reason) for result in report.results]


def test_a_report_of_checks_in_the_order_of_the_plan():
    bad = rule_named("too_large")
    report = run(check("second", 9, bad), check("first", 2))
    assert ends(report) == [("second", "failed", ""), ("first", "passed", "")]
    assert (report.target, report.seed, report.interrupted) == ("t", 3, False)
    assert [(finding.rule, finding.message) for finding in report.findings] == [("too-large", "9 is above 5.")]
    assert report.results[0].measurement == Measurement(9)
    assert report.results[0].settings == {"limit": 5}
    assert report.results[0].exhibits == (Fact("number", "9 of 5"),)


@pytest.mark.parametrize("severity", [Severity.WARNING, Severity.INFO])
def test_only_an_error_fails_a_check_or_blocks_another(severity):
    report = run(check("first", 9, rule_named("large", severity)), check("second", 1, blocked_by=("large",)))
    assert ends(report) == [("first", "passed", ""), ("second", "passed", "")]
    assert [finding.severity for finding in report.findings] == [severity]


def test_an_error_blocks_the_checks_whose_ground_it_takes():
    report = run(
        check("first", 9, rule_named("large")),
        check("second", 1, blocked_by=("other", "large")),
        check("third", 1, blocked_by=("other",)),
    )
    assert ends(report) == [
        ("first", "failed", ""),
        ("second", "blocked", "large was found by first"),
        ("third", "passed", ""),
    ]
    assert report.results[1].measurement is None
    assert report.results[1].settings == {"limit": 5}


def test_an_error_takes_no_ground_from_the_check_that_found_it_or_from_those_before():
    first = check("first", 1, blocked_by=("large",))
    report = run(first, check("second", 9, rule_named("large"), blocked_by=("large",)))
    assert [status for _, status, _ in ends(report)] == ["passed", "failed"]


def test_a_rule_that_is_ignored_takes_no_ground_away():
    report = run(
        check("first", 9, rule_named("large")), check("second", 1, blocked_by=("large",)), ignore={"large": "fine here"}
    )
    assert [status for _, status, _ in ends(report)] == ["passed", "passed"]
    assert report.ignored == {"large": "fine here"}


ENDS = {
    "skip": (Skip("it can't be traced"), "skipped", "it can't be traced"),
    "crash": (TargetError("step 7 raised ValueError: boom"), "crashed", "step 7 raised ValueError: boom"),
    "no more": (RestoreError("load(state) raised"), "crashed", "load(state) raised"),
}


@pytest.mark.parametrize(("error", "status", "reason"), ENDS.values(), ids=ENDS)
def test_a_check_that_is_not_measured_makes_a_result(error, status, reason):
    report = run(check("first", raising(error)), check("second", 1))
    assert ends(report)[0] == ("first", status, reason)
    assert report.results[0].measurement is None
    assert report.results[0].exhibits == ()
    blocked = ("second", "blocked", "the trainer could not be put back after first")
    assert ends(report)[1] == (blocked if isinstance(error, RestoreError) else ("second", "passed", ""))


def test_a_fault_of_a_checks_own_is_a_result_too_and_the_others_go_on():
    report = run(
        check("first", 9, rule_named("large")), check("second", raising(ZeroDivisionError("by 0"))), check("third", 1)
    )
    assert [status for _, status, _ in ends(report)] == ["failed", "crashed", "passed"]
    assert "ZeroDivisionError: by 0" in report.results[1].reason
    assert [finding.rule for finding in report.findings] == ["large"]


def test_ctrl_c_keeps_what_was_found_and_puts_the_trainer_back():
    trainer = TinyTrainer()
    before = trainer.save()

    def measure(bench, settings):
        with bench.borrowed(learning_rate=9.0) as borrowed:
            borrowed.step(bench.pool()[0])
            raise KeyboardInterrupt

    report = run(check("first", 9, rule_named("large")), check("second", measure), check("third", 1), trainer=trainer)
    assert report.interrupted
    assert ends(report) == [
        ("first", "failed", ""),
        ("second", "blocked", "interrupted before it ended"),
        ("third", "blocked", "interrupted before it began"),
    ]
    assert [finding.rule for finding in report.findings] == ["large"]
    assert trainer.learning_rate == 0.1
    assert all(np.array_equal(before[name], after) for name, after in trainer.save().items())


CHECKS = {
    "sizes": check("sizes", 9, rule_named("cannot_overfit"), rule_named("frozen_parameters")),
    "edges": check("edges", 1, rule_named("range_edge")),
}
BOTH = {"sizes": Settings(), "edges": Settings()}


@pytest.mark.parametrize(
    ("select", "only", "chosen", "rules"),
    [
        ((), None, ["sizes", "edges"], None),
        ((), "edges", ["edges"], None),
        (("edges", "sizes"), None, ["sizes", "edges"], {"cannot-overfit", "frozen-parameters", "range-edge"}),
        (("range-edge",), None, ["edges"], {"range-edge"}),
        (("frozen-parameters", "edges"), None, ["sizes", "edges"], {"frozen-parameters", "range-edge"}),
        (("frozen-parameters", "edges"), "sizes", ["sizes"], {"frozen-parameters", "range-edge"}),
    ],
)
def test_what_is_selected(select, only, chosen, rules):
    config = Config(select=select, settings=BOTH, ignore={"range-edge": "a"}, expected={"cannot-overfit": "b"})
    planned = planning.plan(config, CHECKS, only)
    assert [one.name for one in planned.checks] == chosen
    assert planned.rules == rules
    assert (planned.settings, planned.ignore, planned.expected) == (BOTH, config.ignore, config.expected)


@pytest.mark.parametrize(
    ("started", "select", "only", "chosen"),
    [
        ("1", (), None, ["alone"]),
        ("2", (), None, ["alone", "together"]),
        ("1", ("together",), None, ["together"]),
        ("1", ("ranks-diverge",), None, ["together"]),
        ("2", ("alone",), None, ["alone"]),
        ("1", (), "together", ["together"]),
    ],
)
def test_a_check_of_several_processes_runs_where_there_are_such_or_where_it_is_named(
    monkeypatch, started, select, only, chosen
):
    monkeypatch.setenv("WORLD_SIZE", started)
    checks = {"alone": check("alone"), "together": check("together", 7, rule_named("ranks_diverge"), together=True)}
    config = Config(select=select, settings={name: Settings() for name in checks})
    assert [one.name for one in planning.plan(config, checks, only).checks] == chosen


def test_a_command_of_which_nothing_is_selected():
    with pytest.raises(UsageError, match=r"^nothing of sizes is selected: edges, range-edge$"):
        planning.plan(Config(select=("edges", "range-edge"), settings=BOTH), CHECKS, "sizes")


def test_only_the_rules_selected_are_judged():
    report = run(*CHECKS.values(), rules=frozenset({"frozen-parameters"}))
    assert [finding.rule for finding in report.findings] == ["frozen-parameters"]


def test_ignored_expected_and_unmet():
    reasons = {"cannot-overfit": "a", "range-edge": "b"}
    ignored = run(*CHECKS.values(), ignore=reasons)
    assert [finding.rule for finding in ignored.findings] == ["frozen-parameters"]
    assert ignored.ignored == {"cannot-overfit": "a"}
    expected = run(*CHECKS.values(), expected=reasons)
    assert {finding.rule for finding in expected.findings} == {"cannot-overfit", "frozen-parameters"}
    assert (expected.expected, expected.unmet) == ({"cannot-overfit": "a"}, {"range-edge": "b"})
    both = run(*CHECKS.values(), expected=reasons, ignore=reasons)
    assert (both.ignored, both.expected, both.unmet) == (
        {"cannot-overfit": "a"},
        {"cannot-overfit": "a"},
        {"range-edge": "b"},
    )


@pytest.mark.parametrize("error", [Skip("no"), TargetError("no")])
def test_a_fault_that_could_not_be_looked_for_is_not_gone(error):
    report = run(check("first", raising(error), rule_named("large")), expected={"large": "known"})
    assert (report.expected, report.unmet) == ({}, {})


def test_a_fault_that_was_not_selected_is_not_gone():
    known = {"cannot-overfit": "known", "range-edge": "too"}
    report = run(*CHECKS.values(), rules=frozenset({"frozen-parameters"}), expected=known)
    assert (report.expected, report.unmet) == ({}, {})


def test_an_ignored_or_expected_error_in_a_checks_status():
    assert ends(run(check("first", 9, rule_named("large")), ignore={"large": ""}))[0][1] == "passed"
    assert ends(run(check("first", 9, rule_named("large")), expected={"large": ""}))[0][1] == "failed"


def test_conclude_is_pure_and_can_be_repeated():
    checks = (check("first", 9, rule_named("large"), rule_named("larger", Severity.WARNING)), check("second", 1))
    report = run(*checks)
    kept = dataclasses.replace(report)
    again = runner.conclude(report, report.results, plan(*checks))
    assert again == report == kept == runner.conclude(again, again.results, plan(*checks))
    lenient = runner.conclude(report, report.results, plan(*checks, limit=20))
    assert (lenient.findings, [result.status for result in lenient.results]) == ((), [Status.PASSED, Status.PASSED])
    assert lenient.results[0].settings == {"limit": 20}
    assert lenient.results[0].exhibits == (Fact("number", "9 of 20"),)
    assert [result.check for result in runner.conclude(report, report.results, plan(checks[1])).results] == ["second"]
    assert report == kept


def test_a_result_that_has_no_measurement_is_concluded_as_it_was():
    checks = (check("first", raising(Skip("no trace"))), check("second", raising(TargetError("boom"))))
    report = run(*checks)
    assert runner.conclude(report, report.results, plan(*checks, limit=9)).results == report.results


class Clock:
    """A clock that only the test moves."""

    now = 0.0

    def __call__(self):
        return self.now

    def spending(self, seconds, call):
        def spent(*arguments):
            self.now += seconds
            return call(*arguments)

        return spent


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr("time.perf_counter", made)
    return made


def test_time_and_steps_are_the_targets_or_babysits_own(clock):
    trainer = TinyTrainer(step=clock.spending(2.0, TinyTrainer.step), save=clock.spending(0.25, TinyTrainer.save))

    def measure(bench, settings):
        batch = bench.pool()[0]
        clock.now += 0.5
        with bench.borrowed() as borrowed:
            for _ in range(3):
                borrowed.step(batch)
        return Measurement(1)

    def failing(bench, settings):
        bench.trainer.step(bench.pool()[0])
        clock.now += 1.0
        raise TargetError("boom")

    report = run(check("first", measure), check("second", failing), check("third", 1), trainer=trainer)
    assert [result.steps for result in report.results] == [3, 1, 0]
    assert [result.seconds for result in report.results] == [Seconds(6.0, 0.5), Seconds(2.0, 1.0), Seconds(0.0, 0.0)]
    assert report.seconds == Seconds(8.25, 1.5)
    assert report.seconds.total == clock.now


def test_what_passes_before_there_is_a_trainer_is_loading(clock):
    clock.now = 9.0
    trainer = TinyTrainer(step=clock.spending(2.0, TinyTrainer.step))
    measured = check("first", lambda bench, settings: bench.trainer.step(bench.pool()[0]) and Measurement(1))
    one = runner.run(trainer, plan(measured), target="t", started=4.5)
    assert (one.seconds, one.seconds.total) == (Seconds(2.0, 0.0, 4.5), 6.5)
    assert one.results[0].seconds == Seconds(2.0, 0.0)
    assert run(measured, trainer=trainer).seconds == Seconds(2.0, 0.0, 0.0)


def test_time_and_steps_of_a_check_after_which_the_trainer_is_lost(clock):
    def measure(bench, settings):
        bench.trainer.step(bench.pool()[0])
        clock.now += 1.0
        raise RestoreError("boom")

    report = run(check("first", measure), trainer=TinyTrainer(step=clock.spending(2.0, TinyTrainer.step)))
    assert (report.results[0].steps, report.results[0].seconds) == (1, Seconds(2.0, 1.0))


def test_progress():
    seen = []

    def measure(bench, settings):
        bench.advance(1, 4)
        return Measurement(9)

    run(
        check("first", measure, rule_named("large")),
        check("second", 1, blocked_by=("large",)),
        check("third", raising(Skip("no"))),
        progress=lambda *told: seen.append(told),
    )
    assert seen == [("first", 0, 1), ("first", 1, 4), ("first", 1, 1), ("third", 0, 1), ("third", 1, 1)]


def real(select=(), **settings):
    config = Config(select=select, settings={name: one.settings() for name, one in find_checks().items()})
    changed = {name.replace("_", "-"): value for name, value in settings.items()}
    return planning.plan(dataclasses.replace(config, settings={**config.settings, **changed}), find_checks())


@pytest.mark.parametrize("high", [1e-4, 10.0])
def test_no_check_is_further_than_done(high):
    seen = []
    scan = dataclasses.replace(find_checks()["lr-scan"].settings(), low=1e-5, high=high)
    runner.run(demo.trainer(), real(lr_scan=scan), target="t", progress=lambda *told: seen.append(told))
    alone = [name for name, one in find_checks().items() if one.usual]
    assert list(dict.fromkeys(name for name, _, _ in seen)) == alone
    assert [told for told in seen if not 0 <= told[1] <= told[2]] == []


def test_the_trainer_and_the_global_generators_are_left_as_they_were():
    trainer = demo.trainer()
    before = (repr(trainer.save()), trainer.learning_rate, trainer.regularization_scale)
    generators = (random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist())
    report = runner.run(trainer, real(), target="t")
    assert {result.status for result in report.results} == {Status.PASSED}
    assert (repr(trainer.save()), trainer.learning_rate, trainer.regularization_scale) == before
    assert (random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist()) == generators


def test_a_trainer_that_cannot_begin():
    def save(trainer):
        raise OSError("no disk")

    with pytest.raises(TargetError, match=r"^save\(\) raised OSError: no disk"):
        run(check("first", 1), trainer=TinyTrainer(save=save))
