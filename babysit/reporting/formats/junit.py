"""The report as JUnit XML: a test case for each rule that was judged, and for each check that was not."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from babysit import checks
from babysit.report import (
    Crash,
    ExitCode,
    Finding,
    Report,
    Result,
    Severity,
    Status,
    counts_as_failure,
    exit_code,
)

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # by XML 1.0, section 2.2
_JUDGED = (Status.PASSED, Status.FAILED)
_UNFINISHED = {
    ExitCode.NOTHING_RAN: "no check was measured",
    ExitCode.INTERRUPTED: "interrupted before all checks had run",
}


def render(report: Report, fail_on: Severity) -> str:
    """One test suite, in ASCII with character references."""
    cases = list(_cases(report, fail_on))
    suite = ET.Element("testsuite", name="babysit", tests=str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{report.seconds.total:.3f}")
    properties = ET.SubElement(suite, "properties")
    for name, value in (("target", report.target), ("seed", str(report.seed)), ("version", report.version)):
        ET.SubElement(properties, "property", name=name, value=_legal(value))
    suite.extend(cases)
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    document: bytes = ET.tostring(suites, encoding="us-ascii", xml_declaration=True)
    return document.decode("ascii") + "\n"


def _legal(text: str) -> str:
    return _FORBIDDEN.sub("", text)


def _case(check_name: str, name: str, seconds: float = 0.0) -> ET.Element:
    return ET.Element("testcase", classname=f"babysit.{check_name}", name=_legal(name), time=f"{seconds:.3f}")


def _told(case: ET.Element, tag: str, message: str, body: str = "", kind: str = "") -> ET.Element:
    """The case with an element that says how it ended."""
    told = ET.SubElement(case, tag, message=_legal(message))
    if kind:
        told.set("type", kind)
    told.text = _legal(body) or None
    return case


def _cases(report: Report, fail_on: Severity) -> Iterator[ET.Element]:
    judged = {crash.part for crash in report.crashes}
    partly = {crash.check for crash in report.crashes}
    yield from map(_crashed, report.crashes)
    for result in report.results:
        if result.status in _JUDGED or result.check in partly:
            rules = [rule for rule in checks.find_checks()[result.check].rules if rule not in judged]
            judged |= set(rules)
            share = result.seconds.total / max(1, len(rules))
            yield from (_judged(report, fail_on, result.check, rule, share) for rule in rules)
        else:
            yield _unjudged(result)
    for rule in dict.fromkeys([*(finding.rule for finding in report.findings), *report.unmet]):
        if rule not in judged:
            yield _judged(report, fail_on, checks.find_rules()[rule][0].name, rule, 0.0)
    reason = _UNFINISHED.get(exit_code(report, fail_on))
    if reason:
        yield _told(_case("run", "run"), "error", reason)


def _crashed(crash: Crash) -> ET.Element:
    return _told(_case(crash.check, crash.part), "error", crash.message, kind=Status.CRASHED)


def _unjudged(result: Result) -> ET.Element:
    case = _case(result.check, result.check, result.seconds.total)
    if result.status == Status.CRASHED:
        return _told(case, "error", result.reason, kind=result.status)
    return _told(case, "skipped", f"{result.status}: {result.reason}")


def _judged(report: Report, fail_on: Severity, check_name: str, rule: str, seconds: float) -> ET.Element:
    case = _case(check_name, rule, seconds)
    findings = [finding for finding in report.findings if finding.rule == rule]
    failing = [finding for finding in findings if counts_as_failure(report, finding, fail_on)]
    if failing:
        worst = min(failing, key=lambda finding: finding.severity.rank)
        more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
        _told(case, "failure", worst.seen + more, "\n\n".join(map(_paragraph, failing)), worst.severity)
    elif rule in report.unmet:
        _told(case, "failure", f"expected, but no longer there: {report.unmet[rule]}", kind="unmet")
    lower = [finding for finding in findings if finding not in failing]
    if lower:
        expected = [f"expected: {report.expected[rule]}"] if rule in report.expected else []
        ET.SubElement(case, "system-out").text = _legal("\n\n".join([*map(_paragraph, lower), *expected]))
    return case


def _paragraph(finding: Finding) -> str:
    return f"{finding.severity}: {finding.seen}" + (f"\n{finding.suggestion}" if finding.suggestion else "")
