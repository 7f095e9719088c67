import math
import random

import numpy as np
import pytest

from babysit.checks.train.gains import Gain, gains
from babysit.checks.train.plots import POINTS, drawn, scores_drawn
from babysit.checks.train.schema import Moment
from babysit.measuring.curves import course, exploded, limit, scatter, smoothed
from babysit.measuring.split_sample import Ignorance

STEPS = 300


def noisy(shape, spread=0.02, seed=0, steps=STEPS):
    """Losses of this shape, a function of the share of the run, with normal noise."""
    draw = random.Random(seed)
    return [shape(i / steps) + draw.gauss(0, spread) for i in range(steps)]


def decay(t):
    return 0.1 + 2 * math.exp(-5 * t)


def line(t):
    return 2 - t


def flat(t):
    return 2.0


def late_drop(t):
    return 2.0 if t < 0.4 else 0.2 + 1.8 * math.exp(-8 * (t - 0.4))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [1e-6, 0.02, 0.3])
def test_noise_is_told_from_the_fall(seed, spread):
    found = course(noisy(decay, spread, seed))
    assert found.scatter == pytest.approx(spread, rel=0.2) or spread < 1e-3
    assert found.error == pytest.approx(found.scatter / math.sqrt(20))
    assert found.falls(3)


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_neither_falls_nor_has_a_shape(seed):
    found = course(noisy(flat, 0.3, seed))
    assert not found.falls(4)
    assert found.stopped(4, 0.0)


def test_rare_jumps_are_no_noise():
    losses = noisy(flat)
    for i in range(10, STEPS, 30):
        losses[i] = 1000.0
    assert scatter(losses) == pytest.approx(0.02, rel=0.25)


@pytest.mark.parametrize(
    ("shape", "tenth", "half"),
    [(decay, (0.05, 0.12), (0.15, 0.25)), (line, (0.1, 0.18), (0.48, 0.56)), (late_drop, (0.4, 0.45), (0.45, 0.55))],
)
def test_shapes(shape, tenth, half):
    found = course(noisy(shape))
    assert tenth[0] <= found.tenth <= tenth[1]
    assert half[0] <= found.half <= half[1]


@pytest.mark.parametrize(
    ("shape", "is_flat"), [(decay, False), (line, False), (flat, True), (lambda t: 2.0 if t > 0.1 else 9.0, True)]
)
def test_flat(shape, is_flat):
    assert course(noisy(shape)).is_flat(3, 0.1) is is_flat


def test_a_curve_too_noisy_to_be_flat_for_sure_may_have_stopped():
    found = course(noisy(flat, 2.0))
    assert not found.is_flat(3, 0.1)
    assert found.stopped(3, 0.1)


def test_the_second_half_falls_as_its_line_of_least_squares():
    losses = noisy(decay)
    slope, _ = np.polyfit(np.arange(150), losses[150:], 1)
    assert course(losses).late == pytest.approx(-slope * 149, rel=1e-9)


def test_the_smoothed_curve_is_a_trailing_mean():
    losses = noisy(decay)
    smooth = smoothed(losses)
    assert len(smooth) == STEPS
    assert smooth[0] == losses[0]
    assert smooth[7] == pytest.approx(np.mean(losses[:8]))
    assert smooth[200] == pytest.approx(np.mean(losses[181:201]))


@pytest.mark.parametrize("losses", [[], [1.0], [1.0] * 29, [1.0] * 40 + [math.nan], [math.inf] + [1.0] * 40])
def test_no_course(losses):
    assert course(losses) is None
    smoothed(losses)


@pytest.mark.parametrize("value", [0.0, -3.0, 1e300, -1e300])
def test_any_constant_has_a_course(value):
    found = course([value] * 40)
    assert not found.falls(3)
    assert found.stopped(3, 0.1)


def test_losses_that_overflow_have_a_course():
    assert course([0.0, 1e300] * 40).scatter > 1e299
    assert course([0.0, -1e308] * 40) is not None


@pytest.mark.parametrize(
    ("starts", "expected"),
    [((2.0, 1.0), 6.0), ((0.1, math.nan, 2.0), 6.0), ((-1.0,), 1.0), ((-1.0, 0.0), 1.0), ((), math.inf)],
)
def test_limit(starts, expected):
    assert limit(starts, 3.0) == expected


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([2.0] * 100 + [7.0] * 20, True),
        ([2.0] * 100 + [7.0] * 10, False),
        ([2.0] * 100 + [1e9] * 9, False),
        ([7.0] * 19, False),
        ([7.0 + i for i in range(20)], True),
        ([30.0 - i for i in range(20)], False),
        ([6.0] * 20, False),
        ([2.0] * 3 + [100.0, 50.0, 30.0, 20.0] + [10.0] * 12 + [5.0], False),
        ([math.nan] * 20, False),
    ],
)
def test_exploded(losses, expected):
    assert exploded(losses, 6.0) is expected


MOMENTS = [
    Moment(0, 2.3, 0.1, 0.1, 2.4, 0.1, 0.1),
    Moment(5, 1.3, 0.1, 0.5, 1.4, 0.1, 0.4),
    Moment(10, 0.3, 0.1, 0.9, math.nan, 0.1, 0.8),
]


def test_validation_is_drawn_in_lines_between_the_moments():
    found = drawn([2.0] * 10, MOMENTS)
    assert found.x == tuple(map(float, range(1, 11)))
    assert found.series["training"] == (2.0,) * 10
    assert found.series["validation"][:5] == pytest.approx([2.2, 2.0, 1.8, 1.6, 1.4])
    assert found.series["validation"][5:] == (1.4,) * 5


def test_a_long_run_is_drawn_with_as_many_points_as_fit():
    found = drawn(noisy(decay, steps=5000), [])
    assert (len(found.x), found.x[0], found.x[-1]) == (POINTS, 1.0, 5000.0)
    assert list(found.series) == ["training"]


def test_nothing_can_be_drawn():
    assert drawn([], []).series == {}
    assert list(scores_drawn("accuracy", [])) == []
    assert list(scores_drawn("", [Moment(0, 1.0, *[math.nan] * 5)])) == []


def test_scores_are_drawn_of_the_splits_that_have_them():
    (found,) = scores_drawn("accuracy", [Moment(0, 2.3, 0.1, 0.1, *[math.nan] * 3)])
    assert found.series == {"training": (0.1,)}


def test_gains_over_knowing_nothing():
    found = gains(MOMENTS, Ignorance(100, 2.3, 0.2), "accuracy")
    assert [g.loss for g in found] == pytest.approx([0.0, 1.0, 2.0])
    assert [g.score for g in found] == pytest.approx([-0.1, 0.3, 0.7])
    assert {g.score_error for g in found} == {math.sqrt(0.2 * 0.8 / 100)}
    of_variance = gains(MOMENTS, Ignorance(100, 2.0, 0.0), "R²", val=True)
    assert [g.score_error for g in of_variance] == pytest.approx([0.05] * 3)
    assert of_variance[0].loss == pytest.approx(-0.4)


@pytest.mark.parametrize("examples", [0, 1, 4])
@pytest.mark.parametrize("score", [0.0, 1.0, math.nan])
def test_a_score_of_few_examples_is_never_sure(examples, score):
    (found,) = gains(MOMENTS[:1], Ignorance(examples, 2.3, score), "accuracy")
    assert found.score_error > 0 or math.isnan(found.score_error)


def test_what_has_come_since_the_start():
    first, later = Gain(0.5, 0.1, -0.2, 0.1), Gain(2.0, 0.1, 0.3, 0.1)
    assert later.since(first) == Gain(1.5, 0.1, 0.3, 0.1)
