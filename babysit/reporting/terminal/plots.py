"""Small plots as Rich renderables: lines in braille, bars in eighths of a block, all of it in ASCII where need be."""

import itertools
import math
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from babysit.report import Curve
from babysit.reporting.terminal.axes import Axis, axis_over, drawable, number
from babysit.reporting.terminal.characters import Pen

_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # the bit of each dot, by row and column
_MARKERS, _ASCII_MARKERS = "●○◆◇▲△■□", "*o+#@%&="
_COLORS = ("cyan", "magenta", "yellow", "green", "blue", "red")
_BAND_COLORS = ("blue", "green", "red")
_EVERY = 16  # cells between two markers of a series
BLOCKS, RAMP = "▁▂▃▄▅▆▇█", ".:-=+*#@"

_Place = tuple[int, int]  # column and row, of a cell or of a dot


@dataclass
class _Canvas:
    """Character cells, each of `across` by `down` dots."""

    columns: int
    rows: int
    across: int
    down: int
    cells: dict[_Place, tuple[str, str]] = field(default_factory=dict)
    bits: dict[_Place, int] = field(default_factory=dict)

    def cell(self, dot: _Place) -> _Place:
        return dot[0] // self.across, dot[1] // self.down

    def dot(self, dot: _Place, glyph: str, style: str) -> None:
        cell = self.cell(dot)
        if self.across > 1:
            self.bits[cell] = self.bits.get(cell, 0) | _BRAILLE[dot[1] % 4][dot[0] % 2]
            glyph = chr(0x2800 + self.bits[cell])
        self.cells[cell] = (glyph, style)

    def line(self, row: int) -> Text:
        cells = (self.cells.get((column, row), (" ", "")) for column in range(self.columns))
        return Text.assemble(*cells)


def _points(curve: Curve, values: Sequence[float]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(curve.x, values, strict=False) if drawable(x, curve.log_x)]


def _spans(run: Sequence[_Place]) -> dict[int, _Place]:
    """The lowest and highest row in each column of the line through the dots."""
    spans: dict[int, _Place] = {}

    def widen(column: int, *rows: int) -> None:
        low, high = spans.get(column, (rows[0], rows[0]))
        spans[column] = min(low, *rows), max(high, *rows)

    for start, end in itertools.pairwise(run):
        (left, from_row), (right, to_row) = sorted((start, end), key=lambda dot: dot[0])
        if left == right:
            widen(left, from_row, to_row)
        for column in range(left, right) if left < right else ():
            slope = (to_row - from_row) / (right - left)
            here, there = (round(from_row + slope * (c - left)) for c in (column, column + 1))
            near = here if here == there else there - (1 if there > here else -1)
            widen(column, here, near)
            widen(column + 1, there, there)
    return spans


def _runs(dots: Iterable[_Place | None]) -> list[list[_Place]]:
    """The dots between the gaps."""
    groups = itertools.groupby(dots, key=lambda dot: dot is not None)
    return [[dot for dot in group if dot is not None] for there, group in groups if there]


