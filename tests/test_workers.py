"""Searches by several processes: alike whatever their number, and none the worse where one of them is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import parabola
import pytest

SPACE = ("--param", "learning_rate=log:1e-6:1e1", "--param", "width=int:8:1024")
SMALL = ("--coarse", "8", "--fine", "3", "--seeds", "1")
LIMIT = 240  # seconds, for what takes ten on an idle machine


@pytest.fixture
def program(here):
    shutil.copy(parabola.__file__, here / "program.py")
    return here


def command(factory, *options, report="report.json"):
    words = ("search", f"program.py:{factory}", *options, "--report", f"json={report}", "--quiet")
    return [sys.executable, "-m", "babysit", *words]


def started(factory, *options, report="report.json"):
    words = command(factory, *options, report=report)
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def ended(process):
    out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


def made(report="report.json"):
    """The trials of a report, without how long they took."""
    found = json.loads(Path(report).read_text())["results"][0]["measurement"]["trials"]
    return [{k: v for k, v in trial.items() if k != "seconds"} for trial in found]


def workers_of(process):
    """Process numbers of the workers that a command has started."""
    found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()[1:]]
    return [int(pid) for pid, parent, words in rows if int(parent) == process.pid and "babysit.search.worker" in words]


def until(look, seconds=LIMIT):
    """What `look` sees once it is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it never came")


def journaled(path, word="result"):
    """How many trials have a result in a journal; with `worker`, how many were taken by one."""
    return Path(path).read_text().count(f'"{word}"') if Path(path).exists() else 0


@contextmanager
def held():
    """Within it, trials of `slow` go on and on."""
    hold = Path("hold")
    hold.touch()
    try:
        yield
    finally:
        hold.unlink()


def test_the_trials_are_the_same_whatever_the_number_of_workers(babysit, program):
    for count in ("1", "3"):
        options = (*SPACE, *SMALL, "--workers", count, "--report", f"json={count}.json", "--quiet")
        assert babysit("search", "program.py:trainer", *options).code == 0
    assert made("1.json") == made("3.json")
    assert len(made("1.json")) == 14
    assert sorted(path.name for path in program.iterdir()) == ["1.json", "3.json", "program.py"]


def test_a_share_of_an_epoch_is_the_same_whatever_the_number_of_workers(babysit, program):
    """To know where it ends, nobody may go through the batches but once: the next pass has another order."""
    for count in ("1", "2"):
        options = ("--coarse", "4", "--coarse-epochs", "0.5", "--fine", "0", "--seeds", "0", "--workers", count)
        done = babysit("search", "program.py:shuffled", *SPACE, *options, "--report", f"json={count}.json", "--quiet")
        assert done.code == 0
    assert made("1.json") == made("2.json")
    assert {trial["steps"] for trial in made("1.json") if trial["outcome"] == "finished"} == {2}


def test_a_killed_workers_trial_is_made_again_and_none_twice(program):
    with held():
        search = started("slow", *SPACE, *SMALL, "--workers", "2", "--storage", "kept.journal")
        until(lambda: journaled("kept.journal", "worker") == 2)
        os.kill(workers_of(search)[0], signal.SIGKILL)
    code, _, err = ended(search)
    assert (code, err) == (0, "")
    assert Counter((t["stage"], t["number"]) for t in made()).most_common(1)[0][1] == 1
    assert len(made()) == 14
    assert {t["outcome"] for t in made()} <= {"finished", "exploded"}


def test_a_trial_that_kills_every_worker_is_given_up(program):
    options = ("--param", "activation=choice:relu,swish", "--coarse", "4", "--fine", "0", "--seeds", "0")
    code, _, err = ended(started("deadly", *options, "--workers", "2"))
    assert (code, err) == (0, "")
    outcomes = {t["configuration"]["activation"]: (t["outcome"], t["reason"]) for t in made()}
    assert outcomes == {
        "relu": ("finished", ""),
        "swish": ("lost", "its worker died, 3 times: out of memory, or killed?"),
    }


