"""A file that several processes of one machine write trials to, and that survives any of them.

Optuna's journal, under a lock that the kernel releases when its holder dies, and mended where one died while it wrote:
what is left of its line would make the next one unreadable, and with it the study.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from babysit.errors import UsageError

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

BEGINS = b'{"op_code":'  # every line
TAIL = 2**16  # bytes read at a time, back from the end of the file, in search of a whole line's end


def open_journal(path: Path) -> "JournalStorage":
    """The journal in this file, which is made where there is none.

    Raises:
        OSError: It can't be read or written.
        ValueError: It is no journal; nothing of it is changed.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    with path.open("ab+") as file:
        file.seek(0)
        begun = file.read(len(BEGINS))
    if not BEGINS.startswith(begun):
        raise ValueError("it holds something else than the journal of a search")
    lock = WholeLines(path)
    lock.acquire()  # so that a line which some writer left torn is gone ahead of the first reading
    lock.release()
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))  # type: ignore[arg-type]  # it has both methods


class WholeLines:
    """A lock on the journal; who holds it finds whole lines only.

    Args:
        path: The journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = _lock(path)

    def acquire(self) -> bool:
        """Wait for the lock, and cut off what a writer that died has left of a line."""
        self._lock.acquire()
        with contextlib.ExitStack() as undone:
            undone.callback(self._lock.release)
            mend(self._path)
            undone.pop_all()
        return True

    def release(self) -> None:
        """Let the next one in."""
        self._lock.release()


class _KernelLock:
    """By `flock`, which ends with its holder, however that ends."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}.lock")
        self._file = -1

    def acquire(self) -> bool:
        import fcntl

        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o666)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        os.close(self._file)


def _lock(path: Path) -> "_KernelLock":
    try:
        import fcntl  # noqa: F401  # there is none on Windows
    except ImportError:
        from optuna.storages.journal import JournalFileOpenLock

        return JournalFileOpenLock(str(path))  # type: ignore[return-value]  # it has both methods
    return _KernelLock(path)


def mend(path: Path) -> None:
    """Cut off a last line that has no end."""
    with path.open("rb+") as file:
        end = size = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - TAIL)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            file.truncate(end)


@contextlib.contextmanager
def owned(path: Path) -> Iterator[None]:
    """The journal for this process alone, where nobody has asked for one to be shared.

    Raises:
        UsageError: Another process has it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    name = path.with_name(f"{path.name}.owner")
    with contextlib.ExitStack() as held:
        while True:
            file = held.enter_context(_opened(name))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(
                    f"another search runs here, on {path.name}; --storage FILE lets several share one"
                ) from None
            if name.exists() and name.stat().st_ino == os.fstat(file.fileno()).st_ino:
                break  # else its owner has removed it between the opening and the locking
        held.callback(name.unlink, missing_ok=True)
        yield


def _opened(path: Path) -> "IO[str]":
    try:
        return path.open("w")
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}; --storage names another file") from None


def remove(path: Path) -> None:
    """The journal and its lock."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
