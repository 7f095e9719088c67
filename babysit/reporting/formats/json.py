"""The report as JSON, and back. NaN and infinities are the strings "NaN", "Infinity" and "-Infinity".

Exhibits are not written: they are made of the measurement. Lone surrogates, which JSON's readers refuse, are
written as their escapes.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema

from babysit import checks, report
from babysit.errors import UsageError
from babysit.report import SCHEMA_VERSION, ExitCode, Report, Result, Seconds, Severity, Status

_VERDICTS = {
    ExitCode.OK: "passed",
    ExitCode.FINDINGS: "failed",
    ExitCode.TARGET: "crashed",
    ExitCode.NOTHING_RAN: "nothing-ran",
    ExitCode.INTERRUPTED: "interrupted",
}
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_SCALARS = ["number", "string", "boolean"]
_NUMBER_SCHEMA = {"anyOf": [{"type": "number"}, {"enum": list(_NOT_FINITE)}]}


def _number(value: Any) -> Any:
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value


def _evidence(value: Any) -> Any:
    if isinstance(value, list):
        return [_evidence(item) for item in value]
    if isinstance(value, str | float | int):
        return _number(value)
    raise ValueError("neither a number nor a text nor a list of them")


Evidence: TypeAlias = Annotated[
    Any,
    BeforeValidator(_evidence),
    WithJsonSchema({"type": [*_SCALARS, "array"], "items": {"type": _SCALARS}}),
]
Number: TypeAlias = Annotated[float, BeforeValidator(_number), WithJsonSchema(_NUMBER_SCHEMA)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class SplitSeconds(_Part):
    """Wall-clock seconds."""

    target: Number
    """Spent in the target's code while it was driven."""
    own: Number
    """Spent in babysit's own."""
    loading: Number
    """Spent on imports and the target's construction, before any check began; 0 for one check."""


class Finding(_Part):
    """One rule broken in one place."""

    rule: str
    """The rule's id."""
    severity: Annotated[Severity, Field(strict=False)]
    """How much it matters. An error means: don't train yet."""
    message: str
    """What was seen, with the numbers."""
    where: str
    """The layer, parameter, split or step; empty for the whole program."""
    evidence: dict[str, Evidence]
    """The numbers behind the message, by name."""
    suggestion: str
    """What to try first."""
    explains: list[str]
    """Ids of rules whose findings are consequences of this one."""


class CheckResult(_Part):
    """What became of one check."""

    check: str
    """The check's name."""
    status: Annotated[Status, Field(strict=False)]
    """How it ended. Only `passed` is a pass."""
    reason: str
    """Why it was skipped or blocked, or what crashed while it was measured."""
    measurement: dict[str, Any] | None
    """What was measured, in the check's own fields; null if nothing was."""
    settings: dict[str, Any]
    """The settings it was judged with."""
    steps: Annotated[int, Field(ge=0)]
    """Updates that the target made for it."""
    seconds: SplitSeconds
    """Time it took."""


class Crash(_Part):
    """A part of babysit's own that failed after measuring."""

    check: str
    """The check that it belongs to; "run" for none."""
    part: str
    """A rule's id, "exhibits", "diagnosis", or a format, as "format junit"."""
    message: str
    """What was raised, and where."""


class Document(_Part):
    """All that one run of babysit found."""

    schema_version: Literal[1]
    """The version of this document's shape."""
    version: str
    """The version of babysit that measured."""
    target: str
    """What was checked, as named on the command line."""
    seed: int
    """The seed that the target was built and driven with."""
    exit_code: Literal[0, 1, 3, 5, 130]
    """0 nothing at or above the failing severity, 1 findings, 3 crashed, 5 nothing ran, 130 interrupted."""
    verdict: Literal["passed", "failed", "crashed", "nothing-ran", "interrupted"]
    """The exit code in a word."""
    findings: list[Finding]
    """All findings, the root first, consequences behind their cause."""
    results: list[CheckResult]
    """One for each check that was asked for."""
    ignored: dict[str, str]
    """Reasons, by rule, for faults that the configuration ignores and that were found."""
    expected: dict[str, str]
    """Reasons, by rule, for faults that the configuration expects and that were found."""
    unmet: dict[str, str]
    """Reasons, by rule, for faults that the configuration expects and that are gone."""
    crashes: list[Crash] = []
    """Parts of babysit's own that failed while they judged or showed what was measured; what others found is kept."""
    interrupted: bool
    """Whether Ctrl-C ended the run early."""
    seconds: SplitSeconds
    """Time of the whole run."""


