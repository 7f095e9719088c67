"""A budget while it is spent: the limit holds within one step, whatever clock it goes by."""

import dataclasses
import threading

import pytest
from processes import Parallel, together
from test_runner import Clock, Measurement, check, ends, plan, raising, rule_named
from trainers import TinyTrainer

from babysit import runner
from babysit.checks import overfit
from babysit.driving.bench import Bench
from babysit.driving.budget import Budget, Needs
from babysit.driving.meter import Meter
from babysit.errors import TargetError
from babysit.report import ExitCode, exit_code


def stepping(steps, needs=None, *, evaluations=0):
    """A check that makes so many steps, and says what it needs."""

    def measure(bench, settings):
        with bench.borrowed() as trainer:
            for _ in range(steps):
                trainer.step(bench.pool()[0])
            for _ in range(evaluations):
                trainer.evaluate(bench.pool()[0])
        return Measurement(1)

    said = needs or Needs(float(steps), float(steps))
    return measure, said


def costing(name, *arguments, **fields):
    measure, needs = stepping(*arguments, **fields)
    return dataclasses.replace(check(name, measure), needs=lambda settings, batch: needs)


def run(*checks, budget, trainer=None, **fields):
    made = plan(*checks, budget=budget, **fields)
    return runner.run(trainer or TinyTrainer(), made, target="t", seed=3)


def steps(count):
    return Budget(float(count), in_steps=True)


def test_without_a_budget_all_is_done():
    report = run(costing("first", 30), costing("second", 40), budget=None)
    assert [result.steps for result in report.results] == [30, 40]


def test_all_is_done_where_all_fits():
    report = run(costing("first", 30), costing("second", 40), budget=steps(70))
    assert [(result.status, result.steps) for result in report.results] == [("passed", 30), ("passed", 40)]


def test_a_check_that_cannot_have_what_it_needs_is_skipped_and_says_so():
    report = run(costing("first", 30), costing("second", 300), budget=steps(110))
    assert ends(report) == [
        ("first", "passed", ""),
        ("second", "skipped", "not enough budget: needs about 300 steps, had 80"),
    ]
    assert exit_code(report) is ExitCode.OK


def test_what_is_worth_more_goes_first_though_it_runs_later():
    report = run(costing("check_grad", 60), costing("overfit", 60), budget=steps(100))
    assert ends(report) == [
        ("check-grad", "skipped", "not enough budget: needs about 60 steps, had 40"),
        ("overfit", "passed", ""),
    ]


def test_what_one_leaves_goes_to_those_behind():
    early = costing("check_loss", 5, Needs(50.0, 50.0))
    report = run(early, costing("train", 90), budget=steps(100))
    assert [result.status for result in report.results] == ["passed", "passed"]


@pytest.mark.parametrize("evaluations", [0, 7])
def test_the_limit_holds_within_one_step(evaluations):
    trainer = TinyTrainer()
    calls = []
    counted = TinyTrainer(step=lambda own, batch: calls.append(1) or TinyTrainer.step(trainer, batch))
    report = run(costing("first", 200, Needs(10.0, 20.0), evaluations=evaluations), trainer=counted, budget=steps(80))
    assert len(calls) == 80
    assert ends(report) == [("first", "skipped", "not enough budget: needs more than the 80 steps that it had")]
    assert exit_code(report) is ExitCode.NOTHING_RAN


def test_an_evaluation_counts_a_third_of_a_step():
    fits = run(costing("first", 2, Needs(1.0, 1.0), evaluations=3), budget=steps(3))
    assert fits.results[0].status == "passed"
    over = run(costing("first", 2, Needs(1.0, 1.0), evaluations=4), budget=steps(3))
    assert over.results[0].status == "skipped"


def test_one_that_takes_more_than_it_said_leaves_the_others_their_least():
    report = run(costing("overfit", 500, Needs(10.0, 10.0)), costing("train", 60, Needs(60.0, 90.0)), budget=steps(100))
    assert ends(report) == [
        ("overfit", "skipped", "not enough budget: needs more than the 40 steps that it had"),
        ("train", "passed", ""),
    ]


def test_nothing_is_kept_for_a_check_that_is_blocked():
    blocked = dataclasses.replace(costing("overfit", 60), blocked_by=("large",))
    report = run(check("zeroth", 9, rule_named("large")), costing("train", 90), blocked, budget=steps(100))
    assert [result.status for result in report.results] == ["failed", "passed", "blocked"]


def test_a_check_shortens_itself():
    def measure(bench, settings):
        with bench.borrowed() as trainer:
            for _ in range(settings.limit):
                trainer.step(bench.pool()[0])
        return Measurement(settings.limit)

    made = dataclasses.replace(
        check("train", measure, rule_named("long")),
        needs=lambda settings, batch: Needs(10.0, float(settings.limit)),
        shortened=lambda settings, steps, batch: dataclasses.replace(settings, limit=min(settings.limit, int(steps))),
    )
    report = run(made, costing("overfit", 40), budget=steps(100), limit=300)
    assert [(result.status, result.steps) for result in report.results] == [("passed", 60), ("passed", 40)]
    assert report.results[0].settings == {"limit": 60}
    assert report.findings == ()  # judged by the settings that were used: 60 is not above 60


