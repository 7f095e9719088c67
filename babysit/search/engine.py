"""Runs a search: enters the trials of each stage, has workers make them, and draws the next stage from the results."""

import contextlib
import hashlib
import json
import math
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from babysit.driving.ranks import launched_together
from babysit.errors import Interrupted, TargetError, UsageError
from babysit.messages import unknown
from babysit.search import journal, stages
from babysit.search.addresses import hidden, located
from babysit.search.interrupts import Interrupts
from babysit.search.schema import Measurement
from babysit.search.space import KINDS, OF_ANY_TRAINER, Parameter, read_space
from babysit.search.stages import COARSE, FINE, SEEDS, STAGES, Stage
from babysit.search.storage import Board, is_gone, is_one_of, open_storage, quiet_optuna, unless_a_heart
from babysit.search.trials import GRADED, NO_VALIDATION, Trial

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.driving.target import Factory, Source
    from babysit.report import Exhibit
    from babysit.search.schema import Settings

FILE = "babysit-search.journal"
# Of the program's own learning rate, where no range is said: five decades, as wide as the lecture's first range of
# 1e-6 to 1e-1 would be; more of them below, since what is too high is known after a few steps.
BELOW, ABOVE = 1e-3, 1e2
TELLING = 20  # finished trials, from which importances are told: they look at the best tenth of them

Work = Callable[[], None]
Live: TypeAlias = "Callable[[Measurement], Iterator[Exhibit]]"


def run(bench: "Bench", source: "Source", settings: "Settings", live: Live) -> Measurement:
    """The search, or what is left of it where it was begun before.

    Args:
        bench: Of the trainer as the program has it.
        source: Where others like it come from.
        settings: Of the search.
        live: What there is to show while it runs, of what was measured so far.

    Raises:
        UsageError: The space doesn't fit the factory, or the storage can't be used.
        TargetError: There is no validation split, or workers can't be started.
        Interrupted: Ctrl-C; with what was measured.
    """
    if launched_together():
        raise UsageError("a search starts processes of its own (--workers); call it without a launcher")
    quiet_optuna()
    with contextlib.ExitStack() as held:
        if not settings.storage:
            held.enter_context(journal.owned(Path(source.folder, FILE)))
        search = Search(bench, source, settings, live)
        with _storage_failures(search.place), search.interrupts.put_off():
            return _done(search)


def _done(search: "Search") -> Measurement:
    """All stages, one after the other, and what they came to."""
    try:
        with search.workers() as work:
            for stage in search.stages():
                search.do(stage, work)
    except KeyboardInterrupt as stop:
        measured = replace(search.measured(), interrupted=True)
        kept = f"{len(measured.trials)} of {measured.planned} trials are kept in {measured.storage}"
        raise Interrupted(
            f"interrupted: {kept}; the same command goes on from there", measured if measured.trials else None
        ) from stop
    finally:
        search.account()
    measured = search.measured()
    search.tidy()
    return measured


@contextlib.contextmanager
def _storage_failures(place: str) -> Iterator[None]:
    """Say that it was the storage, where it fails after it was opened: the file is gone, or the database away."""
    import optuna
    import sqlalchemy

    shown = threading.excepthook
    threading.excepthook = unless_a_heart(shown)
    try:
        yield
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        first = str(error.__cause__ or error).strip().partition("\n")[0]
        raise TargetError(f"the storage {hidden(place)} failed: {first}; what is in it is kept") from error
    finally:
        threading.excepthook = shown


