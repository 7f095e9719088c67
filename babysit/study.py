"""What a search has tried and has still to try, in a storage that any number of processes share.

Each stage is a study of Optuna's, each entry of the stage a trial that waits there until a worker takes it. Whoever
finds an entry without a trial that waits, runs or has a result adds one: entering is safe to do twice, and what a
worker that died has left is entered again.
"""

import contextlib
import os
import socket
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babysit.blame import shown
from babysit.errors import UsageError
from babysit.space import Parameter
from babysit.trials import Outcome, Trial

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from babysit.stages import Entry, Stage

GIVEN_UP = 3  # workers that may die of one entry before it counts as a trial that can't be made
UNSIGNED = 30.0  # seconds after which a trial that no worker has signed is taken for lost: signing takes milliseconds
CREATIONS = 10  # tries to make the tables and the study: on several machines, commands may begin at one moment
WAIT = 0.3  # seconds between two such tries


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
            from babysit.journal import open_journal

            return open_journal(Path(place))
        return _opened(place, heartbeat)
    except ImportError as error:
        raise UsageError(f"the storage {hidden(place)} needs a driver: pip install {error.name}") from None
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


def hidden(place: str) -> str:
    """The storage as it may be shown: a URL without its password."""
    scheme, separator, rest = place.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{host}" if separator else shown(place)


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

    @cached_property
    def study(self) -> "Study":
        """Optuna's; made where there is none yet."""
        import optuna

        for left in reversed(range(CREATIONS)):
            try:
                return optuna.create_study(
                    storage=self.storage,
                    study_name=self._name,
                    direction="maximize" if self._higher else "minimize",
                    load_if_exists=True,
                    pruner=self._pruner or optuna.pruners.NopPruner(),
                )
            except Exception:
                if not left:
                    raise
                time.sleep(WAIT)
        raise AssertionError

    def trials(self, *states: str) -> "list[FrozenTrial]":
        """All of Optuna's, or those in these states."""
        from optuna.trial import TrialState

        wanted = tuple(TrialState[state] for state in states) or None
        return self.study.get_trials(deepcopy=False, states=wanted)

    def enter(self, stage: "Stage") -> None:
        """Have every entry of the stage done: add a trial for each that has none waiting, running or with a result."""
        if "space" not in self.study.user_attrs:
            self.study.set_user_attr("space", [asdict(parameter) for parameter in stage.space])
        seen: dict[int, list[FrozenTrial]] = {}
        for trial in self.trials():
            seen.setdefault(trial.user_attrs.get("number", -1), []).append(trial)
        for entry in stage.entries:
            known = seen.get(entry.number, [])
            if any(not t.state.is_finished() or "result" in t.user_attrs for t in known):
                continue
            lost = sum(t.user_attrs.get("lost", False) or _is_stale(t) for t in known)
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

    def reclaim(self, is_dead: Callable[[str], bool], *, lost: bool) -> None:
        """Give up the trials whose worker is dead, so that they are entered again.

        Args:
            is_dead: Whether a worker is.
            lost: Whether that may be the trial's own doing: after `GIVEN_UP` times it is not made again.
        """
        import optuna

        with contextlib.suppress(NotImplementedError):
            optuna.storages.fail_stale_trials(self.study)
        for trial in self.trials("RUNNING"):
            worker = trial.user_attrs.get("worker")
            if is_dead(worker) if worker else _age(trial) > UNSIGNED:
                with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # another was faster
                    self.storage.set_trial_user_attr(trial._trial_id, "lost" if lost else "interrupted", True)
                    self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)


def _is_stale(trial: "FrozenTrial") -> bool:
    """Whether a database's heartbeat has ended it."""
    return trial.state.name == "FAIL" and "interrupted" not in trial.user_attrs and "result" not in trial.user_attrs


def _age(trial: "FrozenTrial") -> float:
    return (datetime.now() - trial.datetime_start).total_seconds() if trial.datetime_start else 0.0


def identity() -> str:
    """What names this process, so that others of its machine can tell whether it lives."""
    return f"{socket.gethostname()} {os.getpid()} {_began(os.getpid())}"


def is_gone(worker: str, *, elsewhere: bool) -> bool:
    """Whether a worker has ended; of those on other machines, what the caller knows of them."""
    host, pid, began = worker.rsplit(" ", 2)
    if host != socket.gethostname():
        return elsewhere
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
