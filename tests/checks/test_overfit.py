import math
from dataclasses import replace

import faults
import numpy as np
import pytest
from faults import SEEDS, findings, judged_whatever_the_numbers, lecture, measured, rate_of, verdict

from babysit import attempts
from babysit.attempts import Aim, aim_for
from babysit.check import find_checks
from babysit.checks.overfit import Attempt, Measurement, Outcome, Settings
from babysit.errors import Skip, TargetError
from babysit.lab.losses import softmax_loss
from babysit.report import Fact
from babysit.task import ChanceLoss, Classification, Hinge, Regression
from babysit.treatments import ADVICE, PLAIN, REDRAWN, STANDARDIZED, Treated

NAME = "overfit"
OWN = Attempt(0.1, Outcome.MEMORIZED, (2.3, 1.0, 0.01), 1.0)
CURE = Attempt(0.01, Outcome.MEMORIZED, (2.3, 0.5, 0.02, 0.01), 1.0)
HIGHER_CURE = replace(CURE, learning_rate=1.0)
FAILED = Attempt(0.01, Outcome.STALLED, (2.3, 2.2), 0.3)
HEALTHY = Measurement(
    metric="accuracy",
    examples=20,
    constant_loss=2.0,
    aim=0.04,
    attempts=(OWN,),
    treated=(),
    frozen=(),
    frozen_share=0.0,
    parameters=4,
    variation=3.0,
    least_score=-5.0,
    largest_score=5.0,
    least_target=math.nan,
    largest_target=math.nan,
)
CANNOT = ("cannot-overfit", "error")
DIVERGES = ("overfit-diverges", "error")
TOO_SLOW = ("overfit-too-slow", "error")
RATHER_SLOW = ("overfit-too-slow", "warning")
FROZEN = ("frozen-parameters", "error")
SLOW_BUT_SURE = ("overfit-too-slow", "info")
SOME_FROZEN = ("frozen-parameters", "warning")
CONSTANT = ("constant-predictions", "error")
FLOOR = ("floor-above-zero", "error")
RANGE = ("output-range", "error")

TRAINERS = [
    (faults.broadcast, {CANNOT, CONSTANT}),
    (faults.wrong_sign, {DIVERGES}),
    (rate_of(100.0, "sgd"), {DIVERGES}),
    (rate_of(1e6, "sgd"), {DIVERGES}),
    (rate_of(0.1, "sgd"), {RATHER_SLOW}),
    (faults.frozen_head, {FROZEN, TOO_SLOW}),
    (faults.frozen_bias, {SOME_FROZEN}),
    (faults.sigmoid_twice, {FLOOR}),
    (faults.healthy, set()),
    (faults.momentum, set()),
    (faults.hinge, set()),
    (faults.batch_norm_and_dropout, set()),
    (faults.zero_head, set()),
    (faults.dropout_before_zero_head, set()),
    (faults.label_smoothing, set()),
    (faults.probabilities_and_their_loss, set()),
    (faults.sure_sigmoid, set()),
    (faults.prior_bias, set()),
    (faults.one_batch, set()),
    (faults.exclusive_or, set()),
    (faults.noise_floor, set()),
    (faults.targets_far_from_zero, set()),
    (faults.column_of_targets, set()),
    (faults.shares_of_one, set()),
    (faults.softmax_regression, set()),
    (faults.summed_loss, set()),
    (faults.global_noise, set()),
    (faults.pretrained, set()),
    (faults.first_steps_skipped, set()),
]
HOPELESS = [
    (faults.mean_over_batch, {CANNOT, CONSTANT}),
    (faults.zero_weights, {CANNOT, CONSTANT, FROZEN}),
    (faults.step_does_nothing, {CANNOT}),
    (rate_of(1e-6), {TOO_SLOW}),
    (rate_of(1e-6, "sgd"), {TOO_SLOW}),
    (rate_of(0.003, "sgd"), {TOO_SLOW}),
    (faults.sigmoid_regression, {CANNOT, CONSTANT, RANGE}),
    (faults.tanh_regression, {CANNOT, RANGE}),
]
SOONER = {"window": 20, "steps": 250}  # gives up sooner than by default, with the same verdict


def judged(**changes):
    check = find_checks()[NAME]
    return {(f.rule, str(f.severity)) for f in check.judge(replace(HEALTHY, **changes), Settings())}


