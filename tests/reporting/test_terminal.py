import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babysit import checks
from babysit.report import Curve, Fact, Finding, Histogram, Histograms, Report, Result, Seconds, Severity, Status, Table
from babysit.reporting.formats import formats
from babysit.reporting.terminal import report as terminal

FAILED_80 = """\
✗ FAILED  2 errors, 1 warning in 2 checks (1 skipped) - train.py:trainer, seed 0

✗ error  wrong-start
  seen      [conv1]: the first loss is 5.21, chance is 2.303.
            losses █▆▃▁ 5.3 to 5
  why       A network that knows nothing guesses, and the loss of guessing is
            known.
  try       Draw smaller weights.
  explains  never-learns: after 200 steps the loss is 2.3.
  more      babysit explain wrong-start

! warning  too-sure
  seen  the scores spread 4.1.
  try   Scale the inputs.
  more  babysit explain too-sure

✗ first-loss failed  0.6 s
  Is the first loss that of chance?
  found wrong-start, too-sure
  first loss     2.303 ± 0.01
  chance: ln 10  2.303

✗ memorize failed  2.2 s, 200 steps
  Can it memorize?
  found never-learns

  by learning rate
  learning rate  loss  outcome
            0.1   2.3  learns nothing
           1e-3  0.01  memorizes

- look-inside skipped
  What flows through the layers?
  the trainer can't show its layers (it lacks SupportsTrace)

4.5 s in all: 1.3 s loading, 2.8 s in your program (200 updates), 0.4 s babysit
✗ FAILED  2 errors, 1 warning in 2 checks (1 skipped) - train.py:trainer, seed 0"""

FAILED_40_ASCII = """\
x FAILED  2 errors, 1 warning in 2
checks (1 skipped) - train.py:trainer,
seed 0

x error  wrong-start
  seen      [conv1]: the first loss is
            5.21, chance is 2.303.
            losses @*-. 5.3 to 5
  why       A network that knows nothing
            guesses, and the loss of
            guessing is known.
  try       Draw smaller weights.
  explains  never-learns: after 200
            steps the loss is 2.3.
  more      babysit explain wrong-start

! warning  too-sure
  seen  the scores spread 4.1.
  try   Scale the inputs.
  more  babysit explain too-sure

x first-loss failed  0.6 s
  Is the first loss that of chance?
  found wrong-start, too-sure
  first loss     2.303 +- 0.01
  chance: ln 10  2.303

x memorize failed  2.2 s, 200 steps
  Can it memorize?
  found never-learns

  by learning rate
  learning rate  loss  outcome
            0.1   2.3  learns nothing
           1e-3  0.01  memorizes

- look-inside skipped
  What flows through the layers?
  the trainer can't show its layers (it
  lacks SupportsTrace)

4.5 s in all: 1.3 s loading, 2.8 s in
your program (200 updates), 0.4 s
babysit
x FAILED  2 errors, 1 warning in 2
checks (1 skipped) - train.py:trainer,
seed 0"""

CRASHED_80 = """\
✗ CRASHED  nothing found in 1 check (memorize crashed) - train.py:trainer, seed
0

✓ first-loss  0.6 s
  Is the first loss that of chance?
  first loss     2.303 ± 0.01
  chance: ln 10  2.303

✗ memorize crashed
  Can it memorize?
  ValueError in step 7: shapes (3,) and (4,) don't fit

4.5 s in all: 1.3 s loading, 2.8 s in your program (0 updates), 0.4 s babysit
✗ CRASHED  nothing found in 1 check (memorize crashed) - train.py:trainer, seed
0"""

NOTHING_RAN_40 = """\
✗ NOTHING RAN  no check was measured (1
skipped) - train.py:trainer, seed 0

- look-inside skipped
  What flows through the layers?
  the trainer can't show its layers (it
  lacks SupportsTrace)

0.1 s in all: 0.00 s in your program (0
updates), 0.1 s babysit
✗ NOTHING RAN  no check was measured (1
skipped) - train.py:trainer, seed 0"""


@pytest.mark.parametrize(
    ("name", "width", "encoding", "expected"),
    [
        ("failed", 80, "utf-8", FAILED_80),
        ("failed", 40, "ascii", FAILED_40_ASCII),
        ("crashed", 80, "utf-8", CRASHED_80),
        ("nothing-ran", 40, "utf-8", NOTHING_RAN_40),
    ],
)
def test_snapshots(reports, stripped, name, width, encoding, expected):
    assert stripped(lambda console: terminal.render(reports[name], console), width, encoding) == expected


def verdict(stripped, report: Report, **options) -> str:
    return stripped(lambda console: terminal.render(report, console, **options), 200).split("\n")[0]


def test_verdicts(reports, stripped):
    assert verdict(stripped, reports["passed"]) == (
        "✓ PASSED  nothing found in 2 checks (1 skipped) - train.py:trainer, seed 0"
    )
    assert verdict(stripped, reports["interrupted"]) == (
        "✗ INTERRUPTED  nothing found in 1 check - train.py:trainer, seed 0"
    )
    assert verdict(stripped, Report("a.py:b", 3, "0.1.0")) == "✗ NOTHING RAN  no check was measured - a.py:b, seed 3"


