import dataclasses
import json as standard
import math

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babysit.errors import UsageError
from babysit.report import Crash, Finding, Report, Result, Seconds, Severity, Status
from babysit.reporting.formats import formats, json


def written(report: Report, fail_on: Severity = Severity.ERROR) -> dict:
    """The document, read by a strict reader."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return standard.loads(json.render(report, fail_on), parse_constant=refuse)


def without_exhibits(report: Report) -> Report:
    return dataclasses.replace(report, results=tuple(dataclasses.replace(r, exhibits=()) for r in report.results))


def test_the_document(reports):
    document = written(reports["failed"])
    assert list(document) == [
        *("schema_version", "version", "target", "seed", "exit_code", "verdict", "findings", "results"),
        *("ignored", "expected", "unmet", "crashes", "interrupted", "seconds"),
    ]
    assert (document["schema_version"], document["exit_code"], document["verdict"]) == (1, 1, "failed")
    assert document["findings"][0] == {
        "rule": "wrong-start",
        "severity": "error",
        "message": "the first loss is 5.21, chance is 2.303.",
        "where": "[conv1]",
        "evidence": {"losses": [5.3, 5.2, 5.1, 5.0], "chance": 2.303},
        "suggestion": "Draw smaller weights.",
        "explains": ["never-learns"],
    }
    assert document["results"][1] == {
        "check": "memorize",
        "status": "failed",
        "reason": "",
        "measurement": None,
        "settings": {},
        "steps": 200,
        "seconds": {"target": 2.0, "own": 0.2, "loading": 0.0},
    }


@pytest.mark.parametrize(
    ("name", "code"), [("passed", 0), ("failed", 1), ("crashed", 3), ("nothing-ran", 5), ("interrupted", 130)]
)
def test_verdict_and_exit_code(reports, name, code):
    document = written(reports[name])
    assert (document["verdict"], document["exit_code"]) == (name, code)
    jsonschema.validate(document, json.schema())
    assert json.read(json.render(reports[name], Severity.ERROR)) == without_exhibits(reports[name])


def test_fail_on(reports):
    warned = dataclasses.replace(reports["passed"], findings=(Finding("too-sure", Severity.WARNING, "spread"),))
    assert [written(warned, severity)["exit_code"] for severity in Severity] == [0, 1, 1]


def test_not_finite_numbers_are_their_names(checks):
    measured = checks["memorize"].measurement((math.nan, math.inf), (), {"ln 10": -math.inf}, math.nan)
    finding = Finding("too-sure", Severity.ERROR, "", "", {"a": math.nan, "b": [1.0, -math.inf]})
    result = Result("memorize", Status.PASSED, "", measured, {"tolerance": math.inf, "ladder": (1.0, math.nan)})
    report = Report("a.py:b", 0, "0.1.0", (result,), (finding,), seconds=Seconds(math.nan, 0.0))
    document = written(report)
    assert document["findings"][0]["evidence"] == {"a": "NaN", "b": [1.0, "-Infinity"]}
    assert document["results"][0]["measurement"] == {
        "losses": ["NaN", "Infinity"],
        "parts": [],
        "chance": {"ln 10": "-Infinity"},
        "own": "NaN",
    }
    assert document["results"][0]["settings"] == {"tolerance": "Infinity", "ladder": [1.0, "NaN"]}
    assert document["seconds"] == {"target": "NaN", "own": 0.0, "loading": 0.0}
    jsonschema.validate(document, json.schema())
    assert repr(json.read(json.render(report, Severity.ERROR))) == repr(report)


def test_what_json_cannot_hold_is_escaped(reports):
    report = dataclasses.replace(reports["passed"], target="mod\udce8le.py:R²")
    text = json.render(report, Severity.ERROR)
    assert text.isascii()
    assert json.read(text).target == "mod\\udce8le.py:R²"


def test_settings_and_measurements_come_back_in_their_own_types(checks):
    part = {"name": "NaN", "value": "NaN"}
    check = checks["memorize"]
    report = Report("a.py:b", 0, "0.1.0", (Result("memorize", Status.PASSED, "", check.measurement((1.0,))),))
    document = written(report)
    document["results"][0]["measurement"]["parts"] = [part]
    document["results"][0]["settings"] = {"ladder": [1, 2]}
    (result,) = json.read(standard.dumps(document)).results
    assert result.settings == {"ladder": (1.0, 2.0)}
    assert result.measurement.parts[0].name == "NaN"
    assert math.isnan(result.measurement.parts[0].value)


def test_what_a_measurement_has_a_default_for_may_be_left_out(checks):
    measured = checks["memorize"].measurement((1.0, 0.5), (), {"ln 10": 2.3}, 0.1)
    report = Report("a.py:b", 0, "0.1.0", (Result("memorize", Status.PASSED, "", measured),))
    document = written(report)
    for name in ("parts", "chance", "own"):
        del document["results"][0]["measurement"][name]
    (result,) = json.read(standard.dumps(document)).results
    assert result.measurement == checks["memorize"].measurement((1.0, 0.5))
    del document["results"][0]["measurement"]["losses"]
    with pytest.raises(UsageError) as raised:
        json.read(standard.dumps(document))
    assert str(raised.value) == "the report can't be used: results[0].measurement.losses: Field required"


def changed(document: dict, *path: str | int, to) -> str:
    *parents, last = path
    place = document
    for key in parents:
        place = place[key]
    place[last] = to
    return standard.dumps(document)


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (["schema_version"], 2, "the report has schema_version 2; this babysit reads 1"),
        (["schema_version"], None, "the JSON is no report of babysit: it has no schema_version"),
        (["seed"], "0", "the report can't be used: seed: Input should be a valid integer"),
        (["more"], 1, "the report can't be used: more: Extra inputs are not permitted"),
        (
            ["findings", 0, "severity"],
            "bad",
            "the report can't be used: findings[0].severity: Input should be 'error', 'warning' or 'info'",
        ),
        (["findings", 1, "rule"], "gone", "the report can't be used: findings[1].rule: this babysit knows no 'gone'"),
        (["findings", 0], {}, "the report can't be used: findings[0].rule: Field required"),
        (
            ["findings", 0, "evidence", "loss"],
            {},
            "the report can't be used: findings[0].evidence.loss: "
            "Value error, neither a number nor a text nor a list of them",
        ),
        (["results", 2, "check"], "gone", "the report can't be used: results[2].check: this babysit knows no 'gone'"),
        (
            ["results", 0, "settings"],
            {"sigma": 1},
            "the report can't be used: results[0].settings: this babysit knows no 'sigma'",
        ),
        (
            ["results", 0, "measurement"],
            {"losses": [1.0, "much"]},
            "the report can't be used: results[0].measurement.losses[1]: "
            "Input should be a valid number, unable to parse string as a number",
        ),
    ],
)
def test_a_document_that_cannot_be_used_says_why(reports, path, to, message):
    with pytest.raises(UsageError) as raised:
        json.read(changed(written(reports["failed"]), *path, to=to))
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":\n oops}', "the report is not JSON: line 2, column 2: Expecting value"),
        ("", "the report is not JSON: line 1, column 1: Expecting value"),
        ("[]", "the JSON is no report of babysit: it has no schema_version"),
    ],
)
def test_a_text_that_is_no_document_says_why(text, message):
    with pytest.raises(UsageError) as raised:
        json.read(text)
    assert str(raised.value) == message


def test_the_schema_refuses_what_the_document_never_has(reports):
    schema = json.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for path, to in ((["seconds", "own"], "much"), (["verdict"], "green"), (["findings", 0, "more"], 1)):
        document = standard.loads(changed(written(reports["failed"]), *path, to=to))
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, schema)


def test_the_format_is_found_by_its_name(reports):
    assert list(formats()) == ["json", "junit", "text"]
    document = formats()["json"](reports["passed"], Severity.ERROR)
    assert document == json.render(reports["passed"], Severity.ERROR)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.floats() | st.integers()
lists = st.lists(numbers, max_size=4) | st.lists(texts.filter(lambda t: t not in ("NaN", "Infinity")), max_size=4)
evidence = st.dictionaries(texts, numbers | lists | texts.filter(lambda t: t != "NaN"), max_size=4)
severities = st.sampled_from(Severity)
findings = st.builds(
    Finding, st.just("too-sure"), severities, texts, texts, evidence, texts, st.lists(texts, max_size=3).map(tuple)
)


@st.composite
def any_report(draw, checks):
    check = checks["memorize"]
    part = st.builds(check.measurement.__annotations__["parts"].__args__[0], texts, st.floats())
    measured = st.builds(
        check.measurement,
        st.lists(st.floats(), max_size=4).map(tuple),
        st.lists(part, max_size=3).map(tuple),
        st.dictionaries(texts, st.floats(), max_size=3),
        st.none() | st.floats(),
    )
    result = st.builds(
        Result,
        st.sampled_from(list(checks)),
        st.sampled_from(Status),
        texts,
        st.none() | measured,
        st.fixed_dictionaries({"tolerance": st.floats()}),
        st.just(()),
        st.integers(0, 10**6),
        st.builds(Seconds, st.floats(), st.floats()),
    )
    reasons = st.dictionaries(texts, texts, max_size=2)
    return draw(
        st.builds(
            Report,
            *(texts, st.integers(), texts, st.lists(result, max_size=3).map(tuple)),
            *(st.lists(findings, max_size=3).map(tuple), reasons, reasons, reasons),
            *(st.lists(st.builds(Crash, texts, texts, texts), max_size=2).map(tuple), st.booleans()),
        )
    )


@settings(deadline=None)  # the machine may be busy
@given(data=st.data())
def test_any_report_reads_back_and_fits_the_schema(checks, validator, data):
    report = data.draw(any_report(checks))
    text = json.render(report, Severity.ERROR)
    validator.validate(standard.loads(text))
    assert repr(json.read(text)) == repr(report)


@pytest.fixture(scope="module")
def validator():
    return jsonschema.Draft202012Validator(json.schema())
