import math

import numpy as np
import pytest

from babysit import Binary, ChanceLoss, Classification, Hinge, LanguageModel, MultiLabel, Regression


@pytest.mark.parametrize("spread", [0.1, 0.5, 1.5, 4.0])
@pytest.mark.parametrize(
    "task",
    [
        Classification(2),
        Classification(10),
        LanguageModel(50),
        Binary(),
        MultiLabel(),
        Hinge(10),
        Hinge(3, margin=2.0),
        Regression(),
    ],
)
def test_spread_excess_against_random_scores(task, spread):
    rng = np.random.default_rng(5)
    n, classes = 40_000, getattr(task, "classes", 0)
    scores = rng.normal(size=(n, classes) if classes else n) * spread
    targets = rng.integers(classes, size=n) if classes else rng.permutation(np.arange(n) % 2) * 2.0 - 1
    targets = np.maximum(0, targets) if isinstance(task, MultiLabel) else targets
    excess = task.reference_loss(scores, targets) - max(task.chance_losses(targets).values())
    if isinstance(task, Regression | Hinge):  # exact
        assert excess == pytest.approx(task.spread_excess(spread), rel=0.03, abs=0.05 * spread)
    else:
        assert excess < task.spread_excess(spread) + 0.03 * spread
    if spread <= 0.5:
        assert excess == pytest.approx(task.spread_excess(spread), rel=0.1, abs=0.03 * spread)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (Classification(4), 9 / 2 * 3 / 4),
        (LanguageModel(1000), 9 / 2 * 999 / 1000),
        (Binary(), 9 / 8),
        (MultiLabel(), 9 / 8),
        (Regression(), 9.0),
        (Hinge(2, margin=0.0), 3 * math.sqrt(2) / math.sqrt(2 * math.pi)),  # the mean of max(0, N(0, 2 s^2))
        (ChanceLoss(1.0), math.inf),
    ],
)
def test_spread_excess_in_closed_form(task, expected):
    assert task.spread_excess(3.0) == pytest.approx(expected)


@pytest.mark.parametrize("task", [Classification(4), Binary(), Regression(), Hinge(4)])
def test_equal_scores_add_nothing(task):
    assert task.spread_excess(0.0) == 0.0
