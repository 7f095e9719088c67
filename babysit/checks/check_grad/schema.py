"""What can be set of `check-grad`, and what it measures."""

from dataclasses import dataclass

from babysit.check import setting
from babysit.checks.check_grad.slopes import WRONG, Slope, Slopes

DOUBLE = 1e-11  # relative rounding of the loss, below which it is made in double precision


@dataclass(frozen=True)
class Settings:
    """Settings of `check-grad`."""

    examples: int = setting(
        16, "training examples whose loss is differentiated, a usual batch at most: few, so that few kinks are near "
        "(CS231n notes 3, 'use only few datapoints'), and enough for batch normalization",
        least=1, option=True, measures=True,
    )  # fmt: skip
    burn_in: int = setting(
        50, "updates made before, since at initialization special structure may hide an error (CS231n notes 3, "
        "'characteristic mode of operation'); as many as check-activations makes, so that they are made once",
        least=0, option=True, measures=True,
    )  # fmt: skip
    entries: int = setting(
        4, "entries of each parameter that are moved alone, beside all of them together: those with the largest "
        "gradient, and in double precision as many anywhere", least=0, option=True, measures=True,
    )  # fmt: skip
    lines: int = setting(
        60, "slopes compared in all: beyond, parameters get fewer entries, then none but all of them together, and at "
        "last as many parameters are looked at, evenly spaced; each costs two evaluations where it agrees",
        least=1, measures=True,
    )  # fmt: skip
    updates: int = setting(5, "updates whose gradients are compared with those before", least=2, measures=True)
    wrong: float = setting(
        WRONG, "relative error |a - n| / max(|a|, |n|) above which a gradient is probably wrong (CS231n notes 3)",
        above=0.0, most=2.0,
    )  # fmt: skip
    uncomfortable: float = setting(
        1e-4, "relative error that is too much in double precision, away from kinks (CS231n notes 3: 'should make you "
        "feel uncomfortable')", above=0.0, most=2.0,
    )  # fmt: skip
    margin: float = setting(
        10.0, "times its own numeric error by which a difference must disagree with the gradient; on networks whose "
        "gradients are right it disagrees by up to 1", above=0.0,
    )  # fmt: skip
    alike: float = setting(
        0.005, "how nearly all of the gradient before an update must use beside its own, for it not to be cleared: a "
        "sum has it within rounding, a momentum of 0.99 kept in the gradient has 0.99 of it",
        above=0.0, most=1.0,
    )  # fmt: skip
    unexplained: float = setting(
        0.1, "share of an update's gradient that neither its own batch nor earlier ones explain, up to which it is "
        "judged: by hand, a sum of gradients leaves 1e-15, in single precision 1e-6", above=0.0, most=1.0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Hold the two limits against each other.

        Raises:
            ValueError: A gradient would be wrong before it is uncomfortable.
        """
        if self.uncomfortable > self.wrong:
            raise ValueError(f"uncomfortable ({self.uncomfortable:g}) must be at most wrong ({self.wrong:g})")


@dataclass(frozen=True)
class Unreached:
    """A parameter that got no gradient of the data loss, whenever it was looked at.

    Args:
        parameter: Its name.
        absent: Whether it had none at all; else it had zeros.
        moves: Slopes of the data loss along moves at random, the steepest of each time.
    """

    parameter: str
    absent: bool
    moves: tuple[Slope, ...]


@dataclass(frozen=True)
class Update:
    """The gradient that an update used, as a combination of the one that was due and the one before.

    Args:
        own: How much of it is the gradient of the update's own batches, summed up where it takes several.
        earlier: How much of it is the gradient that the update before used.
        doubt: By how much the latter may be off.
        rest: Share of its length that neither explains.
    """

    own: float
    earlier: float
    doubt: float
    rest: float


@dataclass(frozen=True)
class UsedGradients:
    """The gradients of some updates, and what a step leaves behind.

    Args:
        updates: Of the second update on.
        left: How much of the first step's gradient was left in the next one taken at the same place; NaN if unknown.
        left_rest: Share of what was left that this does not explain.
    """

    updates: tuple[Update, ...]
    left: float
    left_rest: float


@dataclass(frozen=True)
class Measurement:
    """Slopes by the gradient and by differences, and the gradients of some updates.

    Args:
        examples: Examples behind the loss.
        steps: Updates made before; 0 where the loss was no longer finite behind them.
        scale: Scale of the regularization: 0 where dropout could not be held still.
        loss: The data loss there.
        epsilon: Its relative rounding.
        slopes: Of every parameter that gets a gradient.
        unreached: Parameters that get none.
        parameters: How many there are.
        not_finite: Parameters whose gradient is not finite.
        used: The gradients that some updates used.
    """

    examples: int
    steps: int
    scale: float
    loss: float
    epsilon: float
    slopes: tuple[Slopes, ...]
    unreached: tuple[Unreached, ...]
    parameters: int
    not_finite: tuple[str, ...]
    used: UsedGradients


def limit(measured: Measurement, settings: Settings) -> float:
    """The relative error to mention: in single precision, what the notes call uncomfortable may be rounding."""
    return settings.uncomfortable if measured.epsilon < DOUBLE else settings.wrong
