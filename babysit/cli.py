"""The command line: signatures, and nothing that computes.

Every check in `babysit.checks` becomes a command of its name, with an option for each setting that asks for one.
Importing this imports neither NumPy nor a framework; the bodies do.
"""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from babysit.check import Check, find_checks
from babysit.report import Severity

app = typer.Typer(
    help="The checklist for training neural networks: look before you train.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 all well, 1 findings, 2 usage, 3 the target failed, 5 nothing ran, 130 interrupted.",
)

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


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _command(
    name: str, help: str, own: list[inspect.Parameter], body: Callable[..., int], rest: str = "", **others: Any
) -> None:
    """Register a command that takes its own parameters and those common to all that judge, some redefined."""

    def command(**values: Any) -> None:
        raise typer.Exit(body(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}))

    common = [_parameter(one, others.get(one, annotation), default) for one, annotation, default in _COMMON]
    command.__signature__ = inspect.Signature([*own, *common])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*own, *common)}
    app.command(name, help=f"{help}\n\n{rest.replace(chr(10), ' ')}", short_help=help)(command)


def _options(values: dict[str, Any], **more: Any) -> Any:
    from babysit.command import Options

    lists = {name: values[name] or () for name in ("report", "select", "ignore", "expected", "set")}
    return Options(**{**values, **lists, **more})


def _run(treatment: bool | None, **values: Any) -> int:
    from babysit import command

    return command.check(_options(values, settings=_treatment(treatment)))


def _treatment(wanted: bool | None) -> dict[str, Any]:
    """The setting of this name of every check that has one."""
    fields = (
        (check.name, field.name) for check in find_checks().values() for field in dataclasses.fields(check.settings)
    )
    return {f"{check}.{name}": wanted for check, name in fields if name == "treatment"}


def _check_body(name: str, daily: list[str]) -> Callable[..., int]:
    def body(**values: Any) -> int:
        from babysit import command

        settings = {key: values.pop(key) for key in daily}
        return command.check(_options(values, settings=settings), only=name)

    return body


def _daily(check: Check) -> list[inspect.Parameter]:
    """An option for each setting of the check that asks for one."""
    hints = get_type_hints(check.settings)
    fields = [field for field in dataclasses.fields(check.settings) if field.metadata["option"]]
    return [_parameter(field.name, _optional(field, hints[field.name]), None) for field in fields]


def _bounds(*, fail_fast: bool = False) -> list[inspect.Parameter]:
    """Options that end a run before all is done."""
    return [_parameter("budget", Budget, None), *([_parameter("fail_fast", FailFast, False)] if fail_fast else [])]


def _optional(field: "dataclasses.Field[Any]", hint: Any) -> Any:
    """The annotation of a setting's option; a list is repeated, and named NAME=SPEC."""
    doc = field.metadata["doc"]
    if hint == tuple[str, ...]:
        return Annotated[list[str] | None, typer.Option(metavar="NAME=SPEC", help=f"{doc}; repeatable")]
    default = f" (default: {field.default})" if field.default != "" else ""
    return Annotated[hint | None, typer.Option(help=f"{doc}{default}")]


_command(
    "run",
    "All checks, in the order of the lecture.",
    [_parameter("target", Target, None), _parameter("treatment", Treatment, None), *_bounds(fail_fast=True)],
    _run,
)
for _name, _found in find_checks().items():
    _settings = _daily(_found)
    _command(
        _name,
        _found.summary,
        [_parameter("target", Target, None), *_settings, *([] if _found.alone else _bounds())],
        _check_body(_name, [parameter.name for parameter in _settings]),
        rest=_found.page.partition("\n")[2].strip(),
        **({"output": BestFile} if _name == "search" else {}),
    )


def _demo(
    fault: str | None,
    list_faults: bool,
    activation: str,
    initialization: str | None,
    treatment: bool | None,
    **values: Any,
) -> int:
    from babysit.lab import show

    if list_faults:
        return show.list_faults()
    return show.demo(_options(values, settings=_treatment(treatment)), fault, activation, initialization)


_command(
    "demo",
    "The checklist on an embedded network, healthy or broken on purpose.",
    [
        _parameter("fault", Annotated[str | None, typer.Option(help="break it: a name from --list-faults")], None),
        _parameter("list_faults", Annotated[bool, typer.Option("--list-faults", help="what can be broken")], False),
        _parameter("activation", Annotated[str, typer.Option(help="relu, tanh, sigmoid, leaky-relu, ...")], "relu"),
        _parameter(
            "initialization",
            Annotated[str | None, typer.Option(help="he, xavier, small-normal, large-normal, ...")],
            None,
        ),
        _parameter("treatment", Treatment, None),
        *_bounds(fail_fast=True),
    ],
    _demo,
)


def _judge(report_file: Path, **values: Any) -> int:
    from babysit import command

    return command.judge(report_file, _options(values))


_command(
    "judge",
    "Judge a saved JSON report again, with other thresholds; nothing is trained.",
    [
        inspect.Parameter(
            "report_file",
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[Path, typer.Argument(metavar="REPORT.json", help="what --format json has written")],
        )
    ],
    _judge,
)


@app.command()
def rules(format: Format = None) -> None:
    """All rules, by check."""
    from babysit import pages

    pages.show_rules(format or "text")


@app.command()
def explain(
    rule: Annotated[str, typer.Argument(help="the rule's id", show_default=False)], format: Format = None
) -> None:
    """A rule's page: what it finds, why it matters, what to try, when it is wrong."""
    from babysit import pages

    pages.show_rule(rule, format or "text")


@app.command()
def new(folder: Annotated[Path, typer.Argument(help="where to")] = Path()) -> None:
    """Write a commented babysit.yaml and a target to fill in."""
    from babysit.new import create

    for path in create(folder):
        typer.echo(f"wrote {path}")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"babysit {version('babysit')}")
        raise typer.Exit


@app.callback()
def _callback(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="the version")] = False,
) -> None:
    """Only `--version` stands before the command."""