class Search:
    """A search that is shared by all who call it by its name.

    Args:
        bench: Of the trainer as the program has it.
        source: Where others like it come from.
        settings: Of the search.
        live: What there is to show while it runs, of what was measured so far.
    """

    def __init__(self, bench: "Bench", source: "Source", settings: "Settings", live: Live) -> None:
        self._show = live
        self.bench, self.source, self.settings = bench, source, settings
        self.space = _space(bench, source.factory, settings)
        self.coarse = stages.coarse(self.space, settings, source.seed)
        if settings.sampler == "grid" and settings.fine:
            stages.grid(self.space, settings.fine, "--fine")  # known now, and not after the coarse trials
        self.metric, self.constant_score = _judge(bench, source.factory, settings)
        self.examples = _examples_of_an_epoch(bench, source, settings)
        self.place = located(settings.storage or FILE, source.folder)
        self.storage = open_storage(self.place, settings.heartbeat)
        self.names = _names(source, self.space, settings)
        self.boards = {n: Board(self.storage, name, n, higher=self.higher) for n, name in self.names.items()}
        self.interrupts = Interrupts()
        self._known = self.results()
        self._dead: set[int] = set()

    @property
    def higher(self) -> bool:
        """Whether higher scores are better."""
        return bool(self.metric)

    @property
    def planned(self) -> int:
        """Trials of all stages, at most: a grid may have fewer, and so may the best that differ."""
        return len(self.coarse.entries) + self.settings.fine + self.settings.top * self.settings.seeds

    def results(self, *names: str) -> list[Trial]:
        """The trials of these stages, or of all; those asked for now, since there may be more."""
        s = self.settings
        asked = {COARSE: len(self.coarse.entries), FINE: s.fine, SEEDS: s.top * s.seeds}
        found = [trial for name in names or STAGES for trial in self.boards[name].results()]
        return [trial for trial in found if trial.number < asked[trial.stage]]

    def stages(self) -> Iterator[Stage]:
        """Each stage, drawn from the results of those before it once they are there."""
        yield self.coarse
        yield stages.fine(self.space, self.results(COARSE), self.settings, self.source.seed, higher=self.higher)
        yield stages.again(self.results(COARSE, FINE), self.settings, self.source.seed, higher=self.higher)

    def do(self, stage: Stage, work: Work) -> None:
        """Have all of a stage's trials made."""
        board = self.boards[stage.name]
        board.reclaim(self._is_gone)  # those of a command that has ended, however it did
        board.enter(stage, self.interrupts.check)
        while len(self.results(stage.name)) < len(stage.entries):
            work()
            board.reclaim(self._is_gone)
            board.enter(stage, self.interrupts.check)
            self.show()

    def _is_gone(self, worker: str) -> bool:
        """Whether a worker has ended: in a database, one of this command's; of others the heartbeat tells."""
        if "://" in self.place:
            return is_one_of(worker, self._dead)
        return is_gone(worker)

    def show(self) -> None:
        """Let it be seen how far the search has come."""
        self.bench.advance(len(self.results()), self.planned)
        self.bench.show(self._live)

    def _live(self) -> Iterator["Exhibit"]:
        return self._show(self.measured(importances=False))

    @contextlib.contextmanager
    def workers(self) -> Iterator[Work]:
        """What makes trials: this process, where one is enough, or several others."""
        from babysit.search.worker import Job, Worker, pause
        from babysit.search.worker_pool import Crew

        s = self.settings
        words = (self.source.factory.target, self.source.seed, str(self.source.folder), self.place, s.heartbeat)
        job = Job(*words, self.names, s.pruner, s.explosion, s.folds, self.examples, self.higher)

        def wait() -> None:
            with self.interrupts.heard():
                time.sleep(pause(self.place))

        if s.workers == 1:
            worker = Worker(job, self.source.factory, self.storage, show=self.show, interrupts=self.interrupts)
            yield lambda: None if worker.make_one() else wait()
            return
        crew = Crew(job, s.workers)

        def mended() -> None:
            wait()
            crew.mend(sum(board.ended for board in self.boards.values()))
            self._dead = crew.dead

        try:
            with crew:
                yield mended
        finally:
            for board in self.boards.values() if crew.killed else ():
                board.reclaim(lambda worker: is_one_of(worker, crew.killed), interrupted=True)

    def measured(self, *, importances: bool = True) -> Measurement:
        """All that is known by now."""
        trials = tuple(self.results())
        several = importances and len(self.space) > 1
        coarse = {trial.number for trial in trials if trial.stage == COARSE}
        return Measurement(
            metric=self.metric,
            constant_score=self.constant_score,
            sampler=self.settings.sampler,
            planned=self.planned,
            earlier=len(self._known),
            space=self.space,
            finer=self.boards[FINE].space() if self.settings.fine else (),
            trials=trials,
            importances=_importances(self.boards[COARSE], coarse, higher=self.higher) if several else {},
            storage=hidden(self.place),
        )

    def account(self) -> None:
        """Count what trials took that were made meanwhile to the target, as wall-clock time."""
        made = [trial for trial in self.results() if trial not in self._known]
        self.bench.trainer.steps += sum(trial.steps for trial in made)
        self.bench.trainer.seconds += sum(trial.seconds for trial in made) / self.settings.workers

    def tidy(self) -> None:
        """Remove the journal that nobody has asked for, unless it holds another search."""
        import optuna

        if not self.settings.storage:
            for board in self.boards.values():
                optuna.delete_study(study_name=board.study.study_name, storage=self.storage)
            if not optuna.get_all_study_names(self.storage):
                journal.remove(Path(self.place))


