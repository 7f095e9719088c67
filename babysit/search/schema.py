"""What can be set of `search`, and what it measures."""

from dataclasses import dataclass

from babysit.check import setting
from babysit.search.addresses import hidden
from babysit.search.space import Parameter
from babysit.search.trials import Trial

SAMPLERS = ("random", "grid", "quasi-random", "tpe")

PRUNERS = ("none", "median", "halving")


@dataclass(frozen=True)
class Settings:
    """Settings of `search`."""

    param: tuple[str, ...] = setting(
        (),
        "a hyperparameter with its range, of kind log, uniform, int, log-int or choice, such as "
        "learning_rate=log:1e-6:1e-1 or activation=choice:relu,tanh; any keyword of the factory, and learning_rate and "
        "regularization_scale of any trainer; by default the learning rate about the program's own",
        option=True,
        measures=True,
    )
    sampler: str = setting("random", "random, grid, quasi-random or tpe", option=True, measures=True)
    coarse: int = setting(
        30,
        "trials of the whole space; of 30, one lies in its best tenth with a chance of 96 %",
        least=1,
        option=True,
        measures=True,
    )
    coarse_epochs: float = setting(
        1.0,
        "passes through the training data of each; the course notes: an epoch or less",
        above=0.0,
        option=True,
        measures=True,
    )
    fine: int = setting(15, "trials of the range about the best", least=0, option=True, measures=True)
    fine_epochs: float = setting(5.0, "passes of each; the course notes: five", above=0.0, option=True, measures=True)
    top: int = setting(3, "best trials that are run again with other seeds", least=2, measures=True)
    seeds: int = setting(2, "other seeds that they are run with; 0 for none", least=0, option=True, measures=True)
    pruner: str = setting(
        "none", "none, median or halving: what ends trials that lag behind", option=True, measures=True
    )
    folds: int = setting(
        0,
        "folds of a cross-validation, where the factory takes `fold` and `folds`; 0 for its own validation split, as "
        "the course notes advise",
        least=0,
        option=True,
        measures=True,
    )
    explosion: float = setting(
        3.0, "multiple of the first cost that ends a trial (CS231n, lecture 6)", above=1.0, measures=True
    )
    workers: int = setting(1, "processes that make trials on this machine", least=1, option=True, measures=True)
    storage: str = setting(
        "",
        "where trials are kept, so that others can join in and the same command goes on: a file on one machine, or "
        "the URL of a database for several, such as postgresql+psycopg://user@host/name; where nothing is said, a file "
        "in the working folder, for as long as the search lasts",
        option=True,
        measures=True,
        shown=hidden,
    )
    heartbeat: int = setting(
        15,
        "seconds between two signs of life that a trial in a database gives; after twice as many it is taken for dead",
        least=1,
        measures=True,
    )
    region: float = setting(
        0.1, "share of the space, its best part, that one trial should have fallen into", least=1e-3, most=1.0
    )
    chance: float = setting(
        0.9,
        "with this chance; 1 - (1 - region)^n for n random trials, however many the hyperparameters are (Bergstra and "
        "Bengio 2012), so that it takes 22",
        above=0.0,
        most=0.999,
    )
    noise: float = setting(
        2.0,
        "standard errors, of the difference between two means over seeds, that tell one configuration from another: 1 "
        "chance in 20; more where few seeds tell what the error is (Student's t)",
        above=0.0,
    )

    def __post_init__(self) -> None:
        """Hold the words against those that are known.

        Raises:
            ValueError: One is not.
        """
        for name, known in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        if self.folds == 1:
            raise ValueError("folds must be 0, for none, or 2 and more")


@dataclass(frozen=True)
class Measurement:
    """What was tried.

    Args:
        metric: What trials are judged by: the task's metric, or "" for the loss, where the task has none.
        constant_score: The metric of the best prediction that is the same for all validation examples; NaN where there
            is none.
        sampler: What drew the configurations.
        planned: Trials that the search makes when it is not interrupted.
        earlier: Trials that an earlier run of the same search had made.
        space: What was asked for.
        finer: The range about the best of it; empty where the search did not come so far.
        trials: Of all stages, in the order of the lists that they were drawn as.
        importances: Share of each hyperparameter in how the coarse trials' scores differ; empty where that can't be
            told.
        storage: Where the trials are kept.
        interrupted: Whether Ctrl-C ended the search before all were made.
    """

    metric: str
    constant_score: float
    sampler: str
    planned: int
    earlier: int
    space: tuple[Parameter, ...]
    finer: tuple[Parameter, ...]
    trials: tuple[Trial, ...]
    importances: dict[str, float]
    storage: str
    interrupted: bool = False
