"""Slopes of losses whose slopes are known by formula."""

import math

import numpy as np
import pytest
from gradient_programs import Landscape
from hypothesis import given
from hypothesis import strategies as st

from babysit.checks.check_grad.finite_differences import DRAWS, Surface
from babysit.checks.check_grad.slopes import Level, Slope, error_and_doubt
from babysit.driving.guard import Driven

LIMIT, MARGIN = 1e-2, 10.0
BATCH = (np.zeros((4, 1)), np.zeros(4))


def surface(landscape):
    return Surface(Driven(landscape), BATCH, ["w"], 0)


def slopes(landscape, entries=0):
    return [found.total for found in surface(landscape).slopes({"w": entries}, lambda done, total: None)]


def slope(landscape):
    """Along all entries together."""
    return slopes(landscape)[0]


def scalar(loss, gradient, w=0.7, dtype=float):
    """A loss of one number, computed and given back in this precision."""
    return Landscape(
        np.array([w], dtype=dtype),
        lambda w: dtype(loss(w)[0]),
        lambda w: np.asarray(gradient(w), dtype=dtype),
    )


@pytest.mark.parametrize("gradient", [np.cos, lambda w: 0 * w])
def test_a_parameter_without_an_axis_is_moved_too(gradient):
    found = slope(Landscape(np.array(0.7), lambda w: 2 + np.sin(w), gradient))
    assert found.differs(LIMIT, MARGIN) == (gradient is not np.cos)


def test_few_entries_with_a_gradient_are_gathered_and_predict_the_same(monkeypatch):
    """As those of an embedding, of which a batch looks few rows up."""
    rows = np.zeros(400)
    rows[[3, 200, 399]] = (0.4, -0.7, 1.1)

    def loss(w):
        return 2 + np.sin(w[rows != 0]).sum()

    made = [Landscape(rows.copy(), loss, lambda w: np.where(rows != 0, np.cos(w), 0.0)) for _ in range(2)]
    whole = slopes(made[0], entries=4)
    monkeypatch.setattr("babysit.arrays.PIECE", 100)
    gathered = slopes(made[1], entries=4)
    assert [found.place for found in gathered] == [found.place for found in whole]
    assert [found.numeric for found in gathered] == pytest.approx([found.numeric for found in whole], rel=1e-9)
    assert not any(found.differs(LIMIT, MARGIN) for found in gathered)


SMOOTH = [
    ("sine", lambda w: 2 + np.sin(w), np.cos),
    ("exponential", np.exp, np.exp),
    ("steep", lambda w: np.cosh(50 * w), lambda w: 50 * np.sinh(50 * w)),
    ("flat", lambda w: 1 + 1e-3 * w**3, lambda w: 3e-3 * w**2),
    ("next to nothing left", lambda w: 1e-9 * (1 + w**2), lambda w: 2e-9 * w),
    ("below zero", lambda w: -5 + w**2, lambda w: 2 * w),
    ("in large units", lambda w: 1 + (1e4 * w - 6e3) ** 2, lambda w: 2e4 * (1e4 * w - 6e3)),
]


@pytest.mark.parametrize(("name", "loss", "gradient"), SMOOTH, ids=[name for name, *_ in SMOOTH])
def test_the_slope_of_a_smooth_loss(name, loss, gradient):
    found = slope(scalar(loss, gradient))
    exact = float(gradient(np.array([0.7]))[0])
    assert found.analytic == pytest.approx(abs(exact))  # uphill
    assert found.numeric == pytest.approx(abs(exact), rel=1e-6)
    assert found.error < 1e-6
    assert found.tells()


@pytest.mark.parametrize(("name", "loss", "gradient"), SMOOTH, ids=[name for name, *_ in SMOOTH])
def test_in_single_precision(name, loss, gradient):
    found = slope(scalar(loss, gradient, dtype=np.float32))
    assert not found.differs(LIMIT, MARGIN)
    assert found.numeric == pytest.approx(found.analytic, rel=0.05)


@pytest.mark.parametrize("factor", [-1, 0.5, 1.02, 2, 16, 1 / 16])
@pytest.mark.parametrize(("name", "loss", "gradient"), SMOOTH, ids=[name for name, *_ in SMOOTH])
def test_a_wrong_gradient_of_a_smooth_loss(name, loss, gradient, factor):
    found = slope(scalar(loss, lambda w: factor * gradient(w)))
    assert found.differs(LIMIT, MARGIN)
    assert found.analytic / found.numeric == pytest.approx(factor, rel=1e-4)


SEEN = [case for case in SMOOTH if case[0] != "flat"]  # whose loss a step changes by less than single precision shows


