"""The page of `benchmarks/sizes.py`: the limits and their marks, what is kept and made anew, and how failures end."""

import importlib
import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MIB = 2**20


def loaded(name):
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


size_results, size_table, sizes = loaded("size_results"), loaded("size_table"), loaded("sizes")
Check, Point, Row, Sweep = size_results.Check, size_results.Point, size_results.Row, size_results.Sweep

BARE = size_results.Bare(
    parameters=45_000_000, held=500 * MIB, accumulated=1, steps=20, step=0.5, step_cpu=0.5,
    evaluation_cpu=1.0, peak=1000 * MIB,
)  # fmt: skip
LIMIT = (1000 + 2 * 500 + 512) * MIB
CHECKS = (
    Check("check-loss", "passed", "", 0, 10.0, 0.5),
    Check("check-norm", "skipped", "the network has no | layer\nthat normalizes", 0, 0.0, 0.0),
    Check("train", "passed", "", 300, 150.0, 4.5),
)
RUN = size_results.Run(
    code=0, ended="", wall=310.0, cpu=310.0, loading_cpu=10.0, peak=2000 * MIB, target=190.0, own=10.0, checks=CHECKS,
    memorized=60,
)  # fmt: skip
ROW = Row("gpt2", "GPT-2.", "a machine.", BARE, RUN)
SWEEP = Sweep(
    "width", "An MLP.", "a machine.",
    (Point(64, 0.001, 1e-4, {"train": 2e-4}), Point(8192, 0.2, 1.1e-4, {"train": 2.2e-4})),
)  # fmt: skip


def row(name="gpt2", bare=None, **run):
    """The healthy row with some things changed."""
    return replace(ROW, name=name, bare=replace(BARE, **(bare or {})), run=replace(RUN, **run))


# Limits


def test_a_healthy_row_misses_nothing():
    assert size_results.misses(ROW) == []


def test_memory_may_be_the_bare_peak_two_states_and_half_a_gibibyte():
    assert size_results.memory_limit(BARE) == LIMIT
    assert size_results.misses(row(peak=LIMIT)) == []
    assert size_results.misses(row(peak=LIMIT + 1)) == ["memory"]


@pytest.mark.parametrize(("memorized", "limit"), [(0, 650), (150, 650), (151, 1200), (None, 1200)])
def test_time_is_in_bare_steps_imports_aside(memorized, limit):
    run = replace(RUN, memorized=memorized)
    assert size_results.time_limit(run) == limit
    at = 10.0 + limit * 0.5
    assert size_results.misses(row(memorized=memorized, cpu=at)) == []
    assert size_results.misses(row(memorized=memorized, cpu=at + 0.01)) == ["time"]


def test_own_time_is_a_share_of_slow_steps():
    assert size_results.own_limit(BARE, RUN) == pytest.approx(20.0)
    assert size_results.misses(row(own=20.0, target=180.0)) == []
    assert size_results.misses(row(own=20.1, target=180.0)) == ["own"]
    at = {"step_cpu": 0.02}
    assert size_results.misses(row(bare=at, own=20.0, target=180.0, cpu=12.0)) == []
    assert size_results.misses(row(bare=at, own=20.1, target=180.0, cpu=12.0)) == ["own"]


def test_own_time_is_so_much_a_step_and_a_run_where_steps_are_quick():
    limit = 0.002 * 300 + 1.0
    for quick in ({"step_cpu": 0.0199}, {"step_cpu": 0.5, "accumulated": 32}):  # 16 ms a batch
        some = {"bare": quick, "target": 190.0, "cpu": 11.0, "wall": 11.0}
        assert size_results.misses(row(**some, own=limit)) == []
        assert size_results.misses(row(**some, own=limit + 1e-6)) == ["own"]


