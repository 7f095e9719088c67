"""What a check and a rule are.

A check is one module or, once that passes 250 lines, one folder of `babysit.checks`: `checks/overfit/` for `babysit
overfit`. It holds, or its `__init__` hands on from `schema`, `measure`, `exhibits` and `rules`,

    ORDER        its place in the lecture (an int)
    BLOCKED_BY   ids of rules whose error takes its ground away
    Settings     a frozen dataclass; each field made by `setting`; may raise ValueError where two disagree
    Measurement  a frozen dataclass of plain numbers, curves and names
    measure      (bench, settings) -> Measurement; drives the trainer, and nothing else does
    exhibits     (measured, settings) -> what to show of it
    TOGETHER     optional: True if it is for programs of several processes alone
    ALONE        optional: True if it is a command that `run` leaves out
    EXTRA        optional: the package that it needs, and the extra of babysit's that brings it
    needs        optional: (settings, batch) -> Needs, what it takes in training steps, for batches of so many examples;
                 left out where it takes none, or lives on what an earlier check has measured
    shortened    optional: (settings, steps, batch) -> settings with which it takes no more than so many steps' time
    and its rules, functions (measured, settings) -> findings, each decorated with `rule`; where they stand in modules
    of their own,
    RULES        names them, in the order in which they are judged

Its docstring is the check's page, a rule's docstring the rule's. Such modules import neither NumPy nor a framework nor
a renderer. `babysit --help` reads them without importing any (`babysit.outline`): ORDER and
the docstring stand above the first class or function, and RULES is a tuple of names.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from babysit import outline
from babysit.driving.budget import Needs
from babysit.report import Exhibit, Finding, Severity

if TYPE_CHECKING:
    from babysit.driving.bench import Bench


@dataclass(frozen=True)
class Rule:
    """One kind of fault: a pure function of a check's measurement, with its page.

    Args:
        id: Names the fault, in kebab case; never the remedy.
        judge: (measured, settings) -> findings.
        certain: Whether no other measurement lowers its findings and no other fault explains them.
    """

    id: str
    judge: Callable[[Any, Any], Iterable[Finding]]
    certain: bool = False

    def __call__(self, measured: Any, settings: Any) -> list[Finding]:
        """The findings of this rule."""
        return list(self.judge(measured, settings))

    def find(self, severity: Severity, message: str, *, where: str = "", suggestion: str, **evidence: Any) -> Finding:
        """A finding of this rule."""
        return Finding(self.id, severity, message, where, evidence, suggestion)

    def error(self, message: str, **fields: Any) -> Finding:
        """A finding that means: don't train yet."""
        return self.find(Severity.ERROR, message, **fields)

    def warning(self, message: str, **fields: Any) -> Finding:
        """A finding that means: look at this."""
        return self.find(Severity.WARNING, message, **fields)

    def info(self, message: str, **fields: Any) -> Finding:
        """A finding that explains and asks for nothing."""
        return self.find(Severity.INFO, message, **fields)

    @property
    def title(self) -> str:
        """The fault in one sentence."""
        return outline.title(self.judge.__doc__ or "")

    @property
    def page(self) -> dict[str, str]:
        """The sections of the rule's page by heading, each with its lines unwrapped into paragraphs."""
        return outline.sections(self.judge.__doc__ or "")


def rule(function: Callable[[Any, Any], Iterable[Finding]]) -> Rule:
    """Make a rule of a function; its id is the function's name in kebab case."""
    return Rule(function.__name__.replace("_", "-"), function)


def certain(rule: Rule) -> Rule:
    """Mark a rule whose errors stand as they are made: `diagnose` never lowers them, and no other rule explains it."""
    return dataclasses.replace(rule, certain=True)


def setting(
    default: Any,
    doc: str,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    option: bool = False,
    measures: bool = False,
    shown: Callable[[Any], Any] | None = None,
) -> Any:
    """A field of a check's settings.

    Args:
        default: Its value where the user says nothing.
        doc: Meaning, unit and source of the default.
        above: Values must be greater than this.
        least: Values must be at least this.
        most: Values must be at most this.
        option: Whether the check's command has an option of this name.
        measures: Whether it acts on what is measured, so that a saved report can't be judged with another value.
        shown: Makes of a value what reports may show of it; None where they may show it.
    """
    limits = {"above": above, "least": least, "most": most}
    told = {"doc": doc, "option": option, "measures": measures, "shown": shown}
    return dataclasses.field(default=default, metadata={**told, **limits})


def plain(settings: Any) -> dict[str, Any]:
    """A check's settings as plain values, as far as reports may show them."""
    found = dataclasses.asdict(settings)
    shown = {field.name: field.metadata["shown"] for field in dataclasses.fields(settings)}
    return {name: shown[name](value) if shown[name] else value for name, value in found.items()}


@dataclass(frozen=True)
class Check:
    """One subcommand: measures, then judges.

    Args:
        name: The subcommand.
        page: The check's own page, its module's docstring; the first line is its summary.
        order: Its place in the lecture.
        blocked_by: Ids of rules whose error takes the ground of this check away.
        settings: The class of its settings.
        measurement: The class of its measurement.
        measure: (bench, settings) -> measurement.
        exhibits: (measured, settings) -> what to show.
        rules: Its rules by id, in the order in which they are judged.
        together: Whether it is for programs of several processes alone; `run` leaves it out elsewhere.
        alone: Whether `run` leaves it out everywhere.
        extra: The package that it needs, and the extra of babysit's that brings it; empty for none.
        needs: (settings, examples in a batch) -> what it takes.
        shortened: (settings, training steps, examples in a batch) -> settings with which it takes no more than that.
    """

    name: str
    page: str
    order: int
    blocked_by: tuple[str, ...]
    settings: type[Any]
    measurement: type[Any]
    measure: Callable[["Bench", Any], Any]
    exhibits: Callable[[Any, Any], Iterable[Exhibit]]
    rules: Mapping[str, Rule]
    together: bool = False
    alone: bool = False
    extra: tuple[str, str] | tuple[()] = ()
    needs: Callable[[Any, int], Needs] = lambda settings, batch: Needs()  # noqa: ARG005
    shortened: Callable[[Any, float, int], Any] = lambda settings, steps, batch: settings  # noqa: ARG005

    @property
    def usual(self) -> bool:
        """Whether `run` does it on a program of one process."""
        return not (self.together or self.alone)

    @property
    def summary(self) -> str:
        """The check in one line."""
        return self.page.partition("\n")[0]

    def judge(self, measured: Any, settings: Any) -> list[Finding]:
        """Every finding of every rule, in the order of the rules."""
        return [finding for judged in self.rules.values() for finding in judged(measured, settings)]
