"""What can be set of `train`, and what it measures."""

from dataclasses import dataclass

from babysit.check import setting
from babysit.measuring.split_sample import Ignorance
from babysit.measuring.treatments import Treated


@dataclass(frozen=True)
class Settings:
    """Settings of `train`."""

    steps: int = setting(
        300,
        "updates of the run; means over 20 of them then draw a curve of 15 points, and small networks are past their "
        "first steep fall. A run that goes well by then ends behind two thirds of them",
        least=1,
        option=True,
        measures=True,
    )
    epochs: int = setting(
        0,
        "passes through the training data, in place of `steps`; 0 to go by those. The loader is gone through once "
        "more, to count its batches",
        least=0,
        option=True,
        measures=True,
    )
    record: str = setting(
        "", "file for the record of the run, JSON lines, overwritten; none where empty", option=True, measures=True
    )
    treatment: bool = setting(
        True,
        "where the run comes to nothing, try from the same start what may cure it",
        option=True,
        measures=True,
    )
    treated: int = setting(
        100,
        "updates under one treatment; what cures a run shows in its first steep fall, a third of the run",
        least=10,
        measures=True,
    )
    examples: int = setting(
        512,
        "examples of each split that are looked at in evaluation mode, in whole batches, 24 at most; an accuracy is "
        "then known to 2 %, one standard error",
        least=2,
        measures=True,
    )
    explosion: float = setting(
        3.0,
        "multiple of the first loss (of what it costs to know nothing, if that is more) where the run is given up "
        "(CS231n, lecture 6: 'if cost > 3 * original cost, break')",
        above=1.0,
        measures=True,
    )
    sigmas: float = setting(
        3.0,
        "standard errors that noise explains; a normal variable is further off once in 370 times, and a curve of "
        "normal noise falls once in 100 times at most; one of heavier tails more often, which keeps findings back",
        above=0.0, measures=True,
    )  # fmt: skip
    little: float = setting(
        0.05,
        "share of the loss under which a fall has to show in the metric or on the validation split: a few examples "
        "learned by heart lower the training loss as much",
        above=0.0,
        most=1.0,
    )
    nothing: float = setting(
        0.01,
        "the same where neither metric nor validation split could show it: a hundredth is 'barely changing'",
        above=0.0,
        most=1.0,
    )
    trained: float = setting(
        0.1,
        "share of the loss by which the start lies below what it costs to know nothing, from where on the program is "
        "taken to start trained, and may stand still",
        above=0.0,
    )
    straight: float = setting(
        0.35,
        "share of the run behind which half of the fall has come, from where on it is no curve that levels out; a "
        "straight line has 0.5, and a decay that covers half of the way 0.42",
        above=0.0,
        most=1.0,
        measures=True,
    )
    covered: float = setting(
        0.5,
        "share of the loss that a fall in a straight line has to cover, or the run is too slow: another as long would "
        "still not do",
        above=0.0,
        most=1.0,
    )
    slow: float = setting(
        0.2,
        "share of the run before the first tenth of the fall, from where on the start is slow; a straight line has "
        "0.1, and curves that level out less",
        above=0.0,
        most=1.0,
        measures=True,
    )
    drop: float = setting(
        0.2,
        "share of the first loss that makes a fall a clear one, beyond noise in any case",
        above=0.0,
        most=1.0,
        measures=True,
    )
    warmed: float = setting(
        0.5,
        "power of the number of updates by which updates outgrow their gradients until the loss drops: 1 in a linear "
        "warm-up of the learning rate, 0 at a constant one",
        above=0.0,
    )
    flat: float = setting(
        0.1,
        "share of the loss that the second half of the run brings at most, noise included, where it is flat",
        above=0.0,
        most=1.0,
        measures=True,
    )
    high: float = setting(
        0.1,
        "share of what it costs to know nothing, above which a flat loss may be stuck",
        above=0.0,
        most=1.0,
        measures=True,
    )
    cured: float = setting(
        0.5,
        "share of the loss that must go within a fifth of the run at a tenth of the learning rate, from where on the "
        "rate was too high: more than all else that the network lacks. Noise of the updates, which is in proportion "
        "to the rate, then makes most of the loss",
        above=0.0,
        most=1.0,
    )
    drowned: float = setting(
        1.0,
        "spread of single losses, as a share of the whole fall, from where on noise hides it: no single loss then "
        "tells the end of the run from its start",
        above=0.0,
    )
    small_batch: int = setting(16, "examples up to which a batch is small, and its loss noisy for that", least=1)
    large_ratio: float = setting(
        0.1,
        "median of update over weights that earns a warning; the notes want about 1e-3, and small healthy networks "
        "under Adam reach 0.05",
        above=0.0,
        measures=True,
    )
    absurd_ratio: float = setting(
        0.5, "the same, for an error: half of the weights are new with each update", above=0.0
    )
    grown: float = setting(
        1000.0,
        "times its own norm at the start, for a weight matrix that began no smaller than others, for an error: weights "
        "drawn for their layer need not grow by more than a small factor, those drawn a hundred times too small, as "
        "normals of spread 0.001 are in layers of 100, not by more than that and a small factor",
        above=1.0,
    )
    small_ratio: float = setting(
        1e-6,
        "largest such median of all weight matrices that earns a warning; fine-tuning goes down to 1e-5, and at 1e-6 "
        "a weight needs a million updates to change",
        above=0.0,
    )
    tiny_ratio: float = setting(
        1e-7, "the same, for an error where the loss doesn't fall: the resolution of single precision", above=0.0
    )
    carried: float = setting(
        0.1,
        "share of the training split's gain over knowing nothing that has to show on the validation split in the "
        "second half of the run",
        above=0.0,
        most=1.0,
    )
    power: float = setting(
        4.0,
        "standard errors of the validation split that such a gain must amount to, so that it could not be missed there",
        above=0.0,
    )
    mixed: float = setting(
        0.5,
        "what it costs to know nothing on the validation part, as a share of that on the training part, under which it "
        "holds hardly more than one class, as the first examples of a split in order do, and tells little of the rest",
        above=0.0,
        most=1.0,
    )
    agree: float = setting(
        2.0, "standard errors by which the training metric has to bear out the gain in the loss", above=0.0
    )
    gap: float = setting(
        0.2,
        "training metric less validation metric that is a wide gap; the notes' picture of strong overfitting has more",
        above=0.0,
        most=1.0,
    )
    far: float = setting(0.9, "training metric under which a network without a gap could take more capacity",
        above=0.0, most=1.0,
    )  # fmt: skip
    disagree: float = setting(
        0.2,
        "share of what it costs to know nothing by which the loss falls below that, from where on the metric has to "
        "show it",
        above=0.0,
        most=1.0,
    )
    far_apart: float = setting(
        0.5,
        "the same, for an error: predictions that have half of the loss of knowing nothing and are right no more often "
        "are answers to another question",
        above=0.0,
        most=1.0,
    )
    even: float = setting(
        0.6,
        "accuracy of always answering the commonest class, above which accuracy is blind: a classifier can know much "
        "of rare classes and still never name one",
        above=0.0,
        most=1.0,
    )
    climb: float = setting(
        0.1, "rise of the accuracy, beside a loss that hardly moves, that is told; the lecture's goes from 0.1 to 0.2",
        above=0.0, most=1.0,
    )  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """The losses and metrics, in evaluation mode, on parts of both splits that are the same at every moment.

    Args:
        step: Updates made.
        loss: Of the training part.
        error: Its standard error, for what other examples would say.
        score: The task's metric there; NaN where there is none.
        val_loss: Of the validation part; NaN where there is no such split.
        val_error: Its standard error.
        val_score: The metric there.
    """

    step: int
    loss: float
    error: float
    score: float
    val_loss: float
    val_error: float
    val_score: float