def attempt(outcome, losses=(2.3, 2.2), score=0.3):
    return Attempt(0.1, outcome, losses, score)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("make", "expected"), TRAINERS, ids=lambda value: getattr(value, "__name__", ""))
def test_verdict(make, expected, seed):
    assert verdict(NAME, make(seed)) == expected


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("make", "expected"), HOPELESS, ids=lambda value: getattr(value, "__name__", ""))
def test_verdict_on_the_hopeless(make, expected, seed):
    assert verdict(NAME, make(seed), **SOONER) == expected


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("make", "rule"), [(faults.softmax_twice, FLOOR), (faults.relu_regression, RANGE)])
def test_the_cause_is_among_the_findings(make, rule, seed):
    assert rule in verdict(NAME, make(seed), **SOONER)


@pytest.mark.parametrize("make", [faults.scores_transposed, faults.too_many_scores])
def test_scores_of_the_wrong_shape_are_no_crash_of_babysit(make):
    try:
        verdict(NAME, make(0))
    except (Skip, TargetError):
        return


def test_a_negative_chance_loss_is_skipped():
    with pytest.raises(Skip) as skipped:
        measured(NAME, faults.negative_loss(0))
    assert str(skipped.value) == "the chance loss is -9, so there is no floor to hold the loss against"


def test_a_rate_of_zero_is_skipped():
    with pytest.raises(Skip) as skipped:
        measured(NAME, faults.rate_of_zero(0))
    assert str(skipped.value) == "the learning rate is 0 at the start (a warm-up?), so nothing can be memorized"


# The lecture's numbers


@pytest.mark.parametrize("seed", SEEDS)
def test_twenty_examples_are_memorized(seed):
    measurement, settings = measured(NAME, lecture(seed, sizes=(50, 50, 10)))
    assert measurement.examples == 20
    assert measurement.own.outcome is Outcome.MEMORIZED
    assert measurement.own.losses[0] == pytest.approx(math.log(10), abs=0.01)
    assert measurement.own.losses[-1] <= settings.memorized * measurement.constant_loss
    assert measurement.own.score == 1.0


@pytest.mark.parametrize("seed", SEEDS)
def test_more_steps_bring_the_loss_to_zero(seed):
    measurement, _ = measured(NAME, lecture(seed, sizes=(50, 50, 10)), memorized=1e-3, steps=2000)
    assert measurement.own.losses[-1] < 2.5e-3
    assert measurement.own.score == 1.0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hinge_is_memorized_too(seed):
    measurement, _ = measured(NAME, lecture(seed, loss="hinge", task=Hinge(10)))
    assert measurement.own.outcome is Outcome.MEMORIZED
    assert measurement.own.score == 1.0


def test_regularization_is_off():
    assert verdict(NAME, faults.demo(0, l2=10.0)) == set()


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_at_random_are_memorized(seed):
    made = lecture(seed, sizes=(50, 50, 10))
    inputs, labels = made.splits["train"]
    made.splits["train"] = inputs, np.random.default_rng(seed).permutation(labels)
    assert verdict(NAME, made) == set()


def test_fewer_examples_for_a_network_of_few_parameters():
    assert measured(NAME, faults.noise_floor(0))[0].examples == 4


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_of_zero_are_cured_by_fresh_ones(seed):
    found = findings(NAME, faults.zero_weights(seed), **SOONER)
    told = {f.rule: (f.message, f.suggestion) for f in found}["cannot-overfit"]
    assert " With weights drawn anew for their nonlinearities it reaches " in told[0]
    assert told[1] == ADVICE[REDRAWN]


@pytest.mark.parametrize("seed", SEEDS)
def test_raw_pixels_are_cured_by_standardized_inputs(seed):
    made = faults.demo(seed, rate=0.3, optimizer="momentum")
    inputs, labels = made.splits["train"]
    made.splits["train"] = 255 * inputs, labels
    measurement, _ = measured(NAME, made)
    assert measurement.own.outcome not in (Outcome.MEMORIZED, Outcome.AT_FLOOR)
    assert [t.cured for t in measurement.treated if t.treatment == STANDARDIZED] == [True]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_that_does_nothing_is_cured_by_plain_gradients(seed):
    (found,) = findings(NAME, faults.step_does_nothing(seed), **SOONER)
    assert " With plain gradients instead of the program's own update it reaches " in found.message
    assert found.suggestion == ADVICE[PLAIN]


