"""A crash is injected into each place that judges or shows; the rest is reported all the same."""

import dataclasses
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from test_runner import Measurement, Settings, check, plan, rule_named, run

from babysit import check as checks
from babysit import runner
from babysit.checks import find_checks
from babysit.report import Crash, ExitCode, Severity, Status, exit_code
from babysit.reporting.formats import formats
from babysit.reporting.terminal import report as terminal
from babysit.running import judging

FAULT = "a fault of babysit's own, please report it: OverflowError: too large"


def too_large(*_, **__):
    raise OverflowError("too large")


def crashing(id):
    return dataclasses.replace(rule_named(id), judge=too_large)


def crashing_late(id):
    def judge(measured, settings):
        yield made.error("seen before the crash", suggestion="")
        too_large()

    judge.__name__ = id
    made = checks.rule(judge)
    return made


@pytest.mark.parametrize("broken", [crashing, crashing_late])
def test_a_rule_that_crashes_costs_that_rule_only(broken):
    report = run(check("first", 9, rule_named("large"), broken("larger"), rule_named("largest")), check("second", 1))
    assert [finding.rule for finding in report.findings] == ["large", "largest"]
    (crash,) = report.crashes
    assert (crash.check, crash.part) == ("first", "larger")
    assert crash.message.startswith(FAULT)
    assert crash.seen.startswith(f"larger of first crashed: {FAULT}")
    assert [result.status for result in report.results] == [Status.CRASHED, Status.PASSED]
    assert report.results[0].measurement == Measurement(9)
    assert exit_code(report) is ExitCode.TARGET


def test_a_rule_that_crashes_where_nothing_else_is_found_is_no_pass():
    report = run(check("first", 1, crashing("large")))
    assert (report.findings, report.results[0].status) == ((), Status.CRASHED)
    assert exit_code(report) is ExitCode.TARGET


@pytest.mark.parametrize("fields", [{"ignore": {"larger": ""}}, {"rules": frozenset({"large"})}])
def test_a_crash_of_a_rule_that_is_not_asked_is_none(fields):
    report = run(check("first", 1, rule_named("large"), crashing("larger")), **fields)
    assert (report.crashes, report.results[0].status) == ((), Status.PASSED)


def test_an_expected_rule_that_crashes_is_not_gone():
    report = run(check("first", 1, crashing("large")), expected={"large": "known"})
    assert report.unmet == {}


def test_a_rule_is_asked_once():
    asked = []

    def counted(measured, settings):
        asked.append(measured)
        return ()

    run(check("first", 9, dataclasses.replace(rule_named("large"), judge=counted)), check("second", 1))
    assert asked == [Measurement(9)]


def test_exhibits_that_crash_cost_those_of_their_check():
    broken = dataclasses.replace(check("first", 9, rule_named("large")), exhibits=too_large)
    report = run(broken, check("second", 1))
    assert [finding.rule for finding in report.findings] == ["large"]
    assert [(result.status, len(result.exhibits)) for result in report.results] == [("crashed", 0), ("passed", 1)]
    assert [(crash.check, crash.part) for crash in report.crashes] == [("first", "exhibits")]
    assert report.crashes[0].message.startswith(FAULT)


def test_a_diagnosis_that_crashes_leaves_the_findings_in_the_rules_order(monkeypatch):
    monkeypatch.setattr(judging, "diagnose", too_large)
    report = run(check("first", 9, rule_named("small", Severity.INFO), rule_named("large")))
    assert [finding.rule for finding in report.findings] == ["small", "large"]
    assert [(crash.check, crash.part) for crash in report.crashes] == [("run", "diagnosis")]
    assert report.crashes[0].seen.startswith(f"diagnosis crashed: {FAULT}")
    assert exit_code(report) is ExitCode.TARGET


def test_a_crash_is_gone_where_it_is_judged_again_without_it():
    broken, whole = check("first", 9, crashing("large")), check("first", 9, rule_named("large"))
    report = run(broken)
    again = runner.conclude(report, report.results, plan(whole))
    assert (again.crashes, again.results[0].status, again.findings[0].rule) == ((), Status.FAILED, "large")


def test_an_interruption_is_no_crash():
    def stop(measured, settings):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judging.judge(check("first", 9, dataclasses.replace(rule_named("large"), judge=stop)), None, Settings())


@pytest.fixture
def broken_rule(monkeypatch):
    """`check-loss` with a rule that crashes."""
    known = find_checks()
    loss = known["check-loss"]
    rules = {**loss.rules, "summed-loss": dataclasses.replace(loss.rules["summed-loss"], judge=too_large)}
    found = {**known, "check-loss": dataclasses.replace(loss, rules=rules)}
    for module in ("babysit.commands.run", "babysit.commands.judge", "babysit.config.options", "babysit.checks"):
        monkeypatch.setattr(f"{module}.find_checks", lambda: found)


