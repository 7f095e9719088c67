"""What can be set of `check-loss`, and what it measures."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from babysit.check import setting
from babysit.measuring.losses import SAME


@dataclass(frozen=True)
class Settings:
    """Settings of `check-loss`."""

    examples: int = setting(
        512,
        "training examples evaluated, in 16 batches at most; more only where one batch is larger",
        least=2,
        option=True,
        measures=True,
    )
    score_bytes: int = setting(
        64 * 2**20,
        "bytes, in double precision, of a batch's scores whose spread is taken; where a batch has more, as those of "
        "language models have, so many positions are drawn: 167 of a vocabulary of 50,257, whose spread is then known "
        "to a thousandth",
        least=8,
        measures=True,
    )
    sigmas: float = setting(
        3.0, "standard errors of the mean loss that count as sampling noise; 3 leave 1 false alarm in 370", above=0.0
    )
    large_spread: float = setting(
        3.0,
        "spread of the scores that earns a warning, a variance of 9. He's initialization on standardized inputs gives "
        "2; a last layer of 16 inputs has twice that by luck (1 + 3 sqrt(2 / 16)), and correlated inputs twice again",
        above=0.0,
    )
    huge_spread: float = setting(
        4.5, "spread of the scores that is an error: ten times the variance of He's initialization", above=0.0
    )
    luck: float = setting(
        0.2,
        "share of the chance loss by which an untrained network may lie below it: its one random function may agree "
        "with the labels by accident, as far as its scores spread; the embedded network strays by 4 % over ten seeds",
        above=0.0,
        most=1.0,
    )
    stated: float = setting(
        0.1, "share of a stated chance loss that is let pass where the spread of the scores says nothing", above=0.0
    )
    summed: float = setting(
        0.05,
        "relative gap up to which two halves add up to the whole; the halves of a mean miss it by the whole itself",
        above=0.0,
        most=0.5,
    )
    steps: int = setting(
        20,
        "updates before a loss that ignores its inputs is called so; a head that starts at zero ignores them at first",
        measures=True,
    )
    resolution: float = setting(
        1e-6, "relative change of a loss that float32 can't tell from none (its epsilon is 1.2e-7)", above=0.0
    )


@dataclass(frozen=True)
class Measurement:
    """The first loss, and what surrounds it. Losses are without regularization.

    Args:
        task: Name of the task.
        metric: Name of its metric.
        examples: Examples behind the losses.
        training_loss: Mean loss in training mode.
        evaluation_loss: Mean loss in evaluation mode.
        standard_error: Of the training-mode loss, from the differences between batches.
        not_finite: Batches whose loss is not finite, of those evaluated.
        batches: Batches evaluated.
        finite_inputs: Whether all inputs are finite.
        finite_scores: Whether all scores are finite.
        chance: The legal first losses by reason.
        spread: Spread of the scores: of the logits about their mean, or of predictions in units of the targets' RMS.
        excess: What scores of this spread add to the chance loss when they know nothing.
        luck: What the scores' accidental agreement with the targets is worth, in loss; NaN where it can't be told.
        score: The metric before any learning; NaN where there is none.
        best_constant_score: The metric of the best constant prediction; NaN where there is none.
        reference_loss: The task's standard loss of these scores; NaN where there is none.
        probability_loss: The standard loss if the scores were probabilities; NaN where there is none.
        probabilities: Whether every row of scores is a probability distribution, or comes out of a sigmoid.
        whole_loss: Loss of one batch in evaluation mode.
        half_losses: Losses of its two halves.
        permuted_loss: Loss with the inputs moved against the targets.
        zeroed_loss: Loss with the inputs set to zero.
        paired_loss: Loss of the same examples as they are.
        steps: Updates made before these three; 0 where the loss depends on the inputs from the start.
        inputs_vary: Whether any input differs between examples.
        task_problem: What speaks against the stated task; empty if nothing does.
        own_loss: Whether the loss is none of the task's errors of these scores, standard or broadcast.
    """

    task: str
    metric: str
    examples: int
    training_loss: float
    evaluation_loss: float
    standard_error: float
    not_finite: int
    batches: int
    finite_inputs: bool
    finite_scores: bool
    chance: Mapping[str, float]
    spread: float
    excess: float
    luck: float
    score: float
    best_constant_score: float
    reference_loss: float
    probability_loss: float
    probabilities: bool
    whole_loss: float
    half_losses: tuple[float, float]
    permuted_loss: float
    zeroed_loss: float
    paired_loss: float
    steps: int
    inputs_vary: bool
    task_problem: str
    own_loss: bool


def judged_loss(measured: "Measurement") -> float:
    """The training-mode loss; that of evaluation mode where that is the pass from which the scores are."""
    of_evaluation = math.isclose(measured.reference_loss, measured.evaluation_loss, rel_tol=SAME)
    of_training = math.isclose(measured.reference_loss, measured.training_loss, rel_tol=SAME)
    return measured.evaluation_loss if of_evaluation and not of_training else measured.training_loss


def noise(measured: "Measurement", settings: "Settings") -> float:
    """What sampling explains; nothing where its error is unknown, since one example has none."""
    return settings.sigmas * measured.standard_error if math.isfinite(measured.standard_error) else 0.0


def agreement(measured: "Measurement", settings: "Settings", least: float) -> float:
    """How far below the chance loss an untrained network may lie by the accident of its one random function.

    As far as its scores spread, and a share of the chance loss at most; that share at once where the loss is the
    task's standard loss of these scores, since then nothing but luck or learning can have lowered it.
    """
    cap = settings.luck * abs(least)
    standard = math.isclose(judged_loss(measured), measured.reference_loss, rel_tol=SAME)
    return cap if standard or not math.isfinite(measured.spread) else min(measured.spread, cap)


def ignored(paired: float, permuted: float, zeroed: float, resolution: float) -> bool:
    """Whether neither moving the inputs against the targets nor zeroing them changes the loss."""
    if not math.isfinite(paired):
        return False
    limit = resolution * abs(paired)
    return abs(permuted - paired) <= limit and abs(zeroed - paired) <= limit