def test_a_warning_fails_where_it_is_asked_to(reports, stripped):
    warned = dataclasses.replace(reports["passed"], findings=(Finding("too-sure", Severity.WARNING, "spread 4.1"),))
    end = "1 warning in 2 checks (1 skipped) - train.py:trainer, seed 0"
    assert verdict(stripped, warned) == f"✓ PASSED  {end}"
    assert verdict(stripped, warned, fail_on=Severity.WARNING) == f"✗ FAILED  {end}"


def test_expected_ignored_and_gone(reports, stripped):
    report = dataclasses.replace(
        reports["passed"],
        findings=(Finding("too-sure", Severity.ERROR, "spread 4.1"),),
        expected={"too-sure": "on purpose"},
        ignored={"wrong-start": "see #12"},
        unmet={"never-learns": "known bug"},
    )
    written = stripped(lambda console: terminal.render(report, console), 120)
    first = "✗ FAILED  1 ignored, 1 expected, 1 expected fault gone in 2 checks (1 skipped) - train.py:trainer, seed 0"
    assert written.startswith(f"{first}\n\n✓ first-loss")
    notes = """
gone      never-learns  expected, but no longer there: known bug
expected  too-sure  on purpose
ignored   wrong-start  see #12
"""
    assert notes in written


def test_quiet_is_the_verdict_and_a_line_for_each_finding(reports, stripped):
    written = stripped(lambda console: terminal.render(reports["failed"], console, quiet=True))
    assert written.split("\n") == [
        "✗ FAILED  2 errors, 1 warning in 2 checks (1 skipped) - train.py:trainer, seed 0",
        "error  wrong-start  [conv1]: the first loss is 5.21, chance is 2.303.",
        "error  never-learns  after 200 steps the loss is 2.3.",
        "warning  too-sure  the scores spread 4.1.",
    ]


def test_quiet_says_what_crashed_and_what_is_gone(reports, stripped):
    report = dataclasses.replace(reports["crashed"], unmet={"too-sure": "known bug"})
    written = stripped(lambda console: terminal.render(report, console, quiet=True), 100)
    assert written.split("\n")[1:] == [
        "crashed  memorize  ValueError in step 7: shapes (3,) and (4,) don't fit",
        "gone  too-sure  known bug",
    ]


def entries(stripped, *findings: Finding) -> list[str]:
    """The lines of the findings alone."""
    report = Report("a.py:b", 0, "0.1.0", findings=findings)
    return stripped(lambda console: terminal.render(report, console), 100).split("\n")[2:-3]


def test_findings_that_explain_one_another_are_not_lost(stripped):
    first = Finding("too-sure", Severity.ERROR, "one", explains=("never-learns",))
    second = Finding("never-learns", Severity.ERROR, "two", explains=("too-sure", "wrong-start"))
    third = Finding("wrong-start", Severity.ERROR, "three")
    assert entries(stripped, first, second, third) == [
        "✗ error  too-sure",
        "  seen      one",
        "  explains  never-learns: two",
        "            wrong-start: three",
        "  more      babysit explain too-sure",
    ]


def test_one_rule_in_many_places_is_one_entry(stripped):
    findings = [Finding("too-sure", Severity.ERROR, "spread", f"layer{i}", {}, "Scale.") for i in range(10)]
    assert entries(stripped, *findings) == [
        "✗ error  too-sure",
        "  seen  layer0: spread",
        *(f"        layer{i}: spread" for i in range(1, 8)),
        "        and in 2 more places",
        "  try   Scale.",
        "  more  babysit explain too-sure",
    ]


def test_user_text_is_never_markup_nor_control(stripped):
    finding = Finding("too-sure", Severity.ERROR, "[bold]R² × 2[/bold] \x1b[31mred :warning: \ud800", "[conv1]")
    assert entries(stripped, finding)[1] == "  seen  [conv1]: [bold]R² × 2[/bold] \\x1b[31mred :warning: \\ud800"


def test_ascii_escapes_what_it_cannot_say(stripped):
    report = Report("modèle.py:b", 0, "0.1.0", findings=(Finding("too-sure", Severity.ERROR, "R² × 2 ≤ 损失"),))
    written = stripped(lambda console: terminal.render(report, console), 100, "ascii")
    assert "mod\\xe8le.py:b" in written
    assert "R^2 x 2 <= \\u635f\\u5931" in written


def test_a_table_without_room_is_told_row_by_row(console):
    table = Table("rates", tuple(f"column{i}" for i in range(6)), (("1",) * 6, ("2",) * 6))
    result = Result("memorize", Status.PASSED, exhibits=(table,))
    narrow = console(40)
    terminal.render(Report("a.py:b", 0, "0.1.0", (result,)), narrow)
    lines = [line.rstrip() for line in narrow.written()]
    start = lines.index("  rates")
    assert lines[start + 1 : start + 9] == [*(f"  column{i}  1" for i in range(6)), "", "  column0  2"]