def test_a_mean_over_the_batch_is_cured_by_nothing():
    measurement, _ = measured(NAME, faults.mean_over_batch(0), **SOONER)
    assert {t.treatment for t in measurement.treated} >= {REDRAWN, PLAIN}
    assert not any(t.cured for t in measurement.treated)
    assert measurement.cures == ()


def test_nothing_is_tried_where_all_goes_well():
    measurement, _ = measured(NAME, faults.healthy(0))
    assert len(measurement.attempts) == 1
    assert measurement.treated == ()


def shifted_by_one(scores, labels):
    """The loss asks for the class behind the label's."""
    return softmax_loss(scores, (labels + 1) % 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_loss_alone_memorizes(seed):
    made = faults.demo(seed)
    made.network.loss = shifted_by_one
    measurement, settings = measured(NAME, made)
    assert measurement.own.outcome is Outcome.BY_LOSS_ALONE
    assert measurement.own.score == 0
    assert len(measurement.own.losses) % settings.window == 0
    assert max(measurement.own.losses[-2 * settings.window :]) <= measurement.aim
    assert (measurement.treated, len(measurement.attempts)) == ((), 1)  # no other rate can help
    assert verdict(NAME, made) == {CANNOT}


def test_the_cure_is_named():
    (found,) = findings(NAME, rate_of(100.0, "sgd")(0))
    assert 0.05 < found.evidence["works_at"] <= 10
    assert found.suggestion == f"Lower the learning rate to {found.evidence['works_at']:.3g}."


def test_nothing_else_is_tried_where_that_is_not_wanted():
    measurement, _ = measured(NAME, rate_of(100.0, "sgd")(0), treatment=False)
    assert len(measurement.attempts) == 1
    assert measurement.treated == ()
    (found,) = findings(NAME, rate_of(100.0, "sgd")(0), treatment=False)
    assert found.suggestion == "Check the gradient against a numeric one; look at the size of the first update."


# What counts as memorized


def test_the_aim_without_uncertainty():
    """A share of what the best constant prediction costs: ten classes, each as often."""
    batch = np.arange(40.0).reshape(20, 2), np.arange(20) % 10
    assert aim_for(Classification(10), batch, 0.02) == Aim(
        pytest.approx(math.log(10)), pytest.approx(0.02 * math.log(10)), pytest.approx(0.98), pytest.approx(0.55)
    )


def test_the_aim_of_targets_that_leave_something():
    """Half of the examples are a toss: ln 2 / 2 is left, and a quarter is wrong."""
    inputs = np.arange(8.0)[:, None]
    targets = np.array([[0.5, 0.5]] * 4 + [[1.0, 0.0]] * 2 + [[0.0, 1.0]] * 2)
    least, constant = math.log(2) / 2, math.log(2)
    assert aim_for(Classification(2), (inputs, targets), 0.02) == Aim(
        pytest.approx(constant),
        pytest.approx(least + 0.02 * (constant - least)),
        pytest.approx(0.98 * 0.75),
        pytest.approx((0.5 + 0.75) / 2),
    )


def test_the_aim_of_a_regression():
    batch = np.arange(4.0)[:, None], np.array([1.0, 3.0, 5.0, 7.0])
    assert aim_for(Regression(), batch, 0.02) == Aim(*map(pytest.approx, (5.0, 0.1, 0.98, 0.5)))


def test_the_aim_of_what_is_stated():
    aim = aim_for(ChanceLoss(4.0), (np.ones((4, 1)), {"a": np.arange(4)}), 0.02)
    assert (aim.constant, aim.loss, aim.score) == (4.0, pytest.approx(0.08), pytest.approx(0.98))
    assert math.isnan(aim.half)


def test_targets_that_are_all_the_same_are_held_against_chance():
    assert aim_for(Classification(4), (np.arange(3.0)[:, None], np.zeros(3, int)), 0.02).constant == math.log(4)


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_inputs_with_other_labels_are_nothing_to_memorize(seed):
    with pytest.raises(Skip) as skipped:
        measured(NAME, faults.same_inputs(seed))
    assert str(skipped.value) == "equal inputs have different targets in these examples: there is nothing to memorize"


@pytest.mark.parametrize(
    ("losses", "score", "expected"),
    [
        ((2.0, 0.041), 1.0, None),
        ((2.0, 0.04), 1.0, Outcome.MEMORIZED),
        ((2.0, 0.04), 0.98, Outcome.MEMORIZED),
        ((2.0, 0.04), 0.979, None),
        ((2.0, 0.04), math.nan, Outcome.MEMORIZED),
        ((2.0, math.nan), 1.0, Outcome.DIVERGED),
        ((2.0, math.inf), 1.0, Outcome.DIVERGED),
        ((0.04,) * 29, 0.1, None),  # not yet three windows
        ((0.04,) * 30, 0.1, Outcome.BY_LOSS_ALONE),
        ((0.04,) * 30, 0.549, Outcome.BY_LOSS_ALONE),
        ((0.04,) * 30, 0.55, None),  # half of the way to all right
        ((2.0,) * 10 + (0.04,) * 20, 0.1, Outcome.BY_LOSS_ALONE),
        ((2.0,) * 11 + (0.04,) * 19, 0.1, None),
        ((6.1,) * 5, 0.1, None),  # as high as it began
        ((2.0,) + (6.1,) * 5, 0.1, Outcome.DIVERGED),
        ((2.0,) + (6.1,) * 4, 0.1, None),
        ((2.0,) + (6.0,) * 5, 0.1, None),
        ((2.0,) * 40, 0.1, Outcome.STALLED),
        ((2.0,) * 30, 0.1, None),
        ((2.0,) * 10 + (1.99,) * 30, 0.1, Outcome.STALLED),
        ((2.0,) * 10 + (1.97,) * 30, 0.1, None),
        ((2.0,) * 10 + (1.99,) * 30, 1.0, Outcome.AT_FLOOR),
        ((2.0,) * 40, 1.0, Outcome.STALLED),  # as high as the best constant
    ],
)
def test_what_an_attempt_has_come_to(losses, score, expected):
    aim = Aim(constant=2.0, loss=0.04, score=0.98, half=0.55)
    assert attempts._outcome(list(losses), score, aim, Settings(window=10)) is expected


# Rules on plain numbers


def test_healthy_numbers():
    assert judged() == set()


STANDARD = Treated(STANDARDIZED, True, 0.0123, 40)
BY_PLAIN = Treated(PLAIN, True, 0.02, 9)
IN_VAIN = Treated(REDRAWN, False, 2.2, 50)
STALLED = attempt(Outcome.STALLED)
UNFINISHED = attempt(Outcome.UNFINISHED)
ON_ITS_WAY = attempt(Outcome.UNFINISHED, (2.3, 0.99))


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ((attempt(Outcome.AT_FLOOR, (2.3, 0.5), 1.0),), set()),
        ((attempt(Outcome.DIVERGED),), {DIVERGES}),
        ((attempt(Outcome.DIVERGED, (2.3, math.nan)), CURE), {DIVERGES}),
        ((STALLED,), {CANNOT}),
        ((STALLED, CURE), {CANNOT}),
        ((STALLED, FAILED), {CANNOT}),
        ((STALLED, HIGHER_CURE), {TOO_SLOW}),
        ((attempt(Outcome.STALLED, (2.3, 1.01)), HIGHER_CURE), {TOO_SLOW}),
        ((attempt(Outcome.STALLED, (2.3, 0.99)), HIGHER_CURE), {RATHER_SLOW}),
        ((attempt(Outcome.STALLED, (2.3, 0.99)),), {CANNOT}),
        ((UNFINISHED,), {CANNOT}),
        ((ON_ITS_WAY,), {RATHER_SLOW}),
        ((attempt(Outcome.UNFINISHED, (2.3, 1.01)),), {CANNOT}),
        ((ON_ITS_WAY, CURE), {CANNOT}),
        ((attempt(Outcome.UNFINISHED, (2.3, 1.0)),), {CANNOT}),  # half of the way is not enough
        ((attempt(Outcome.STALLED, (2.3, 1.0)), HIGHER_CURE), {RATHER_SLOW}),
        ((attempt(Outcome.UNFINISHED, (2.3, 0.201)),), {RATHER_SLOW}),
        ((attempt(Outcome.UNFINISHED, (2.3, 0.2)),), {RATHER_SLOW}),
        ((attempt(Outcome.UNFINISHED, (2.3, 0.199)),), {SLOW_BUT_SURE}),
        ((attempt(Outcome.STALLED, (2.3, 0.199)), HIGHER_CURE), {SLOW_BUT_SURE}),
        ((attempt(Outcome.STALLED, (2.3, 0.199)),), {CANNOT}),
        ((attempt(Outcome.UNFINISHED, (2.3, math.nan)),), {CANNOT}),
        ((attempt(Outcome.BY_LOSS_ALONE, (2.3, 0.01)),), {CANNOT}),
        ((attempt(Outcome.BY_LOSS_ALONE, (2.3, 0.01), math.nan),), {CANNOT}),
    ],
)
def test_outcomes(attempts, expected):
    assert judged(attempts=attempts) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"frozen": ("W",), "frozen_share": 0.099}, {SOME_FROZEN}),
        ({"frozen": ("W",), "frozen_share": 0.1}, {FROZEN}),
        ({"frozen": ("W",), "frozen_share": 0.01, "attempts": (STALLED,)}, {FROZEN, CANNOT}),
        ({"frozen": ("a", "b", "c", "d"), "frozen_share": 1.0}, set()),
        ({"frozen": (), "parameters": 0}, set()),
        ({"variation": 0.0}, set()),
        ({"variation": 0.0099, "attempts": (STALLED,)}, {CANNOT, CONSTANT}),
        ({"variation": 0.0101, "attempts": (STALLED,)}, {CANNOT}),
        ({"variation": math.nan, "attempts": (STALLED,)}, {CANNOT}),
        ({"variation": 0.0, "attempts": (STALLED, HIGHER_CURE)}, {TOO_SLOW}),
    ],
)
def test_frozen_and_constant(changes, expected):
    assert judged(**changes) == expected