def spread_labels(labels: Iterable[tuple[int, str]], width: int, gap: int = 2) -> list[tuple[int, str]]:
    """Labels centered on their columns, `gap` cells apart and inside the width; those that don't fit are left out."""
    placed: list[tuple[int, str]] = []
    free = 0
    for column, label in sorted(labels):
        start = max(0, min(column - cell_len(label) // 2, width - cell_len(label)))
        if start >= free and start + cell_len(label) <= width:
            placed.append((start, label))
            free = start + cell_len(label) + gap
    return placed


def label_row(labels: Iterable[tuple[int, str]]) -> str:
    """The placed labels on one line."""
    row = ""
    for start, label in labels:
        row += " " * (start - cell_len(row)) + label
    return row


def _wrapped(items: Iterable[Text], width: int) -> Iterator[Text]:
    """The items on as few lines as hold them whole."""
    line = Text()
    for item in items:
        if line and line.cell_len + 3 + item.cell_len > width:
            yield line
            line = Text()
        line = Text.assemble(line, "   ", item) if line else item
    if line:
        yield line


@dataclass(frozen=True)
class _Drawing:
    """One curve on its way to the console: where its values lie on a canvas of a known size."""

    curve: Curve
    pen: Pen
    x: Axis
    y: Axis | None
    canvas: _Canvas

    def column(self, x: float) -> int:
        return round(self.x.position(x) * (self.canvas.columns * self.canvas.across - 1))

    def row(self, y: float) -> int:
        height = self.canvas.rows * self.canvas.down
        return round((1 - self.y.position(y)) * (height - 1)) if self.y else height - 1

    def marker(self, index: int) -> tuple[str, str]:
        markers = (_ASCII_MARKERS if self.pen.ascii_only else _MARKERS) + string.ascii_uppercase
        return markers[index % len(markers)], _COLORS[index % len(_COLORS)]

    def draw(self) -> None:
        for x in self.marked():
            column = self.column(x) // self.canvas.across
            for row in range(self.canvas.rows):
                self.canvas.cells[column, row] = (self.pen.write("┊").plain, "dim")
        lines = [self.draw_line(index, values) for index, values in enumerate(self.curve.series.values())]
        for index, cells in enumerate(lines):
            shown = cells[_EVERY * index // max(1, len(lines)) :: _EVERY] or cells[-1:]
            self.canvas.cells |= dict.fromkeys(shown if len(lines) > 1 else (), self.marker(index))
        for values in self.curve.series.values():
            self.draw_gaps(values)

    def draw_line(self, index: int, values: Sequence[float]) -> list[_Place]:
        """Draw one series; the cells that its line passes, from left to right."""
        glyph, style = self.marker(index)
        dots = [
            (self.column(x), self.row(y)) if drawable(y, self.curve.log_y) else None
            for x, y in _points(self.curve, values)
        ]
        if self.curve.scattered:
            self.canvas.cells |= dict.fromkeys([self.canvas.cell(dot) for dot in dots if dot], (glyph, style))
            return []
        cells = []
        for run in _runs(dots):
            spans = _spans(run)
            for column, (low, high) in sorted(spans.items()):
                cells.append(self.canvas.cell((column, low)))
                for row in range(low, high + 1):
                    self.canvas.dot((column, row), glyph, style)
            if not spans:
                cells.append(self.canvas.cell(run[0]))
                self.canvas.cells[cells[-1]] = (glyph, style)
        return list(dict.fromkeys(cells))

    def draw_gaps(self, values: Sequence[float]) -> None:
        for x, y in _points(self.curve, values):
            if not math.isfinite(y):
                edge = 0 if y == math.inf else self.canvas.rows - 1
                self.canvas.cells[self.column(x) // self.canvas.across, edge] = ("x", "red")

    def marked(self) -> dict[float, str]:
        """The marks that lie on the axis, from left to right."""
        places = sorted((x, name) for name, x in self.curve.marks.items() if drawable(x, self.curve.log_x))
        return {x: ", ".join(name for _, name in group) for x, group in itertools.groupby(places, key=lambda p: p[0])}

    def bands(self) -> Iterator[tuple[int, int, str]]:
        """First and last cell of each band that lies on the axis, and its name."""
        cells = self.canvas.columns - 1
        for name, (low, high) in self.curve.bands.items():
            if drawable(low, self.curve.log_x) and drawable(high, self.curve.log_x):
                first, last = (min(max(self.column(x) // self.canvas.across, 0), cells) for x in (low, high))
                yield first, last, name

    def mark_labels(self, gutter: int) -> tuple[list[tuple[int, str]], dict[str, str]]:
        """Labels over the plot, and what they stand for where they had to be letters."""
        columns = {x: gutter + self.column(x) // self.canvas.across for x in self.marked()}
        full = {x: self.pen.line(f"{name} {number(x)}").plain for x, name in self.marked().items()}
        width = gutter + self.canvas.columns
        outward = {x: (1 if 2 * i >= len(full) else -1) * (cell_len(full[x]) // 2) for i, x in enumerate(full)}
        for shift in (dict.fromkeys(full, 0), outward):
            placed = spread_labels(((columns[x] + shift[x], label) for x, label in full.items()), width)
            if len(placed) == len(full):
                return placed, {}
        letters = dict(zip(full, itertools.cycle(string.ascii_lowercase), strict=False))
        return spread_labels(((columns[x], letters[x]) for x in full), width, gap=0), {
            letters[x]: full[x] for x in full
        }


def _frame(drawing: _Drawing, y_ticks: list[tuple[float, str]], gutter: int) -> Iterator[Text]:
    """The plot between its axes."""
    pen, curve, canvas = drawing.pen, drawing.curve, drawing.canvas
    width = gutter + canvas.columns
    yield pen.line((curve.y_label or next(iter(curve.series), ""), "dim"))
    if curve.marks:
        yield pen.line(label_row(drawing.mark_labels(gutter)[0]))
    named = {drawing.row(value) // canvas.down: label for value, label in y_ticks}
    for row in range(canvas.rows):
        label = f"{named.get(row, ''):>{gutter - 2}} "
        yield Text.assemble(pen.line((label + ("┤" if row in named else "│"), "dim")), canvas.line(row))
    x_ticks = [(drawing.column(v) // canvas.across, label) for v, label in drawing.x.ticks(max(2, canvas.columns // 8))]
    ticked = {column for column, _ in x_ticks}
    axis = "".join("┬" if column in ticked else "─" for column in range(canvas.columns))
    yield pen.line((" " * (gutter - 1) + "└" + axis, "dim"))
    yield pen.line((label_row(spread_labels(((gutter + column, label) for column, label in x_ticks), width)), "dim"))
    if curve.bands:
        yield Text.assemble(" " * gutter, _band_row(drawing))
    if curve.x_label:
        yield Text.assemble(" " * max(0, (width - cell_len(curve.x_label)) // 2), pen.line((curve.x_label, "dim")))


def _band_row(drawing: _Drawing) -> Text:
    """The bands below the axis, each with its name where that fits."""
    row: dict[int, tuple[str, str]] = {}
    for (first, last, name), color in zip(drawing.bands(), itertools.cycle(_BAND_COLORS), strict=False):
        width = last - first + 1
        label = f" {name} " if cell_len(name) + 4 <= width else ""
        line = f"├{label.center(width - 2, '─')}┤" if width > 1 else "┼"
        row |= {first + i: (glyph, color) for i, glyph in enumerate(line)}
    return drawing.pen.line(*(row.get(column, (" ", "")) for column in range(drawing.canvas.columns)))


def _legend(drawing: _Drawing, gutter: int) -> Iterator[Text]:
    """What the plot's marks stand for, as far as it needs saying."""
    pen, curve = drawing.pen, drawing.curve
    if len(curve.series) > 1:
        for index, name in enumerate(curve.series):
            yield pen.line(drawing.marker(index), f" {name}")
    for letter, label in drawing.mark_labels(gutter)[1].items():
        yield pen.line(f"{letter} {label}")
    for name, value in curve.marks.items():
        if not drawable(value, curve.log_x):
            yield pen.line(f"{name} {number(value)}, off the axis")
    drawn = [y for values in curve.series.values() for _, y in _points(curve, values)]
    if any(not math.isfinite(y) for y in drawn):
        yield pen.line(("x", "red"), " not finite")
    if curve.log_y and any(-math.inf < y <= 0 for y in drawn):
        yield pen.line("gap: 0 or less")


@dataclass(frozen=True)
class LinePlot:
    """A curve as wide as the console.

    Args:
        curve: What to draw.
        height: Rows of the plot itself, without title, labels and legend.
    """

    curve: Curve
    height: int = 10

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Title, plot, axis, and a legend where one is needed."""
        pen, curve = Pen(options.ascii_only), self.curve
        yield pen.write(curve.title, "bold")
        x = axis_over((*curve.x, *curve.marks.values(), *itertools.chain(*curve.bands.values())), curve.log_x)
        if x is None:
            yield pen.write("  no point to draw", "dim")
            return
        y = axis_over((y for values in curve.series.values() for _, y in _points(curve, values)), curve.log_y)
        labels = y.ticks(max(2, self.height // 2)) if y else []
        gutter = max((len(label) for _, label in labels), default=0) + 2
        across, down = (1, 1) if pen.ascii_only else (2, 4)
        drawing = _Drawing(curve, pen, x, y, _Canvas(max(4, options.max_width - gutter), self.height, across, down))
        drawing.draw()
        yield from _frame(drawing, labels, gutter)
        yield from _wrapped(_legend(drawing, gutter), options.max_width)


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> Text:
    """The values' course on one line, at most `width` cells; a cell of several shows the most unusual one."""
    held = sorted(v for v in values if math.isfinite(v))
    axis, middle = axis_over(held), held[len(held) // 2] if held else 0.0
    levels = RAMP if ascii_only else BLOCKS
    cells = min(width, len(values))
    text = Text()
    for cell in range(cells):
        bucket = values[cell * len(values) // cells : (cell + 1) * len(values) // cells]
        value = max(bucket, key=lambda v: abs(v / 2 - middle / 2) if math.isfinite(v) else math.inf)
        if math.isfinite(value) and axis:
            text.append(levels[round(axis.position(value) * (len(levels) - 1))], "cyan")
        else:
            text.append("x", "red")
    return text
