"""What can be seen while checks run, at a terminal: a progress bar, and above it how far the check has come."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Table as Grid
from rich.text import Text

from babysit.report import Curve, Exhibit, Fact, Table
from babysit.reporting.terminal.plots import LinePlot
from babysit.reporting.terminal.tables import TablePlot

EVERY = 0.5  # seconds between two drawings of the exhibits; each costs some milliseconds
HEIGHT = 8  # rows of a plot, so that a terminal of 24 holds it with its labels


class Display:
    """The bar, and the exhibits above it.

    Args:
        names: Of the checks that will run.
        console: Where to draw.
    """

    def __init__(self, names: Sequence[str], console: Console) -> None:
        self._names, self._running, self.console = list(names), "", console
        columns = (
            TextColumn("{task.description:18}"),
            BarColumn(),
            TextColumn("{task.fields[place]}"),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task("", place="")
        self._above = _Drawing(())
        self._drawn = 0.0

    def __rich__(self) -> RenderableType:
        """All of it."""
        return Group(self._above, self._bar.get_renderable())

    def progress(self, name: str, done: int, total: int) -> None:
        """A check proceeds."""
        if name != self._running:
            self._running, self._above = name, _Drawing(())
        place = f"{self._names.index(name) + 1} of {len(self._names)}"
        self._bar.update(self._task, description=name, completed=done, total=total, place=place)

    def show(self, make: Callable[[], Iterable[Exhibit]]) -> None:
        """Draw what is made, unless the latest drawing is fresh."""
        if time.monotonic() - self._drawn >= EVERY:
            self._above = _Drawing(_drawn(tuple(make())))
            self._drawn = time.monotonic()


class _Drawing:
    """Parts beneath one another, drawn once for a width: the bar moves several times between two of their changes."""

    def __init__(self, parts: Iterable[RenderableType]) -> None:
        self._parts, self._width = Group(*parts), -1
        self._segments: list[Segment] = []

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width != self._width:
            self._segments, self._width = list(console.render(self._parts, options)), options.max_width
        yield from self._segments


def _drawn(exhibits: Sequence[Exhibit]) -> Iterator[RenderableType]:
    """Curves side by side, tables, and a line for each fact."""
    plots = [LinePlot(exhibit, HEIGHT) for exhibit in exhibits if isinstance(exhibit, Curve)]
    side_by_side = Grid.grid(expand=True, padding=(0, 1))
    for _ in plots:
        side_by_side.add_column(ratio=1)
    side_by_side.add_row(*plots)
    yield side_by_side
    for exhibit in exhibits:
        if isinstance(exhibit, Table):
            yield TablePlot(exhibit)
        if isinstance(exhibit, Fact):
            yield Text.assemble((exhibit.label, "dim"), " ", exhibit.value)


@contextlib.contextmanager
def display(names: Sequence[str], *, quiet: bool) -> Iterator[Display | None]:
    """A display on standard error while the context lasts; none where that is no terminal, or should stay quiet."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    shown = Display(names, console)
    with Live(shown, console=console, transient=True):
        yield shown