@pytest.mark.parametrize(
    ("least", "largest", "outcome", "expected"),
    [
        (0.0, 1.0, Outcome.AT_FLOOR, {FLOOR}),
        (0.0, 1.0, Outcome.STALLED, {CANNOT, FLOOR}),
        (0.0, 1.0, Outcome.MEMORIZED, set()),
        (0.0, 1.0, Outcome.DIVERGED, {DIVERGES}),
        (0.05, 0.951, Outcome.AT_FLOOR, {FLOOR}),
        (0.05, 0.949, Outcome.AT_FLOOR, set()),
        (-1.0, 1.0, Outcome.AT_FLOOR, {FLOOR}),
        (-0.9, 0.89, Outcome.AT_FLOOR, set()),
        (-1.01, 1.0, Outcome.AT_FLOOR, set()),
        (0.0, 1.01, Outcome.AT_FLOOR, set()),
        (0.0, math.inf, Outcome.AT_FLOOR, set()),
        (math.nan, math.nan, Outcome.AT_FLOOR, set()),
    ],
)
def test_floor_above_zero(least, largest, outcome, expected):
    assert judged(least_score=least, largest_score=largest, attempts=(attempt(outcome),)) == expected


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ((STALLED, HIGHER_CURE), {TOO_SLOW}),  # another rate memorizes, so there is no floor
        ((ON_ITS_WAY,), {RATHER_SLOW}),  # the loss has not stopped
    ],
)
def test_scores_between_minus_one_and_one_by_accident_are_no_floor(attempts, expected):
    assert judged(least_score=-0.95, largest_score=0.93, attempts=attempts) == expected