def test_own_time_counts_as_far_as_the_process_had_a_processor():
    quick = {"step_cpu": 0.0199}
    assert size_results.misses(row(bare=quick, own=3.2, cpu=11.0, wall=22.0)) == []
    assert size_results.misses(row(bare=quick, own=3.3, cpu=11.0, wall=22.0)) == ["own"]
    assert replace(RUN, cpu=3 * RUN.wall).own_cpu == RUN.own  # of several threads


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({"code": 1, "errors": ("dead-relu",)}, ["exit", "findings"]),
        ({"warnings": ("noisy-loss",)}, ["findings"]),
        ({"code": 3, "checks": (Check("train", "crashed", "it failed", 0, 0.0, 0.0),)}, ["exit", "checks"]),
        ({"checks": (Check("train", "blocked", "no ground", 0, 0.0, 0.0),)}, ["checks"]),
        ({"code": -9, "ended": "held more than 18.0 GiB"}, ["exit"]),
        ({"code": -9, "own": math.nan, "target": math.nan, "checks": ()}, ["own", "exit", "checks"]),
        ({"cpu": math.nan}, ["time"]),
    ],
)
def test_what_else_is_missed(changed, missed):
    assert size_results.misses(row(**changed)) == missed


def test_a_row_without_a_run_has_failed_unless_the_machine_is_too_small():
    assert size_results.misses(Row("bert", "", "", failed="the bare loop ended with 1")) == ["failed"]
    assert size_results.misses(Row("bert", "", "", BARE, failed="may take 40 GiB", too_large=True)) == []


def test_one_row_alone_may_need_more_than_the_machine_has():
    large = Row("bert", "", "", BARE, failed="may take 40 GiB", too_large=True)
    assert size_results.verdict([large, ROW], []) == []
    assert size_results.verdict([large, replace(large, name="vit")], []) == [
        "bert, vit: more than one row needs more memory than the machine has"
    ]


@pytest.mark.parametrize(
    ("first", "now", "grown"),
    [(1e-3, 2e-3, False), (1e-3, 2.1e-3, True), (1e-5, 5e-4, False), (1e-5, 5.2e-4, True), (1e-3, math.nan, True)],
)
def test_growth_is_beyond_a_factor_and_noise(first, now, grown):
    assert size_results.growth(first, now) is grown


def test_what_grows_in_a_sweep_is_named():
    assert size_results.sweep_misses(SWEEP) == []
    grown = replace(SWEEP, points=(SWEEP.points[0], Point(8192, 0.2, 1e-2, {})))
    assert size_results.sweep_misses(grown) == ["driven step at 8,192", "train at 8,192"]
    assert size_results.verdict([], [grown]) == ["width: driven step at 8,192", "width: train at 8,192"]


# The page


