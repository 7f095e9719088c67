"""`babysit demo`: the checklist on the embedded network."""

from difflib import get_close_matches

from rich.console import Console
from rich.padding import Padding

from babysit.commands import run
from babysit.config.options import Options
from babysit.errors import UsageError
from babysit.lab import demo as healthy
from babysit.lab.faults import FAULTS
from babysit.lab.initializers import INITIALIZERS
from babysit.report import ExitCode
from babysit.reporting.terminal.characters import Pen


def list_faults() -> ExitCode:
    """Print each fault with the rule that finds it, and what is broken below."""
    console = Console()
    pen = Pen(console.options.ascii_only)
    for fault in FAULTS.values():
        console.print(pen.line((fault.name, "bold"), f"  found as {fault.rule}"), soft_wrap=True)
        console.print(Padding(pen.write(fault.explanation), (0, 0, 0, 2)))
    return ExitCode.OK


def _known(what: str, name: str, names: list[str]) -> None:
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(names)}"
        raise UsageError(f"unknown {what} {name!r}{hint}")


def demo(options: Options, fault: str | None, activation: str, initialization: str | None) -> ExitCode:
    """Run all checks on the demo, healthy or with one fault.

    Raises:
        UsageError: There is no such fault, activation or initialization, or a fault is given knobs.
    """
    if fault is not None:
        _known("fault", fault, list(FAULTS))
        if (activation, initialization) != ("relu", None):
            raise UsageError("--fault brings its own network: leave --activation and --initialization out")
        return run.demo(options, FAULTS[fault].make, f"babysit demo --fault {fault}")
    _known("activation", activation, list(healthy.INITIALIZATION))
    chosen = initialization or healthy.INITIALIZATION[activation]
    _known("initialization", chosen, list(INITIALIZERS))
    knobs = f" --activation {activation}" * (activation != "relu") + f" --initialization {initialization}" * (
        initialization is not None
    )
    return run.demo(options, lambda seed: healthy.trainer(activation, chosen, seed), f"babysit demo{knobs}")
