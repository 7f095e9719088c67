"""Judging behind a guard: a crash in a rule, in exhibits or in the diagnosis costs that part and nothing else."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from babysit.check import Check
from babysit.diagnosis.diagnose import diagnose
from babysit.messages import blame
from babysit.report import Crash, Exhibit, Finding

OWN_FAULT = "a fault of babysit's own, please report it"
Made = TypeVar("Made")


@dataclass(frozen=True)
class Judged:
    """What the rules of one check found, and those that crashed."""

    findings: tuple[Finding, ...] = ()
    crashes: tuple[Crash, ...] = ()


def guarded(check: str, part: str, make: Callable[[], Made]) -> tuple[Made | None, tuple[Crash, ...]]:
    """What `make` gives, or None and the crash.

    Args:
        check: The check that it belongs to; "run" for none.
        part: What is made, for the message: a rule's id, "exhibits", "diagnosis", "format json".
        make: Makes it, and keeps nothing back: a generator would crash later.
    """
    try:
        return make(), ()
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not lose what the others found
        return None, (Crash(check, part, f"{OWN_FAULT}: {blame(error, ours=True)}"),)


def judge(check: Check, measured: Any, settings: Any) -> Judged:
    """Every finding of every rule that doesn't crash, in the order of the rules."""
    found: list[Finding] = []
    crashes: list[Crash] = []
    for id, rule in check.rules.items():
        findings, crashed = guarded(check.name, id, lambda rule=rule: rule(measured, settings))  # type: ignore[misc]
        found += findings or ()
        crashes += crashed
    return Judged(tuple(found), tuple(crashes))


def exhibits(check: Check, measured: Any, settings: Any) -> tuple[tuple[Exhibit, ...], tuple[Crash, ...]]:
    """What the check shows of its measurement; nothing where that crashes."""

    def make() -> Iterable[Exhibit]:
        return tuple(check.exhibits(measured, settings))

    shown, crashes = guarded(check.name, "exhibits", make)
    return tuple(shown or ()), crashes


def diagnosed(
    measured: Mapping[str, Any], findings: tuple[Finding, ...]
) -> tuple[tuple[Finding, ...], tuple[Crash, ...]]:
    """The findings as `diagnose` puts them; in the rules' own order where it crashes."""
    found, crashes = guarded("run", "diagnosis", lambda: diagnose(measured, findings))
    return (findings if found is None else found), crashes