@pytest.mark.parametrize("factor", [-1, 0.5, 2, 16, 1 / 16])
@pytest.mark.parametrize(("name", "loss", "gradient"), SEEN, ids=[name for name, *_ in SEEN])
def test_a_wrong_gradient_in_single_precision(name, loss, gradient, factor):
    found = slope(scalar(loss, lambda w: factor * gradient(w), dtype=np.float32))
    assert found.differs(LIMIT, MARGIN)
    assert found.analytic / found.numeric == pytest.approx(factor, rel=0.05)


@given(
    coefficients=st.lists(st.floats(-3, 3), min_size=2, max_size=5),
    w=st.floats(-2, 2),
    factor=st.sampled_from([1.0, 1.1, -1.0, 3.0]),
)
def test_polynomials(coefficients, w, factor):
    f = np.polynomial.Polynomial(coefficients)
    exact = f.deriv()(w)
    found = slope(scalar(f, lambda w: factor * f.deriv()(w), w))
    if factor == 1:
        assert not found.differs(LIMIT, MARGIN)
    elif abs(f(w)) > 1e-3 and abs(exact) > 1e-3 * max(1.0, abs(f(w))):
        assert found.differs(LIMIT, MARGIN)


@pytest.mark.parametrize("given", [-1.0, 0.0, 0.4, 1.0])
def test_any_slope_between_those_of_the_two_sides_is_legal_on_a_kink(given):
    found = slope(scalar(np.abs, lambda w: given + 0 * w, w=0.0))
    assert not found.differs(1e-4, MARGIN)


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-6, 1e-7, 1e-9, 1e-13])
def test_a_kink_nearby_is_never_blamed(distance):
    right = scalar(lambda w: 1 + np.abs(w), np.sign, w=distance)
    assert not slope(right).differs(1e-4, MARGIN)


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-6])
def test_narrow_steps_see_past_a_kink_nearby(distance):
    found = slope(scalar(lambda w: 1 + np.abs(w), lambda w: 3 * np.sign(w), w=distance))
    assert found.differs(LIMIT, MARGIN)
    assert found.numeric == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_measured_and_never_blamed(seed):
    chance = np.random.default_rng(seed)

    def loud(w):
        return (2 + np.sin(w)) * (1 + 1e-6 * chance.normal())

    assert not slope(scalar(loud, np.cos)).differs(LIMIT, MARGIN)


@pytest.mark.parametrize("digits", [3, 5])
def test_a_loss_of_few_digits_is_never_blamed(digits):
    rng = np.random.default_rng(0)
    start = rng.normal(size=30)
    few = Landscape(start, lambda w: np.round(np.sum(w**2), digits), lambda w: 2 * w)
    assert not [found for found in slopes(few, entries=8) if found.differs(LIMIT, MARGIN)]


def quadratic(gradient=lambda w: 2 * w, size=20, **options):
    start = np.random.default_rng(1).normal(size=(size,))
    return Landscape(start, lambda w: np.sum(w**2), gradient, **options)


def test_all_entries_together_and_the_largest_and_others_alone():
    made = quadratic()
    found = slopes(made, entries=4)
    w = np.random.default_rng(1).normal(size=20)
    assert found[0].place == "all"
    assert found[0].analytic == pytest.approx(np.abs(2 * w).sum())
    alone = [int(place.place.strip("[]")) for place in found[1:]]
    assert len(set(alone)) == 4
    assert set(np.argsort(-np.abs(w))[:2]) <= set(alone)
    for index, place in zip(alone, found[1:], strict=True):
        assert place.analytic == pytest.approx(2 * w[index])
        assert place.numeric == pytest.approx(2 * w[index], rel=1e-6)


def test_in_single_precision_the_largest_alone():
    start = np.random.default_rng(1).normal(size=20).astype(np.float32)
    made = Landscape(start, lambda w: np.float32(np.sum(w**2)), lambda w: 2 * w)
    alone = {int(found.place.strip("[]")) for found in slopes(made, entries=4)[1:]}
    assert alone == set(np.argsort(-np.abs(start))[:4])


def test_two_evaluations_for_a_line_that_agrees():
    made = quadratic()
    looked = surface(made)
    before = made.evaluations
    looked.slopes({"w": 4}, lambda done, total: None)
    assert made.evaluations == before + 2 * 5


def test_the_parameter_is_put_back_bit_for_bit():
    made = quadratic()
    before = made.w.tobytes()
    slopes(made, entries=4)
    assert made.w.tobytes() == before


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_the_penalty_is_told_apart(factor):
    penalty = (lambda w: 1e-3 * np.sum(w**2), lambda w: factor * 2e-3 * w)
    made = quadratic(penalty=penalty)
    (found, *_) = surface(made).slopes({"w": 0}, lambda done, total: None)
    assert not found.data.differs(1e-6, MARGIN)
    assert found.data.numeric == pytest.approx(np.abs(2 * made.w).sum(), rel=1e-6)
    assert found.penalty.differs(LIMIT, MARGIN)
    assert found.penalty.numeric == pytest.approx(np.abs(2e-3 * made.w).sum(), rel=1e-6)
    assert found.penalty.analytic == pytest.approx(factor * found.penalty.numeric, rel=1e-6, abs=1e-15)
    assert found.total.numeric == pytest.approx(found.data.numeric + found.penalty.numeric, rel=1e-9)


