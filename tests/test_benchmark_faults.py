"""The score of `benchmarks/faults.py`: what is counted, what it is called, and how it ends."""

import importlib.util
import re
import sys
import tempfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "faults.py"


def loaded():
    spec = importlib.util.spec_from_file_location("faults_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


benchmark = loaded()

CASE = '''\
"""A loss that is summed.

fault: a sum in place of a mean
expect: {expect}
"""

from babysit.lab import demo
from babysit.lab.faults import FAULTS

faulty = {faulty}
fixed = {fixed}
'''
DEMO, SUMMED = "demo.trainer", 'FAULTS["summed-loss"].make'
CRASHED = "len"  # needs an argument


def folder(where, *, expect="summed-loss,\n    confident-at-init", faulty=SUMMED, fixed=DEMO, healthy=""):
    """Two programs, and the module that they would share."""
    (where / "cases").mkdir(parents=True)
    (where / "cases" / "summed.py").write_text(CASE.format(expect=expect, faulty=faulty, fixed=fixed))
    (where / "shared.py").write_text("")
    if healthy:
        (where / "healthy").mkdir()
        (where / "healthy" / "spirals.py").write_text(CASE.format(expect="", faulty=SUMMED, fixed=healthy))
    return where


def made(factory="faulty", expected=("summed-loss", "cannot-overfit"), runs=(), stem="program"):
    return benchmark.Program(Path(f"{stem}.py"), factory, expected, list(runs))


def run(code, errors=(), warnings=(), seconds=1.0):
    return benchmark.Run(code, seconds, tuple(errors), tuple(warnings))


# Which programs there are


def test_programs_are_the_factories_of_the_files(tmp_path):
    found = list(benchmark.programs(folder(tmp_path, healthy=DEMO)))
    assert [(p.path.parent.name, p.path.stem, p.factory, p.is_faulty) for p in found] == [
        ("cases", "summed", "faulty", True),
        ("cases", "summed", "fixed", False),
        ("healthy", "spirals", "fixed", False),
    ]
    assert {p.expected for p in found[:2]} == {("summed-loss", "confident-at-init")}


def test_a_program_without_a_docstring_expects_nothing(tmp_path):
    (tmp_path / "numpy_cases").mkdir()
    (tmp_path / "numpy_cases" / "bare.py").write_text("faulty = fixed = None\n")
    assert [(p.factory, p.expected) for p in benchmark.programs(tmp_path)] == [("faulty", ()), ("fixed", ())]


def test_an_empty_folder_holds_none(tmp_path):
    assert list(benchmark.programs(tmp_path)) == []


# Wilson's interval: (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n)


@pytest.mark.parametrize(
    ("hits", "total", "expected"),
    [
        (0, 12, "0 of 12 | 0.00 | 0.00 to 0.24"),  # z² / (n + z²) = 3.84 / 15.84
        (35, 35, "35 of 35 | 1.00 | 0.90 to 1.00"),  # n / (n + z²) = 35 / 38.84
        (1, 2, "1 of 2 | 0.50 | 0.09 to 0.91"),
        (50, 100, "50 of 100 | 0.50 | 0.40 to 0.60"),
        (1, 1, "1 of 1 | 1.00 | 0.21 to 1.00"),
        (0, 1, "0 of 1 | 0.00 | 0.00 to 0.79"),
        (0, 0, "-"),
    ],
)
def test_wilson(hits, total, expected):
    assert benchmark.wilson(hits, total) == expected


@pytest.mark.parametrize("total", [1, 7, 40])
def test_an_interval_holds_its_share_and_has_a_mirror_image(total):
    def interval(hits):
        return [float(x) for x in re.findall(r"\d\.\d\d", benchmark.wilson(hits, total))]

    for hits in range(total + 1):
        share, low, high = interval(hits)
        assert 0 <= low <= share <= high <= 1
        _, other_low, other_high = interval(total - hits)
        assert (low, high) == pytest.approx((1 - other_high, 1 - other_low), abs=0.011)


# Marks


@pytest.mark.parametrize(
    ("done", "faulty", "healthy"),
    [
        (run(0), "missed", "quiet"),
        (run(0, warnings=["summed-loss"]), "missed", "warned"),
        (run(1, ["summed-loss", "dead-relu"]), "first", "ALARM"),
        (run(1, ["dead-relu", "cannot-overfit"]), "named", "ALARM"),
        (run(1, ["dead-relu"]), "found", "ALARM"),
        (run(1, ["dead-relu"], ["summed-loss"]), "found", "ALARM"),
        (run(1), "found", "ALARM"),
        (run(2), "crash", "crash"),
        (run(3, ["summed-loss"]), "crash", "crash"),
        (run(5), "crash", "crash"),
        (run(130), "crash", "crash"),
        (run(None), "crash", "crash"),
    ],
)
def test_a_run_in_a_word(done, faulty, healthy):
    assert (made("faulty").mark(done), made("fixed").mark(done)) == (faulty, healthy)


# Tables


def rows(lines):
    """Cells by the first one, of a Markdown table."""
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {row[0]: row[1:] for row in table}


FIRST, NAMED, FOUND = run(1, ["summed-loss"]), run(1, ["dead-relu", "summed-loss"]), run(1, ["dead-relu"])
SCORED = [
    made(runs=[FIRST, FIRST]),
    made(runs=[FIRST, NAMED]),
    made(runs=[NAMED, FOUND]),
    made(runs=[FOUND, run(0)]),
    made(runs=[run(0), run(None)]),
    made("fixed", runs=[run(0), run(0)]),
    made("fixed", runs=[run(0), FOUND]),
    made("fixed", runs=[run(0), run(0, warnings=["dead-relu"])], stem="slow"),
    made("fixed", runs=[run(0, seconds=9.0), run(3)], stem="slowest"),
]


def test_shares_are_of_programs_found_at_every_seed_and_alarming_at_any():
    table = rows(benchmark.totals(SCORED))
    assert {name: cells[0] for name, cells in table.items() if cells[0][:1].isdigit()} == {
        "found": "3 of 5",
        "named": "2 of 5",
        "named first": "1 of 5",
        "the same exit code": "5 of 9",
        "false alarms": "1 of 4",
        "warned": "1 of 4",
        "crashes": "2 of 9",
    }
    assert table["found"] == ["3 of 5", "0.60", "0.23 to 0.88"]
    assert table["at every seed"] == ["programs", "share", "95 %"]


def test_the_times_are_told():
    assert list(benchmark.totals(SCORED))[-1] == "One run takes 1.0 s (median), the slowest 9 s (`slowest:fixed`)."


def test_healthy_programs_alone_have_a_score_too():
    assert rows(benchmark.totals([made("fixed", runs=[run(0)])]))["found"] == ["-"]


def test_lines_are_those_of_faulty_programs_and_of_others_that_were_not_quiet():
    found = [
        made(runs=[FIRST, FIRST], stem="a"),
        made(runs=[NAMED, FIRST, NAMED], stem="b"),
        made(runs=[run(0, warnings=["dead-relu"])], stem="c"),
        made(runs=[run(1, ["one", "two", "three", "four", "five"])], stem="d"),
        made("fixed", runs=[run(0), run(0)], stem="e"),
        made("fixed", runs=[run(0), FOUND], stem="f"),
    ]
    assert list(benchmark.lines(found))[2:] == [
        "| `a:faulty` | first | summed-loss |",
        "| `b:faulty` | named 2, first 1 | dead-relu, summed-loss |",
        "| `c:faulty` | missed | (dead-relu) |",
        "| `d:faulty` | found | one, two, three, four |",
        "| `f:fixed` | quiet 1, ALARM 1 |  |",
    ]


# Runs


def score(monkeypatch, capsys, *arguments):
    """The script's exit code and what it printed."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    code = benchmark.main()
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def one_check(tmp_path, monkeypatch):
    """Runs begin in a folder whose configuration selects a single check, since all of them take their time."""
    (tmp_path / "babysit.yaml").write_text("select: check-loss\n")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.usefixtures("one_check")
def test_two_programs_are_scored(tmp_path, monkeypatch, capsys):
    programs = folder(tmp_path / "mine", healthy=DEMO)
    code, out, err = score(
        monkeypatch, capsys, programs, "--seeds", 0, "--workers", 1, "--output", tmp_path / "score.md"
    )
    assert (code, err) == (0, "")
    seen = [re.sub(r" +\d+\.\d s ", " ", line) for line in out.splitlines()[:3]]
    assert [line.split()[:4] for line in seen] == [
        ["first", "seed", "0", "summed:faulty"],
        ["quiet", "seed", "0", "summed:fixed"],
        ["quiet", "seed", "0", "spirals:fixed"],
    ]
    assert seen[0].split()[4] == "summed-loss,"
    text = (tmp_path / "score.md").read_text()
    assert text in out
    assert text.startswith(
        "# The score\n\n<!-- made by benchmarks/faults.py -->\n\n"
        "`babysit run` at the seeds 0; runs at a time: 1, one thread each.\n\n\n## mine\n"
    )
    table = rows(text.splitlines())
    assert table["named first"] == ["1 of 1", "1.00", "0.21 to 1.00"]
    assert table["false alarms"] == ["0 of 2", "0.00", "0.00 to 0.66"]
    assert table["`summed:faulty`"][0] == "first"
    assert "`summed:fixed`" not in table


@pytest.mark.parametrize(
    ("done", "factory", "expected"),
    [
        (run(0), "fixed", 0),
        (run(0, warnings=["dead-relu"]), "fixed", 0),
        (run(1, ["dead-relu"]), "fixed", 1),
        (run(3), "fixed", 1),
        (run(None), "fixed", 1),
        (run(0), "faulty", 0),
        (run(1, ["dead-relu"]), "faulty", 0),
        (run(3), "faulty", 1),
    ],
)
def test_an_alarm_or_a_crash_is_the_exit_code(tmp_path, monkeypatch, capsys, done, factory, expected):
    other = run(0) if factory == "faulty" else run(1, ["summed-loss"])
    monkeypatch.setattr(benchmark, "run", lambda p, seed, timeout: done if p.factory == factory else other)
    code, out, _ = score(monkeypatch, capsys, folder(tmp_path / "mine"))
    assert code == expected
    assert "at the seeds 0, 1, 2" in out


def test_a_folder_without_programs_is_2(tmp_path, monkeypatch, capsys):
    assert score(monkeypatch, capsys, tmp_path) == (2, "", f"no programs in {tmp_path}\n")
    programs = folder(tmp_path / "mine")
    assert score(monkeypatch, capsys, programs, "--only", "other") == (2, "", f"no programs in {programs}\n")


def test_only_the_programs_named(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(benchmark, "run", lambda p, seed, timeout: asked.append((p.path.stem, seed)) or run(0))
    score(monkeypatch, capsys, folder(tmp_path, healthy=DEMO), "--only", "spirals", "--seeds", 3, 4, "--workers", 1)
    assert asked == [("spirals", 3), ("spirals", 4)]


def test_a_program_that_crashes_has_no_verdict(tmp_path):
    crashing, *_ = benchmark.programs(folder(tmp_path, faulty=CRASHED))
    done = benchmark.run(crashing, 0, timeout=60.0)
    assert (done.code, done.errors, done.warnings, done.crashed) == (3, (), (), True)


def test_a_program_that_takes_too_long_has_none(tmp_path):
    slow, *_ = benchmark.programs(folder(tmp_path))
    done = benchmark.run(slow, 0, timeout=0.05)
    assert (done.code, done.errors, done.crashed) == (None, (), True)
    assert slow.mark(done) == "crash"
