import dataclasses
import io
import types
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from rich.console import Console

from babysit import check
from babysit.checks import check_of
from babysit.report import Fact, Finding, Report, Result, Seconds, Severity, Status, Table


@dataclasses.dataclass(frozen=True)
class Settings:
    tolerance: float = 0.1
    ladder: tuple[float, ...] = (1.0, 10.0)


@dataclasses.dataclass(frozen=True)
class Part:
    name: str
    value: float


@dataclasses.dataclass(frozen=True)
class Measurement:
    losses: tuple[float, ...]
    parts: tuple[Part, ...] = ()
    chance: Mapping[str, float] = dataclasses.field(default_factory=dict)
    own: float | None = None


@check.rule
def wrong_start(measured: Any, settings: Any) -> list[Finding]:
    """The first loss is not that of chance.

    What it finds: a first loss far from ln C.

    Why it matters: a network that knows nothing guesses, and the loss of
    guessing is known.

    Second paragraphs are for `explain`.

    References: CS231n, lecture 6, R² × 1.
    """
    return []


@check.rule
def too_sure(measured: Any, settings: Any) -> list[Finding]:
    """The scores are spread before anything was learned."""
    return []


@check.rule
def never_learns(measured: Any, settings: Any) -> list[Finding]:
    """Twenty examples can't be memorized.

    Why it matters: what can't learn twenty examples can't learn more.
    """
    return []


def _check(name: str, page: str, order: int, *rules: check.Rule) -> check.Check:
    module = types.ModuleType(f"babysit.checks.{name}", page)
    vars(module).update(ORDER=order, BLOCKED_BY=(), Settings=Settings, Measurement=Measurement)
    vars(module).update(measure=None, exhibits=None, **{rule.judge.__name__: rule for rule in rules})
    return check_of(module)


@pytest.fixture(scope="module", autouse=True)
def checks() -> Iterator[Mapping[str, check.Check]]:
    found = [
        _check("first_loss", "Is the first loss that of chance?", 1, wrong_start, too_sure),
        _check("memorize", "Can it memorize?\n\nMore.", 2, never_learns),
        _check("look_inside", "What flows through the layers?", 3),
    ]
    by_name = {c.name: c for c in found}
    rules = {id: (c, rule) for c in found for id, rule in c.rules.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("babysit.checks.find_checks", lambda: by_name)
        patch.setattr("babysit.checks.find_rules", lambda: rules)
        yield by_name


@pytest.fixture(scope="session")
def console():
    """A console of this width that writes to memory; `console.written()` gives the lines."""

    def make(width: int = 80, encoding: str = "utf-8", color: bool = False, **environment: str) -> Console:
        file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True, newline="")
        system = "standard" if color else None
        made = Console(file=file, width=width, color_system=system, force_terminal=color, _environ=environment)
        made.written = lambda: file.buffer.getvalue().decode(encoding).split("\n")[:-1]
        return made

    return make


@pytest.fixture(scope="session")
def stripped(console):
    """What `print_to(console)` prints at this width, without trailing blanks."""

    def take(print_to, width: int = 80, encoding: str = "utf-8") -> str:
        made = console(width, encoding)
        print_to(made)
        return "\n".join(line.rstrip() for line in made.written())

    return take


@pytest.fixture(scope="session")
def reports() -> Mapping[str, Report]:
    """Small reports by what became of them."""
    facts = (Fact("first loss", "2.303 ± 0.01"), Fact("chance: ln 10", "2.303"))
    first = Result("first-loss", Status.PASSED, exhibits=facts, seconds=Seconds(0.5, 0.1))
    rows = (("0.1", "2.3", "learns nothing"), ("1e-3", "0.01", "memorizes"))
    table = Table("by learning rate", ("learning rate", "loss", "outcome"), rows)
    second = Result("memorize", Status.PASSED, exhibits=(table,), steps=200, seconds=Seconds(2.0, 0.2))
    inside = Result("look-inside", Status.SKIPPED, reason="the trainer can't show its layers (it lacks SupportsTrace)")
    passed = Report("train.py:trainer", 0, "0.1.0", (first, second, inside), seconds=Seconds(2.8, 0.4, 1.3))
    root = Finding(
        "wrong-start",
        Severity.ERROR,
        "the first loss is 5.21, chance is 2.303.",
        "[conv1]",
        {"losses": [5.3, 5.2, 5.1, 5.0], "chance": 2.303},
        "Draw smaller weights.",
        ("never-learns",),
    )
    folded = Finding("never-learns", Severity.ERROR, "after 200 steps the loss is 2.3.", "", {}, "Look above.")
    sure = Finding("too-sure", Severity.WARNING, "the scores spread 4.1.", "", {}, "Scale the inputs.")
    failures = (dataclasses.replace(first, status=Status.FAILED), dataclasses.replace(second, status=Status.FAILED))
    failed = dataclasses.replace(passed, results=(*failures, inside), findings=(root, folded, sure))
    broken = Result("memorize", Status.CRASHED, reason="ValueError in step 7: shapes (3,) and (4,) don't fit")
    return {
        "passed": passed,
        "failed": failed,
        "crashed": dataclasses.replace(passed, results=(first, broken)),
        "nothing-ran": dataclasses.replace(passed, results=(inside,), seconds=Seconds(0.0, 0.1)),
        "interrupted": dataclasses.replace(passed, results=(first,), interrupted=True),
    }
