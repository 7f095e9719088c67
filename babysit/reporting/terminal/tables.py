"""Tables that stay readable on narrow consoles, one thing beneath the other where columns don't fit; text to copy."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from babysit.report import Snippet, Table
from babysit.reporting.terminal.characters import Pen

INDENT = (0, 0, 0, 2)
GAP = 2  # cells between columns
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
        wide = options.update(max_width=10_000)
        least = [Measurement.get(console, wide, self._grid([index], pen)).minimum for index in every]
        if sum(least) + GAP * (len(least) - 1) <= options.max_width:
            yield self._grid(every, pen)
        elif self.table.keys:
            yield from self._in_parts(least, options.max_width, pen)
        else:
            yield from self._one_by_one(pen)

    def _grid(self, chosen: Iterable[int], pen: Pen) -> Grid:
        grid = Grid(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
        for index in chosen:
            numeric = all(_NUMBER.fullmatch(row[index]) for row in self.table.rows)
            name = pen.write(self.table.columns[index])
            grid.add_column(name, justify="right" if numeric else "left", overflow="fold")
        for row in self.table.rows:
            grid.add_row(*(pen.write(row[index]) for index in chosen))
        return grid

    def _in_parts(self, least: Sequence[int], width: int, pen: Pen) -> Iterator[RenderableType]:
        """As many columns at a time as there is room for, each time behind those that name the rows."""
        keys = list(range(self.table.keys))
        part: list[int] = []
        for index in range(self.table.keys, len(least)):
            if part and sum(least[i] + GAP for i in (*keys, *part, index)) - GAP > width:
                yield self._grid([*keys, *part], pen)
                yield ""
                part = []
            part.append(index)
        yield self._grid([*keys, *part], pen)

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
