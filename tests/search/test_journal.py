"""The file that several processes write trials to: torn lines, and locks of processes that were killed."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import optuna
import pytest

from babysit.errors import UsageError
from babysit.search.journal import BEGINS, TAIL, WholeLines, mend, open_journal, owned, remove

LONG = b"x" * (2 * TAIL + 7)
WAIT = 60  # seconds, at most, for another process

APPENDING = """
import sys
from pathlib import Path
from babysit.search.journal import WholeLines

path, name = Path(sys.argv[1]), sys.argv[2]
lock = WholeLines(path)
print("ready", flush=True)
sys.stdin.readline()
for n in range(100):
    lock.acquire()
    with path.open("ab", buffering=0) as file:
        for part in (name, str(n), "end"):
            file.write(f"{part} ".encode())
        file.write(b"\\n")
    lock.release()
"""

HOLDING = """
import sys, time
from pathlib import Path
from babysit.search.journal import WholeLines

path = Path(sys.argv[1])
WholeLines(path).acquire()
with path.open("ab") as file:
    file.write(b'{"half of a')
print("holds it", flush=True)
time.sleep(600)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "search.journal"


@pytest.fixture
def other(path):
    """Starts a Python process that is told the journal's path, and ends it whatever happens."""
    made = []

    def start(program, *words):
        command = [sys.executable, "-c", program, str(path), *words]
        made.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.communicate(timeout=WAIT)


def mended(path, text):
    path.write_bytes(text)
    mend(path)
    return path.read_bytes()


