"""Histograms as Rich renderables: bars in eighths of a block, or a line of blocks for each of several."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from babysit.report import Histogram, Histograms
from babysit.reporting.terminal.axes import number
from babysit.reporting.terminal.characters import Pen
from babysit.reporting.terminal.plots import BLOCKS, RAMP, label_row, spread_labels

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_BARS = 16  # a histogram's rows, at most


def _coarse(histogram: Histogram) -> Iterator[tuple[float, float, float]]:
    """Low edge, high edge and count of each row, neighbouring bins joined where there are too many."""
    every = max(1, math.ceil(len(histogram.counts) / _BARS))
    for start in range(0, len(histogram.counts), every):
        counts = histogram.counts[start : start + every]
        yield histogram.edges[start], histogram.edges[start + len(counts)], sum(counts)


def _bar(share: float, width: int, ascii_only: bool) -> str:
    """A bar of `share` of the width; the smallest one there is for a share that is not zero."""
    if ascii_only:
        return "#" * round(share * width) or ("|" if share > 0 else "")
    eighths = max(round(share * width * 8), 1 if share > 0 else 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


@dataclass(frozen=True)
class HistogramPlot:
    """Horizontal bars as wide as the console, at most 16 of them."""

    histogram: Histogram

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Title, then a row for each bin: its edges, its bar, its count."""
        pen, rows = Pen(options.ascii_only), list(_coarse(self.histogram))
        yield pen.write(self.histogram.title, "bold")
        lows, highs = ([number(edge) for edge in edges] for edges in list(zip(*rows, strict=True))[:2] or [(), ()])
        counts = [number(count, 6) for *_, count in rows]
        left, right, end = (max(map(len, column), default=0) for column in (lows, highs, counts))
        width = max(1, options.max_width - left - right - end - 6)
        most = max((count for *_, count in rows if math.isfinite(count)), default=0)
        for (*_, count), low, high, shown in zip(rows, lows, highs, counts, strict=True):
            share = max(0.0, count / most) if math.isfinite(count) and most > 0 else 0.0
            label = f"{low:>{left}} to {high:>{right}} "
            yield pen.line((label, "dim"), (_bar(share, width, pen.ascii_only), "cyan"), (f" {shown}", "dim"))


@dataclass(frozen=True)
class HistogramsPlot:
    """One line of blocks for each histogram, under one another over one axis: each is as high as its fullest bin."""

    histograms: Histograms

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Title, a line for each histogram, and the axis."""
        pen, edges = Pen(options.ascii_only), self.histograms.edges
        yield pen.write(self.histograms.title, "bold")
        names = [pen.line(name).plain for name in self.histograms.counts]
        gutter = min(max((cell_len(name) for name in names), default=0), options.max_width // 3)
        bins, room = len(edges) - 1, options.max_width - gutter - 2
        width = bins * (room // bins) or max(8, room)
        for name, counts in zip(names, self.histograms.counts.values(), strict=True):
            shown = _end_of(name, gutter, pen.ascii_only)
            yield Text.assemble(shown, "  ", (_skyline(counts, width, pen.ascii_only), "cyan"))
        marks = [(0, number(edges[0])), (width - 1, number(edges[-1]))]
        if edges[0] < 0 < edges[-1]:
            marks.insert(1, (round(-edges[0] / (edges[-1] - edges[0]) * (width - 1)), "0"))
        yield pen.line((" " * (gutter + 2) + label_row(spread_labels(marks, width)), "dim"))


def _end_of(name: str, cells: int, ascii_only: bool) -> str:
    """The name, or as much of its end as fits: names of layers begin alike."""
    if cell_len(name) <= cells:
        return set_cell_size(name, cells)
    mark = "~" if ascii_only else "…"
    while cell_len(name) > cells - 1:
        name = name[1:]
    return set_cell_size(mark + name, cells)


def _skyline(counts: Sequence[float], width: int, ascii_only: bool) -> str:
    """The counts as a line of blocks, the highest being the fullest bin; a bin that isn't empty shows."""
    most = max(counts, default=0.0)
    levels = RAMP if ascii_only else BLOCKS
    ends = [cell * len(counts) // width for cell in range(width + 1)] if counts else []
    cells = [max(counts[start : max(end, start + 1)]) for start, end in itertools.pairwise(ends)]
    return "".join(levels[round(count / most * (len(levels) - 1))] if count > 0 else " " for count in cells)
