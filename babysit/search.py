"""Runs a search: enters the trials of each stage, has workers make them, and draws the next stage from the results."""

import contextlib
import hashlib
import inspect
import json
import math
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from babysit import journal, stages
from babysit.checks.search import Measurement
from babysit.errors import Interrupted, TargetError, UsageError
from babysit.ranks import launched_together
from babysit.space import KINDS, OF_ANY_TRAINER, Parameter, read_space
from babysit.stages import COARSE, FINE, STAGES, Stage
from babysit.study import Board, hidden, is_gone, open_storage, quiet_optuna
from babysit.trials import GRADED, Trial
from babysit.values import unknown

if TYPE_CHECKING:
    from babysit.bench import Bench
    from babysit.checks.search import Settings
    from babysit.report import Exhibit
    from babysit.target import Factory, Source

FILE = "babysit-search.journal"
BELOW, ABOVE = (
    1e-3,
    1e2,
)  # of the program's own learning rate, where no range is said: what is too high is cheap to know
WITHOUT_EFFECT = ("workers", "storage", "heartbeat", "region", "chance", "noise")  # settings, on what is tried
TELLING = 20  # finished trials, from which importances are told: they look at the best tenth of them

Work = Callable[[], None]


def run(bench: "Bench", source: "Source", settings: "Settings") -> Measurement:
    """The search, or what is left of it where it was begun before.

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
        search = Search(bench, source, settings)
        with _storage_failures(search.place):
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
        raise Interrupted(f"interrupted: {kept}; the same command goes on from there", measured) from stop
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
    threading.excepthook = lambda failed: None  # noqa: ARG005  # a heart that fails: the search will, and say so
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
    """

    def __init__(self, bench: "Bench", source: "Source", settings: "Settings") -> None:
        self.bench, self.source, self.settings = bench, source, settings
        self.space = _space(bench, source.factory, settings)
        self.coarse = stages.coarse(self.space, settings, source.seed)
        self.ignorance = _ignorance(bench, source.factory, settings)
        place = settings.storage or FILE
        self.place = place if "://" in place else str(Path(source.folder, place))
        self.storage = open_storage(self.place, settings.heartbeat)
        self.name = _name(source, self.space, settings)
        self.higher = bool(bench.task.metric)
        self.boards = {stage: Board(self.storage, self.name, stage, higher=self.higher) for stage in STAGES}
        self._known = self.results()

    @property
    def planned(self) -> int:
        """Trials of all stages."""
        return len(self.coarse.entries) + self.settings.fine + self.settings.top * self.settings.seeds

    def results(self, *names: str) -> list[Trial]:
        """The trials of these stages, or of all."""
        return [trial for name in names or STAGES for trial in self.boards[name].results()]

    def stages(self) -> Iterator[Stage]:
        """Each stage, drawn from the results of those before it once they are there."""
        yield self.coarse
        yield stages.fine(self.space, self.results(COARSE), self.settings, self.source.seed, higher=self.higher)
        yield stages.again(self.results(COARSE, FINE), self.settings, self.source.seed, higher=self.higher)

    def do(self, stage: Stage, work: Work) -> None:
        """Have all of a stage's trials made."""
        board = self.boards[stage.name]
        board.reclaim(self._is_gone, lost=False)  # those of a command that has ended, however it did
        board.enter(stage)
        while len(board.results()) < len(stage.entries):
            work()
            board.reclaim(self._is_gone, lost=True)
            board.enter(stage)
            self.show()

    def _is_gone(self, worker: str) -> bool:
        """Whether a worker has ended; those of other machines share no journal."""
        return is_gone(worker, elsewhere="://" not in self.place)

    def show(self) -> None:
        """Let it be seen how far the search has come."""
        self.bench.advance(len(self.results()), self.planned)
        self.bench.show(self._live)

    def _live(self) -> Iterator["Exhibit"]:
        from babysit.search_exhibits import live

        return live(self.measured())

    @contextlib.contextmanager
    def workers(self) -> Iterator[Work]:
        """What makes trials: this process, where one is enough, or several others."""
        from babysit.crew import Crew
        from babysit.work import POLL, Job, Worker

        s = self.settings
        words = (self.source.factory.target, self.source.seed, str(self.source.folder), self.place, s.heartbeat)
        job = Job(*words, self.name, s.pruner, s.explosion, s.folds, self.higher)
        if s.workers == 1:
            worker = Worker(job, self.source.factory, self.storage, show=self.show)
            yield lambda: None if worker.make_one() else time.sleep(POLL)
            return
        with Crew(job, s.workers) as crew:

            def wait() -> None:
                time.sleep(POLL)
                crew.mend(len(self.results()))

            yield wait

    def measured(self) -> Measurement:
        """All that is known by now."""
        return Measurement(
            metric=self.bench.task.metric,
            constant_score=self.ignorance,
            sampler=self.settings.sampler,
            planned=self.planned,
            earlier=len(self._known),
            space=self.space,
            finer=self.boards[FINE].space(),
            trials=tuple(self.results()),
            importances=_importances(self.boards[COARSE]) if len(self.space) > 1 else {},
            storage=hidden(self.place),
        )

    def account(self) -> None:
        """Count what trials of this run took to the target, as wall-clock time."""
        made = [trial for trial in self.results() if trial not in self._known]
        self.bench.trainer.steps += sum(trial.steps for trial in made)
        self.bench.trainer.seconds += sum(trial.seconds for trial in made) / self.settings.workers

    def tidy(self) -> None:
        """Remove the journal that nobody has asked for, unless it holds another search."""
        import optuna

        if not self.settings.storage:
            others = [n for n in optuna.get_all_study_names(self.storage) if not n.startswith(self.name)]
            if not others:
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
            raise UsageError(str(unknown([*takes, *OF_ANY_TRAINER], parameter.name, complaint)))
        if settings.folds and parameter.name in ("fold", "folds"):
            raise UsageError(f"--param {parameter.name}: --folds {settings.folds} sets it")
    return space