@pytest.mark.parametrize(
    ("scores", "targets", "expected"),
    [
        ((0.0, 1.0), (-10.0, 10.0), {CANNOT, RANGE}),
        ((0.0, 0.95), (0.0, 1.02), {CANNOT, RANGE}),
        ((0.0, 0.95), (0.0, 1.01), {CANNOT}),
        ((0.0, 0.89), (0.0, 10.0), {CANNOT}),
        ((-1.0, 0.5), (-3.0, 0.5), {CANNOT, RANGE}),
        ((-1.0, 0.95), (-1.0, 3.0), {CANNOT, RANGE}),
        ((0.0, 7.0), (-5.0, 5.0), {CANNOT, RANGE}),
        ((0.0, 7.0), (0.0, 50.0), {CANNOT}),
        ((0.01, 7.0), (-5.0, 5.0), {CANNOT}),
        ((-3.0, 7.0), (-50.0, 50.0), {CANNOT}),
        ((math.nan, math.nan), (-50.0, 50.0), {CANNOT}),
    ],
)
def test_output_range(scores, targets, expected):
    found = judged(
        metric="R²",
        attempts=(STALLED,),
        least_score=scores[0],
        largest_score=scores[1],
        least_target=targets[0],
        largest_target=targets[1],
    )
    assert found == expected


