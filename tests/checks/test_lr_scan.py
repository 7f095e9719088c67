import math
from dataclasses import replace

import faults
import pytest
from faults import SEEDS, findings, judged_whatever_the_numbers, lecture, measured, rate_of, verdict
from trainers import TinyTrainer

from babysit.check import find_checks
from babysit.checks.lr_scan import Measurement, Settings, Trial, diverges_from, suggestion, usable_range
from babysit.errors import Skip, TargetError

NAME = "lr-scan"
NONE = {("no-usable-learning-rate", "error")}
TOO_LOW = {("learning-rate-too-low", "error")}
RATHER_LOW = {("learning-rate-too-low", "warning")}
TOO_HIGH = {("learning-rate-too-high", "error")}
EDGE = {("range-edge", "warning")}


def trial(rate, fall, error=0.01, score=0.1):
    return Trial(rate, 2.0 - fall, fall, error, score, 20)


EXPLODED = Trial(10.0, math.nan, math.nan, math.nan, math.nan, 3)
HEALTHY = Measurement(
    metric="accuracy",
    own=0.1,
    examples=256,
    first_loss=2.0,
    first_score=0.1,
    trials=(trial(0.001, 0.02), trial(0.01, 0.2), trial(0.1, 1.0), trial(1.0, -0.5), EXPLODED),
    updates=90,
)

TRAINERS = [
    (faults.zero_weights, NONE),
    (faults.step_does_nothing, NONE),
    (faults.every_step_skipped, NONE),
    (faults.wrong_sign, NONE),
    (faults.nan_input, NONE),
    (rate_of(1e-6), TOO_LOW),
    (rate_of(1e-6, "sgd"), TOO_LOW),
    (rate_of(100.0, "sgd"), TOO_HIGH),
    (rate_of(1e6), TOO_HIGH),
    (rate_of(1e6, "sgd"), TOO_HIGH),
    (faults.tiny_updates, TOO_LOW | EDGE),
    (faults.huge_updates, TOO_HIGH),
    (faults.healthy, set()),
    (faults.momentum, set()),
    (faults.hinge, set()),
    (faults.batch_norm, set()),
    (faults.zero_head, set()),
    (faults.label_smoothing, set()),
    (faults.negative_loss, set()),
    (faults.sure_sigmoid, set()),
    (faults.one_batch, set()),
    (faults.exclusive_or, set()),
    (faults.noise_floor, set()),
    (faults.targets_far_from_zero, set()),
    (faults.softmax_regression, set()),
    (faults.global_noise, set()),
]


def judged(**changes):
    check = find_checks()[NAME]
    return {(f.rule, str(f.severity)) for f in check.judge(replace(HEALTHY, **changes), Settings())}


def with_own(mine, *others, longer=None):
    trials = tuple(sorted((mine, *others), key=lambda t: t.learning_rate))
    return {"own": mine.learning_rate, "trials": trials, "longer": longer}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("make", "expected"), TRAINERS, ids=lambda value: getattr(value, "__name__", ""))
def test_verdict(make, expected, seed):
    assert verdict(NAME, make(seed)) == expected


def test_a_rate_of_zero_is_skipped():
    with pytest.raises(Skip) as skipped:
        measured(NAME, faults.rate_of_zero(0))
    assert str(skipped.value) == "the learning rate is 0 at the start (a warm-up?), so there is nothing to scan around"


def test_scores_of_the_wrong_shape_are_no_crash_of_babysit():
    try:
        verdict(NAME, faults.scores_transposed(0))
    except (Skip, TargetError):
        return


# The lecture's numbers


def lecture_at(rate, seed=0):
    made = lecture(seed, sizes=(50, 50, 10))
    made.network.params["affine2.W"] *= 0.1
    made.learning_rate = rate
    return made


@pytest.mark.parametrize("seed", SEEDS)
def test_a_millionth_hardly_moves(seed):
    (found,) = findings(NAME, lecture_at(1e-6, seed))
    assert (found.rule, str(found.severity)) == ("learning-rate-too-low", "error")
    assert found.message.startswith("at 1e-06 the loss hardly moves, from 2.303 to 2.303 in 20 steps; at ")
    assert found.evidence["decades"] > 4


@pytest.mark.parametrize("seed", SEEDS)
def test_a_million_explodes(seed):
    (found,) = findings(NAME, lecture_at(1e6, seed))
    assert (found.rule, str(found.severity)) == ("learning-rate-too-high", "error")
    assert found.message.startswith("at 1e+06 the loss explodes in ")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("own", [1e-6, 1e6])
