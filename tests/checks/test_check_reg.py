import math
from dataclasses import replace

import faults
import numpy as np
import pytest
from faults import SEEDS, demo, judged_whatever_the_numbers, lecture, measured, verdict
from trainers import TinyTrainer

from babysit.checks import find_checks
from babysit.checks.check_reg import Measurement, Settings
from babysit.errors import Skip

NAME = "check-reg"
HEALTHY = Measurement(
    examples=256,
    strengths={"reg": 1e-4},
    scales=(0.0, 1.0, 10.0, 100.0, 1000.0),
    data_losses=(2.0, 2.0, 2.0, 2.0, 2.0),
    penalties=(0.0, 0.01, 0.1, 1.0, 10.0),
    training_loss=2.0,
    dropout_change=0.0,
    pull=0.01,
    step_change=0.5,
    own_change=0.0,
    direction=1.0,
    gain=1.0,
    free_gain=1.1,
)
NO_EFFECT = {("regularization-without-effect", "error")}
LOWERS = {("regularization-lowers-loss", "error")}
DOMINATES = {("regularization-dominates", "error")}
NOT_APPLIED = {("decay-not-applied", "error")}


def next_to_nothing_is_kept(seed):
    """One unit in twenty: a share to keep, taken for one to drop."""
    return demo(seed, sizes=(2, 20, 20, 3), dropout=0.95)


def half_is_kept(seed):
    return demo(seed, sizes=(2, 20, 20, 3), dropout=0.5)


TRAINERS = [
    (faults.regularization_ignored, NO_EFFECT),
    (faults.penalty_minus_sign, LOWERS),
    (faults.penalty_too_strong, DOMINATES),
    (faults.decay_too_strong, DOMINATES),
    (faults.penalty_without_gradient, NOT_APPLIED),
    (next_to_nothing_is_kept, DOMINATES),
    (faults.healthy, set()),
    (faults.momentum, set()),
    (faults.hinge, set()),
    (faults.dropout, set()),
    (faults.batch_norm_and_dropout, set()),
    (faults.decay_in_optimizer, set()),
    (faults.zero_head, set()),
    (faults.dropout_before_zero_head, set()),
    (faults.large_share, set()),
    (faults.large_share_by_sgd, set()),
    (faults.weak_penalty, set()),
    (faults.one_batch, set()),
    (faults.pretrained, set()),
    (faults.label_smoothing, set()),
    (faults.rounded, set()),
    (half_is_kept, set()),
]
NOTHING_TO_SCALE = "the program has nothing to scale: it states no penalty, no weight decay, no dropout"
SKIPPED = [
    (faults.no_regularization, NOTHING_TO_SCALE),
    (faults.negative_loss, NOTHING_TO_SCALE),
    (faults.zero_weights, "all parameters are zero at the start, so no penalty or decay can show"),
]


def judged(**changes):
    check = find_checks()[NAME]
    return {(f.rule, str(f.severity)) for f in check.judge(replace(HEALTHY, **changes), Settings())}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("make", "expected"), TRAINERS, ids=lambda value: getattr(value, "__name__", ""))
def test_verdict(make, expected, seed):
    assert verdict(NAME, make(seed)) == expected


@pytest.mark.parametrize(("make", "reason"), SKIPPED, ids=lambda value: getattr(value, "__name__", ""))
def test_skipped(make, reason):
    with pytest.raises(Skip) as skipped:
        measured(NAME, make(0))
    assert str(skipped.value) == reason


def test_a_trainer_that_tells_nothing_and_shows_nothing_is_skipped():
    with pytest.raises(Skip) as skipped:
        measured(NAME, TinyTrainer(strength=0.0))
    assert str(skipped.value) == "no penalty, weight decay or dropout shows at any scale, so there is nothing to check"


def test_a_trainer_that_tells_nothing_is_judged_by_its_penalty():
    assert verdict(NAME, TinyTrainer()) == set()
    assert verdict(NAME, TinyTrainer(strength=-1e-3)) == LOWERS


def test_a_penalty_that_is_no_number_does_not_pass():
    try:
        found = verdict(NAME, faults.penalty_not_finite(0))
    except Skip:
        return
    assert found


@pytest.mark.parametrize("seed", SEEDS)
def test_the_penalty_rises_by_strength_times_the_sum_of_squares(seed):
    made = lecture(seed, sizes=(50, 50, 10), l2=1e-3)
    squares = sum(float((made.network.params[name] ** 2).sum()) for name in ("affine1.W", "affine2.W"))
    measurement, _ = measured(NAME, made)
    assert measurement.scales == (0.0, 1.0, 10.0, 100.0, 1000.0)
    assert measurement.penalties == pytest.approx([1e-3 * scale * squares for scale in measurement.scales], rel=1e-12)
    assert measurement.rise == pytest.approx(1e-3 * 1000 * squares, rel=1e-12)
    assert set(measurement.data_losses) == {measurement.data_losses[0]}


