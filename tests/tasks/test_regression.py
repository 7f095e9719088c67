"""Absolute and Huber's error beside the squared one, against NumPy, torch's own losses, search and simulation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from babysit import Regression
from babysit.tasks.task import task_named

torch.set_num_threads(1)

RNG = np.random.default_rng(0)
SKEWED = RNG.gamma(0.7, 2.0, size=(51, 2)) * (1, 5) - (0, 3)
EVEN = RNG.normal(size=(40, 3)) * (1, 2, 30) + (0, 4, -100)
FLAT = RNG.standard_t(2, size=37)
DATA = {
    "skewed": SKEWED,
    "even": EVEN,
    "one column": EVEN[:, :1],
    "no columns": FLAT,
    "an image": EVEN.reshape(10, 3, 4),
}
CONVERT = {"numpy": np.asarray, "torch": lambda values: torch.from_numpy(np.array(values))}
TASKS = [
    Regression(),
    Regression("absolute"),
    Regression("huber"),
    Regression("huber", delta=0.1),
    Regression("huber", 7.5),
]
EVERY_TASK = pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.error} {task.delta:g}")
EVERY_DATA = pytest.mark.parametrize("targets", DATA.values(), ids=DATA)


@pytest.fixture(params=CONVERT)
def make(request):
    return CONVERT[request.param]


def torchs_loss(task):
    return {"squared": nn.MSELoss(), "absolute": nn.L1Loss(), "huber": nn.HuberLoss(delta=task.delta)}[task.error]


def by_torch(task, scores, targets):
    return torchs_loss(task)(torch.from_numpy(np.array(scores)), torch.from_numpy(np.array(targets))).item()


def by_loops(task, differences):
    def error(d):
        if task.error == "squared":
            return d * d
        if task.error == "absolute":
            return abs(d)
        return d * d / 2 if abs(d) <= task.delta else task.delta * abs(d) - task.delta**2 / 2

    return math.fsum(error(float(d)) for d in differences.ravel()) / differences.size


def searched(task, column):
    """The least error of one constant, on ever finer grids; the error is convex."""
    low, high = float(column.min()), float(column.max())
    for _ in range(40):
        grid = np.linspace(low, high, 11)
        errors = [by_loops(task, column - c) for c in grid]
        k = int(np.argmin(errors))
        low, high = grid[max(0, k - 1)], grid[min(10, k + 1)]
    return min(errors)


def test_the_names():
    assert Regression() == Regression("squared") == task_named("regression", np.zeros((2, 1)))
    assert {(task.name, task.metric) for task in TASKS} == {("regression", "R²")}


@EVERY_TASK
@EVERY_DATA
def test_the_reference_loss_is_torchs(task, targets, make):
    scores = targets * 0.9 + RNG.normal(size=targets.shape) * 3
    loss = task.reference_loss(make(scores), make(targets))
    assert loss == pytest.approx(by_torch(task, scores, targets))
    assert loss == pytest.approx(by_loops(task, scores - targets))


@pytest.mark.parametrize("beta", [0.1, 1.0, 7.5])
def test_torchs_smooth_l1_loss_is_huber_over_its_delta(beta):
    scores, targets = torch.from_numpy(EVEN + 1), torch.from_numpy(EVEN[:, ::-1].copy())
    task = Regression("huber", delta=beta)
    smooth = F.smooth_l1_loss(scores, targets, beta=beta).item()
    assert task.reference_loss(scores, targets) / beta == pytest.approx(smooth)
    assert any(math.isclose(task.reference_loss(scores, targets) * m, smooth) for m in task.multiples(targets))


@EVERY_TASK
@EVERY_DATA
def test_the_chance_losses_are_those_of_0_and_of_the_best_constant(task, targets, make):
    columns = targets.reshape(len(targets), -1)
    least = sum(searched(task, column) for column in columns.T) / columns.shape[1]
    of_zero, of_constant = task.chance_losses(make(targets)).values()
    assert of_zero == pytest.approx(by_torch(task, np.zeros_like(targets), targets))
    assert of_constant == task.constant_loss(make(targets)) == pytest.approx(least)
    assert of_constant <= of_zero * (1 + 1e-12)


@EVERY_DATA
def test_the_best_constants_have_names(targets):
    centered = {"squared": targets - targets.mean(0), "absolute": targets - np.median(targets, axis=0)}
    assert Regression().constant_loss(targets) == pytest.approx((centered["squared"] ** 2).mean())
    assert Regression("absolute").constant_loss(targets) == pytest.approx(np.abs(centered["absolute"]).mean())
    wide = Regression("huber", delta=1e4)  # no target lies that far out: half the variance
    assert wide.constant_loss(targets) == pytest.approx((centered["squared"] ** 2).mean() / 2)
    narrow = Regression("huber", delta=1e-9)  # all do: delta times the absolute error
    assert narrow.constant_loss(targets) / 1e-9 == pytest.approx(np.abs(centered["absolute"]).mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("task", "names"),
    [
        (Regression(), ["mean y^2", "variance of y"]),
        (Regression("absolute"), ["mean |y|", "mean |y - median|"]),
        (Regression("huber"), ["mean error of 0", "mean error of the best constant"]),
    ],
)
def test_the_reasons_of_the_chance_losses(task, names):
    assert list(task.chance_losses(EVEN)) == names


@EVERY_TASK
@settings(max_examples=30)
@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12), shift=st.floats(-1e6, 1e6))
def test_no_constant_is_better(task, values, shift):
    targets = np.array(values)
    least, scale = task.constant_loss(targets), by_loops(task, targets - shift)
    assert 0 <= least <= scale * (1 + 1e-9) + 1e-9


@EVERY_TASK
@pytest.mark.parametrize(
    "targets",
    [
        np.zeros(5),
        np.full((4, 2), 3.0),
        np.full(3, -0.1),
        np.array([7.0]),
        np.arange(6, dtype=np.float32)[::6],
        np.array([2, 2, 2]),
    ],
    ids=repr,
)
def test_targets_that_do_not_vary(task, targets, make):
    assert task.constant_loss(make(targets)) == pytest.approx(0.0, abs=1e-15)
    assert math.isnan(task.score(make(targets), make(targets)))


@EVERY_TASK
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int64, np.uint8, np.bool_])
def test_targets_of_every_kind(task, kind, make):
    targets = np.array([0, 1, 1, 0, 1], dtype=kind)
    expected = searched(task, targets.astype(float))
    assert task.constant_loss(make(targets)) == pytest.approx(expected)
    assert task.reference_loss(make(np.zeros(5)), make(targets)) == pytest.approx(by_loops(task, targets.astype(float)))


@EVERY_TASK
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_targets_that_are_not_finite_give_no_finite_loss(task, wrong, make):
    targets = np.array([0.0, 1.0, wrong])
    with np.errstate(all="ignore"):
        assert not math.isfinite(task.constant_loss(make(targets)))
        assert not math.isfinite(task.reference_loss(make(np.zeros(3)), make(targets)))


@EVERY_TASK
def test_targets_far_apart_are_no_trouble(task, make):
    targets = np.array([-1e150, 0.0, 1e150])
    expected = by_torch(task, np.zeros(3), targets)
    assert task.constant_loss(make(targets)) == pytest.approx(expected)


@EVERY_TASK
def test_the_score_is_r_squared_whatever_the_error(task, make):
    scores = EVEN + RNG.normal(size=EVEN.shape)
    squared = ((scores - EVEN) ** 2).mean() / EVEN.var(axis=0).mean()
    assert task.score(make(scores), make(EVEN)) == pytest.approx(1 - squared)
    assert task.best_constant_score(make(EVEN)) == 0.0
    assert task.score(make(EVEN), make(EVEN)) == 1.0


@EVERY_TASK
def test_a_column_is_aligned_with_a_flat_target(task, make):
    loss = task.reference_loss(make(FLAT[:, None] + 2), make(FLAT))
    assert loss == pytest.approx(by_torch(task, FLAT + 2, FLAT))
    assert task.problem(make(FLAT[:, None]), make(FLAT)) == ""
    assert task.problem(make(EVEN), make(FLAT)) == ("predictions (40, 3) against targets (37,): one for each is needed")


@EVERY_TASK
def test_no_error_of_real_values_takes_probabilities(task, make):
    assert math.isnan(task.probability_loss(make(EVEN), make(EVEN)))
    assert task.logits(EVEN) is EVEN


@EVERY_TASK
@pytest.mark.parametrize("reduced", ["mean", "sum over outputs"])
def test_programs_scale_the_standard_loss_by_one_of_the_multiples(task, reduced):
    scores, targets = torch.from_numpy(EVEN + 1), torch.from_numpy(EVEN[::-1].copy())
    loss = torchs_loss(task)(scores, targets).item() * (3 if reduced == "sum over outputs" else 1)
    standard = task.reference_loss(scores, targets)
    assert any(math.isclose(standard * m, loss) for m in task.multiples(targets))
    assert task.multiples(targets)[0] == 1.0
    assert len(set(task.multiples(targets))) == len(task.multiples(targets))


@pytest.mark.parametrize(
    ("task", "targets", "multiples"),
    [
        (Regression(), EVEN, (1.0, 0.5, 3.0, 1.5)),
        (Regression(), FLAT, (1.0, 0.5)),
        (Regression("absolute"), EVEN, (1.0, 3.0)),
        (Regression("absolute"), FLAT, (1.0,)),
        (Regression("huber", delta=4.0), EVEN, (1.0, 0.25, 3.0, 0.75)),
        (Regression("huber"), FLAT, (1.0,)),
    ],
)
def test_the_multiples(task, targets, multiples):
    assert task.multiples(targets) == multiples


NOISE = {
    "normal": RNG.normal(size=200),
    "uniform": np.linspace(-1, 1, 200),
    "two values": np.repeat([-1.0, 1.0], 100),
    "rare and large": np.repeat([0.0, 1.0, -1.0], [196, 2, 2]),
    "shifted": 3 + RNG.normal(size=200),
}


@EVERY_TASK
@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
@pytest.mark.parametrize("spread", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_the_excess_of_a_spread_bounds_that_of_predictions_that_know_nothing(task, noise, spread, offset):
    """Every prediction beside every target, so that there is no tie between them; the spread is their mean square's."""
    targets, predictions = RNG.normal(size=200), spread * noise / np.sqrt((noise**2).mean())
    targets += offset - targets.mean()
    if task.error == "squared":
        predictions -= (
            predictions.mean() if offset else 0.0
        )  # what is constant in them may lower the error, or raise it
    targets, predictions = (x.ravel() for x in np.meshgrid(targets, predictions))
    zero = task.reference_loss(np.zeros_like(targets), targets)
    excess = task.reference_loss(predictions, targets) - zero
    bound = task.spread_excess(math.sqrt((predictions**2).mean()))
    assert excess <= bound * (1 + 1e-9)
    if task.error == "squared":
        assert excess == pytest.approx(bound)


