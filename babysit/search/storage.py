"""What a search has tried and has still to try, in a storage that any number of processes share.

Each stage is a study of Optuna's, each entry of the stage a trial that waits there until a worker takes it. Whoever
finds an entry without a trial that waits, runs or has a result adds one: entering is safe to do twice, and what a
worker that died has left is entered again.
"""

import contextlib
import os
import socket
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babysit.errors import UsageError
from babysit.messages import shown
from babysit.search.addresses import hidden
from babysit.search.space import Parameter
from babysit.search.trials import Outcome, Trial

if TYPE_CHECKING:
    from optuna import Study
    from optuna import Trial as Asked
    from optuna.pruners import BasePruner
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from babysit.search.stages import Entry, Stage

GIVEN_UP = 3  # workers that may die of one entry before it counts as a trial that can't be made
UNSIGNED = 30.0  # seconds after which a trial that no worker has signed is taken for lost: signing takes milliseconds
CREATIONS = 10  # tries to make a database's tables: on several machines, commands may begin at one moment
WAIT = 0.3  # seconds between two such tries
# Packages by the module that is missing, where they have another name.
DRIVERS = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}


Hook = Callable[[threading.ExceptHookArgs], object]


def quiet_optuna() -> None:
    """Let Optuna say what goes wrong, but neither its progress nor that a part of it is young."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


def open_storage(place: str, heartbeat: int) -> "BaseStorage":
    """A journal's path, or a database's URL, as something to share.

    Args:
        place: Where it is.
        heartbeat: Seconds between two signs of life that a trial in a database gives.

    Raises:
        UsageError: It can't be opened.
    """
    try:
        if "://" not in place:
            from babysit.search.journal import open_journal

            return open_journal(Path(place))
        return _opened(place, heartbeat)
    except ImportError as error:
        cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
        package = DRIVERS.get(cause.name or "", cause.name)
        raise UsageError(f"the storage {hidden(place)} needs a driver: pip install '{package}'") from None
    except OSError as error:
        raise UsageError(f"{shown(place)} can't be written: {error.strerror}; --storage names another file") from None
    except Exception as error:  # noqa: BLE001  # each database has errors of its own
        first = str(error).strip().partition("\n")[0]
        raise UsageError(f"the storage {hidden(place)} can't be opened: {first or type(error).__name__}") from None


def _opened(url: str, heartbeat: int) -> "BaseStorage":
    import optuna

    for left in reversed(range(CREATIONS)):
        try:
            return optuna.storages.RDBStorage(url, heartbeat_interval=heartbeat, grace_period=2 * heartbeat)
        except (ImportError, ValueError):
            raise
        except Exception:  # another command makes the same tables at this moment, or the database is away
            if not left:
                raise
            time.sleep(WAIT)
    raise AssertionError


class Board:
    """One stage of a search, in the storage.

    Args:
        storage: Where it is.
        name: The search's; the same for all who share it.
        stage: The stage's.
        pruner: What ends trials that lag behind; None for one who only enters and reads.
        higher: Whether higher scores are better.
    """

    def __init__(
        self, storage: "BaseStorage", name: str, stage: str, pruner: "BasePruner | None" = None, *, higher: bool
    ) -> None:
        self.storage, self.stage, self._higher, self._pruner = storage, stage, higher, pruner
        self._name = f"{name} {stage}"
        self._unsigned: dict[int, float] = {}

    @cached_property
    def study(self) -> "Study":
        """Optuna's; made where there is none yet."""
        import optuna

        return optuna.create_study(
            storage=self.storage,
            study_name=self._name,
            direction="maximize" if self._higher else "minimize",
            load_if_exists=True,
            pruner=self._pruner or optuna.pruners.NopPruner(),
        )

    def trials(self, *states: str) -> "list[FrozenTrial]":
        """All of Optuna's, or those in these states."""
        from optuna.trial import TrialState

        wanted = tuple(TrialState[state] for state in states) or None
        return self.study.get_trials(deepcopy=False, states=wanted)

    def enter(self, stage: "Stage", between: Callable[[], object] = lambda: None) -> None:
        """Have every entry of the stage done: add a trial for each that has none waiting, running or with a result.

        Args:
            stage: The stage.
            between: Called ahead of each; it may raise, and what was entered stays.
        """
        if "space" not in self.study.user_attrs:
            self.study.set_user_attr("space", [asdict(parameter) for parameter in stage.space])
        seen: dict[int, list[FrozenTrial]] = {}
        for trial in self.trials():
            seen.setdefault(trial.user_attrs.get("number", -1), []).append(trial)
        for entry in stage.entries:
            known = seen.get(entry.number, [])
            if any(not t.state.is_finished() or "result" in t.user_attrs for t in known):
                continue
            lost = sum(t.state.name == "FAIL" and "interrupted" not in t.user_attrs for t in known)
            between()
            self._add(entry, stage, lost)

    def _add(self, entry: "Entry", stage: "Stage", lost: int) -> None:
        import optuna

        attributes: dict[str, Any] = asdict(entry)
        space = {p.name: p.distribution() for p in stage.space if entry.configuration is not None}
        state = optuna.trial.TrialState.WAITING
        if lost >= GIVEN_UP:
            state = optuna.trial.TrialState.FAIL
            reason = f"its worker died, {lost} times: out of memory, or killed?"
            attributes["result"] = {"outcome": Outcome.LOST, "reason": reason}
        values = {name: entry.configuration[name] for name in space} if entry.configuration is not None else {}
        trial = optuna.create_trial(state=state, params=values, distributions=space, user_attrs=attributes)
        self.study.add_trial(trial)

    @property
    def ended(self) -> int:
        """Trials that are over, however they ended."""
        return len(self.trials("COMPLETE", "PRUNED", "FAIL"))

    def space(self) -> tuple[Parameter, ...]:
        """What the stage's configurations are drawn from."""
        stored = self.study.user_attrs.get("space", [])
        return tuple(Parameter(**{**one, "choices": tuple(one["choices"])}) for one in stored)

    def results(self) -> list[Trial]:
        """The trials with a result, by their number in the stage."""
        found: dict[int, Trial] = {}
        for trial in self.trials("COMPLETE", "PRUNED", "FAIL"):
            if "result" in trial.user_attrs:
                found.setdefault(trial.user_attrs["number"], self._result(trial))
        return [found[number] for number in sorted(found)]

    def _result(self, trial: "FrozenTrial") -> Trial:
        said, result = trial.user_attrs, dict(trial.user_attrs["result"])
        outcome, scores = Outcome(result.pop("outcome")), tuple(result.pop("scores", ()))
        configuration = said["configuration"] if said["configuration"] is not None else dict(trial.params)
        return Trial(
            self.stage, said["number"], configuration, said["seed"], said["epochs"], outcome, scores=scores, **result
        )

    def sign(self, trial: "Asked", worker: str) -> None:
        """Say who makes a trial, and that it lives: the storage's own first sign of life comes when it comes."""
        import optuna

        if isinstance(self.storage, optuna.storages.RDBStorage):
            self.storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr("worker", worker)

    def reclaim(self, is_dead: Callable[[str], bool], *, interrupted: bool = False) -> None:
        """Give up the trials whose worker is dead, so that they are entered again.

        Args:
            is_dead: Whether a worker is.
            interrupted: Whether it was made to, which says nothing against the trial.
        """
        import optuna

        optuna.storages.fail_stale_trials(self.study)
        running = self.trials("RUNNING")
        self._unsigned = {n: t for n, t in self._unsigned.items() if n in {trial.number for trial in running}}
        for trial in running:
            worker = trial.user_attrs.get("worker")
            if is_dead(worker) if worker else self._unsigned_for(trial) > UNSIGNED:
                with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # another was faster
                    if interrupted:
                        self.storage.set_trial_user_attr(trial._trial_id, "interrupted", True)
                    self.storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState.FAIL)

    def _unsigned_for(self, trial: "FrozenTrial") -> float:
        """Seconds for which a trial was seen to run without a worker's name, by this process's own clock."""
        now = time.monotonic()
        return now - self._unsigned.setdefault(trial.number, now)


def unless_a_heart(hook: Hook) -> Hook:
    """A hook for exceptions of threads that leaves out the storage's: the work will fail of it, too, and say so."""
    import optuna
    import sqlalchemy

    def filtered(failed: threading.ExceptHookArgs) -> None:
        if not issubclass(failed.exc_type, sqlalchemy.exc.SQLAlchemyError | optuna.exceptions.StorageInternalError):
            hook(failed)

    return filtered


def identity() -> str:
    """What names this process, so that others of its machine can tell whether it lives."""
    return f"{socket.gethostname()} {os.getpid()} {_began(os.getpid())}"


def is_one_of(worker: str, processes: set[int]) -> bool:
    """Whether a worker is one of these processes of this machine."""
    host, pid, _ = worker.rsplit(" ", 2)
    return host == socket.gethostname() and int(pid) in processes


def is_gone(worker: str) -> bool:
    """Whether a worker of this machine has ended; one of another name did with it, as containers do."""
    host, pid, began = worker.rsplit(" ", 2)
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _began(int(pid)) != began


def _began(pid: int) -> str:
    """When a process began, in ticks since the machine did: a number may be given to another process later."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:  # not every system has it
        return "0"
