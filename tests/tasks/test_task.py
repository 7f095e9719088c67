import math

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize
from sklearn.metrics import r2_score
from torch.nn import functional as F

from babysit import Binary, ChanceLoss, Classification, Hinge, LanguageModel, MultiLabel, Regression

torch.set_num_threads(1)

RNG = np.random.default_rng(0)
SCORES, LABELS = RNG.normal(size=(40, 5)) * 3, np.r_[np.arange(5), RNG.choice(3, size=35)]
YES = (RNG.random((40, 3)) < (0.1, 0.5, 0.8)).astype(float)
REAL = RNG.normal(size=(40, 3)) * (1, 2, 3) + (0, 4, -1)
CONVERT = {"numpy": np.asarray, "torch": lambda values: torch.from_numpy(np.array(values))}


@pytest.fixture(params=CONVERT)
def make(request):
    return CONVERT[request.param]


def entropy(*shares):
    return -sum(p * math.log(p) for p in shares if p)


THIRDS = entropy(1 / 3, 2 / 3)


def shares(labels, classes):
    return np.bincount(labels, minlength=classes) / len(labels)


def hinge_by_loops(scores, labels, margin):
    terms = [
        max(0.0, s - row[y] + margin)
        for row, y in zip(scores, labels, strict=True)
        for j, s in enumerate(row)
        if j != y
    ]
    return math.fsum(terms) / len(labels)


def least_hinge(p, margin):
    """The best constant scores s by linear programming: min sum p_y z_yj, z_yj >= s_j - s_y + margin, z >= 0."""
    pairs = [(y, j) for y in range(len(p)) for j in range(len(p)) if j != y]
    rows = np.zeros((len(pairs), len(p) + len(pairs)))
    for k, (y, j) in enumerate(pairs):
        rows[k, [j, y, len(p) + k]] = 1, -1, -1
    costs = np.r_[np.zeros(len(p)), [p[y] for y, _ in pairs]]
    bounds = [(None, None)] * len(p) + [(0, None)] * len(pairs)
    return linprog(costs, rows, np.full(len(pairs), -margin), bounds=bounds).fun


def least(loss, size):
    """The least loss of one row of scores for all examples, searched for."""
    return minimize(loss, np.zeros(size), tol=1e-10).fun


@pytest.mark.parametrize(
    ("task", "targets", "expected"),
    [
        (Classification(10), np.arange(10), {"ln 10": math.log(10), "entropy of the labels": math.log(10)}),
        (Classification(3), np.array([0, 0, 1]), {"ln 3": math.log(3), "entropy of the labels": THIRDS}),
        (LanguageModel(7), np.array([[4, 1], [1, -100]]), {"ln 7": math.log(7), "entropy of the labels": THIRDS}),
        (Hinge(10), np.arange(10), {"(10 - 1) x margin": 9.0}),
        (Hinge(4, margin=0.5), np.zeros(3, int), {"(4 - 1) x margin": 1.5}),
        (Binary(), np.array([1, 0, 0, 0]), {"ln 2": math.log(2), "entropy of the labels": entropy(1 / 4, 3 / 4)}),
        (Binary(), np.array([[True], [False]]), {"ln 2": math.log(2), "entropy of the labels": math.log(2)}),
        (
            MultiLabel(),
            np.array([[1.0, 0.0], [0.0, 0.0]]),
            {"ln 2": math.log(2), "entropy of the labels": math.log(2) / 2},
        ),
        (Regression(), np.array([1.0, 3.0]), {"mean y^2": 5.0, "variance of y": 1.0}),
        (Regression(), np.array([[1, 0], [3, 0]]), {"mean y^2": 2.5, "variance of y": 0.5}),
        (ChanceLoss(0.25), np.arange(3), {"the stated chance loss": 0.25}),
    ],
)  # fmt: skip
def test_chance_losses_in_closed_form(make, task, targets, expected):
    assert task.chance_losses(make(targets)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("task", "targets", "size"),
    [
        (Classification(5), LABELS, 5),
        (LanguageModel(5), LABELS.reshape(20, 2), 5),
        (Binary(), YES[:, 0], 1),
        (MultiLabel(), YES, 3),
        (Regression(), REAL, 3),
        (Regression(), REAL[:, 1], 1),
    ],
)
def test_no_constant_prediction_does_better(task, targets, size):
    rows = (len(targets),) if targets.ndim == 1 and size == 1 else (*targets.shape[:1], size)
    if isinstance(task, LanguageModel):
        rows = (*targets.shape, size)
    found = least(lambda c: task.reference_loss(np.broadcast_to(c if len(rows) > 1 else c[0], rows), targets), size)
    assert task.constant_loss(targets) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("margin", [1.0, 0.3])
