"""What can be set of `check-reg`, and what it measures."""

from collections.abc import Mapping
from dataclasses import dataclass

from babysit.check import setting


@dataclass(frozen=True)
class Settings:
    """Settings of `check-reg`."""

    examples: int = setting(
        256, "training examples evaluated at each strength, a usual batch at most", least=1, measures=True
    )
    steps: int = setting(5, "updates without regularization before the steps that are compared", least=1, measures=True)
    top: float = setting(
        1000.0, "the largest multiple of the program's own strength that is tried", above=10.0, measures=True
    )
    pull: float = setting(
        0.5,
        "how far regularization alone moves the weights towards zero in one step, in lengths of the step that the data "
        "alone makes, from where it dominates; half of that is enough where the penalty is most of the loss as well, "
        "since Adam takes every step equally long: decay that drowns the data reaches 0.8 there, less in small layers",
        above=0.0,
    )
    learning: int = setting(
        50, "updates with regularization, and without, whose gains are compared", least=1, measures=True
    )
    left: float = setting(
        0.1,
        "share of what those without gain that is left with it, under which it dominates: dropout of a half and usual "
        "decay leave more than half",
        above=0.0,
        most=1.0,
    )
    gained: float = setting(
        0.2, "share of the first loss that must be gained without for that, so that noise is none", above=0.0, most=1.0
    )
    away: float = setting(
        0.1,
        "cosine by which regularization may point away from zero; a penalty of the right sign points there, or to the "
        "side of it where an optimizer scales each parameter by itself",
        above=0.0,
        most=1.0,
    )
    barely: float = setting(
        0.1,
        "relative change of a step with regularization, under which it is not tried what updates gain without: dropout "
        "at a rate p changes a step by about (p / (1 - p))^0.5, a third at a tenth",
        above=0.0,
        measures=True,
    )
    share: float = setting(
        0.5, "share of the first loss that is the penalty, from where it is most of the loss", above=0.0, most=1.0
    )
    resolution: float = setting(
        1e-6, "relative change that float32 can't tell from none (its epsilon is 1.2e-7)", above=0.0
    )


@dataclass(frozen=True)
class Measurement:
    """Losses over a ladder of strengths, and steps with and without regularization.

    Args:
        examples: Examples behind the losses.
        strengths: What the program states, by name; empty if the trainer doesn't tell.
        scales: Multiples of the program's own strength, ascending from 0.
        data_losses: Data loss in evaluation mode at each scale.
        penalties: Penalty at each scale.
        training_loss: Data loss in training mode at scale 1.
        dropout_change: Relative change of the training-mode data loss from scale 0 to 1.
        pull: Move towards zero that regularization adds to one step, over the length of the step without it; NaN
            where parameters can't be named.
        step_change: Relative change of a step from scale 1 to the largest; NaN where parameters can't be named.
        own_change: Relative change of a step from scale 0 to 1; NaN where parameters can't be named.
        gain: By how much updates lower the loss in evaluation mode; NaN where regularization hardly changes them.
        free_gain: The same with all regularization off.
        direction: Cosine between what ten times the strength adds to a step and the way to zero; NaN where unknown.
    """

    examples: int
    strengths: Mapping[str, float]
    scales: tuple[float, ...]
    data_losses: tuple[float, ...]
    penalties: tuple[float, ...]
    training_loss: float
    dropout_change: float
    pull: float
    step_change: float
    own_change: float
    direction: float
    gain: float
    free_gain: float

    @property
    def share(self) -> float:
        """The penalty's share of the first training loss, at the program's own strength."""
        penalty, loss = self.penalties[1], self.training_loss
        return penalty / (abs(loss) + penalty) if penalty > 0 else 0.0

    @property
    def rise(self) -> float:
        """What the total loss gains from off to the largest scale."""
        return self.totals[-1] - self.totals[0]

    @property
    def totals(self) -> tuple[float, ...]:
        """Data loss plus penalty at each scale; a program may have its penalty in either."""
        return tuple(loss + penalty for loss, penalty in zip(self.data_losses, self.penalties, strict=True))


def has_effect(measured: Measurement, settings: Settings) -> bool:
    """Whether scaling changes the penalty, the step or the noise of training; what is not finite did change."""
    small = settings.resolution
    return not (
        abs(measured.rise) <= small * max(abs(measured.data_losses[0]), small)
        and not measured.step_change > small
        and not measured.own_change > small
        and measured.dropout_change <= small
    )
