"""A worker of a search: it takes one waiting trial after the other, and writes what became of it.

`python -m babysit.search.worker` runs one as a process of its own, for `babysit search --workers N`: it reads its job
as a line of JSON from standard input, and works until that ends.
"""

import functools
import gc
import hashlib
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from babysit.errors import BabysitError
from babysit.messages import blame
from babysit.report import ExitCode
from babysit.search.addresses import hidden
from babysit.search.interrupts import Interrupts
from babysit.search.stages import SEEDS
from babysit.search.storage import Board, identity, open_storage, quiet_optuna, unless_a_heart
from babysit.search.trials import Course, Halted, Outcome, Training, mean_score, tried

if TYPE_CHECKING:
    from optuna import Trial as Asked
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

    from babysit.driving.target import Factory

LONG = 3.0  # seconds of a trial beside which those that a collection of garbage takes, some tenths, are little
AGAIN = 4  # exit code of a worker that another may take the place of; none of babysit's own
POLL = 0.1  # seconds between two looks for a trial that waits


@dataclass(frozen=True)
class Job:
    """What a worker has to know.

    Args:
        target: What the user named.
        seed: The run's.
        folder: Where the command was called.
        storage: Where the trials are.
        heartbeat: Seconds between two signs of life in a database.
        names: The search's, by stage.
        pruner: By name.
        explosion: Multiple of the first cost that ends a trial.
        folds: Of a cross-validation; 0 for none.
        examples: How many one epoch has; 0 where no trial ends within one.
        higher: Whether higher scores are better.
        number: The worker's, from 0.
    """

    target: str
    seed: int
    folder: str
    storage: str
    heartbeat: int
    names: dict[str, str]
    pruner: str
    explosion: float
    folds: int
    examples: int
    higher: bool
    number: int = 0


def pause(storage: str) -> float:
    """Seconds between two looks: a file is cheap to look at, a database is asked by many."""
    return POLL if "://" not in storage else 10 * POLL


class _Failed(Exception):  # noqa: N818  # Optuna's way to hear that a trial failed
    """The trial's program failed, and that is written down."""


class Worker:
    """Makes trials.

    Args:
        job: What there is to know.
        factory: The target's.
        storage: Where the trials are.
        show: Called after each epoch.
        halted: Whether to drop the trial that is being made, asked at each step.
        interrupts: Ctrl-C, heard where the program runs; elsewhere something is written.
    """

    def __init__(
        self,
        job: Job,
        factory: "Factory",
        storage: "BaseStorage",
        *,
        show: Callable[[], None] = lambda: None,
        halted: Halted = lambda: False,
        interrupts: Interrupts | None = None,
    ) -> None:
        self.job, self.factory, self.show = job, factory, show
        self.interrupts = interrupts or Interrupts()
        self.halted: Halted = lambda: halted() or self.interrupts.came
        self.taken = -1  # Optuna's id of the trial
        self.boards = [
            Board(storage, name, stage, pruner(job.pruner, stage), higher=job.higher)
            for stage, name in job.names.items()
        ]

    def make_one(self) -> bool:
        """Take a trial that waits, and make it; whether there was one."""
        import optuna

        board = next((board for board in self.boards if board.trials("WAITING")), None)
        if board is None:
            return False
        began = time.monotonic()
        try:
            board.study.optimize(functools.partial(self._made, board), n_trials=1, catch=(_Failed,))
        except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
            # What Optuna makes of a trial that ends twice: this worker was taken for dead, or another had it, too, as
            # SQLite gives a trial that waits to two at one moment.
            if not board.storage.get_trial(self.taken).state.is_finished():
                raise
        if time.monotonic() - began > LONG:
            gc.collect()  # a trainer that refers to itself would keep its memory, a device's even
        return True

    def _made(self, board: Board, asked: "Asked") -> float:
        """The trial's score; none where another took this worker for dead meanwhile, and the trial is another's now."""
        import optuna

        self.taken = asked._trial_id
        try:
            return self._written(board, asked)
        except optuna.exceptions.UpdateFinishedTrialError:
            raise optuna.TrialPruned from None

    def _written(self, board: Board, asked: "Asked") -> float:
        """The trial's score, once it is written what became of it."""
        import optuna

        entry = asked.user_attrs
        if "number" not in entry or _is_double(board, asked):  # another worker was faster, or enters what this one has
            raise optuna.TrialPruned
        board.sign(asked, identity())
        configuration = entry["configuration"]
        if configuration is None:
            board.study.sampler = proposer(self.job.seed, board.stage, entry["number"])
            configuration = {parameter.name: parameter.suggested(asked) for parameter in board.space()}
        job = self.job
        course = Course(entry["epochs"], job.examples, job.explosion, job.folds, by_loss=not job.higher)
        try:
            with self.interrupts.heard():
                found = tried(self.factory, configuration, entry["seed"], course, self._watch(asked), self.halted)
        except KeyboardInterrupt:
            asked.set_user_attr("interrupted", True)
            raise
        outcome, reason, trainings = found
        asked.set_user_attr("result", _result(outcome, reason, trainings, self.job.folds))
        self.show()
        if outcome is Outcome.CRASHED:
            raise _Failed
        if outcome is not Outcome.FINISHED:
            raise optuna.TrialPruned
        return mean_score(trainings)

    def _watch(self, asked: "Asked") -> Callable[[float], bool]:
        steps = 0

        def watch(score: float) -> bool:
            nonlocal steps
            steps += 1
            with self.interrupts.heard(really=False):
                asked.report(score, steps)
                self.show()
                return asked.should_prune()

        return watch