def _ignorance(bench: "Bench", factory: "Factory", settings: "Settings") -> float:
    """The metric of the best constant prediction on the validation examples; NaN where there is none.

    Raises:
        UsageError: Folds are asked for that the factory can't make.
        TargetError: There is no validation split.
    """
    from babysit.parts import part_of

    takes = factory.keywords
    if settings.folds and takes is not None and not {"fold", "folds"} <= set(takes):
        raise UsageError(f"--folds {settings.folds}: {factory.name}() must take `fold` and `folds`, and doesn't")
    if settings.folds:
        return math.nan
    found = part_of(bench, "val", GRADED)
    if not found.batches:
        raise TargetError("batches('val') yielded no batch: a search is judged by examples that it did not train on")
    return found.ignorance.score


def _name(source: "Source", space: tuple[Parameter, ...], settings: "Settings") -> str:
    """The same for the same program, space and settings: who searches that goes on with it, and nobody else."""
    program = b""
    with contextlib.suppress(TypeError, OSError):  # not every callable has a file, nor has every file stayed
        program = Path(inspect.getfile(inspect.unwrap(source.factory.call))).read_bytes()
    kept = {name: value for name, value in asdict(settings).items() if name not in WITHOUT_EFFECT and name != "param"}
    said = json.dumps([[asdict(parameter) for parameter in space], kept, source.seed])
    digest = hashlib.sha256(program + said.encode()).hexdigest()[:12]
    return f"{source.factory.name} {digest}"


def _importances(board: Board) -> dict[str, float]:
    """Share of each hyperparameter in how the best differ from the rest (PED-ANOVA, Watanabe et al. 2023)."""
    import optuna

    if len(board.trials("COMPLETE")) < TELLING:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where all scores are alike, all parameters are; and that can be seen
        found = optuna.importance.get_param_importances(board.study)
    return found if all(map(math.isfinite, found.values())) else {}