def test_a_budget_too_small_for_any_check():
    report = run(costing("first", 30), costing("second", 40), check("free", 1), budget=steps(20))
    reason = "not enough budget for any check: all of them take about 70 steps"
    assert ends(report) == [(name, "skipped", reason) for name in ("first", "second", "free")]
    assert exit_code(report) is ExitCode.NOTHING_RAN


def test_checks_that_take_no_steps_have_room_in_any_budget():
    assert ends(run(check("free", 1), check("other", 1), budget=steps(1))) == [
        ("free", "passed", ""),
        ("other", "passed", ""),
    ]


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr("time.perf_counter", made)
    return made


def test_a_budget_of_time_goes_by_what_a_step_takes(clock):
    trainer = TinyTrainer(step=clock.spending(2.0, TinyTrainer.step))
    seconds = Budget(100.0, in_steps=False)  # of which four steps are spent on finding out what one takes
    report = run(costing("first", 16), costing("second", 40), trainer=trainer, budget=seconds)
    assert ends(report) == [
        ("first", "passed", ""),
        ("second", "skipped", "not enough budget: needs about 40 steps, had 30"),
    ]


@pytest.mark.parametrize("seconds", [21.0, 22.0, 23.9])
def test_a_limit_of_time_holds_within_one_step(clock, seconds):
    trainer = TinyTrainer(step=clock.spending(2.0, TinyTrainer.step))
    report = run(costing("first", 200, Needs(1.0, 5.0)), trainer=trainer, budget=Budget(seconds, in_steps=False))
    assert report.results[0].status == "skipped"
    assert seconds - 2.0 < clock.now <= seconds


def test_time_that_is_not_the_programs_counts_too(clock):
    trainer = TinyTrainer(step=clock.spending(1.0, TinyTrainer.step))
    measure, needs = stepping(10)

    def thinking(bench, settings):
        clock.now += 30.0
        return measure(bench, settings)

    slow = dataclasses.replace(check("first", thinking), needs=lambda settings, batch: needs)
    report = run(slow, costing("second", 40), trainer=trainer, budget=Budget(64.0, in_steps=False))
    assert ends(report) == [
        ("first", "skipped", "not enough budget: needs more than the 20 steps that it had"),
        ("second", "skipped", "not enough budget: needs about 40 steps, had 30"),
    ]


def test_a_program_that_cannot_step_says_so_in_its_check():
    def step(trainer, batch):
        raise ValueError("boom")

    report = run(costing("first", 3), trainer=TinyTrainer(step=step), budget=Budget(9.0, in_steps=False))
    assert report.results[0].status == "crashed"
    assert "raised ValueError: boom" in report.results[0].reason


def test_a_check_that_fails_has_not_run_out_of_budget():
    report = run(check("first", raising(TargetError("boom"))), budget=steps(10))
    assert ends(report) == [("first", "crashed", "boom")]


def test_the_trainer_is_put_back_where_the_budget_ends_a_check():
    trainer = TinyTrainer()
    before = trainer.save()
    run(costing("first", 200, Needs(1.0, 1.0)), trainer=trainer, budget=steps(5))
    assert all((before[name] == after).all() for name, after in trainer.save().items())


def test_treatments_that_are_cut_short_leave_the_verdict_on_the_programs_own():
    bench = Bench(TinyTrainer(learning_rate=1e-12))
    bench.trainer.meter = Meter(bench.trainer, in_steps=True)
    bench.trainer.meter.limit = 70.0
    found = overfit.measure(bench, overfit.Settings(steps=40))
    assert len(found.own.losses) == 40
    assert (found.attempts[1:], found.treated) == ((), ())
    bench.trainer.meter.limit = 1000.0
    longer = overfit.measure(bench, overfit.Settings(steps=40))
    assert len(longer.attempts) > 1


@pytest.mark.parametrize("seconds", [5.0, 20.0, 1000.0])
def test_ranks_go_by_the_clock_of_the_first(monkeypatch, seconds):
    """Every rank's own clock runs at its own pace; the decision is the same."""
    monkeypatch.setenv("WORLD_SIZE", "2")

    def one(group, rank):
        trainer = Parallel(group, rank)
        made = plan(costing("first", 30), costing("second", 30), budget=Budget(seconds, in_steps=False))
        return [result.status for result in runner.run(trainer, made, target="t").results]

    paces = {}
    lock = threading.Lock()

    def perf_counter():
        with lock:
            here = paces.setdefault(threading.get_ident(), [len(paces) + 1.0, 0.0])
            here[1] += here[0] / 10
            return here[1]

    monkeypatch.setattr("time.perf_counter", perf_counter)
    first, second = together(2, one)
    assert first == second
    assert not isinstance(first, BaseException)
    if seconds != 20.0:  # which is enough or not by the pace of whoever comes first
        assert set(first) == ({"skipped"} if seconds == 5 else {"passed"})