def test_a_penalty_that_does_not_double_is_not_told_apart():
    made = quadratic(penalty=(lambda w: 1e-3, lambda w: 0 * w))
    made.evaluate = lambda batch, training=False: type(made).evaluate(made, batch)
    plain = made.gradients

    def gradients(batch):
        output, found = plain(batch)
        return type(output)(output.loss, 1e-3), found

    made.gradients = gradients
    assert surface(made).parts == ("total",)


@pytest.mark.parametrize("gradient", [None, lambda w: 0 * w], ids=["none", "zeros"])
def test_without_a_gradient_the_loss_is_moved_at_random(gradient):
    made = quadratic(gradient)
    looked = surface(made)
    assert looked.unreached == {"w"}
    found = [line.total for line in looked.slopes({"w": 0}, lambda done, total: None)]
    assert len(found) == DRAWS
    assert len({line.numeric for line in found}) == DRAWS
    assert all(line.analytic == 0 and line.moves(MARGIN) for line in found)


def test_a_gradient_of_the_penalty_alone_reaches_nothing():
    made = quadratic(lambda w: 0 * w, penalty=(lambda w: 1e-3 * np.sum(w**2), lambda w: 2e-3 * w))
    assert surface(made).unreached == {"w"}


def test_a_gradient_that_is_not_finite():
    assert surface(quadratic(lambda w: 2 * w + [np.nan] * 20)).not_finite() == ["w"]


@pytest.mark.parametrize(
    ("wide", "narrow", "noise", "error", "doubt"),
    [
        (Level(3.0, 0.1, 0.1), Level(1.0, 0.1, 0.1), 0.0, 0.1, 0.0),
        (Level(3.0, 0.1, 0.1), Level(1.0, 0.1, 0.1), 0.5, 0.1, 0.5),
        (Level(3.0, 0.4, 0.4), Level(1.0, 0.1, 0.1), 0.0, 0.1, 0.3),  # truncation
        (Level(3.0, 0.1, 0.1), Level(1.0, 0.4, 0.4), 0.0, 0.1, 0.3),
        (Level(3.0, 0.4, -0.2), Level(1.0, 0.2, 0.0), 0.0, 0.1, 0.0),  # curvature: a third of the gap is left
        (Level(3.0, 0.4, -0.2), Level(1.0, 0.28, -0.08), 0.0, 0.1, 0.0),  # 0.6 of it
        (Level(3.0, 0.4, -0.2), Level(1.0, 0.29, -0.09), 0.0, 0.1, 0.38),  # a kink
        (Level(3.0, 0.4, -0.2), Level(1.0, 0.4, -0.2), 0.0, 0.1, 0.6),
    ],
)
def test_error_and_doubt(wide, narrow, noise, error, doubt):
    assert error_and_doubt(wide, narrow, noise) == pytest.approx((error, doubt))


def numbers(analytic, numeric, doubt=0.0):
    return Slope("w", "all", 0, analytic, numeric, doubt)


@pytest.mark.parametrize(
    ("analytic", "numeric", "error"),
    [(1.0, 1.0, 0.0), (1.0, 0.5, 0.5), (0.5, 1.0, 0.5), (1.0, -1.0, 2.0), (0.0, 0.0, 0.0), (0.0, 1e-300, 1.0)],
)
def test_relative_error_of_the_course_notes(analytic, numeric, error):
    assert numbers(analytic, numeric).error == error


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_no_disagreement(wrong):
    assert not numbers(wrong, 1.0).differs(LIMIT, MARGIN)
    assert not numbers(1.0, wrong).differs(LIMIT, MARGIN)
    assert not numbers(1.0, 2.0, abs(wrong)).differs(LIMIT, MARGIN)
    assert not numbers(1.0, wrong).moves(MARGIN)
    assert math.isnan(numbers(math.nan, 1.0).error)


@pytest.mark.parametrize(
    ("slope", "differs", "moves", "tells"),
    [
        (numbers(1.0, 0.98, 0.001), True, True, True),
        (numbers(1.0, 0.98, 0.0021), False, True, False),  # less than 10 times the doubt
        (numbers(1.0, 0.991, 0.0), False, True, True),
        (numbers(0.0, 0.0, 0.0), False, False, False),
        (numbers(1.0, 0.0, 0.01), True, False, True),
        (numbers(1.0, 0.0, 0.2), False, False, False),
    ],
)
def test_what_a_slope_tells(slope, differs, moves, tells):
    assert slope.differs(LIMIT, MARGIN) is differs
    assert slope.moves(MARGIN) is moves
    assert slope.tells() is tells