def test_the_useful_range_lies_between(own, seed):
    measurement, settings = measured(NAME, lecture_at(own, seed))
    usable = usable_range(measurement, settings)
    advice = suggestion(measurement, settings)
    assert 1e-6 < usable[0].learning_rate <= advice <= usable[-1].learning_rate < 1e6
    assert find_checks()[NAME].judge(measured(NAME, lecture_at(advice, seed))[0], settings) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_accuracy_climbs_while_the_loss_hardly_moves(seed):
    made = lecture(seed, examples=1000)
    made.network.params["affine1.W"] *= 1e-5
    made.learning_rate = 1e-6
    (found,) = findings(NAME, made)
    assert (found.rule, str(found.severity)) == ("learning-rate-too-low", "error")
    assert found.message.startswith("at 1e-06 the loss hardly moves, from 2.303 to 2.303 in 20 steps; at ")
    assert found.message.endswith(
        " all the same: each score moves a little in the right direction, and accuracy counts only which is largest."
    )


# What the scan does


def test_the_grid_is_spaced_evenly_in_decades_and_has_the_user_s_rate():
    measurement, _ = measured(NAME, faults.demo(0, rate=0.02), low=1e-3, high=1.0, widen=0)
    rates = [t.learning_rate for t in measurement.trials]
    assert rates == pytest.approx([1e-3, 10**-2.5, 1e-2, 0.02, 10**-1.5, 1e-1, 10**-0.5, 1.0])
    assert measurement.own == 0.02


def test_the_range_is_widened_twice_at_most():
    measurement, _ = measured(NAME, faults.tiny_updates(0))
    assert measurement.trials[-1].learning_rate == pytest.approx(1e5)
    assert measured(NAME, faults.tiny_updates(0), widen=1)[0].trials[-1].learning_rate == pytest.approx(1e3)


def test_nothing_is_run_far_beyond_an_explosion():
    measurement, _ = measured(NAME, rate_of(0.1, "momentum")(0), high=1e9)
    assert sum(not math.isfinite(t.loss) for t in measurement.trials) <= 3
    assert measurement.trials[-1].learning_rate < 1e6


def test_the_user_s_rate_is_run_beyond_any_explosion():
    measurement, _ = measured(NAME, rate_of(1e6, "sgd")(0))
    assert measurement.trials[-1].learning_rate == 1e6


def test_updates_are_counted():
    assert measured(NAME, faults.every_step_skipped(0))[0].updates == 0
    measurement, _ = measured(NAME, faults.healthy(0))
    assert measurement.updates >= sum(t.steps for t in measurement.trials)


def test_a_penalty_is_part_of_the_loss():
    measurement, _ = measured(NAME, TinyTrainer(strength=10.0))
    plain, _ = measured(NAME, TinyTrainer())
    assert measurement.first_loss > plain.first_loss + 0.005


# Rules on plain numbers


def test_healthy_numbers():
    assert judged() == set()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"trials": tuple(replace(t, error=9.0) for t in HEALTHY.trials)}, NONE),
        (with_own(trial(0.1, 0.031), trial(1.0, 0.0), trial(0.01, 0.0)), set()),
        (with_own(trial(0.1, 0.029), trial(1.0, 0.0), trial(0.01, 0.0)), NONE),
        (with_own(trial(0.1, 0.0, error=0.0), trial(1.0, 0.0, error=0.0)), NONE),
        (with_own(replace(EXPLODED, learning_rate=0.1), EXPLODED), NONE),
        (with_own(trial(0.01, 0.051), *HEALTHY.trials[2:]), set()),
        (with_own(trial(0.01, 0.049), *HEALTHY.trials[2:]), RATHER_LOW),
        (with_own(trial(0.01, 0.0101), *HEALTHY.trials[2:]), RATHER_LOW),
        (with_own(trial(0.01, 0.0099), *HEALTHY.trials[2:]), TOO_LOW),
        (with_own(trial(0.01, -0.1), *HEALTHY.trials[2:]), TOO_LOW),
        (with_own(trial(1.0, 0.051), *HEALTHY.trials[:3]), set()),
        (with_own(trial(1.0, 0.049), *HEALTHY.trials[:3]), TOO_HIGH),
        (with_own(trial(1.0, 0.049), *HEALTHY.trials[:3], longer=trial(1.0, 0.51)), set()),
        (with_own(trial(1.0, 0.049), *HEALTHY.trials[:3], longer=trial(1.0, 0.49)), TOO_HIGH),
        (with_own(trial(1.0, -0.5), *HEALTHY.trials[:3], longer=replace(EXPLODED, learning_rate=1.0)), TOO_HIGH),
        (with_own(EXPLODED, *HEALTHY.trials[:4]), TOO_HIGH),
        (with_own(replace(EXPLODED, loss=math.inf, fall=-math.inf), *HEALTHY.trials[:4]), TOO_HIGH),
        (with_own(trial(0.1, 1.0), trial(1.0, 1.1)), EDGE),
        (with_own(trial(0.1, 1.0), trial(0.01, 1.1), trial(1.0, 0.0)), EDGE),
        ({"first_loss": math.nan, "trials": tuple(replace(EXPLODED, learning_rate=r) for r in (0.1, 1.0))}, NONE),
    ],
)
def test_rules(changes, expected):
    assert judged(**changes) == expected


