"""What is said before the report is: the estimate, a line for each check, errors that stand; ends at an error."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from test_runner import Measurement, check, ends, plan, raising, rule_named
from trainers import TinyTrainer

from babysit import runner
from babysit.check import certain
from babysit.checks import find_checks, overfit, train
from babysit.checks.overfit.schema import LEARNED
from babysit.diagnosis.consequences import explained_by
from babysit.driving.bench import Bench
from babysit.driving.budget import Needs
from babysit.errors import Skip
from babysit.lab.faults import FAULTS
from babysit.report import ExitCode, Finding, Result, Seconds, Severity, Status, exit_code
from babysit.reporting.terminal.notices import Notices


class Heard:
    def __init__(self):
        self.told = []

    def estimated(self, text):
        self.told.append(text)

    def ended(self, result, findings, certain):
        self.told.append((result.check, str(result.status), len(findings), [one.rule for one in certain]))


def run(*checks, **fields):
    heard = Heard()
    report = runner.run(TinyTrainer(), plan(*checks, **fields), target="t", notices=heard)
    return report, heard.told


def test_each_check_is_told_of_as_it_ends_with_the_errors_that_stand():
    sure, open_ = certain(rule_named("large")), rule_named("larger")
    report, told = run(
        check("first", 9, sure, open_, certain(rule_named("small", Severity.WARNING))),
        check("second", raising(Skip("no trace"))),
        check("third", 1, blocked_by=("large",)),
        check("fourth", 1),
    )
    assert told == [("first", "failed", 3, ["large"]), ("second", "skipped", 0, []), ("fourth", "passed", 0, [])]
    assert report.results[2].status is Status.BLOCKED


@pytest.mark.parametrize("fields", [{"ignore": {"large": ""}}, {"rules": frozenset({"other"})}])
def test_what_is_not_asked_for_is_not_told(fields):
    _, told = run(check("first", 9, certain(rule_named("large"))), **fields)
    assert told == [("first", "passed", 0, [])]


def test_what_is_expected_is_counted_and_not_cried_out():
    _, told = run(check("first", 9, certain(rule_named("large"))), expected={"large": "known"})
    assert told == [("first", "failed", 1, [])]


def test_the_estimate_is_told_once_as_soon_as_a_steps_time_is_known():
    def measure(bench, settings):
        with bench.borrowed() as trainer:
            for _ in range(5):
                trainer.step(bench.pool()[0])
        return Measurement(1)

    stepping = replace(check("second", measure), needs=lambda settings, batch: Needs(10.0, 20.0))
    _, told = run(check("first", 1), stepping, replace(stepping, name="third"))
    texts = [one for one in told if isinstance(one, str)]
    assert len(texts) == 1
    assert texts[0].startswith("about 40 steps of ")
    assert [one if isinstance(one, tuple) else "estimate" for one in told][1] == "estimate"


STOPPED = "--fail-fast: large was found by first"


def test_fail_fast_ends_at_the_first_error_that_stands():
    report, _ = run(
        check("first", 9, rule_named("larger"), certain(rule_named("large"))), check("second", 1), fail_fast=True
    )
    assert ends(report) == [("first", "failed", ""), ("second", "blocked", STOPPED)]
    assert exit_code(report) is ExitCode.FINDINGS


def test_fail_fast_ends_at_another_error_too():
    report, _ = run(check("zeroth", 1), check("first", 9, rule_named("large")), check("second", 1), fail_fast=True)
    assert [result.status for result in report.results] == ["passed", "failed", "blocked"]
    assert report.results[2].reason == STOPPED


@pytest.mark.parametrize(
    ("severity", "fields"),
    [
        (Severity.WARNING, {}),
        (Severity.ERROR, {"ignore": {"large": ""}}),
        (Severity.ERROR, {"expected": {"large": ""}}),
        (Severity.ERROR, {"rules": frozenset({"other"})}),
    ],
)
def test_fail_fast_goes_on_where_there_is_no_error_to_hear_of(severity, fields):
    sure = certain(rule_named("large", severity))
    report, _ = run(check("first", 9, sure), check("second", 1), fail_fast=True, **fields)
    assert report.results[1].status is Status.PASSED


def test_an_error_that_the_diagnosis_excuses_does_not_end_the_run(monkeypatch):
    def lowered(measurements, findings):
        return tuple(replace(finding, severity=Severity.WARNING) for finding in findings)

    monkeypatch.setattr("babysit.running.judging.diagnose", lowered)
    report, _ = run(check("first", 9, rule_named("large")), check("second", 1), fail_fast=True)
    assert report.results[1].status is Status.PASSED


def test_what_later_checks_know():
    seen = []

    def measure(bench, settings):
        seen.append(set(bench.known))
        return Measurement(1)

    run(
        check("first", 9, certain(rule_named("large")), rule_named("larger")),
        check("second", 9, certain(rule_named("small", Severity.WARNING)), certain(rule_named("tiny"))),
        check("third", measure),
        ignore={"tiny": "fine here"},
    )
    assert seen == [{"large"}]


def lines(each, *told):
    file = io.StringIO()
    notices = Notices(Console(file=file, width=40), each=each)
    for result, findings, sure in told:
        notices.ended(result, findings, sure)
    return file.getvalue().splitlines()


LARGE = Finding("large", Severity.ERROR, "9 is above 5, which is more than fits into forty columns.", "[conv1]")


@pytest.mark.parametrize(
    ("result", "findings", "sure", "expected"),
    [
        (Result("a", Status.PASSED, measurement=1, seconds=Seconds(1.0, 0.26)), [], [], ["✓ a  no findings  1.3 s"]),
        (Result("a", Status.FAILED, measurement=1), [LARGE], [], ["✗ a  1 finding  0.0 s"]),
        (
            Result("a", Status.FAILED, measurement=1),
            [LARGE, LARGE],
            [LARGE],
            ["✗ a  2 findings  0.0 s", f"  ✗ error  large  {LARGE.seen}"],
        ),
        (Result("a", Status.SKIPPED, "no trace"), [], [], ["- a  no trace  0.0 s"]),
        (Result("a", Status.CRASHED, "boom"), [], [], ["✗ a  boom  0.0 s"]),
    ],
)
def test_a_line_for_each_check(result, findings, sure, expected):
    assert lines(True, (result, findings, sure)) == expected


def test_above_a_progress_bar_stand_the_errors_alone():
    told = (Result("a", Status.FAILED, measurement=1), [LARGE, LARGE], [LARGE])
    assert lines(False, told) == [f"✗ error  large  {LARGE.seen}"]


SHORT = ("--select", "check-loss,check-data", "--fault", "softmax-twice")


def test_a_run_that_nobody_watches_tells_on_standard_error(babysit):
    done = babysit("demo", *SHORT, "--format", "json")
    assert (done.code, json.loads(done.out)["exit_code"]) == (1, 1)
    first, second, sure = done.err.splitlines()
    assert first.startswith("✓ check-data  no findings  ")
    assert second.startswith("✗ check-loss  1 finding  ")
    assert sure.startswith("  ✗ error  normalized-scores  the scores are probabilities already")


def test_a_quiet_run_and_a_check_by_itself_tell_nothing(babysit):
    assert babysit("demo", *SHORT, "--quiet").err == ""
    assert babysit("demo", "--select", "check-loss").err == ""


@pytest.mark.parametrize("budget", ["0", "-5s", "1parsec", "", "60"])
@pytest.mark.parametrize("command", ["run", "overfit", "demo"])
def test_a_budget_that_is_none_is_a_usage_error_that_shows_the_form(babysit, command, budget):
    done = babysit(command, *(() if command == "demo" else ("t.py:f",)), "--budget", budget)
    assert (done.code, done.out) == (2, "")
    form = "a time as 60s, 5m or 2h, or training steps as 200steps, above 0"
    assert done.err == f"babysit: --budget must be {form}; not {budget!r}\n"


def test_a_search_has_a_budget_of_its_own(babysit):
    assert "No such option: --budget" in babysit("search", "t.py:f", "--budget", "5s").said


def test_a_budget_on_the_command_line(babysit):
    done = babysit("demo", "--select", "overfit,train", "--budget", "150steps", "--format", "json")
    found = {result["check"]: result for result in json.loads(done.out)["results"]}
    assert (done.code, found["overfit"]["status"], found["train"]["status"]) == (0, "passed", "skipped")
    assert found["train"]["reason"].startswith("not enough budget: needs about ")
    assert "- train  not enough budget: needs about " in done.err


def test_a_budget_too_small_for_any_check_is_exit_code_5_with_the_estimate(babysit):
    done = babysit("demo", "--budget", "5steps", "--quiet")
    assert (done.code, done.out) == (5, "✗ NOTHING RAN  no check was measured (11 skipped) - babysit demo, seed 0\n")
    assert done.err.startswith("babysit: not enough budget for any check: all of them take about ")
    one = babysit("demo", "--select", "overfit", "--budget", "5steps", "--quiet")
    assert (one.code, one.err) == (5, "babysit: not enough budget: needs about 62 steps, had 5\n")


def test_a_budget_of_time_on_the_command_line(babysit):
    done = babysit("demo", "--select", "check-loss,overfit", "--budget", "1h", "--format", "json")
    assert (done.code, done.err.splitlines()[0][:6]) == (0, "about ")


def test_fail_fast_on_the_command_line(babysit):
    done = babysit("demo", "--fault", "softmax-twice", "--fail-fast", "--format", "json")
    statuses = {result["check"]: (result["status"], result["reason"]) for result in json.loads(done.out)["results"]}
    stopped = ("blocked", "--fail-fast: normalized-scores was found by check-loss")
    names = [name for name, one in find_checks().items() if one.usual]
    behind = names[names.index("check-loss") + 1 :]
    assert done.code == 1
    assert {name for name, end in statuses.items() if end == stopped} == set(behind)


def measured(module, known):
    """The check on a network with a second softmax, after an earlier check that found these rules."""
    bench = Bench(FAULTS["softmax-twice"].make())
    bench.known |= known
    bench.explained_by = explained_by
    name = module.__name__.rpartition(".")[2]
    settings = {"overfit": {"steps": 60}, "train": {"steps": 30}}[name]
    return module.measure(bench, module.Settings(**settings)), module.Settings(**settings)


def facts(module, found, settings):
    return [one.value for one in module.exhibits(found, settings) if getattr(one, "label", "") == "not treated"]


@pytest.mark.parametrize("known", [set(), {"target-leak"}, {"normalized-scores"}])
def test_no_treatment_of_what_is_explained(known):
    found, settings = measured(overfit, known)
    assert found.own.outcome not in LEARNED
    explained = "normalized-scores" in known
    assert bool(found.treated) is not explained
    assert (len(found.attempts) > 1) is not explained
    assert found.explained == ("normalized-scores" if explained else "")
    assert facts(overfit, found, settings) == ["normalized-scores explains it"] * explained


def stuck_run(known):
    bench = Bench(TinyTrainer(learning_rate=1e-12))
    bench.known |= known
    bench.explained_by = explained_by
    settings = train.Settings(steps=40, treated=10)
    return train.measure(bench, settings), settings


@pytest.mark.parametrize("known", [set(), {"normalized-scores"}])
def test_no_treatment_of_a_run_that_is_explained(known):
    found, settings = stuck_run(known)
    assert bool(found.treated) is not bool(known)
    assert found.explained == "".join(known)
    assert facts(train, found, settings) == ["normalized-scores explains it"] * bool(known)