class _Schema(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # a title would only repeat the name
        return False


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of the document."""
    made = Document.model_json_schema(schema_generator=_Schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "babysit report"}


def render(found: Report, fail_on: Severity) -> str:
    """The report as strict JSON in ASCII."""
    code = report.exit_code(found, fail_on)
    document = {
        "schema_version": SCHEMA_VERSION,
        "version": found.version,
        "target": found.target,
        "seed": found.seed,
        "exit_code": int(code),
        "verdict": _VERDICTS[code],
        "findings": found.findings,
        "results": [{k: v for k, v in vars(result).items() if k != "exhibits"} for result in found.results],
        "ignored": found.ignored,
        "expected": found.expected,
        "unmet": found.unmet,
        "crashes": found.crashes,
        "interrupted": found.interrupted,
        "seconds": found.seconds,
    }
    return json.dumps(_plain(document), indent=2, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return next(name for name, number in _NOT_FINITE.items() if repr(number) == repr(value))
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def read(text: str) -> Report:
    """The report that `render` wrote, without its exhibits.

    Raises:
        UsageError: The text is no such document, or names a check or rule that this babysit doesn't have.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"the report is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise UsageError("the report is not one of babysit's: it is nested too deeply") from None
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version is None:
        raise UsageError("the JSON is no report of babysit: it has no schema_version")
    if version != SCHEMA_VERSION:
        raise UsageError(f"the report has schema_version {version}; this babysit reads {SCHEMA_VERSION}")
    return _report(_validated(TypeAdapter(Document), document, ""))


def _validated(adapter: TypeAdapter[Any], value: Any, path: str) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        for part in first["loc"]:
            path += f"[{part}]" if isinstance(part, int) else f".{part}"
        raise UsageError(f"the report can't be used: {path.removeprefix('.')}: {first['msg']}") from None


def _report(document: Document) -> Report:
    return Report(
        target=document.target,
        seed=document.seed,
        version=document.version,
        results=tuple(_result(result, f"results[{index}]") for index, result in enumerate(document.results)),
        findings=tuple(_finding(finding, f"findings[{index}]") for index, finding in enumerate(document.findings)),
        ignored=document.ignored,
        expected=document.expected,
        unmet=document.unmet,
        crashes=tuple(report.Crash(crash.check, crash.part, crash.message) for crash in document.crashes),
        interrupted=document.interrupted,
        seconds=_seconds(document.seconds),
    )


def _seconds(seconds: SplitSeconds) -> Seconds:
    return Seconds(seconds.target, seconds.own, seconds.loading)


def _known(name: str, known: Mapping[str, Any], path: str) -> Any:
    if name not in known:
        raise UsageError(f"the report can't be used: {path}: this babysit knows no {name!r}")
    return known[name]


def _finding(found: Finding, path: str) -> report.Finding:
    _known(found.rule, checks.find_rules(), f"{path}.rule")
    words = (found.rule, found.severity, found.message, found.where)
    return report.Finding(*words, found.evidence, found.suggestion, tuple(found.explains))


def _result(result: CheckResult, path: str) -> Result:
    """The result, its measurement and settings in the types of its check."""
    known = _known(result.check, checks.find_checks(), f"{path}.check")
    measurement = result.measurement
    if measurement is not None:
        measurement = _validated(TypeAdapter(known.measurement), measurement, f"{path}.measurement")
    fields = {field.name: field for field in dataclasses.fields(known.settings)}
    for name in result.settings:
        _known(name, fields, f"{path}.settings")
    settings = _validated(TypeAdapter(known.settings), result.settings, f"{path}.settings")
    return Result(
        check=result.check,
        status=result.status,
        reason=result.reason,
        measurement=measurement,
        settings={name: getattr(settings, name) for name in result.settings},
        steps=result.steps,
        seconds=_seconds(result.seconds),
    )