def test_a_rate_that_exploded_did_not_hardly_move():
    mine = replace(EXPLODED, learning_rate=0.01)
    assert "learning-rate-too-low" not in {rule for rule, _ in judged(**with_own(mine, *HEALTHY.trials[2:]))}


def test_usable_range_is_what_hangs_together_with_the_best():
    trials = (trial(1e-4, 0.5), trial(1e-3, 0.0), trial(1e-2, 0.2), trial(0.1, 1.0), trial(1.0, 0.04), EXPLODED)
    measurement = replace(HEALTHY, trials=trials)
    assert [t.learning_rate for t in usable_range(measurement, Settings())] == [1e-2, 0.1]
    assert suggestion(measurement, Settings()) == pytest.approx(0.1 / 3)
    assert suggestion(measurement, Settings(margin=100.0)) == 1e-2
    assert diverges_from(measurement, Settings()) == 10.0


@pytest.mark.parametrize(("fall", "limit"), [(-0.029, 10.0), (-0.031, 1.0), (-math.inf, 1.0)])
def test_diverges_where_the_loss_rises_by_more_than_noise(fall, limit):
    trials = (*HEALTHY.trials[:3], trial(1.0, fall), EXPLODED)
    assert diverges_from(replace(HEALTHY, trials=trials), Settings()) == limit


def test_there_is_no_suggestion_without_a_range():
    flat = replace(HEALTHY, trials=(trial(0.1, 0.0), trial(1.0, 0.0)))
    assert usable_range(flat, Settings()) == ()
    assert math.isnan(suggestion(flat, Settings()))
    assert math.isnan(diverges_from(flat, Settings()))


def test_any_number_can_be_judged():
    broken = with_own(trial(1.0, 0.049), *HEALTHY.trials[:3], longer=trial(1.0, 0.1))
    for changes in ({}, broken, with_own(trial(1e-6, 0.0), *HEALTHY.trials)):
        numbers = replace(HEALTHY, **changes)
        assert list(judged_whatever_the_numbers(NAME, numbers, Settings()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"trials": tuple(replace(t, error=9.0) for t in HEALTHY.trials)},
            "from 0.001 to 10 the loss, 2, falls nowhere by more than noise: the best run, at 0.1, ends at 1.",
        ),
        (
            {"trials": (replace(EXPLODED, learning_rate=0.1), EXPLODED)},
            "from 0.1 to 10 the loss, 2, falls nowhere by more than noise: every run explodes.",
        ),
        (
            {"trials": (trial(0.1, 0.0), trial(1.0, 0.0)), "updates": 0},
            "from 0.1 to 1 the loss, 2, falls nowhere by more than noise: the best run, at 0.1, ends at 2; no step "
            "reported an update.",
        ),
        (
            with_own(trial(1e-6, 0.0, score=0.15), *HEALTHY.trials),
            "at 1e-06 the loss hardly moves, from 2 to 2 in 20 steps; at 0.1 it reaches 1.",
        ),
        (
            with_own(trial(1e-6, 0.0, score=0.2), *HEALTHY.trials),
            "at 1e-06 the loss hardly moves, from 2 to 2 in 20 steps; at 0.1 it reaches 1. Accuracy climbs from 0.10 "
            "to 0.20 all the same: each score moves a little in the right direction, and accuracy counts only which is "
            "largest.",
        ),
        (
            with_own(EXPLODED, *HEALTHY.trials[:4]),
            "at 10 the loss explodes in 3 steps; at 0.1 it reaches 1.",
        ),
        (
            with_own(trial(1.0, -0.5), *HEALTHY.trials[:3], longer=replace(trial(1.0, -0.25), steps=100)),
            "at 1 the loss goes from 2 to 2.25 in 100 steps; at 0.1 it reaches 1.",
        ),
        (
            with_own(trial(0.1, 1.0), trial(1.0, 1.1)),
            "the lowest loss, 0.9, is reached at 1, the end of the range 0.1 to 1.",
        ),
    ],
)
def test_messages(changes, message):
    found = find_checks()[NAME].judge(replace(HEALTHY, **changes), Settings())
    assert [f.message for f in found] == [message]


def test_the_suggestion_is_named():
    (low,) = find_checks()[NAME].judge(replace(HEALTHY, **with_own(trial(1e-6, 0.0), *HEALTHY.trials)), Settings())
    assert low.suggestion == "Raise the learning rate to about 0.033."
    assert low.evidence["decades"] == pytest.approx(math.log10(0.1 / 3 / 1e-6))
    (high,) = find_checks()[NAME].judge(replace(HEALTHY, **with_own(EXPLODED, *HEALTHY.trials[:4])), Settings())
    assert high.suggestion == "Lower the learning rate to about 0.033."
    assert high.evidence["decades"] == pytest.approx(math.log10(10 / (0.1 / 3)))