@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        [0, 1, 2],
        [0] * 9 + [1],
        [0] * 9 + [1] * 9 + [2, 2],
        [0, 0, 1, 1],
        [2] * 3,
        [0] * 8 + [1] * 5 + [2] * 3 + [3],
    ],
)
def test_no_constant_scores_have_a_smaller_hinge(labels, margin):
    classes = max(labels) + 1
    found = least_hinge(shares(labels, classes), margin)
    assert Hinge(classes, margin=margin).constant_loss(np.array(labels)) == pytest.approx(found, abs=1e-7)


def test_classes_without_labels_count_in_the_hinge():
    assert Hinge(6).constant_loss(np.array([0, 0, 0])) == 0.0
    assert Hinge(6).constant_loss(np.array([0, 1])) == pytest.approx(least_hinge([0.5, 0.5, 0, 0, 0, 0], 1.0))


@pytest.mark.parametrize("dtype", [np.int64, float])
def test_one_hot_targets_are_labels(make, dtype):
    one_hot = make(np.eye(5)[LABELS].astype(dtype))
    task, scores, labels = Classification(5), make(SCORES), make(LABELS)
    assert task.problem(scores, one_hot) == ""
    for method in (task.reference_loss, task.probability_loss, task.score):
        assert method(abs(scores), one_hot) == method(abs(scores), labels)
    assert task.constant_loss(one_hot) == pytest.approx(task.constant_loss(labels))


def test_targets_that_are_probabilities(make):
    soft = 0.8 * np.eye(5)[LABELS] + 0.2 / 5
    expected = F.cross_entropy(torch.from_numpy(SCORES), torch.from_numpy(soft)).item()
    assert Classification(5).reference_loss(make(SCORES), make(soft)) == pytest.approx(expected)


def test_one_hot_targets_with_positions(make):
    scores, labels = (
        np.random.default_rng(11).normal(size=(2, 4, 3)),
        np.random.default_rng(12).integers(4, size=(2, 3)),
    )
    one_hot = np.moveaxis(np.eye(4)[labels], -1, 1)  # (N, C, d), as PyTorch has it
    expected = F.cross_entropy(torch.from_numpy(scores), torch.from_numpy(labels)).item()
    assert Classification(4).reference_loss(make(scores), make(one_hot)) == pytest.approx(expected)


@pytest.mark.parametrize("task", [Classification(5), LanguageModel(5)])
@pytest.mark.parametrize("positions", [(), (7,), (4, 3), (5,)], ids=str)
@pytest.mark.parametrize("ignored", [0, 3])
def test_cross_entropy_is_pytorchs(make, task, positions, ignored):
    rng = np.random.default_rng(1)
    scores, labels = rng.normal(size=(6, 5, *positions)) * 4, rng.integers(5, size=(6, *positions))
    labels.reshape(-1)[:ignored] = -100
    expected = F.cross_entropy(torch.from_numpy(scores), torch.from_numpy(labels)).item()
    last = np.moveaxis(scores, 1, -1)
    layouts = [last] if 5 in positions and task.name == "language-model" else [scores]
    layouts += [] if 5 in positions else [last]
    for layout in layouts:
        assert task.reference_loss(make(layout.copy()), make(labels)) == pytest.approx(expected, rel=1e-12)
        hits = (scores.argmax(axis=1) == labels)[labels >= 0]
        assert task.score(make(layout.copy()), make(labels)) == pytest.approx(hits.mean())


def test_huge_scores_do_not_overflow(make):
    scores = np.array([[1e4, -1e4], [-1e4, 1e4]])
    assert Classification(2).reference_loss(make(scores), make(np.array([0, 0]))) == 1e4
    assert Binary().reference_loss(make(np.array([1e4, -1e4])), make(np.array([0, 0]))) == 5e3


@pytest.mark.parametrize("margin", [1.0, 2.5])
def test_the_hinge_is_that_of_the_notes(make, margin):
    expected = hinge_by_loops(SCORES, LABELS, margin)
    assert Hinge(5, margin=margin).reference_loss(make(SCORES), make(LABELS)) == pytest.approx(expected, rel=1e-12)
    averaged = F.multi_margin_loss(torch.from_numpy(SCORES), torch.from_numpy(LABELS), margin=margin).item()
    assert expected == pytest.approx(averaged * 5)


@pytest.mark.parametrize("shape", [(120,), (120, 1), (40, 3)])
@pytest.mark.parametrize("task", [Binary(), MultiLabel()])
def test_binary_cross_entropy_is_pytorchs(make, task, shape):
    z, y = (np.random.default_rng(13).normal(size=120) * 5).reshape(shape), YES.reshape(shape)
    expected = F.binary_cross_entropy_with_logits(torch.from_numpy(z), torch.from_numpy(y)).item()
    assert task.reference_loss(make(z), make(y)) == pytest.approx(expected, rel=1e-12)
    assert task.reference_loss(make(z), make(y.ravel() > 0.5)) == pytest.approx(expected, rel=1e-12)