def test_targets_out_of_range_do_not_matter_once_memorized():
    assert judged(metric="R²", least_score=0.0, largest_score=1.0, least_target=0.0, largest_target=10.0) == set()


def test_any_number_can_be_judged():
    failed = replace(HEALTHY, attempts=(STALLED, FAILED))
    for where, wrong, found in judged_whatever_the_numbers(NAME, failed, Settings()):
        assert "cannot-overfit" in found, (where, wrong)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"attempts": (attempt(Outcome.DIVERGED, (2.3, 50.0, math.nan)), CURE)},
            "20 examples, learning rate 0.1: the loss goes from 2.3 to nan in 3 steps, accuracy 0.30. From the same "
            "start it memorizes at 0.01 in 4 steps.",
        ),
        (
            {"attempts": (attempt(Outcome.DIVERGED, (2.3, 50.0, math.inf)), FAILED)},
            "20 examples, learning rate 0.1: the loss goes from 2.3 to inf in 3 steps, accuracy 0.30. "
            "It does not memorize at 0.01 either.",
        ),
        (
            {"attempts": (STALLED, HIGHER_CURE)},
            "20 examples, learning rate 0.1: the loss goes from 2.3 to 2.2 in 2 steps, accuracy 0.30, too slow to "
            "memorize them. From the same start it memorizes at 1 in 4 steps.",
        ),
        (
            {"attempts": (attempt(Outcome.STALLED, score=math.nan), FAILED, replace(FAILED, learning_rate=1.0))},
            "20 examples, learning rate 0.1: the loss goes from 2.3 to 2.2 in 2 steps; the best constant prediction "
            "has 2. It does not memorize at 0.01, 1 either.",
        ),
        (
            {"attempts": (STALLED, CURE)},
            "20 examples, learning rate 0.1: the loss goes from 2.3 to 2.2 in 2 steps, accuracy 0.30; the best "
            "constant prediction has 2. From the same start it memorizes at 0.01 in 4 steps.",
        ),
        (
            {"attempts": (attempt(Outcome.BY_LOSS_ALONE, (2.3, 0.01), 0.25),)},
            "20 examples, learning rate 0.1: the loss goes from 2.3 to 0.01 in 2 steps, accuracy 0.25: what the loss "
            "asks for is not what the targets say.",
        ),
        (
            {"attempts": (STALLED,), "treated": (STANDARD, IN_VAIN)},
            "20 examples, learning rate 0.1: the loss goes from 2.3 to 2.2 in 2 steps, accuracy 0.30; the best "
            "constant prediction has 2. With standardized inputs it reaches 0.012 in 40 steps.",
        ),
        (
            {"attempts": (STALLED, FAILED), "treated": (IN_VAIN,)},
            "20 examples, learning rate 0.1: the loss goes from 2.3 to 2.2 in 2 steps, accuracy 0.30; the best "
            "constant prediction has 2. It does not memorize at 0.01 either. Tried in vain: weights drawn anew for "
            "their nonlinearities.",
        ),
        (
            {"attempts": (STALLED, HIGHER_CURE), "treated": (BY_PLAIN,)},
            "20 examples, learning rate 0.1: the loss goes from 2.3 to 2.2 in 2 steps, accuracy 0.30, too slow to "
            "memorize them. From the same start it memorizes at 1 in 4 steps. With plain gradients instead of the "
            "program's own update it reaches 0.02 in 9 steps.",
        ),
        (
            {"attempts": (ON_ITS_WAY, FAILED), "treated": (IN_VAIN,)},
            "20 examples, learning rate 0.1: the loss goes from 2.3 to 0.99 in 2 steps, accuracy 0.30, too slow to "
            "memorize them. Tried in vain: weights drawn anew for their nonlinearities.",
        ),
        (
            {"frozen": ("a", "b", "c", "d", "e"), "parameters": 8, "frozen_share": 0.25},
            "5 of 8 parameters, 25% of all values, never moved in 3 steps: a, b, c, d ....",
        ),
        (
            {"attempts": (attempt(Outcome.AT_FLOOR, (2.3, 1.46)),), "least_score": 0.001, "largest_score": 0.999},
            "the loss of 20 examples stops at 1.46, with scores between 0.001 and 0.999: squashed into [0, 1].",
        ),
    ],
)
def test_messages(changes, message):
    found = find_checks()[NAME].judge(replace(HEALTHY, **changes), Settings())
    assert [f.message for f in found] == [message]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"variation": 0.001},
            "after 2 steps on 20 examples the predictions vary by 0.001 in their scores.",
        ),
        (
            {"variation": 0.001, "metric": "R²"},
            "after 2 steps on 20 examples the predictions vary by 0.001 spreads of the targets.",
        ),
        (
            {"metric": "R²", "least_score": 0, "largest_score": 0.99, "least_target": 3.0, "largest_target": 100.0},
            "targets go from 3 to 100, predictions only from 0 to 0.99: they seem held in [0, 1].",
        ),
    ],
)
def test_messages_beside_that_of_failure(changes, message):
    found = find_checks()[NAME].judge(replace(HEALTHY, attempts=(STALLED,), **changes), Settings())
    assert [f.message for f in found[1:]] == [message]