def cells(text, start):
    """Of the first line of a table that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return line.strip("| ").split(" | ")


def test_the_row_of_the_table():
    text = size_table.page([ROW], [])
    assert cells(text, "row") == list(size_table.MAIN)
    assert cells(text, "`gpt2`") == [
        "`gpt2`", "45.00 M", "0.5000", "1,000", "2,000", "2,512", "310", "310", "300", "600", "650", "5.0 %", "10%",
        "0", "none",
    ]  # fmt: skip
    assert "!**" not in text
    assert text.startswith("# Sizes\n\n<!-- made by benchmarks/sizes.py -->\n\na machine.\n")
    assert "- `gpt2`: GPT-2.\n" in text


def test_every_limit_missed_is_marked():
    lost = row(peak=3000 * MIB, cpu=1000.0, own=100.0, code=1, errors=("dead-relu",), warnings=("noisy-loss",))
    assert cells(size_table.page([lost], []), "`gpt2`")[4:] == [
        "**3,000 !**", "2,512", "310", "1000", "300", "**1,980 !**", "650", "**34.5 % !**", "10%", "**1 !**",
        "**dead-relu, (noisy-loss) !**",
    ]  # fmt: skip


def test_quick_steps_have_seconds_of_their_own():
    quick = row(bare={"step_cpu": 0.002})
    assert cells(size_table.page([quick], []), "`gpt2`")[11:13] == ["**10.0 s !**", "1.6 s"]


def test_a_run_that_was_ended_says_why_and_what_it_said():
    ended = row(
        code=-9, ended="held more than 12.0 GiB", own=math.nan, target=math.nan, checks=(), said="Out of memory"
    )
    text = size_table.page([ended], [])
    assert cells(text, "`gpt2`")[11:] == ["**- % !**", "10%", "**held more than 12.0 GiB (-9) !**", "none"]
    assert "`gpt2` left no report. The end of its stderr:\n\n```\nOut of memory\n```\n" in text


def test_a_row_without_a_run_keeps_its_place():
    failed = Row("vit", "A ViT.", "a machine.", failed="the bare loop ended with 1: no such module")
    large = Row("bert", "BERT.", "a machine.", BARE, failed="may take 40 GiB, and the machine has 23", too_large=True)
    text = size_table.page([failed, large], [])
    assert cells(text, "`vit`") == ["`vit`", *["-"] * 13, "**the bare loop ended with 1: no such module !**"]
    assert cells(text, "`bert`") == [
        "`bert`", "45.00 M", "0.5000", "1,000", *["-"] * 10, "may take 40 GiB, and the machine has 23",
    ]  # fmt: skip


def test_checks_say_what_they_took_and_why_they_gave_no_verdict():
    crashed = Check("train", "crashed", "step 3 raised ValueError", 3, 0.1, 0.1)
    text = size_table.page([ROW, row("vit", checks=(*CHECKS[:2], crashed), memorized=None)], [])
    _, below = text.split("## Checks")
    assert cells(below, "row") == ["row", "check-loss", "check-norm", "train", "memorized"]
    assert cells(below, "`gpt2`") == ["`gpt2`", "21 (0)", "skipped", "309 (300)", "60"]
    assert cells(below, "`vit`") == ["`vit`", "21 (0)", "skipped", "**crashed !**", "no"]
    assert "| `gpt2` | check-norm | skipped | the network has no \\| layer that normalizes |" in below
    assert "| `vit` | train | **crashed !** | step 3 raised ValueError |" in below


def test_findings_are_told():
    text = size_table.page([ROW, row("vit", warnings=("dead-relu",), messages=(("dead-relu", "3 of 4\nunits"),))], [])
    assert (
        "Errors and warnings:\n\n| row | rule | message |\n| --- | --- | --- |\n| `vit` | dead-relu | 3 of 4 units |"
        in text
    )
    assert "Errors and warnings" not in size_table.page([ROW], [])


def test_sweeps_are_milliseconds():
    text = size_table.page([ROW], [SWEEP])
    assert "### width: An MLP.\n" in text
    assert cells(text, "width") == ["width", "bare step", "driven step", "train"]
    assert cells(text, "64") == ["64", "1.0", "0.10", "0.20"]
    assert cells(text, "8,192") == ["8,192", "200.0", "0.11", "0.22"]


def test_rows_of_several_machines_name_each():
    text = size_table.page([ROW, replace(ROW, machine="another.")], [SWEEP])
    assert text.count("a machine.\n") == 1
    assert "another.\n" in text


# What is kept


def test_rows_and_sweeps_are_read_as_they_were_written(tmp_path):
    found = row(own=math.inf, warnings=("dead-relu",), messages=(("dead-relu", "3 of 4 units"),))
    for k, kept in enumerate([ROW, found, Row("vit", "", "", failed="it failed", too_large=True)]):
        size_results.write(tmp_path / f"{k}.json", kept)
        assert size_results.read_row((tmp_path / f"{k}.json").read_text()) == kept
    size_results.write(tmp_path / "new" / "sweep.json", SWEEP)
    assert size_results.read_sweep((tmp_path / "new" / "sweep.json").read_text()) == SWEEP


def test_a_row_without_a_report_keeps_nan(tmp_path):
    size_results.write(tmp_path / "row.json", row(own=math.nan))
    assert math.isnan(size_results.read_row((tmp_path / "row.json").read_text()).run.own)


def fill(folder, *, without=()):
    for name in sizes.ROWS:
        size_results.write(folder / f"{name}.json", row(name))
    for name in sizes.SWEEPS:
        size_results.write(folder / f"sweep_{name}.json", replace(SWEEP, name=name))
    for name in without:
        (folder / f"{name}.json").unlink()


def command(folder, *words):
    return sizes.main([*words, "--kept", str(folder), "--output", str(folder / "sizes.md")])


def test_the_page_is_made_of_what_is_kept(tmp_path, capsys):
    fill(tmp_path)
    assert command(tmp_path, "--table") == 0
    assert capsys.readouterr().out == f"all limits kept\nwrote {tmp_path / 'sizes.md'}\n"
    text = (tmp_path / "sizes.md").read_text()
    table = [line.split("`")[1] for line in text.partition("## Checks")[0].splitlines() if line.startswith("| `")]
    assert tuple(table) == sizes.ROWS
    assert [line for line in text.splitlines() if line.startswith("### ")] == [
        "### width: An MLP.", "### vocabulary: An MLP.", "### depth: An MLP.",
    ]  # fmt: skip


def test_what_is_missing_or_missed_is_told(tmp_path, capsys):
    fill(tmp_path, without=["bert", "sweep_depth"])
    size_results.write(tmp_path / "vit.json", row("vit", peak=LIMIT + 1))
    assert command(tmp_path, "--table") == 1
    assert capsys.readouterr().out.splitlines()[:-1] == [
        "vit: memory", "bert: not measured yet", "depth: not measured yet",
    ]  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """Names that were measured."""
    names = []
    monkeypatch.setattr(sizes, "make_row", lambda name, bounds, timed=True: names.append(name) or row(name, wall=1.0))
    monkeypatch.setattr(sizes, "make_sweep", lambda name, bounds: names.append(name) or replace(SWEEP, name=name))
    return names


def test_only_makes_those_anew_and_the_page_of_all(tmp_path, asked, capsys):
    fill(tmp_path)
    assert command(tmp_path, "--only", "lstm", "width") == 0
    assert asked == ["lstm", "width"]
    assert capsys.readouterr().out.startswith("lstm: bare 0.5000 s, 1000 MiB; run 1 s, 310 s of processor")
    text = (tmp_path / "sizes.md").read_text()
    assert (cells(text, "`lstm`")[6], cells(text, "`gpt2`")[6]) == ("1", "310")


def test_all_or_the_sweeps_alone(tmp_path, asked):
    assert command(tmp_path) == 0
    assert asked == [*sizes.ROWS, *sizes.SWEEPS]
    asked.clear()
    assert command(tmp_path, "--sweeps") == 0
    assert asked == list(sizes.SWEEPS)


def test_an_unknown_row_is_a_usage_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        command(tmp_path, "--only", "gpt5")
    assert stop.value.code == 2
    assert "invalid choice: 'gpt5'" in capsys.readouterr().err


# The gate


@pytest.mark.parametrize(
    ("changed", "code", "last"),
    [
        ({}, 0, "all limits kept"),
        ({"cpu": 1e6, "own": 1e5}, 0, "all limits kept"),  # steps of a millisecond say nothing of shares
        ({"peak": LIMIT + 1}, 1, "small_table: memory"),
        ({"code": 3}, 1, "small_table: exit"),
        ({"warnings": ("noisy-loss",)}, 1, "small_table: findings"),
        ({"checks": (), "said": "Killed"}, 1, "small_table: checks"),
    ],
)
def test_the_gate_fails_where_a_limit_is_missed(monkeypatch, capsys, changed, code, last):
    monkeypatch.setattr(sizes, "make_row", lambda name, bounds, timed: row(name, **changed))
    assert sizes.main(["--small"]) == code
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == last
    assert ("Killed" in out) == ("said" in changed)


def test_some_of_the_gate(asked):
    assert sizes.main(["--small", "small_mlp"]) == 0
    assert asked == ["small_mlp"]


# Measuring

BOUNDS = sizes.Bounds(1, 60.0, 8 * 2**30)


def process(code, bounds=BOUNDS):
    return sizes.run_process(["-c", code], bounds)


def test_a_process_tells_what_it_took():
    made = process("x = bytearray(200 * 2**20); print('done'); import sys; print('why', file=sys.stderr); sys.exit(3)")
    assert (made.code, made.ended, made.output, made.said) == (3, "", "done\n", "why\n")
    inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts its pages
    assert 200 * MIB < made.peak < max(300 * MIB, inherited + 50 * MIB)
    assert made.cpu > 0


def test_a_process_has_the_threads_asked_for():
    made = process("import os; print(os.environ['OMP_NUM_THREADS'])", replace(BOUNDS, threads=3))
    assert made.output == "3\n"


def test_a_process_that_takes_too_long_or_too_much_is_ended():
    made = process("import time; time.sleep(60)", replace(BOUNDS, timeout=0.3))
    assert (made.code, made.ended) == (-signal.SIGKILL, "took more than 0 s")
    made = process("import time; x = bytearray(200 * 2**20); time.sleep(60)", replace(BOUNDS, memory=100 * MIB))
    assert (made.code, made.ended) == (-signal.SIGKILL, "held more than 0.1 GiB")


def test_a_process_ends_with_the_one_that_waits_for_it(tmp_path):
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    waits = (
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r}); import sizes\n"
        f"sizes.make = lambda *_: sizes.run_process(['-c', {child!r}], sizes.Bounds(1, 60.0, 2**33))\n"
        f"sizes.main(['--kept', {str(tmp_path)!r}, '--output', {str(tmp_path / 'page')!r}])"
    )
    parent = subprocess.Popen([sys.executable, "-c", waits])
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
        time.sleep(0.01)
    parent.terminate()
    assert parent.wait(30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def ended(code=0, output="", said="", why=""):
    return sizes.Ended(code, why, 1.0, 2.0, 100 * MIB, output, said)


TOLD = json.dumps({**vars(BARE), "peak": 0})


def test_a_row_is_a_bare_loop_and_a_run_in_processes_of_their_own(monkeypatch):
    asked = []

    def run_process(words, bounds, folder=None):
        asked.append(Path(words[0]).name if folder is None else words[4])
        return ended(output=f"a line\n{TOLD}\n", said="" if folder is None else "no such option")

    monkeypatch.setattr(sizes, "run_process", run_process)
    made = sizes.make_row("lstm", BOUNDS)
    assert asked == ["size_measure.py", "size_measure.py", "--quiet"]
    assert made.bare == replace(BARE, peak=100 * MIB)
    assert made.what.startswith("An LSTM")
    assert (made.run.cpu, made.run.loading_cpu, made.run.checks, made.run.said) == (2.0, 2.0, (), "no such option")
    asked.clear()
    assert sizes.make_row("lstm", BOUNDS, timed=False).run == replace(made.run, loading_cpu=0.0)
    assert asked == ["size_measure.py", "--quiet"]


@pytest.mark.parametrize(
    ("made", "failed", "large"),
    [
        (ended(1, said="Traceback\nValueError: no\n"), "the bare loop ended with 1: ValueError: no", False),
        (ended(-9, why="took more than 5 s"), "the bare loop took more than 5 s", False),
        (ended(-9, why="held more than 18.0 GiB"), "the bare loop held more than 18.0 GiB", True),
    ],
)
def test_a_bare_loop_that_fails_is_the_rows_end(monkeypatch, made, failed, large):
    monkeypatch.setattr(sizes, "run_process", lambda *_: made)
    found = sizes.make_row("lstm", BOUNDS)
    assert (found.failed, found.too_large, found.bare, found.run) == (failed, large, None, None)
    assert sizes.told(found) == f"lstm: {failed}"


def test_a_program_that_may_need_more_than_the_machine_has_is_not_run(monkeypatch):
    monkeypatch.setattr(sizes, "run_process", lambda *_: ended(output=TOLD))
    monkeypatch.setattr(sizes, "machine_memory", lambda: 2**30)
    found = sizes.make_row("lstm", BOUNDS)
    assert (found.failed, found.too_large) == ("may take 2 GiB, and the machine has 1", True)
    assert found.bare
    assert found.run is None


def test_a_program_that_babysit_cannot_load_says_so(monkeypatch):
    made = iter([ended(output=TOLD), ended(3, said="TargetError: a message\n")])
    monkeypatch.setattr(sizes, "run_process", lambda *_: next(made))
    assert sizes.make_row("lstm", BOUNDS).failed == "loading ended with 3: TargetError: a message"


def test_a_sweep_that_fails_ends_with_what_was_said(monkeypatch):
    monkeypatch.setattr(sizes, "run_process", lambda *_: ended(1, said="overfit made no step\n"))
    with pytest.raises(SystemExit, match="width 64 ended with 1: overfit made no step"):
        sizes.make_sweep("width", BOUNDS)


def result(check, outcome=None, steps=0):
    attempts = [{"outcome": outcome, "losses": [0.1] * steps}] if outcome else []
    return {
        "check": check, "status": "passed", "reason": "", "steps": steps, "seconds": {"target": 2.0, "own": 1.0},
        "measurement": {"attempts": attempts},
    }  # fmt: skip


def test_a_run_has_what_its_report_says():
    found = [{"rule": rule, "severity": severity, "message": f"a {rule}"} for rule, severity in (
        ("dead-relu", "warning"), ("noisy-loss", "info"), ("floor-above-zero", "error"), ("dead-relu", "warning"),
    )]  # fmt: skip
    report = {
        "results": [result("check-data"), result("overfit", "memorized", 60)], "findings": found,
        "seconds": {"target": 5.0, "own": 2.0, "loading": 4.0},
    }  # fmt: skip
    report["results"][0]["reason"] = f"a fault ({BENCHMARKS.parent}/babysit/check.py:3)"
    made = sizes.with_report(replace(RUN, checks=(), memorized=None), report)
    assert made.checks[0].reason == "a fault (babysit/check.py:3)"
    assert (made.target, made.own, made.steps, made.memorized) == (5.0, 2.0, 60, 60)
    assert (made.errors, made.warnings) == (("floor-above-zero",), ("dead-relu",))
    assert made.messages[:2] == (("dead-relu", "a dead-relu"), ("floor-above-zero", "a floor-above-zero"))
    assert made.checks[1] == Check("overfit", "passed", "", 60, 2.0, 1.0)


@pytest.mark.parametrize(
    "results",
    [
        [],
        [result("overfit")],
        [result("overfit", "stalled", 60)],
        [{**result("overfit"), "measurement": None}],
    ],
)
def test_what_did_not_memorize(results):
    assert sizes.memorized(results) is None


# Programs


def test_every_row_has_a_program_that_says_what_it_is():
    names = (*sizes.ROWS, *sizes.SMALL, *(f"of_{name}" for name in sizes.SWEEPS))
    assert all(sizes.says(name).endswith(".") for name in names)


@pytest.fixture(scope="module")
def programs():
    return loaded("size_programs")


def test_the_programs_are_those_of_the_rows(programs):
    assert set(programs.PROGRAMS) == {*sizes.ROWS, *sizes.SMALL}
    assert set(programs.SWEEPS) == set(sizes.SWEEPS)


@pytest.mark.parametrize("name", ["accumulation", "small_embedding", "small_vocabulary"])
def test_a_plain_loop_and_the_trainer_step_alike(programs, name):
    import torch

    torch.manual_seed(0)
    plain = programs.PROGRAMS[name]()
    torch.manual_seed(0)
    trainer = getattr(programs, name)()
    steps = plain.accumulated + 1
    losses = [plain.step(batch).item() for _, batch in zip(range(steps), plain.train, strict=False)]
    assert losses == [trainer.step(batch).loss for _, batch in zip(range(steps), trainer.batches(), strict=False)]
    assert len(losses) == steps
