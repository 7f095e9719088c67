"""The command line: the names of the commands and what each is for.

What a command takes is made when it is called (`babysit.commands.signatures`): `babysit --help` imports no check.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from babysit.outline import outlines

app = typer.Typer(
    help="The checklist for training neural networks: look before you train.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # panels and colors take longer to import than all else together
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all well, 1 findings, 2 usage, 3 the target failed, 5 nothing ran, 130 interrupted.",
)

SUMMARIES = {
    "run": "All checks, in the order of the lecture.",
    **{name: check.summary for name, check in outlines().items()},
    "demo": "The checklist on an embedded network, healthy or broken on purpose.",
    "judge": "Judge a saved JSON report again, with other thresholds; nothing is trained.",
    "rules": "All rules, by check.",
    "explain": "A rule's page: what it finds, why it matters, what to try, when it is wrong.",
    "new": "Write a commented babysit.yaml and a target to fill in.",
}


class _Later(TyperCommand):
    """A command that is known by its summary alone until it is called."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the command itself."""
        from babysit.commands.signatures import made

        assert self.name
        return made(self.name, SUMMARIES[self.name]).make_context(info_name, args, parent, **extra)


for _name, _summary in SUMMARIES.items():
    app.command(_name, cls=_Later, short_help=_summary)(lambda: None)


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