def test_the_squared_error_is_pytorchs(make):
    x = np.random.default_rng(14).normal(size=REAL.shape)
    expected = F.mse_loss(torch.from_numpy(x), torch.from_numpy(REAL)).item()
    assert Regression().reference_loss(make(x), make(REAL)) == pytest.approx(expected, rel=1e-12)
    assert Regression().reference_loss(make(x[:, :1]), make(REAL[:, 0])) == pytest.approx(
        np.mean((x - REAL)[:, 0] ** 2)
    )


def test_losses_of_probabilities_are_pytorchs(make):
    p = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)
    expected = F.nll_loss(torch.from_numpy(p).log(), torch.from_numpy(LABELS)).item()
    assert Classification(5).probability_loss(make(p), make(LABELS)) == pytest.approx(expected, rel=1e-12)
    q = np.r_[np.random.default_rng(15).random(118), 0.0, 1.0].reshape(40, 3)
    expected = F.binary_cross_entropy(torch.from_numpy(q), torch.from_numpy(YES)).item()
    assert MultiLabel().probability_loss(make(q), make(YES)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("task", [Classification(5), Binary(), MultiLabel()])
def test_logits_give_the_probabilities_back(make, task):
    p = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)
    targets = make(LABELS if isinstance(task, Classification) else p > 0.3)
    expected = task.probability_loss(make(p), targets)
    assert task.reference_loss(task.logits(make(p)), targets) == pytest.approx(expected, rel=1e-12)
    certain = task.logits(make(np.eye(2)))
    assert bool(np.isfinite(np.asarray(certain)).all())


@pytest.mark.parametrize("task", [Hinge(5), Regression(), ChanceLoss(1.0)])
def test_scores_that_stand_for_no_probabilities_have_no_logits(task):
    assert task.logits(SCORES) is SCORES


@pytest.mark.parametrize("outside", [-0.01, 1.01, math.nan])
def test_what_is_no_probability_has_no_such_loss(outside):
    assert math.isnan(Binary().probability_loss(np.array([0.5, outside]), np.array([0, 1])))


@pytest.mark.parametrize("task", [Hinge(5), Regression(), ChanceLoss(1.0)])
def test_losses_that_take_no_probabilities(task):
    assert math.isnan(task.probability_loss(SCORES, LABELS))


@pytest.mark.parametrize(
    ("task", "scores", "targets", "expected"),
    [
        (Classification(3), [[0, 1, 0], [2, 1, 0], [0, 1, 3]], [1, 0, 1], 2 / 3),
        (Classification(3), [[0, 1, 0], [2, 1, 0], [0, 1, 3]], [1, -1, 1], 1 / 2),
        (Hinge(3), [[0, 1, 0], [2, 1, 0]], [1, 0], 1.0),
        (Binary(), [-1.0, 2.0, 0.3, -0.1], [0, 1, 0, 1], 0.5),
        (Binary(), [0.4, 0.6, 0.9, 0.1], [0, 1, 0, 0], 0.75),  # probabilities
        (MultiLabel(), [[-1.0, 2.0], [0.3, -0.1]], [[0, 1], [1, 1]], 0.75),
    ],
)
def test_accuracy(make, task, scores, targets, expected):
    assert task.metric == "accuracy"
    assert task.score(make(np.array(scores)), make(np.array(targets))) == pytest.approx(expected)


def test_r2_is_scikit_learns(make):
    x = REAL + np.random.default_rng(16).normal(size=REAL.shape)
    expected = r2_score(REAL, x, multioutput="variance_weighted")
    assert Regression().score(make(x), make(REAL)) == pytest.approx(expected, rel=1e-12)
    assert Regression().score(make(x[:, :1]), make(REAL[:, 0])) == pytest.approx(
        r2_score(REAL[:, 0], x[:, 0]), abs=1e-12
    )


@pytest.mark.parametrize("n", [1, 3, 10, 1000])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3])
def test_constant_targets_have_no_r2(n, value):
    assert math.isnan(Regression().score(np.zeros(n), np.full(n, value)))


def test_a_stated_chance_loss_knows_no_more():
    task = ChanceLoss(0.7)
    assert (task.name, task.metric, task.constant_loss(LABELS), task.problem(SCORES, LABELS)) == ("stated", "", 0.7, "")
    assert math.isnan(task.score(SCORES, LABELS))
    assert math.isnan(task.reference_loss(SCORES, LABELS))