def open_files():
    """How many this process has, where the system says so."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def acquired(lock):
    """A thread that waits for the lock, and says so once it has it."""
    has_it = threading.Event()

    def wait():
        lock.acquire()
        has_it.set()

    threading.Thread(target=wait, daemon=True).start()
    return has_it


# Torn lines


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (b"", b""),
        (b"one\ntwo\n", b"one\ntwo\n"),
        (b"\n", b"\n"),
        (b"\n\n", b"\n\n"),
        (b"one\ntw", b"one\n"),
        (b"one\n\ntw", b"one\n\n"),
        (b"\ntw", b"\n"),
        (b"on", b""),
        (b"one\r\ntw", b"one\r\n"),
        (b"one\n\x00\xff\xfe", b"one\n"),
    ],
)
def test_a_last_line_without_an_end_is_cut_off(path, text, left):
    assert mended(path, text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (LONG, b""),
        (LONG + b"\n", LONG + b"\n"),
        (LONG + b"\ntorn", LONG + b"\n"),
        (b"one\n" + LONG, b"one\n"),
        (b"one\n" + LONG + b"\n", b"one\n" + LONG + b"\n"),
        (LONG + b"\n" + LONG, LONG + b"\n"),
        (b"\n" + LONG, b"\n"),
    ],
)
def test_lines_may_be_longer_than_what_is_read_at_a_time(path, text, left):
    assert mended(path, text) == left


@pytest.mark.parametrize("length", [TAIL - 2, TAIL - 1, TAIL, TAIL + 1, 2 * TAIL - 1, 2 * TAIL, 2 * TAIL + 1])
def test_a_line_s_end_may_lie_on_either_side_of_a_block(path, length):
    assert mended(path, b"one\n" + b"x" * length) == b"one\n"
    assert mended(path, b"x" * length) == b""


def test_what_is_whole_is_not_written_to(path):
    path.write_bytes(b"one\n")
    os.utime(path, (1e9, 1e9))
    mend(path)
    assert path.stat().st_mtime == 1e9


def test_mending_twice_is_mending_once(path):
    assert mended(path, mended(path, b"one\ntwo\nthr")) == b"one\ntwo\n"


def test_who_gets_the_lock_finds_whole_lines(path):
    path.write_bytes(b"one\ntw")
    lock = WholeLines(path)
    assert lock.acquire() is True
    assert path.read_bytes() == b"one\n"
    lock.release()


# The lock


def test_a_lock_can_be_had_again_and_again(path):
    path.touch()
    lock = WholeLines(path)
    before = open_files()
    for _ in range(50):
        lock.acquire()
        lock.release()
    assert open_files() == before


def test_the_next_one_waits_until_it_is_released(path):
    path.touch()
    first, second = WholeLines(path), WholeLines(path)
    first.acquire()
    has_it = acquired(second)
    assert not has_it.wait(0.2)
    first.release()
    assert has_it.wait(WAIT)
    second.release()


def test_journals_beside_one_another_have_locks_of_their_own(path):
    neighbor = path.with_name("other.journal")
    locks = [WholeLines(p) for p in (path, neighbor)]
    for p, lock in zip((path, neighbor), locks, strict=True):
        p.touch()
        lock.acquire()
    for lock in locks:
        lock.release()


def test_two_processes_append_whole_lines(path, other):
    path.touch()
    processes = [other(APPENDING, name) for name in ("a", "b")]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(WAIT) for process in processes] == [0, 0]
    lines = path.read_text().splitlines()
    for name in ("a", "b"):
        assert [line for line in lines if line.startswith(name)] == [f"{name} {n} end " for n in range(100)]
    assert len(lines) == 200


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_that_is_killed_while_it_holds_the_lock_blocks_nobody(path, other):
    path.write_bytes(b"whole\n")
    holder = other(HOLDING)
    assert holder.stdout.readline() == "holds it\n"
    lock = WholeLines(path)
    has_it = acquired(lock)
    assert not has_it.wait(0.2)
    assert path.read_bytes() == b'whole\n{"half of a'
    holder.send_signal(signal.SIGKILL)
    assert has_it.wait(WAIT)
    assert path.read_bytes() == b"whole\n"
    lock.release()


def test_a_lock_whose_journal_is_gone_is_not_kept(path):
    lock = WholeLines(path)
    with pytest.raises(FileNotFoundError):
        lock.acquire()
    path.touch()
    has_it = acquired(WholeLines(path))
    assert has_it.wait(2)


@pytest.mark.parametrize("wrong", [KeyboardInterrupt, OSError])
def test_a_lock_is_released_whatever_mending_ends_with(path, monkeypatch, wrong):
    def stopped(path):
        raise wrong

    path.write_bytes(b"one\ntw")
    before = open_files()
    with monkeypatch.context() as patched:
        patched.setattr("babysit.search.journal.mend", stopped)
        with pytest.raises(wrong):
            WholeLines(path).acquire()
    assert open_files() == before
    lock = WholeLines(path)
    assert acquired(lock).wait(WAIT)
    assert path.read_bytes() == b"one\n"
    lock.release()


# A journal for one process alone


@pytest.mark.skipif(sys.platform == "win32", reason="there is no flock")
def test_a_journal_has_one_owner_at_a_time(path):
    neighbor = path.with_name("other.journal")
    with owned(path):
        with pytest.raises(UsageError) as raised, owned(path):
            raise AssertionError
        with owned(neighbor):
            assert not path.exists()  # it need not be there
        with pytest.raises(UsageError), owned(path):  # who was refused has taken nothing away
            raise AssertionError
    message = "another search runs here, on search.journal; --storage FILE lets several share one"
    assert str(raised.value) == message
    assert list(path.parent.iterdir()) == []
    with owned(path):
        pass


def test_an_owner_that_fails_leaves_nothing_behind(path):
    with pytest.raises(KeyboardInterrupt), owned(path):
        raise KeyboardInterrupt
    with owned(path):
        pass
    with pytest.raises(UsageError), owned(path):
        raise UsageError("no such range")
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_can_t_be_written_owns_nothing(path):
    with pytest.raises(UsageError) as raised, owned(path / "search.journal"):
        raise AssertionError
    place = path / "search.journal.owner"
    assert str(raised.value) == (f"{place} can't be written: No such file or directory; --storage names another file")


# As Optuna's storage


def test_a_torn_journal_can_be_opened_and_gone_on_with(path):
    study = optuna.create_study(storage=open_journal(path), study_name="search")
    study.add_trial(optuna.create_trial(value=0.5))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "worker_i')
    storage = open_journal(path)
    assert path.read_bytes() == whole
    study = optuna.load_study(storage=storage, study_name="search")
    study.add_trial(optuna.create_trial(value=0.25))
    values = [t.value for t in optuna.load_study(storage=open_journal(path), study_name="search").trials]
    assert values == [0.5, 0.25]


def test_a_line_that_is_torn_while_the_journal_is_open_hurts_nobody(path):
    first = optuna.create_study(storage=open_journal(path), study_name="search")
    with path.open("ab") as file:
        file.write(b'{"op_code": 4, "worker_i')
    first.add_trial(optuna.create_trial(value=0.5))
    again = optuna.load_study(storage=open_journal(path), study_name="search")
    assert [t.value for t in again.trials] == [0.5]


def test_a_journal_is_made_where_there_is_none(path):
    assert open_journal(path).get_all_studies() == []
    assert path.exists()


@pytest.mark.parametrize(
    "text",
    [
        "learning_rate: 0.1\nhidden: 32\n",
        "learning_rate: 0.1\n",
        "learning_rate: 0.1",
        "learning_rate: 0.1\nhidden: 32",
        "x",
        "\n",
        "\n" + '{"op_code": 0}\n',
        '{"op_code"\n',
        '{"op": 1}\n',
        "{}\n",
        '[{"op_code": 0}]\n',
    ],
)
def test_what_is_no_journal_is_refused_and_left_as_it_was(path, text):
    path.write_text(text)
    os.utime(path, (1e9, 1e9))
    with pytest.raises(ValueError, match=r"holds") as raised:
        open_journal(path)
    assert str(raised.value) == "it holds something else than the journal of a search"
    assert (path.read_text(), path.stat().st_mtime) == (text, 1e9)
    assert list(path.parent.iterdir()) == [path]  # no lock beside it


@pytest.mark.parametrize("text", ["", "{", '{"op_c', '{"op_code":', '{"op_code": 0, "worker_i'])
def test_a_journal_whose_first_line_is_torn_is_begun_anew(path, text):
    path.write_text(text)
    study = optuna.create_study(storage=open_journal(path), study_name="search")
    study.add_trial(optuna.create_trial(value=0.5))
    again = optuna.load_study(storage=open_journal(path), study_name="search")
    assert [t.value for t in again.trials] == [0.5]


def test_every_line_that_optuna_writes_begins_as_a_journal_does(path):
    study = optuna.create_study(storage=open_journal(path), study_name="search")
    study.optimize(lambda made: made.suggest_float("rate", 0, 1), n_trials=2)
    lines = path.read_bytes().splitlines()
    assert len(lines) > 4
    assert all(line.startswith(BEGINS) for line in lines)


def test_a_folder_is_no_journal(path):
    path.mkdir()
    with pytest.raises(OSError, match=path.name):
        open_journal(path)


def test_removing_leaves_nothing(path):
    open_journal(path)
    remove(path)
    assert list(path.parent.iterdir()) == []
    remove(path)


def test_without_flock_optuna_s_own_lock_is_taken(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    path.write_bytes(b"one\ntw")
    lock = WholeLines(path)
    assert isinstance(lock._lock, optuna.storages.journal.JournalFileOpenLock)
    lock.acquire()
    lock.release()
    assert path.read_bytes() == b"one\n"