def test_strength_of_a_thousand_raises_the_lecture_s_loss_by_the_sum_of_squares():
    made = lecture(0, l2=1e3)
    made.network.params["affine1.W"] *= 0.01
    squares = float((made.network.params["affine1.W"] ** 2).sum())
    measurement, _ = measured(NAME, made)
    total = measurement.data_losses[1] + measurement.penalties[1]
    assert measurement.data_losses[1] == pytest.approx(math.log(10), abs=1e-3)
    assert total == pytest.approx(math.log(10) + 1e3 * squares, abs=1e-3)


def test_dropout_alone_shows_in_the_noise_of_training():
    measurement, _ = measured(NAME, demo(0, l2=0.0, dropout=0.5))
    assert measurement.strengths == {"dropout": 0.5}
    assert measurement.penalties == (0.0,) * 5
    assert measurement.dropout_change > 1e-4


def test_decay_in_the_optimizer_shows_in_a_step():
    measurement, _ = measured(NAME, faults.decay_in_optimizer(0))
    assert measurement.penalties == (0.0,) * 5
    assert measurement.step_change > 0.1


def test_the_ladder_ends_at_the_top():
    assert measured(NAME, faults.healthy(0), top=500.0)[0].scales[-1] == 500.0


@pytest.mark.parametrize("seed", SEEDS)
def test_gains_of_updates_with_dropout_and_without(seed):
    measurement, settings = measured(NAME, next_to_nothing_is_kept(seed))
    assert measurement.free_gain > 0.5 * measurement.data_losses[1]
    assert measurement.gain < settings.left * measurement.free_gain
    half, _ = measured(NAME, half_is_kept(seed))
    assert half.gain > 0.3 * half.free_gain


@pytest.mark.parametrize("updates", [1, 7])
def test_gains_are_what_so_many_updates_bring(updates):
    """By the loss of some batches, evenly spaced, in evaluation mode."""
    measurement, _ = measured(NAME, half_is_kept(0), learning=updates)
    made = half_is_kept(0)
    made.regularization_scale = 0.0
    pool = list(made.batches())
    chosen = [pool[k * len(pool) // 4] for k in range(4)]
    before = np.mean([made.evaluate(batch).loss for batch in chosen])
    for k in range(updates):
        made.step(pool[k % len(pool)])
    assert measurement.free_gain == pytest.approx(before - np.mean([made.evaluate(batch).loss for batch in chosen]))


def test_where_a_step_hardly_changes_gains_are_not_compared():
    measurement, settings = measured(NAME, faults.healthy(0))
    assert measurement.own_change < settings.barely
    assert math.isnan(measurement.gain)
    assert math.isnan(measurement.free_gain)
    assert math.isfinite(measured(NAME, faults.healthy(0), barely=measurement.own_change / 2)[0].free_gain)


# Rules on plain numbers


def test_healthy_numbers():
    assert judged() == set()


NO_RISE = {"penalties": (0.0,) * 5, "step_change": 0.0, "dropout_change": 0.0}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (NO_RISE, NO_EFFECT),
        (NO_RISE | {"strengths": {}}, set()),
        (NO_RISE | {"strengths": {"reg": 0.0}}, set()),
        (NO_RISE | {"step_change": math.nan}, NO_EFFECT),
        (NO_RISE | {"step_change": 0.99e-6}, NO_EFFECT),
        (NO_RISE | {"step_change": 1.01e-6}, set()),
        (NO_RISE | {"step_change": math.inf}, set()),
        (NO_RISE | {"dropout_change": 0.99e-6}, NO_EFFECT),
        (NO_RISE | {"dropout_change": 1.01e-6}, set()),
        (NO_RISE | {"penalties": (0.0, 0.0, 0.0, 0.0, 1.99e-6)}, NO_EFFECT),
        ({"penalties": (0.0, -0.1, -1.0, -10.0, -100.0)}, LOWERS),
        ({"penalties": (0.0, 0.0, 0.0, 0.0, -2.01e-6)}, LOWERS),
        ({"penalties": (0.0, 0.0, 0.0, 0.0, -1.99e-6)}, set()),
        ({"penalties": (0.0, 0.1, 1.0, 10.0, -math.inf)}, LOWERS),
        ({"data_losses": (-2.0,) * 5}, set()),
        ({"pull": 0.499}, set()),
        ({"pull": 0.5}, DOMINATES),
        ({"pull": math.inf}, DOMINATES),
        ({"pull": -5.0}, set()),
        ({"pull": math.nan}, set()),
        ({"pull": 0.26, "penalties": (0.0, 1.9, 19.0, 190.0, 1900.0)}, set()),
        ({"pull": 0.26, "penalties": (0.0, 2.1, 21.0, 210.0, 2100.0)}, DOMINATES),
        ({"pull": 0.24, "penalties": (0.0, 2.1, 21.0, 210.0, 2100.0)}, set()),
        ({"pull": math.nan, "penalties": (0.0, 2.1, 21.0, 210.0, 2100.0)}, DOMINATES),
        ({"pull": math.nan, "penalties": (0.0, 1.9, 19.0, 190.0, 1900.0)}, set()),
        ({"gain": 0.0499, "free_gain": 0.5}, DOMINATES),
        ({"gain": 0.05, "free_gain": 0.5}, set()),
        ({"gain": 0.0501, "free_gain": 0.5}, set()),
        ({"gain": 0.0, "free_gain": 0.4}, set()),
        ({"gain": 0.0, "free_gain": 0.401}, DOMINATES),
        ({"gain": 0.0, "free_gain": 0.401, "data_losses": (-2.0,) * 5}, DOMINATES),
        ({"gain": -3.0, "free_gain": 0.5}, set()),  # a loss that blows up
        ({"gain": -math.inf, "free_gain": 0.5}, set()),
        ({"gain": math.nan, "free_gain": 0.5}, set()),
        ({"gain": 0.0, "free_gain": math.nan}, set()),
        ({"gain": math.nan, "free_gain": math.nan}, set()),
        ({"gain": 0.0, "free_gain": 0.0}, set()),
        ({"gain": 0.0, "free_gain": -1.0}, set()),
        ({"step_change": 0.0}, NOT_APPLIED),
        ({"step_change": 1.01e-6}, set()),
        ({"step_change": math.nan}, set()),
        ({"step_change": 0.0, "penalties": (0.0, 0.0, 0.0, 0.0, 2.1e-6)}, NOT_APPLIED),
    ],
)
def test_rules(changes, expected):
    assert judged(**changes) == expected