def _space(bench: "Bench", factory: "Factory", settings: "Settings") -> tuple[Parameter, ...]:
    """What was asked for, known to fit the factory; a range about the program's own learning rate where nothing was."""
    own = bench.trainer.learning_rate
    space = read_space(settings.param)
    if not space:
        if not own:
            raise UsageError(
                f"the learning rate is 0 at the start; say its range: --param learning_rate={KINDS['log']}"
            )
        space = (Parameter("learning_rate", "log", own * BELOW, own * ABOVE),)
    takes = factory.keywords
    for parameter in space:
        if takes is not None and parameter.name not in (*takes, *OF_ANY_TRAINER):
            complaint = f"--param {parameter.name}: {factory.name}() takes no"
            known = [name for name in dict.fromkeys((*takes, *OF_ANY_TRAINER)) if name not in ("fold", "folds")]
            raise UsageError(unknown(known, parameter.name, complaint))
        if settings.folds and parameter.name in ("fold", "folds"):
            raise UsageError(f"--param {parameter.name}: --folds {settings.folds} sets it")
    return space


def _judge(bench: "Bench", factory: "Factory", settings: "Settings") -> tuple[str, float]:
    """The metric that trials are judged by, "" for the loss, and what one prediction for all examples has of it.

    The loss, too, where the program gives no scores to grade. With folds, whose splits are each fold's own, what a
    constant prediction has is not known: NaN.

    Raises:
        UsageError: Folds are asked for that the factory can't make.
        TargetError: There is no validation split.
    """
    from babysit.measuring.split_sample import looked_at, part_of

    takes = factory.keywords
    if settings.folds and takes is not None and not {"fold", "folds"} <= set(takes):
        raise UsageError(f"--folds {settings.folds}: {factory.name}() must take `fold` and `folds`, and doesn't")
    found = part_of(bench, "train" if settings.folds else "val", GRADED)
    if not found.batches:
        raise TargetError(NO_VALIDATION)
    with bench.borrowed() as trainer:
        _, _, score = looked_at(trainer, bench.task, found)
    metric = bench.task.metric if math.isfinite(score) else ""
    known = found.ignorance.score if metric else found.ignorance.loss
    return metric, math.nan if settings.folds else known


def _examples_of_an_epoch(bench: "Bench", source: "Source", settings: "Settings") -> int:
    """How many examples a pass has, of the first of folds; 0 where no trial ends within one.

    Counted here once, since a trial that looked at its batches twice would draw others than one that did not.
    """
    from babysit import arrays
    from babysit.driving.guard import Driven

    if not (settings.coarse_epochs % 1 or settings.fine_epochs % 1):
        return 0
    if settings.folds:
        trainer = Driven(source.factory.build(source.seed, {"fold": 0, "folds": settings.folds}))
        return sum(arrays.count(batch) for batch in trainer.batches("train"))
    with bench.borrowed() as trainer:
        return sum(arrays.count(batch) for batch in trainer.batches("train"))


def _names(source: "Source", space: tuple[Parameter, ...], settings: "Settings") -> dict[str, str]:
    """A name for each stage: the same for the same program, space and settings, as far as they matter to the stage.

    Who searches that goes on with it, and nobody else; more coarse trials of a random search go on with fewer, and more
    seeds with all that came before them. Of the program, the file that the target names is seen, and no other.
    """
    asked = asdict(settings)
    kept = {name: asked[name] for name in ("sampler", "coarse_epochs", "pruner", "folds", "explosion")}
    if settings.sampler == "random":
        later = {"coarse": settings.coarse}
    else:
        kept, later = kept | {"coarse": settings.coarse}, {}
    said: list[object] = [version("babysit"), [asdict(parameter) for parameter in space], source.seed, kept]
    added = {
        COARSE: {},
        FINE: later | {"fine": settings.fine, "fine_epochs": settings.fine_epochs},
        SEEDS: {"top": settings.top},
    }
    names = {}
    for stage, more in added.items():
        said.append(more)
        digest = hashlib.sha256(source.factory.text + json.dumps(said).encode()).hexdigest()[:12]
        names[stage] = f"{source.factory.name} {digest}"
    return names


def _importances(board: Board, made: Collection[int], *, higher: bool) -> dict[str, float]:
    """Share of each hyperparameter in how the best differ from the rest (PED-ANOVA, Watanabe et al. 2023).

    Args:
        board: Of the coarse stage, which may hold more trials than were asked for now.
        made: Numbers of those that were.
        higher: Whether higher scores are better.
    """
    import optuna

    known = {t.user_attrs["number"]: t for t in board.trials("COMPLETE") if t.user_attrs["number"] in made}
    if len(known) < TELLING:
        return {}
    study = optuna.create_study(direction="maximize" if higher else "minimize")
    study.add_trials(known.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where all scores are alike, all parameters are; and that can be seen
        found = optuna.importance.get_param_importances(study)
    return found if all(map(math.isfinite, found.values())) else {}