def test_a_table_whose_rows_have_names_is_told_in_parts_where_it_has_no_room(console):
    cells = tuple(f"{'x' * 7}{i}" for i in range(6))
    table = Table("rates", ("", "name", *(f"column{i}" for i in range(6))), (("1", "a", *cells), ("", "b", *cells)), 2)
    result = Result("memorize", Status.PASSED, exhibits=(table,))
    narrow = console(40)
    terminal.render(Report("a.py:b", 0, "0.1.0", (result,)), narrow)
    lines = [line.rstrip() for line in narrow.written()]
    start = lines.index("  rates")
    assert (
        lines[start + 1 : start + 9]
        == [
            "     name  column0   column1   column2",
            "  1  a     xxxxxxx0  xxxxxxx1  xxxxxxx2",
            "     b     xxxxxxx0  xxxxxxx1  xxxxxxx2",
            "",
            "     name  column3   column4   column5",
            "  1  a     xxxxxxx3  xxxxxxx4  xxxxxxx5",
            "     b     xxxxxxx3  xxxxxxx4  xxxxxxx5",
            "",
        ][: len(lines) - start - 1]
    )


def test_long_labels_go_above_their_values(stripped):
    facts = (Fact("loss of the best constant prediction", "2.3"), Fact("examples", "20"))
    report = Report("a.py:b", 0, "0.1.0", (Result("memorize", Status.PASSED, exhibits=facts),))
    written = stripped(lambda console: terminal.render(report, console), 40)
    assert "\n  loss of the best constant prediction\n    2.3\n  examples\n    20\n" in written


def test_time_in_minutes(reports, stripped):
    report = dataclasses.replace(reports["passed"], seconds=Seconds(180.0, 5.0, 2.0))
    written = stripped(lambda console: terminal.render(report, console), 100)
    assert "\n3 min 7 s in all: 2.0 s loading, 3 min 0 s in your program (200 updates), 5.0 s babysit\n" in written


def test_color_and_its_absence(reports, console):
    colored = console(80, color=True)
    terminal.render(reports["failed"], colored)
    assert colored.written()[0].startswith("\x1b[1;31m✗ FAILED\x1b[0m  2 errors")
    uncolored = console(80, color=True, NO_COLOR="1")
    terminal.render(reports["failed"], uncolored)
    assert uncolored.written()[0].startswith("\x1b[1m✗ FAILED\x1b[0m  2 errors")
    assert "\x1b" not in terminal.text(reports["failed"])


def test_text_is_the_terminals_without_trailing_blanks(reports):
    expected = [line for line in FAILED_80.split("\n") if line]
    assert [line for line in terminal.text(reports["failed"], width=80).split("\n") if line] == expected
    assert formats()["text"](reports["failed"], Severity.ERROR) == terminal.text(reports["failed"], width=100)


def test_a_rules_page(stripped):
    owner, rule = checks.find_rules()["wrong-start"]
    assert stripped(lambda console: terminal.render_rule(owner, rule, console), 60, "ascii") == (
        """\
wrong-start  a rule of first-loss
The first loss is not that of chance.

What it finds
  A first loss far from ln C.

Why it matters
  A network that knows nothing guesses, and the loss of
  guessing is known.

  Second paragraphs are for `explain`.

References
  CS231n, lecture 6, R^2 x 1."""
    )


def test_all_rules(stripped):
    assert stripped(lambda console: terminal.render_rules(checks.find_rules(), console), 80) == (
        """\
first-loss  Is the first loss that of chance?
  wrong-start  The first loss is not that of chance.
  too-sure     The scores are spread before anything was learned.

memorize  Can it memorize?
  never-learns  Twenty examples can't be memorized.

babysit explain RULE prints a rule's page."""
    )


words = st.text(max_size=60)
exhibits = st.one_of(
    st.builds(Fact, words, words),
    st.builds(
        lambda t, cells: Table(t, ("a", "b"), tuple(cells)), words, st.lists(st.tuples(words, words), max_size=3)
    ),
    st.builds(lambda t: Curve(t, (1.0, 2.0), {t: (1.0, math.nan)}, t, t, marks={t: 1.5}), words),
    st.builds(lambda t: Histogram(t, (0.0, 1.0), (3.0,)), words),
    st.builds(lambda t: Histograms(t, (-1.0, 0.5, 1.0), {"relu1": (3.0, 1.0), "[bold]": (0.0, 2.0)}), words),
)


@settings(deadline=None)  # the machine may be busy
@given(
    width=st.integers(40, 200),
    encoding=st.sampled_from(["utf-8", "ascii"]),
    shown=st.lists(exhibits, max_size=3),
    said=st.builds(Finding, st.just("too-sure"), st.sampled_from(Severity), words, words, st.just({}), words),
)
def test_no_line_is_too_wide_whatever_users_write(console, width, encoding, shown, said):
    from rich.cells import cell_len

    result = Result("memorize", Status.CRASHED, said.message, exhibits=tuple(shown))
    made = console(width, encoding)
    terminal.render(Report(said.where, 0, "0.1.0", (result,), (said,)), made)
    assert max(map(cell_len, made.written())) <= width