LOOK = "Look for parameters without gradient, a missing nonlinearity, or a wrong loss."


@pytest.mark.parametrize(
    ("others", "treated", "suggestion"),
    [
        ((), (), LOOK),
        ((FAILED,), (IN_VAIN,), LOOK),
        ((), (IN_VAIN, STANDARD, BY_PLAIN), ADVICE[STANDARDIZED]),
        ((), (BY_PLAIN,), ADVICE[PLAIN]),
        ((CURE,), (), "Lower the learning rate to 0.01."),
        ((CURE,), (STANDARD,), ADVICE[STANDARDIZED]),
        ((CURE,), (BY_PLAIN,), "Lower the learning rate to 0.01."),  # a rate near by: the update is as it should be
        ((replace(CURE, learning_rate=0.001),), (BY_PLAIN,), "Lower the learning rate to 0.001."),
        ((replace(CURE, learning_rate=0.00099),), (BY_PLAIN,), ADVICE[PLAIN]),
        ((replace(CURE, learning_rate=0.00099),), (), "Lower the learning rate to 0.00099."),
    ],
)
def test_the_remedy_is_what_cured_it(others, treated, suggestion):
    measurement = replace(HEALTHY, attempts=(STALLED, *others), treated=treated)
    (found,) = find_checks()[NAME].judge(measurement, Settings())
    assert (found.rule, found.suggestion) == ("cannot-overfit", suggestion)


@pytest.mark.parametrize(
    ("rate", "treated", "suggestion"),
    [
        (1.0, (), "Raise the learning rate to 1."),
        (9.9, (BY_PLAIN,), "Raise the learning rate to 9.9."),
        (11.0, (BY_PLAIN,), ADVICE[PLAIN]),  # the updates are scaled by something else
        (11.0, (STANDARD, BY_PLAIN), ADVICE[STANDARDIZED]),
    ],
)
def test_the_remedy_of_a_slow_attempt(rate, treated, suggestion):
    measurement = replace(HEALTHY, attempts=(STALLED, replace(CURE, learning_rate=rate)), treated=treated)
    (found,) = find_checks()[NAME].judge(measurement, Settings())
    assert (found.rule, found.suggestion) == ("overfit-too-slow", suggestion)


def test_the_remedy_of_one_on_its_way():
    (found,) = find_checks()[NAME].judge(replace(HEALTHY, attempts=(ON_ITS_WAY,)), Settings())
    assert found.suggestion == "Raise the learning rate to about 1, or find what shrinks the updates."


def test_what_was_tried_is_shown():
    measurement = replace(HEALTHY, attempts=(STALLED, FAILED), treated=(STANDARD, IN_VAIN))
    shown = {e.label: e.value for e in find_checks()[NAME].exhibits(measurement, Settings()) if isinstance(e, Fact)}
    assert shown["tried a learning rate of 0.01"] == "stalled, loss 2.2"
    assert shown["tried standardized inputs"] == "cured, loss 0.0123 after 40 steps"
    assert shown[f"tried {REDRAWN}"] == "in vain, loss 2.2 after 50 steps"


FAST = """
from babysit.lab.demo import assemble


def trainer():
    return assemble(learning_rate=100.0, optimizer="sgd")
"""


@pytest.mark.parametrize(("options", "tried"), [((), True), (("--no-treatment",), False)])
def test_the_option_switches_treatments_off(babysit, here, options, tried):
    (here / "fast.py").write_text(FAST)
    called = babysit("overfit", "fast.py:trainer", "--steps", "30", *options)
    assert called.code == 1
    assert "overfit-diverges" in called.out
    assert ("tried" in called.out) is tried
