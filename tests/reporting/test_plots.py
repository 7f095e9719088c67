import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babysit.report import Curve, Histogram, Histograms
from babysit.reporting.terminal.axes import Axis, axis_over, number
from babysit.reporting.terminal.histograms import HistogramPlot, HistogramsPlot
from babysit.reporting.terminal.plots import LinePlot, sparkline


@pytest.fixture(scope="module")
def drawn(console):
    """The lines of a plot, with all their blanks."""

    def draw(plot, width=40, encoding="ascii") -> list[str]:
        made = console(width, encoding)
        made.print(plot)
        return made.written()

    return draw


def line(values, *, x=None, **options) -> Curve:
    return Curve("loss", tuple(x or map(float, range(len(values)))), {"train": tuple(values)}, **options)


def test_a_line_in_ascii(drawn):
    curve = line([0.0, 5.0, 10.0], x_label="step", y_label="mean")
    assert [row.rstrip() for row in drawn(LinePlot(curve, height=5), 30)] == [
        "loss",
        "mean",
        "10 +                      ****",
        "   |                ******",
        " 5 +         *******",
        "   |    *****",
        " 0 +****",
        "   ++-----------+------------+",
        "    0           1            2",
        "             step",
    ]


def test_log_axis_places_decades_and_points(drawn):
    xs = [10.0**k for k in range(-6, 1)]
    curve = line([math.nan, math.nan, math.nan, 1.0, math.nan, math.nan, math.nan], x=xs, log_x=True)
    rows = drawn(LinePlot(curve), 64)
    axis, labels = rows[-3], rows[-2]
    gutter = axis.index("+") + 1
    columns = 64 - gutter
    expected = [gutter + round(i / 6 * (columns - 1)) for i in range(7)]
    assert [i for i, char in enumerate(axis[gutter:], gutter) if char == "+"] == expected
    for place, label in zip(expected[1:-1], ("1e-5", "1e-4", "1e-3", "1e-2", "0.1"), strict=True):
        assert labels[place - len(label) // 2 :].startswith(label)
    (point,) = [row.index("*") for row in rows if "*" in row]
    assert point == expected[3]
    assert [i for i, char in enumerate(rows[-4]) if char == "x"] == [*expected[:3], *expected[4:]]


@pytest.mark.parametrize(
    ("axis", "value", "position"),
    [
        (Axis(0.0, 10.0), 2.5, 0.25),
        (Axis(1e-6, 1.0, log=True), 1e-3, 0.5),
        (Axis(-1.7e308, 1.7e308), 0.0, 0.5),
        (Axis(0.0, 5e-324), 5e-324, 1.0),
        (Axis(2.302585, 2.302590), 2.3025875, 0.5),
    ],
)
def test_positions(axis, value, position):
    assert axis.position(value) == pytest.approx(position, abs=1e-6)


@pytest.mark.parametrize(
    ("axis", "labels"),
    [
        (Axis(0.0, 2.3), ["0", "0.5", "1", "1.5", "2"]),
        (Axis(0.0, 640.0), ["0", "200", "400", "600"]),
        (Axis(0.0, 2e6), ["0", "5e5", "1e6", "1.5e6", "2e6"]),
        (Axis(2.302585, 2.302590), ["2.302585", "2.302586", "2.302587", "2.302588", "2.302589", "2.30259"]),
        (Axis(1e-6, 1.0, log=True), ["1e-6", "1e-4", "1e-2", "1"]),
        (Axis(1e-2, 1e3, log=True), ["1e-2", "1", "100"]),
        (Axis(0.3, 4.0, log=True), ["0.5", "1", "2"]),
        (Axis(2.30, 2.34, log=True), ["2.3", "2.31", "2.32", "2.33", "2.34"]),
        (Axis(5e-324, 1e-323), ["4.9407e-324", "9.8813e-324"]),
    ],
)
def test_ticks(axis, labels):
    assert [label for _, label in axis.ticks(5)] == labels


def test_an_axis_over_one_value_has_it_in_the_middle():
    assert axis_over([3.0, math.nan]) == Axis(1.5, 4.5)
    assert axis_over([0.0]) == Axis(-1.0, 1.0)
    assert axis_over([1e-3, -1.0, math.inf], log=True) == Axis(1e-4, 1e-2, log=True)
    assert axis_over([math.nan, -1.0], log=True) is None


def test_numbers_are_short():
    assert [number(v) for v in (1e-6, 0.001, 0.5, 123456.0, -1e300)] == ["1e-6", "0.001", "0.5", "1.23e5", "-1e300"]


def test_not_finite_is_marked_at_the_edge_and_explained(drawn):
    rows = drawn(LinePlot(line([1.0, 2.0, math.nan, 1.0, math.inf, 2.0]), height=4))
    gutter = rows[2].index("|") + 1 if "|" in rows[2] else rows[2].index("+") + 1
    last = 40 - gutter - 1
    assert rows[2][gutter + round(4 / 5 * last)] == "x"
    assert rows[5][gutter + round(2 / 5 * last)] == "x"
    assert rows[-1].rstrip() == "x not finite"


def test_a_gap_is_not_bridged(drawn):
    rows = drawn(LinePlot(line([1.0, 1.0, math.nan, 1.0, 1.0])))
    (row,) = [row for row in rows if "*" in row]
    gutter = rows[2].index("|") + 1
    width = 40 - gutter
    quarter = round((width - 1) / 4)
    assert row[gutter:].startswith("*" * (quarter + 1) + " ")
    assert row.count("*") == 2 * (quarter + 1)


def test_zero_on_a_log_axis_is_a_gap_that_is_explained(drawn):
    rows = drawn(LinePlot(line([1.0, 0.0, 1.0], log_y=True)))
    assert rows[-1].rstrip() == "gap: 0 or less"
    assert sum(row.count("*") for row in rows[2:12]) == 2


def test_a_spike_survives_decimation(drawn):
    values = [0.0] * 10_000
    values[5001] = 1.0
    top = drawn(LinePlot(line(values)))[2]
    assert top.count("*") == 1


def test_series_are_told_apart_without_color(drawn):
    curve = Curve("loss", tuple(map(float, range(20))), {"train": (1.0,) * 20, "[val]": (1.0,) * 20})
    for encoding, markers in (("ascii", "*o"), ("utf-8", "●○")):
        rows = drawn(LinePlot(curve), encoding=encoding)
        assert rows[-1].rstrip() == f"{markers[0]} train   {markers[1]} [val]"
        assert all(any(marker in row for row in rows[2:12]) for marker in markers)


def test_marks_are_named_where_they_fit(drawn):
    curve = line([1.0, 2.0], x=[0.0, 100.0], marks={"suggested": 25.0, "yours": 75.0})
    rows = drawn(LinePlot(curve, height=4), 60)
    gutter = rows[3].index("|" if "|" in rows[3] else "+") + 1
    places = [gutter + round(share * (60 - gutter - 1)) for share in (0.25, 0.75)]
    assert all(rows[6][place] in ":*" and rows[3][place] in ":*" for place in places)
    assert rows[2].index("suggested 25") == places[0] - len("suggested 25") // 2
    assert rows[2].index("yours 75") == places[1] - len("yours 75") // 2


def test_neighbouring_marks_are_named_outward_and_crowds_in_the_legend(drawn):
    two = line([1.0, 2.0], x=[0.0, 100.0], marks={"suggested": 50.0, "yours": 55.0})
    assert drawn(LinePlot(two), 60)[2].split() == ["suggested", "50", "yours", "55"]
    crowd = line([1.0, 2.0], x=[0.0, 100.0], marks={"one": 50.0, "two": 55.0, "three": 60.0, "lost": math.nan})
    rows = drawn(LinePlot(crowd), 60)
    assert rows[2].split() == ["a", "b", "c"]
    assert rows[-1].rstrip() == "a one 50   b two 55   c three 60   lost nan, off the axis"


def test_nothing_to_draw(drawn):
    assert [row.rstrip() for row in drawn(LinePlot(Curve("empty", (), {})))] == ["empty", "  no point to draw"]
    rows = drawn(LinePlot(line([math.nan] * 3)))
    assert rows[11].count("x") == 3
    assert rows[-1].rstrip() == "x not finite"


def test_a_single_point_and_a_constant_are_in_the_middle(drawn):
    point = drawn(LinePlot(line([3.0]), height=5), encoding="utf-8")
    assert [row.find("●") for row in point[2:7]] == [-1, -1, 3 + 18, -1, -1]
    constant = drawn(LinePlot(line([3.0, 3.0, 3.0]), height=5))
    assert constant[4].rstrip() == "  |" + "*" * 37


def test_braille_dots(drawn):
    rows = drawn(LinePlot(line([1.0, 0.0]), height=1), 40, "utf-8")
    assert rows[2] == "  1 ┤⠉⠉⠉⠉⠉⠉⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠢⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⣀⣀⣀⣀⣀⣀"


def test_a_histogram(drawn):
    histogram = Histogram("units", (-1.0, 0.0, 1.0, 2.0), (0.0, 1.0, 1000.0))
    assert [row.rstrip() for row in drawn(HistogramPlot(histogram), 30)] == [
        "units",
        "-1 to 0  0",
        " 0 to 1 | 1",
        " 1 to 2 ################# 1000",
    ]
    assert [row.rstrip() for row in drawn(HistogramPlot(histogram), 30, "utf-8")][2:] == [
        " 0 to 1 ▏ 1",
        " 1 to 2 █████████████████ 1000",
    ]


def test_eighths_of_a_block(drawn):
    histogram = Histogram("units", (0.0, 1.0, 2.0), (8.0, 4.5))
    assert [row.split()[3] for row in drawn(HistogramPlot(histogram), 19, "utf-8")[1:]] == ["████████", "████▌"]


def test_many_bins_are_joined(drawn):
    rows = drawn(HistogramPlot(Histogram("units", tuple(map(float, range(41))), (1.0,) * 40)))
    assert [row.split()[-1] for row in rows[1:]] == ["3"] * 13 + ["1"]
    assert rows[-1].startswith("39 to 40 ")


LAYERS = Histograms(
    "outputs by layer",
    (-1.0, -0.5, 0.0, 0.5, 1.0),
    {"tanh1": (8.0, 1.0, 0.0, 4.0), "tanh10": (0.0, 0.0, 1000.0, 1.0), "[bold]": (0.0,) * 4},
)


def test_histograms_side_by_side(drawn):
    assert [row.rstrip() for row in drawn(HistogramsPlot(LAYERS), 60, "utf-8")] == [
        "outputs by layer",
        "tanh1   █████████████▂▂▂▂▂▂▂▂▂▂▂▂▂             ▅▅▅▅▅▅▅▅▅▅▅▅▅",
        "tanh10                            █████████████▁▁▁▁▁▁▁▁▁▁▁▁▁",
        "[bold]",
        "        -1                        0                        1",
    ]
    assert [row.rstrip() for row in drawn(HistogramsPlot(LAYERS), 60)] == [
        "outputs by layer",
        "tanh1   @@@@@@@@@@@@@:::::::::::::             +++++++++++++",
        "tanh10                            @@@@@@@@@@@@@.............",
        "[bold]",
        "        -1                        0                        1",
    ]


@pytest.mark.parametrize(("width", "bar"), [(60, 13), (80, 18), (120, 28)])
def test_histograms_are_as_wide_as_bins_of_one_width_allow(drawn, width, bar):
    rows = drawn(HistogramsPlot(LAYERS), width, "utf-8")
    assert rows[1].count("█") == rows[1].count("▂") == rows[1].count("▅") == bar
    assert rows[1].index("█") == 8
    assert rows[-1].rstrip().endswith("1")
    assert len(rows[-1].rstrip()) == 8 + 4 * bar


@pytest.mark.parametrize(
    ("edges", "axis"),
    [
        ((0.0, 1.0, 2.0), "0                                  2"),
        ((1e-6, 2e-6, 3e-6), "1e-6                            3e-6"),
        ((-3.0, 0.0, 1.0), "-3                        0        1"),
        ((-1e-9, 1.0, 2.0), "-1e-9                              2"),
        ((-2.0, -1.0, 0.0), "-2                                 0"),
    ],
)
def test_the_axis_of_histograms(drawn, edges, axis):
    (*_, last) = drawn(HistogramsPlot(Histograms("", edges, {"a": (1.0, 2.0)})), 40)
    assert last.strip() == axis


def test_a_bin_that_is_not_empty_shows(drawn):
    counts = (1e6, *(0.0,) * 38, 1.0)
    edges = tuple(map(float, range(41)))
    assert drawn(HistogramsPlot(Histograms("", edges, {"a": counts})), 43)[1] == "a  @" + " " * 38 + "."


def test_long_names_leave_room_for_histograms(drawn):
    made = HistogramsPlot(Histograms("", (0.0, 1.0, 2.0), {"model.layers.0.mlp.activation": (1.0, 2.0)}))
    _, row, _ = drawn(made, 60, "utf-8")
    assert row.count("█") == 19
    assert row.index("▅") == 22  # a third of the width, and two


def test_no_histograms(drawn):
    assert [row.strip() for row in drawn(HistogramsPlot(Histograms("empty", (0.0, 1.0), {})))] == [
        "empty",
        "0" + " " * 36 + "1",
    ]


def test_sparklines():
    assert sparkline([1.0, 2.0, 3.0, math.nan], 10).plain == "▁▄█x"
    assert sparkline([1.0, 2.0, 3.0, math.inf], 10, ascii_only=True).plain == ".=@x"
    assert sparkline([], 10).plain == ""
    spiked = [1.0] * 100 + [9.0] + [1.0] * 99
    assert sparkline(spiked, 10).plain == "▁▁▁▁▁█▁▁▁▁"


floats = st.floats() | st.floats(-10, 10) | st.sampled_from([0.0, 5e-324, 1.7e308, -1.7e308, math.nan, math.inf])


@st.composite
def curves(draw):
    xs = draw(st.lists(floats, max_size=30))
    values = st.lists(floats, min_size=len(xs), max_size=len(xs)).map(tuple)
    series = draw(st.dictionaries(st.text(max_size=50), values, max_size=10))
    marks = draw(st.dictionaries(st.text(max_size=50), floats, max_size=4))
    label = draw(st.text(max_size=50))
    return Curve(label, tuple(xs), series, label, label, draw(st.booleans()), draw(st.booleans()), marks)


@settings(deadline=None)  # the machine may be busy
@given(curve=curves(), width=st.integers(40, 200), encoding=st.sampled_from(["utf-8", "ascii"]))
def test_any_curve_fits_any_console(drawn, curve, width, encoding):
    from rich.cells import cell_len

    assert max(map(cell_len, drawn(LinePlot(curve), width, encoding))) <= width


@settings(deadline=None)  # the machine may be busy
@given(counts=st.lists(floats, max_size=50), width=st.integers(40, 200), start=floats, step=floats)
def test_any_histogram_fits_any_console(drawn, counts, width, start, step):
    edges = tuple(start + step * i for i in range(len(counts) + 1))
    rows = drawn(HistogramPlot(Histogram("units", edges, tuple(counts))), width)
    assert max(map(len, rows)) <= width


@settings(deadline=None)  # the machine may be busy
@given(
    counts=st.dictionaries(st.text(max_size=50), st.lists(st.floats(0, 1e9), min_size=40, max_size=40), max_size=5),
    width=st.integers(40, 200),
    start=st.floats(-1e6, 1e6),
    step=st.floats(1e-3, 1e6),
)
def test_any_histograms_fit_any_console(drawn, counts, width, start, step):
    from rich.cells import cell_len

    edges = tuple(start + step * i for i in range(41))
    rows = drawn(
        HistogramsPlot(Histograms("layers", edges, {name: tuple(row) for name, row in counts.items()})), width, "utf-8"
    )
    assert len(rows) == len(counts) + 2
    assert max(map(cell_len, rows)) <= width


@settings(deadline=None)  # the machine may be busy
@given(values=st.lists(floats, max_size=50), width=st.integers(1, 60))
def test_any_sparkline_fits(values, width):
    assert sparkline(values, width).cell_len == min(len(values), width)


def test_where_bins_are_joined_none_is_lost(drawn):
    counts, name = (1.0, *(0.0,) * 38, 1.0), "model.layrs.0.mlp.activation"
    made = HistogramsPlot(Histograms("", tuple(map(float, range(41))), {name: counts}))
    assert drawn(made, 60)[1] == "~rs.0.mlp.activation  @" + " " * 36 + "@"


@pytest.mark.parametrize(("encoding", "mark"), [("utf-8", "…"), ("ascii", "~")])
def test_of_a_long_name_the_end_is_kept(drawn, encoding, mark):
    made = Histograms("", (0.0, 1.0, 2.0), {f"model.layrs.{i}.mlp.activation": (1.0, 2.0) for i in range(2)})
    assert [row[:20] for row in drawn(HistogramsPlot(made), 60, encoding)[1:3]] == [
        f"{mark}rs.{i}.mlp.activation" for i in range(2)
    ]