def documents(babysit, *words):
    """The command's JSON, JUnit and text reports."""
    done = babysit(*words, *(f"--report={name}={name}.out" for name in ("json", "junit", "text")))
    junit = ET.fromstring(Path("junit.out").read_bytes())[0]
    return done, json.loads(Path("json.out").read_text()), junit, Path("text.out").read_text()


def test_every_format_names_the_rule_that_crashed(babysit, broken_rule):
    done, document, junit, text = documents(babysit, "demo", "--select", "check-loss")
    assert done.code == 3
    assert (document["exit_code"], document["verdict"]) == (3, "crashed")
    assert [(crash["check"], crash["part"]) for crash in document["crashes"]] == [("check-loss", "summed-loss")]
    assert document["results"][0]["measurement"]["training_loss"] > 0
    assert junit.get("errors") == "1"
    cases = {case.get("name"): [one.tag for one in case] for case in junit.findall("testcase")}
    assert cases["summed-loss"] == ["error"]
    assert cases["normalized-scores"] == []
    assert "✗ CRASHED  nothing found in no check" not in text
    assert f"✗ crashed  summed-loss of check-loss crashed: {FAULT[:40]}" in text


def test_a_saved_report_is_judged_as_far_as_its_rules_go(babysit, broken_rule):
    documents(babysit, "demo", "--select", "check-loss")
    done = babysit("judge", "json.out", "--quiet")
    assert done.code == 3
    assert f"crashed  summed-loss of check-loss crashed: {FAULT}" in done.out


@pytest.mark.parametrize("broken", ["json", "junit", "text"])
def test_a_format_that_crashes_costs_itself_alone(babysit, monkeypatch, broken):
    whole = formats()
    found = {**whole, broken: too_large}
    monkeypatch.setattr("babysit.commands.publish.formats", lambda: found)
    done = babysit("demo", "--select", "check-data", *(f"--report={name}={name}.out" for name in whole), "--quiet")
    assert done.code == 3
    assert f"format {broken} crashed: {FAULT}" in done.out
    assert not Path(f"{broken}.out").exists()
    others = {name: Path(f"{name}.out").read_text() for name in whole if name != broken}
    assert all(f"format {broken}" in text for text in others.values())


def test_a_terminal_report_that_crashes_leaves_the_verdict_and_a_line_a_finding(babysit, monkeypatch):
    monkeypatch.setattr(terminal, "render", too_large)
    done = babysit("demo", "--fault", "softmax-twice", "--select", "check-loss", "--report", "json=json.out")
    assert done.code == 3
    lines = done.out.splitlines()
    assert lines[0] == "CRASHED (exit code 3) - babysit demo --fault softmax-twice, seed 0"
    assert lines[1].startswith(f"crashed  format text crashed: {FAULT}")
    assert lines[2].startswith("error  normalized-scores  ")
    assert json.loads(Path("json.out").read_text())["exit_code"] == 3


@pytest.mark.parametrize("broken", ["json", "junit"])
def test_a_format_on_standard_output_that_crashes(babysit, monkeypatch, broken):
    found = {**formats(), broken: too_large}
    monkeypatch.setattr("babysit.commands.publish.formats", lambda: found)
    done = babysit("demo", "--select", "check-data", "--format", broken)
    assert done.code == 3
    assert done.out.startswith("CRASHED (exit code 3) - babysit demo")
    assert f"crashed  format {broken} crashed: {FAULT}" in done.out


def test_a_format_that_crashes_into_a_file_is_printed_in_short(babysit, monkeypatch):
    found = {**formats(), "json": too_large}
    monkeypatch.setattr("babysit.commands.publish.formats", lambda: found)
    done = babysit("demo", "--select", "check-data", "--format", "json", "--output", "report.json")
    assert (done.code, Path("report.json").exists()) == (3, False)
    assert f"crashed  format json crashed: {FAULT}" in done.out


def test_the_words_of_a_crash():
    assert Crash("run", "format json", "boom").seen == "format json crashed: boom"
    assert Crash("overfit", "cannot-overfit", "boom").seen == "cannot-overfit of overfit crashed: boom"


def test_memory_that_is_short_in_a_checks_own_code_is_no_fault():
    def measure(bench, settings):
        raise MemoryError("Unable to allocate 3 GiB")

    (result,) = run(check("first", measure)).results
    assert result.status is Status.CRASHED
    assert result.reason.startswith("it ran out of memory: MemoryError: Unable to allocate 3 GiB (")
    assert result.reason.endswith("; smaller batches, a smaller model or more memory would do")