@pytest.mark.parametrize("spread", [0.0, 0.5, 3.0])
def test_the_excess_of_a_spread_in_closed_form(spread):
    assert Regression().spread_excess(spread) == spread**2
    assert Regression("absolute").spread_excess(spread) == spread
    assert Regression("huber", delta=0.3).spread_excess(spread) == pytest.approx(0.3 * spread)


@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("delta", [0.3, 1.0, 5.0])
def test_the_excess_is_nearly_reached_where_all_targets_are_0(spread, delta):
    """So the bound is no idle one: two opposite predictions, far out for Huber's error."""
    predictions = spread * np.array([-1.0, 1.0])
    absolute = Regression("absolute")
    assert absolute.reference_loss(predictions, np.zeros(2)) == absolute.spread_excess(spread)
    huber = Regression("huber", delta=delta)
    excess = huber.reference_loss(predictions, np.zeros(2))
    assert excess <= huber.spread_excess(spread)
    if spread > delta:
        assert excess == pytest.approx(huber.spread_excess(spread) - delta**2 / 2)


@EVERY_TASK
def test_everything_is_a_plain_float(task, make):
    targets = make(EVEN)
    values = [
        *task.chance_losses(targets).values(),
        task.constant_loss(targets),
        task.reference_loss(targets, targets),
        task.score(targets, targets),
        *task.multiples(targets),
        task.spread_excess(2.0),
    ]
    assert {type(value) for value in values} == {float}