def _result(outcome: Outcome, reason: str, trainings: list[Training], folds: int) -> dict[str, Any]:
    """What is written down of a trial."""
    last = trainings[-1] if trainings else None
    scores = [t.scores[-1] for t in trainings if t.scores] if folds else (last.scores if last else [])
    return {
        "outcome": outcome,
        "reason": reason,
        "score": mean_score(trainings) if outcome is Outcome.FINISHED else math.nan,
        "first_cost": last.first if last else math.nan,
        "last_cost": last.last if last else math.nan,
        "scores": scores,
        "steps": sum(t.driven.steps for t in trainings),
        "seconds": sum(t.driven.seconds for t in trainings),
    }


def _is_double(board: Board, asked: "Asked") -> bool:
    """Whether an earlier trial of the same entry runs, or has run."""
    same = [t for t in board.trials() if t.user_attrs.get("number") == asked.user_attrs["number"]]
    return any(t.number < asked.number and (t.state.name == "RUNNING" or "result" in t.user_attrs) for t in same)


def proposer(seed: int, stage: str, number: int) -> "BaseSampler":
    """What proposes an entry's configuration; no two entries have one seed, or all workers would propose the same."""
    import optuna

    own = int.from_bytes(hashlib.sha256(f"{seed} {stage} {number}".encode()).digest()[:4], "big")
    return optuna.samplers.TPESampler(seed=own, constant_liar=True)


def pruner(name: str, stage: str) -> "BasePruner":
    """What ends trials that lag behind; none with other seeds, which are to show what a configuration reaches."""
    import optuna

    if stage == SEEDS:
        return optuna.pruners.NopPruner()
    if name == "median":
        return optuna.pruners.MedianPruner()
    return optuna.pruners.SuccessiveHalvingPruner() if name == "halving" else optuna.pruners.NopPruner()


def main() -> int:
    """Work until standard input ends, which it does when the command has, however it did."""
    from babysit.driving.target import imported

    job = Job(**json.loads(sys.stdin.readline()))
    os.chdir(job.folder)
    quiet_optuna()
    over = threading.Event()
    threading.Thread(target=_set_at_the_end, args=(over,), daemon=True).start()
    threading.excepthook = unless_a_heart(threading.excepthook)
    try:
        storage = open_storage(job.storage, job.heartbeat)
        worker = Worker(job, imported(job.target, job.seed), storage, halted=over.is_set)
        while not over.is_set():
            if not worker.make_one():
                over.wait(pause(job.storage))
    except KeyboardInterrupt:
        pass
    except BabysitError as error:
        sys.stderr.write(f"babysit: worker {job.number}: {error}\n")
        return error.exit_code
    except Exception as error:  # noqa: BLE001  # the edge of this process: a storage that is gone, most likely
        sys.stderr.write(f"babysit: worker {job.number}: {hidden(job.storage)}: {blame(error, ours=True)}\n")
        return AGAIN
    return ExitCode.OK


def _set_at_the_end(over: threading.Event) -> None:
    """Set the event once the command has let go of this worker's standard input."""
    sys.stdin.read()
    over.set()


if __name__ == "__main__":
    sys.exit(main())
