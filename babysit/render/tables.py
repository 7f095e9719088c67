"""Tables that stay readable on narrow consoles, one thing beneath the other where columns don't fit; text to copy."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from babysit.render.characters import Pen
from babysit.report import Snippet, Table

INDENT = (0, 0, 0, 2)
_NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?\s*%?|nan|[-+]?inf|-?", re.IGNORECASE)


@dataclass(frozen=True)
class Pairs:
    """Labels in one column and what they name in the other."""

    rows: tuple[tuple[Text, RenderableType], ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Each value beside its label, or beneath it where labels would take more than half the width."""
        if max((label.cell_len for label, _ in self.rows), default=0) > options.max_width // 2:
            for label, value in self.rows:
                yield label
                yield Padding(value, INDENT)
            return
        grid = Grid.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for label, value in self.rows:
            grid.add_row(label, value)
        yield grid


def pairs(rows: Iterable[tuple[Text, RenderableType]]) -> Pairs:
    """The rows as one renderable."""
    return Pairs(tuple(rows))


@dataclass(frozen=True)
class TablePlot:
    """A table under its title; columns of numbers are aligned on the right."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rows and columns; where no column can be given its longest word, some of them after the others, or pairs."""
        pen = Pen(options.ascii_only)
        yield pen.write(self.table.title, "bold")
        every = range(len(self.table.columns))
        if self._fits(every, console, options):
            yield self._grid(every, pen)
        elif self.table.keys:
            yield from self._in_parts(console, options, pen)
        else:
            yield from self._one_by_one(pen)

    def _fits(self, chosen: Sequence[int], console: Console, options: ConsoleOptions) -> bool:
        grid = self._grid(chosen, Pen(options.ascii_only))
        return Measurement.get(console, options.update(max_width=10_000), grid).minimum <= options.max_width

    def _grid(self, chosen: Iterable[int], pen: Pen) -> Grid:
        grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for index in chosen:
            numeric = all(_NUMBER.fullmatch(row[index]) for row in self.table.rows)
            name = pen.write(self.table.columns[index])
            grid.add_column(name, justify="right" if numeric else "left", overflow="fold")
        for row in self.table.rows:
            grid.add_row(*(pen.write(row[index]) for index in chosen))
        return grid

    def _in_parts(self, console: Console, options: ConsoleOptions, pen: Pen) -> Iterator[RenderableType]:
        """As many columns at a time as there is room for, each time behind those that name the rows."""
        keys, rest = list(range(self.table.keys)), list(range(self.table.keys, len(self.table.columns)))
        while rest:
            fitting = (n for n in range(len(rest), 1, -1) if self._fits([*keys, *rest[:n]], console, options))
            count = next(fitting, 1)
            yield self._grid([*keys, *rest[:count]], pen)
            rest = rest[count:]
            yield from [""] if rest else []

    def _one_by_one(self, pen: Pen) -> Iterator[RenderableType]:
        for index, row in enumerate(self.table.rows):
            yield from [""] if index else []
            cells = zip(self.table.columns, row, strict=True)
            yield pairs((pen.write(name, "dim"), pen.write(cell)) for name, cell in cells)


@dataclass(frozen=True)
class SnippetBlock:
    """Text to copy beneath its title, its lines never wrapped."""

    snippet: Snippet

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Title and lines."""
        pen = Pen(options.ascii_only)
        yield pen.write(self.snippet.title, "bold")
        for line in self.snippet.text.splitlines():
            written = pen.write(line)
            written.no_wrap, written.overflow = True, "ignore"
            yield written
