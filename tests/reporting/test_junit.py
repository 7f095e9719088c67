import dataclasses
import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from babysit.report import Finding, Report, Result, Seconds, Severity, Status
from babysit.reporting.formats import formats, junit


def suite(report: Report, fail_on: Severity = Severity.ERROR) -> ET.Element:
    (only,) = ET.fromstring(junit.render(report, fail_on))
    return only


def outcomes(of: ET.Element) -> dict[str, list[tuple[str, str | None]]]:
    """What each test case holds: tags with their messages, by the case's full name."""
    cases = of.findall("testcase")
    named = {f"{c.get('classname')}/{c.get('name')}": [(e.tag, e.get("message")) for e in c] for c in cases}
    assert len(named) == len(cases)
    return named


def test_the_whole_document(reports):
    assert junit.render(reports["failed"], Severity.ERROR) == (
        """\
<?xml version='1.0' encoding='us-ascii'?>
<testsuites>
  <testsuite name="babysit" tests="4" failures="2" errors="0" skipped="1" time="4.500">
    <properties>
      <property name="target" value="train.py:trainer" />
      <property name="seed" value="0" />
      <property name="version" value="0.1.0" />
    </properties>
    <testcase classname="babysit.first-loss" name="wrong-start" time="0.300">
      <failure message="[conv1]: the first loss is 5.21, chance is 2.303." type="error">error: [conv1]: the first \
loss is 5.21, chance is 2.303.
Draw smaller weights.</failure>
    </testcase>
    <testcase classname="babysit.first-loss" name="too-sure" time="0.300">
      <system-out>warning: the scores spread 4.1.
Scale the inputs.</system-out>
    </testcase>
    <testcase classname="babysit.memorize" name="never-learns" time="2.200">
      <failure message="after 200 steps the loss is 2.3." type="error">error: after 200 steps the loss is 2.3.
Look above.</failure>
    </testcase>
    <testcase classname="babysit.look-inside" name="look-inside" time="0.000">
      <skipped message="skipped: the trainer can't show its layers (it lacks SupportsTrace)" />
    </testcase>
  </testsuite>
</testsuites>
"""
    )


def test_a_warning_fails_where_it_is_asked_to(reports):
    found = suite(reports["failed"], Severity.WARNING)
    assert outcomes(found)["babysit.first-loss/too-sure"] == [("failure", "the scores spread 4.1.")]
    assert found.get("failures") == "3"


def test_several_places_are_one_failure_of_the_worst_severity(reports):
    findings = tuple(Finding("too-sure", s, f"spread {s}", "fc") for s in (Severity.WARNING, Severity.ERROR))
    found = suite(dataclasses.replace(reports["passed"], findings=findings), Severity.INFO)
    (failure,) = found.findall("testcase/failure")
    assert (failure.get("message"), failure.get("type")) == ("fc: spread error (and 1 more)", "error")
    assert failure.text == "warning: fc: spread warning\n\nerror: fc: spread error"
    assert found.get("failures") == "1"


def test_crashed_blocked_interrupted_and_nothing_ran(reports):
    crashed = suite(reports["crashed"])
    assert outcomes(crashed)["babysit.memorize/memorize"] == [
        ("error", "ValueError in step 7: shapes (3,) and (4,) don't fit")
    ]
    assert (crashed.get("tests"), crashed.get("errors"), crashed.get("skipped")) == ("3", "1", "0")
    blocked = Report("a.py:b", 0, "0.1.0", (Result("memorize", Status.BLOCKED, "by wrong-start"),))
    assert outcomes(suite(blocked)) == {
        "babysit.memorize/memorize": [("skipped", "blocked: by wrong-start")],
        "babysit.run/run": [("error", "no check was measured")],
    }
    assert outcomes(suite(reports["interrupted"]))["babysit.run/run"] == [
        ("error", "interrupted before all checks had run")
    ]


def test_expected_and_gone(reports):
    finding = Finding("wrong-start", Severity.ERROR, "5.21")
    report = dataclasses.replace(
        reports["passed"],
        findings=(finding,),
        expected={"wrong-start": "on purpose"},
        unmet={"never-learns": "known bug"},
    )
    found = outcomes(suite(report))
    assert found["babysit.first-loss/wrong-start"] == [("system-out", None)]
    assert found["babysit.memorize/never-learns"] == [("failure", "expected, but no longer there: known bug")]


def test_findings_of_checks_that_did_not_finish_are_kept(reports):
    report = dataclasses.replace(reports["crashed"], findings=(Finding("never-learns", Severity.ERROR, "2.3"),))
    assert outcomes(suite(report))["babysit.memorize/never-learns"] == [("failure", "2.3")]


def test_the_format_is_found_by_its_name(reports):
    document = formats()["junit"](reports["failed"], Severity.WARNING)
    assert document == junit.render(reports["failed"], Severity.WARNING)


def test_control_characters_are_dropped():
    finding = Finding("too-sure", Severity.ERROR, "\x1b[31mR² < 1\x00\ud800\ufffe & \U0001f600\x7f", "a\tb\n")
    report = Report("a\x08.py:b", 0, "0.1.0", (Result("first-loss", Status.FAILED),), (finding,))
    text = junit.render(report, Severity.ERROR)
    assert text.isascii()
    (only,) = ET.fromstring(text)
    assert only.find("properties/property").get("value") == "a.py:b"
    assert only.find("testcase/failure").get("message") == "a\tb\n: [31mR² < 1 & \U0001f600\x7f"


anything = st.text(st.characters(categories=["Cc", "Cs", "Cn", "Co", "L", "P", "Zs"]), max_size=30)


@settings(deadline=None)  # the machine may be busy
@given(text=anything, status=st.sampled_from(Status), severity=st.sampled_from(Severity))
def test_any_text_gives_a_document_whose_counts_are_right(text, status, severity):
    finding = Finding("too-sure", severity, text, text, {}, text)
    report = Report(text, 0, text, (Result("first-loss", status, text),), (finding,), unmet={"never-learns": text})
    found = suite(dataclasses.replace(report, seconds=Seconds(1.0, 0.5)))
    counts = {"tests": "testcase", "failures": ".//failure", "errors": ".//error", "skipped": ".//skipped"}
    assert {name: int(found.get(name)) for name in counts} == {n: len(found.findall(p)) for n, p in counts.items()}
    assert found.get("time") == "1.500"