def test_share_and_rise():
    assert HEALTHY.share == pytest.approx(0.01 / 2.01)
    assert replace(HEALTHY, data_losses=(-2.0,) * 5).share == pytest.approx(0.01 / 2.01)
    assert replace(HEALTHY, penalties=(0.0, -1.0, -10.0, -100.0, -1000.0)).share == 0
    assert HEALTHY.rise == 10


def test_any_number_can_be_judged():
    assert len(list(judged_whatever_the_numbers(NAME, HEALTHY, Settings()))) == 3 * 24


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            NO_RISE | {"strengths": {"reg": 1e-4, "dropout": 0.5}},
            "the program states reg = 0.0001, dropout = 0.5, but neither the loss nor a step changes between 0 and "
            "1000 times that.",
        ),
        (
            {"penalties": (0.0, -0.1, -1.0, -10.0, -100.0)},
            "scaled from 0 to 1000, regularization takes the loss from 2 to -98: it pays to have large weights.",
        ),
        (
            {"pull": 0.75},
            "in one step regularization alone moves the weights 0.75 times as far as the data does, towards zero; the "
            "penalty is 0% of the first loss.",
        ),
        (
            {"pull": math.nan, "penalties": (0.0, 6.0, 60.0, 600.0, 6000.0)},
            "regularization outweighs the data; the penalty is 75% of the first loss.",
        ),
        (
            {"gain": 0.012, "free_gain": 0.9, "strengths": {"dropout": 0.95, "reg": 1e-4, "decay": 0.0}},
            "50 updates lower the loss by 0.012, and by 0.9 with regularization off (dropout 0.95, reg 0.0001).",
        ),
        (
            {"gain": -0.05, "free_gain": 0.9, "strengths": {}},
            "50 updates lower the loss by -0.05, and by 0.9 with regularization off.",
        ),
        (
            {"pull": 0.75, "gain": 0.0, "free_gain": 0.9},
            "in one step regularization alone moves the weights 0.75 times as far as the data does, towards zero; the "
            "penalty is 0% of the first loss.",
        ),
        (
            {"step_change": 0.0},
            "the loss rises by 10 with regularization at 1000, but a step moves the parameters exactly as before.",
        ),
    ],
)
def test_messages(changes, message):
    found = find_checks()[NAME].judge(replace(HEALTHY, **changes), Settings())
    assert [f.message for f in found] == [message]


@pytest.mark.parametrize(
    ("direction", "expected"),
    [(-0.11, NOT_APPLIED), (-0.1, set()), (-0.09, set()), (1.0, set()), (math.nan, set())],
)
def test_a_penalty_may_not_push_away_from_zero(direction, expected):
    found = find_checks()[NAME].judge(replace(HEALTHY, direction=direction), Settings())
    assert {(f.rule, f.severity) for f in found} == expected


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [({"left": 0.3}, DOMINATES), ({"left": 0.19}, set()), ({"gained": 0.26}, set()), ({"gained": 0.24}, set())],
)
def test_what_counts_as_nothing_left_can_be_set(chosen, expected):
    measurement = replace(HEALTHY, gain=0.1, free_gain=0.5)
    found = find_checks()[NAME].judge(measurement, Settings(**chosen))
    assert {(f.rule, f.severity) for f in found} == expected