@dataclass(frozen=True)
class Weights:
    """One parameter, in some updates; NaN in those that it had no part in.

    Args:
        name: Its name.
        axes: How many it has; a weight matrix has 2 or more.
        norms: Its norm ahead of the update.
        ratios: The norm of what the update moved, over that.
        gradients: The norm of the gradient that the update used.
    """

    name: str
    axes: int
    norms: tuple[float, ...]
    ratios: tuple[float, ...]
    gradients: tuple[float, ...]


@dataclass(frozen=True)
class Units:
    """One nonlinearity at the moments.

    Args:
        name: Its name.
        kind: Its kind.
        dead: Share of its units that were zero for every example traced.
        saturated: Share of its outputs that pass next to no gradient.
    """

    name: str
    kind: str
    dead: tuple[float, ...]
    saturated: tuple[float, ...]


@dataclass(frozen=True)
class Run:
    """What a run has shown.

    Args:
        losses: Before each update, in training mode; the mean over the batches that it took.
        moments: Looks at parts of both splits.
        weights: Every parameter, as it moved in some updates; none from a trainer that can't name them.
        weighed: These updates, counted from 1.
        units: The nonlinearities that can die or saturate; none from a trainer without a trace.
        calls: Batches stepped on.
        batches: Batches of one pass through the loader; 0 where none was completed.
        batch_size: Examples in the largest batch.
        slower: Losses of updates at a lower learning rate behind the run's end; empty where there were none.
        ended: Why it ended ahead of time; empty where it didn't.
    """

    losses: tuple[float, ...]
    moments: tuple[Moment, ...]
    weights: tuple[Weights, ...]
    weighed: tuple[int, ...]
    units: tuple[Units, ...]
    calls: int
    batches: int
    batch_size: int
    slower: tuple[float, ...]
    ended: str = ""


@dataclass(frozen=True)
class Moved:
    """One parameter at one update; fields as in `Weights`."""

    axes: int
    norm: float
    ratio: float
    gradient: float


@dataclass(frozen=True)
class Measurement:
    """A monitored run.

    Args:
        metric: Name of the task's metric.
        learning_rate: The user's.
        asked: Updates asked for; 0 where the budget was in epochs.
        run: What was seen.
        train: What is reached on the training part without knowing anything.
        val: The same on the validation part.
        treated: What was tried from the same start where the run came to nothing.
        explained: The certain finding of an earlier check that explains it, so that nothing was tried.
    """

    metric: str
    learning_rate: float
    asked: int
    run: Run
    train: Ignorance
    val: Ignorance
    treated: tuple[Treated, ...] = ()
    explained: str = ""
