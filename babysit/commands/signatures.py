"""What each command takes, and the body that it calls: made when the command is called, and nothing that computes.

Every check's command has an option for each of its settings that asks for one. Importing this imports neither NumPy
nor a framework; the bodies do.
"""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from babysit.check import Check
from babysit.checks import find_check, find_checks
from babysit.report import Severity

Target = Annotated[
    str | None, typer.Argument(help="path/to/file.py:factory or package.module:factory", show_default=False)
]
ConfigFile = Annotated[
    Path | None, typer.Option(help="babysit.yaml to use; else the nearest one upward (the demo uses none)")
]
Seed = Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="seed of the target and the run (default: 0)")]
Format = Annotated[str | None, typer.Option(help="text, json or junit (default: text)")]
OutputFile = Annotated[Path | None, typer.Option(help="write there instead of to standard output")]
BestFile = Annotated[
    Path | None, typer.Option(help="a .yaml file takes the best configuration; any other the report, instead of stdout")
]
Reports = Annotated[
    list[str] | None, typer.Option("--report", metavar="FORMAT=PATH", help="a further report; repeatable")
]
Select = Annotated[list[str] | None, typer.Option(metavar="NAME", help="checks or rules, with commas; repeatable")]
Ignore = Annotated[
    list[str] | None, typer.Option(metavar="RULE[=REASON]", help="leave a rule out, with the reason; repeatable")
]
Expected = Annotated[
    list[str] | None,
    typer.Option(metavar="RULE[=REASON]", help="known to be broken; an error once it is not; repeatable"),
]
FailOn = Annotated[Severity | None, typer.Option(help="least severity that makes the exit code 1 (default: error)")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="the verdict and a line for each finding")]
Treatment = Annotated[
    bool | None, typer.Option(help="where overfit or train fails, try what may cure it (default: True)")
]
Budget = Annotated[
    str | None,
    typer.Option(metavar="60s|5m|200steps", help="time or training steps that the checks may take (default: no bound)"),
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="end at the first error")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a setting of a check; repeatable")]

_COMMON: tuple[tuple[str, Any, Any], ...] = (
    ("config", ConfigFile, None),
    ("seed", Seed, None),
    ("format", Format, None),
    ("output", OutputFile, None),
    ("report", Reports, None),
    ("select", Select, None),
    ("ignore", Ignore, None),
    ("expected", Expected, None),
    ("fail_on", FailOn, None),
    ("quiet", Quiet, False),
    ("set", Set, None),
)


def made(name: str, help: str) -> Any:
    """The command of this name, as Typer makes it.

    Args:
        name: A check's, or one of `run`, `demo`, `judge`, `rules`, `explain`, `new`.
        help: Its summary.
    """
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    if name in _OTHERS:
        alone.command(name, help=help)(_OTHERS[name])
    else:
        own, body, rest = _JUDGING[name]() if name in _JUDGING else _check(name)
        command = _judging(own, body, **({"output": BestFile} if name == "search" else {}))
        alone.command(name, help=f"{help}\n\n{rest}")(command)
    return typer.main.get_command(alone)


Parts = tuple[list[inspect.Parameter], Callable[..., int], str]  # own parameters, body, the rest of the page


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _judging(own: list[inspect.Parameter], body: Callable[..., int], **others: Any) -> Callable[..., None]:
    """A function that takes its own parameters and those common to all that judge, some redefined."""

    def command(context: typer.Context, **values: Any) -> None:
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        raise typer.Exit(body(**given, started=context.obj))

    context = _parameter("context", typer.Context, inspect.Parameter.empty)
    common = [_parameter(one, others.get(one, annotation), default) for one, annotation, default in _COMMON]
    taken = (context, *own, *common)
    command.__signature__ = inspect.Signature(taken)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in taken}
    return command


def _options(values: dict[str, Any], **more: Any) -> Any:
    from babysit.config.options import Options

    lists = {name: values[name] or () for name in ("report", "select", "ignore", "expected", "set")}
    return Options(**{**values, **lists, **more})


def _run() -> Parts:
    def body(treatment: bool | None, **values: Any) -> int:
        from babysit.commands import run as command

        return command.check(_options(values, settings=_treatment(treatment)))

    own = [_parameter("target", Target, None), _parameter("treatment", Treatment, None), *_bounds(fail_fast=True)]
    return own, body, ""


