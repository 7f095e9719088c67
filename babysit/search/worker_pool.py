"""The workers of a search as processes of their own: replaced where one dies, and ended when the command ends."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from types import TracebackType
from typing import IO

from babysit.errors import TargetError
from babysit.report import ExitCode
from babysit.search.worker import Job

PATIENCE = 10.0  # seconds that workers have to end the steps that they are in, before they are killed
RESTARTS = 3  # of each worker that may follow on one another without a trial that ends: as often as one is given up
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Crew:
    """So many workers on one job.

    Args:
        job: What they work at.
        count: How many.

    Attributes:
        dead: Numbers of the processes that were replaced.
        killed: Of those that did not end in time.
    """

    def __init__(self, job: Job, count: int) -> None:
        self._jobs = [replace(job, number=number) for number in range(count)]
        self._workers: list[subprocess.Popen[str]] = []
        self.dead: set[int] = set()
        self.killed: set[int] = set()
        self._restarts = 0
        self._made = 0

    def __enter__(self) -> "Crew":
        self._workers = [_started(job, len(self._jobs)) for job in self._jobs]
        return self

    def mend(self, made: int) -> None:
        """Replace the workers that have died.

        Args:
            made: Trials that have ended by now, however they did.

        Raises:
            TargetError: One can't be started, or they die without making anything.
        """
        if made > self._made:
            self._made, self._restarts = made, 0
        for number, worker in enumerate(self._workers):
            code = worker.poll()
            if code is None:
                continue
            if code in (ExitCode.USAGE, ExitCode.TARGET):
                raise TargetError(f"worker {number} could not go on, for the reason above")
            self._restarts += 1
            if self._restarts > RESTARTS * len(self._workers):
                raise TargetError(f"workers die one after the other without making a trial; the last: {_death(code)}")
            _stdin(worker).close()
            self.dead.add(worker.pid)
            self._workers[number] = _started(self._jobs[number], len(self._jobs))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self._workers:
            _stdin(worker).close()  # a worker ends with its standard input
        end = time.monotonic() + PATIENCE
        for worker in self._workers:
            try:
                worker.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
                self.killed.add(worker.pid)


def _started(job: Job, count: int) -> "subprocess.Popen[str]":
    threads = str(max(1, (os.cpu_count() or 1) // count))  # or all would wait for one another's
    try:
        worker = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "babysit.search.worker",
            ],  # no file of the working folder in place of a package
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is the command's to hear
            env=dict.fromkeys(THREADS, threads) | os.environ,
        )
    except OSError as error:
        raise TargetError(f"worker {job.number} can't be started: {error.strerror}") from error
    try:
        _stdin(worker).write(json.dumps(asdict(job)) + "\n")
        _stdin(worker).flush()
    except BrokenPipeError:
        pass  # it is dead already, and will be replaced
    return worker


def _stdin(worker: "subprocess.Popen[str]") -> IO[str]:
    assert worker.stdin  # a pipe, as asked for
    return worker.stdin


def _death(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