def test_two_commands_share_a_journal(program):
    options = (*SPACE, *SMALL, "--storage", "kept.journal")
    both = [started("slow", *options, report=f"{k}.json") for k in range(2)]
    for search in both:
        code, _, err = ended(search)
        assert (code, err) == (0, "")
    assert made("0.json") == made("1.json")
    assert len(made("0.json")) == 14


def test_a_journal_that_nobody_asked_for_is_one_commands_alone(program):
    search = started("slow", *SPACE, *SMALL)
    until(lambda: journaled("babysit-search.journal"))
    with held():
        code, _, err = ended(started("slow", *SPACE, *SMALL, report="other.json"))
    expected = "another search runs here, on babysit-search.journal; --storage FILE lets several share one"
    assert (code, err) == (2, f"babysit: {expected}\n")
    assert ended(search)[0] == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_storage_that_goes_away_is_told(program, workers):
    (program / "kept").mkdir()
    with held():
        search = started("slow", *SPACE, *SMALL, "--workers", workers, "--storage", "kept/journal")
        until(lambda: journaled("kept/journal", "worker") == int(workers))
        shutil.rmtree("kept")
    code, out, err = ended(search)
    assert code == 3
    assert "Traceback" not in err
    assert "the storage kept/journal failed: [Errno 2]" in out or "could not go on, for the reason above" in out


def test_a_worker_that_dies_once_costs_nothing(program):
    options = ("--param", "activation=choice:relu,tanh", "--coarse", "4", "--fine", "0", "--seeds", "0")
    code, _, err = ended(started("deadly", *options, "--workers", "2"))
    assert (code, err) == (0, "")
    assert {t["outcome"] for t in made()} == {"finished"}


def test_ctrl_c_ends_the_workers_and_the_same_command_goes_on(program):
    options = (*SPACE, *SMALL, "--workers", "2")
    search = started("slow", *options, report="first.json")
    until(lambda: journaled("babysit-search.journal") >= 2)
    with held():
        workers = workers_of(search)
        search.send_signal(signal.SIGINT)
    code, _, err = ended(search)
    assert (code, err) == (130, "")
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    kept = made("first.json")  # any of the first: two workers need not finish in the order that they began
    assert 2 <= len(kept) < 14
    code, _, err = ended(started("slow", *options))
    assert (code, err) == (0, "")
    assert len(made()) == 14
    assert [trial for trial in made() if trial in kept] == kept


def test_a_worker_that_is_killed_for_ctrl_c_says_nothing_against_its_trial(program):
    """It is in a step that takes longer than the command waits."""
    patched = (
        "import babysit.search.worker_pool, babysit.__main__ as m; babysit.search.worker_pool.PATIENCE = 0.1; m.main()"
    )
    options = (*SPACE, *SMALL, "--workers", "2", "--storage", "kept.journal")
    words = [sys.executable, "-c", patched, *command("slow", *options)[3:]]
    for made_before in (0, 2, 4):
        with held():
            search = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
            until(lambda before=made_before: journaled("kept.journal", "worker") == before + 2)
            search.send_signal(signal.SIGINT)
            assert ended(search)[0] == 130
    code, _, err = ended(started("slow", *options))
    assert (code, err) == (0, "")
    assert {trial["outcome"] for trial in made()} <= {"finished", "exploded"}


def test_workers_end_with_a_command_that_is_killed_and_its_trials_are_made_again(program):
    options = (*SPACE, *SMALL, "--workers", "2")
    with held():
        search = started("slow", *options)
        until(lambda: journaled("babysit-search.journal", "worker") == 2)
        workers = workers_of(search)
        search.kill()
    search.communicate(timeout=LIMIT)
    until(lambda: not [pid for pid in workers if Path(f"/proc/{pid}").exists()])
    code, _, err = ended(started("slow", *options))
    assert (code, err) == (0, "")
    assert len(made()) == 14


def test_a_program_that_workers_can_not_import_is_told(program):
    """The command has it in memory; its workers come too late."""
    (program / "program.py").write_text(Path("program.py").read_text() + "\nPath(__file__).unlink()\n")
    code, out, err = ended(started("trainer", *SPACE, *SMALL, "--workers", "2"))
    assert code == 3
    assert "could not go on, for the reason above" in out
    assert "no such file: program.py" in err