def _bounds(*, fail_fast: bool = False) -> list[inspect.Parameter]:
    """Options that end a run before all is done."""
    return [_parameter("budget", Budget, None), *([_parameter("fail_fast", FailFast, False)] if fail_fast else [])]


def _treatment(wanted: bool | None) -> dict[str, Any]:
    """The setting of this name of every check that has one."""
    fields = (
        (check.name, field.name) for check in find_checks().values() for field in dataclasses.fields(check.settings)
    )
    return {f"{check}.{name}": wanted for check, name in fields if name == "treatment"}


def _check(name: str) -> Parts:
    check = find_check(name)
    daily = _daily(check)

    def body(**values: Any) -> int:
        from babysit.commands import run as command

        settings = {parameter.name: values.pop(parameter.name) for parameter in daily}
        return command.check(_options(values, settings=settings), only=name)

    rest = check.page.partition("\n")[2].strip().replace("\n", " ")
    return [_parameter("target", Target, None), *daily, *([] if check.alone else _bounds())], body, rest


def _daily(check: Check) -> list[inspect.Parameter]:
    """An option for each setting of the check that asks for one."""
    hints = get_type_hints(check.settings)
    fields = [field for field in dataclasses.fields(check.settings) if field.metadata["option"]]
    return [_parameter(field.name, _optional(field, hints[field.name]), None) for field in fields]


def _optional(field: "dataclasses.Field[Any]", hint: Any) -> Any:
    """The annotation of a setting's option; a list is repeated, and named NAME=SPEC."""
    doc = field.metadata["doc"]
    if hint == tuple[str, ...]:
        return Annotated[list[str] | None, typer.Option(metavar="NAME=SPEC", help=f"{doc}; repeatable")]
    default = f" (default: {field.default})" if field.default != "" else ""
    return Annotated[hint | None, typer.Option(help=f"{doc}{default}")]


def _demo() -> Parts:
    own = {
        "fault": (Annotated[str | None, typer.Option(help="break it: a name from --list-faults")], None),
        "list_faults": (Annotated[bool, typer.Option("--list-faults", help="what can be broken")], False),
        "activation": (Annotated[str, typer.Option(help="relu, tanh, sigmoid, leaky-relu, ...")], "relu"),
        "initialization": (
            Annotated[str | None, typer.Option(help="he, xavier, small-normal, large-normal, ...")],
            None,
        ),
        "treatment": (Treatment, None),
    }
    parameters = [_parameter(name, annotation, default) for name, (annotation, default) in own.items()]
    return [*parameters, *_bounds(fail_fast=True)], _demo_body, ""


def _demo_body(
    fault: str | None,
    list_faults: bool,
    activation: str,
    initialization: str | None,
    treatment: bool | None,
    **values: Any,
) -> int:
    from babysit.commands import demo

    if list_faults:
        return demo.list_faults()
    return demo.demo(_options(values, settings=_treatment(treatment)), fault, activation, initialization)


def _judge() -> Parts:
    def body(report_file: Path, **values: Any) -> int:
        from babysit.commands.judge import judge

        return judge(report_file, _options(values))

    saved = Annotated[Path, typer.Argument(metavar="REPORT.json", help="what --format json has written")]
    return [_parameter("report_file", saved, inspect.Parameter.empty)], body, ""


def _rules(format: Format = None) -> None:
    from babysit.commands import explain

    explain.show_rules(format or "text")


def _explain(
    rule: Annotated[str, typer.Argument(help="the rule's id", show_default=False)], format: Format = None
) -> None:
    from babysit.commands import explain

    explain.show_rule(rule, format or "text")


def _new(folder: Annotated[Path, typer.Argument(help="where to")] = Path()) -> None:
    from babysit.commands.new import create

    for path in create(folder):
        typer.echo(f"wrote {path}")


_JUDGING: dict[str, Callable[[], Parts]] = {"run": _run, "demo": _demo, "judge": _judge}
_OTHERS: dict[str, Callable[..., None]] = {"rules": _rules, "explain": _explain, "new": _new}
