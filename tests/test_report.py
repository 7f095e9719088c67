import math
from dataclasses import FrozenInstanceError

import pytest

from babysit.report import ExitCode, Finding, Report, Result, Severity, Status, counts_as_failure, exit_code

ERROR, WARNING, INFO = Severity
PASSED, FAILED, SKIPPED, BLOCKED, CRASHED = Status


def report(*statuses, findings=(), **fields):
    results = tuple(Result(f"check-{number}", status) for number, status in enumerate(statuses))
    return Report("program.py:trainer", 0, "1.0", results, tuple(findings), **fields)


def finding(severity, rule="a-rule", **fields):
    return Finding(rule, severity, "seen", **fields)


def test_the_exit_codes():
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0, "FINDINGS": 1, "USAGE": 2, "TARGET": 3, "NOTHING_RAN": 5, "INTERRUPTED": 130,
    }  # fmt: skip


ENDINGS = {
    "all passed": (report(PASSED, PASSED), 0),
    "a skip beside a pass": (report(PASSED, SKIPPED, BLOCKED), 0),
    "an error": (report(FAILED, findings=[finding(ERROR)]), 1),
    "a crash": (report(PASSED, CRASHED), 3),
    "nothing asked for": (report(), 5),
    "all skipped": (report(SKIPPED), 5),
    "all blocked": (report(BLOCKED, SKIPPED), 5),
    "interrupted": (report(PASSED, interrupted=True), 130),
    "an expected fault is gone": (report(PASSED, unmet={"a-rule": "once"}), 1),
    "an expected fault is there": (report(FAILED, findings=[finding(ERROR)], expected={"a-rule": "known"}), 0),
    "another one too": (
        report(FAILED, findings=[finding(ERROR), finding(ERROR, "b-rule")], expected={"a-rule": "known"}),
        1,
    ),
}


@pytest.mark.parametrize(("ended", "code"), ENDINGS.values(), ids=ENDINGS)
def test_how_a_run_ends(ended, code):
    assert exit_code(ended) == code


PRECEDENCE = (
    (130, {"interrupted": True}, ()),
    (3, {}, (CRASHED,)),
    (1, {"findings": [finding(ERROR)]}, ()),
    (1, {"unmet": {"b-rule": ""}}, ()),
    (5, {}, (SKIPPED,)),
)


@pytest.mark.parametrize("first", range(len(PRECEDENCE)))
@pytest.mark.parametrize("second", range(len(PRECEDENCE)))
def test_which_holds_where_several_do(first, second):
    (one, fields, statuses), (other, more, further) = PRECEDENCE[first], PRECEDENCE[second]
    both = report(*statuses, *further, **{**fields, **more})
    assert exit_code(both) == next(code for code in (130, 3, 1, 5) if code in (one, other))


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("fail_on", Severity)
@pytest.mark.parametrize("expected", [False, True])
def test_fail_on(severity, fail_on, expected):
    found = report(PASSED, findings=[finding(severity)], expected={"a-rule": "known"} if expected else {})
    fails = severity.rank <= fail_on.rank and not expected
    assert exit_code(found, fail_on) == (1 if fails else 0)
    assert counts_as_failure(found, found.findings[0], fail_on) is fails


def test_severities_rank_from_the_worst():
    assert [severity.rank for severity in (ERROR, WARNING, INFO)] == [0, 1, 2]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_makes_a_finding_no_smaller(value):
    bad = finding(ERROR, evidence={"loss": value})
    assert exit_code(report(FAILED, findings=[bad])) == 1


@pytest.mark.parametrize(
    ("where", "message", "seen"),
    [
        ("", "the loss is 3.", "the loss is 3."),
        ("relu1", "all units are dead.", "relu1: all units are dead."),
        ("relu1", "46 units of relu1 are dead.", "46 units of relu1 are dead."),
    ],
)
def test_what_was_seen_names_its_place_once(where, message, seen):
    assert Finding("dead-relu", ERROR, message, where).seen == seen


@pytest.mark.parametrize("value", [finding(ERROR), Result("overfit", PASSED), report()])
def test_what_a_run_found_cannot_be_changed(value):
    with pytest.raises(FrozenInstanceError):
        value.seconds = 1
