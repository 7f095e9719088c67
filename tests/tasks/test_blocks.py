import numpy as np
import pytest
import torch

from babysit import Binary, Classification, Hinge, LanguageModel, MultiLabel, Regression
from babysit.tasks import blocks

MAKE = {"numpy": np.asarray, "torch": lambda x: torch.from_numpy(np.array(x))}


@pytest.fixture(params=MAKE)
def make(request):
    return MAKE[request.param]


@pytest.fixture
def small(monkeypatch):
    """Blocks of a few numbers, so that small arrays have many."""
    monkeypatch.setattr(blocks, "ELEMENTS", 24)


@pytest.mark.parametrize(
    ("shape", "axis"), [((7, 5), 1), ((7, 5), -1), ((3, 5, 4, 2), 1), ((3, 4, 2, 5), -1), ((2, 50), 1)]
)
def test_rows_are_those_of_the_whole_in_order(make, small, shape, axis):
    whole = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = np.moveaxis(whole, axis, -1).reshape(-1, shape[axis]).astype(np.float64)
    found = list(blocks.rows(make(whole), axis))
    assert len(found) > 1
    assert [first for first, _ in found] == list(np.cumsum([0, *(len(rows) for _, rows in found)])[:-1])
    np.testing.assert_array_equal(np.concatenate([np.asarray(rows) for _, rows in found]), expected)
    assert all(rows.shape[0] == 1 or rows.shape[0] * rows.shape[1] <= 24 for _, rows in found)


def test_columns_and_elements_are_those_of_the_whole(make, small):
    whole = np.random.default_rng(0).normal(size=(8, 3, 5)).astype(np.float32)
    columns = np.concatenate([np.asarray(block) for block in blocks.columns(make(whole))], axis=1)
    np.testing.assert_array_equal(columns, whole.reshape(8, 15).astype(np.float64))
    one, other = zip(*blocks.flat(make(whole), make(-whole)), strict=True)
    assert len(one) == 5
    np.testing.assert_array_equal(np.concatenate([np.asarray(x) for x in one]), whole.reshape(-1).astype(np.float64))
    np.testing.assert_array_equal(np.concatenate([np.asarray(x) for x in other]), -whole.reshape(-1).astype(np.float64))


def test_one_number_and_none(make):
    assert [float(x[0]) for (x,) in blocks.flat(make(np.ones(1)))] == [1.0]
    assert list(blocks.flat(make(np.ones(0)))) == []
    assert list(blocks.rows(make(np.ones((0, 3))), 1)) == []


RNG = np.random.default_rng(1)
LOGITS, LABELS = RNG.normal(size=(30, 4, 5)), RNG.integers(-1, 4, size=(30, 5))
SOFT = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
BITS = RNG.integers(0, 2, size=(30, 6)).astype(float)
CASES = [
    (Classification(4), LOGITS, LABELS),
    (Classification(4), LOGITS, SOFT),
    (Classification(4), SOFT, LABELS),
    (LanguageModel(4), np.moveaxis(LOGITS, 1, 2).copy(), LABELS),
    (Hinge(4), LOGITS[:, :, 0], abs(LABELS[:, 0])),
    (Binary(), LOGITS[:, 0, 0], BITS[:, 0]),
    (MultiLabel(), RNG.normal(size=(30, 6)), BITS),
    (Regression(), RNG.normal(size=(30, 6)), RNG.normal(size=(30, 6))),
    (Regression("absolute"), RNG.normal(size=(30, 6)), RNG.normal(size=(30, 6))),
    (Regression("huber", 0.5), RNG.normal(size=(30, 6)), RNG.normal(size=(30, 6))),
]


@pytest.mark.parametrize(("task", "scores", "targets"), CASES)
def test_a_task_says_the_same_in_blocks_as_at_once(make, monkeypatch, task, scores, targets):
    def said():
        s, t = make(scores), make(targets)
        losses = (task.reference_loss(s, t), task.probability_loss(s, t), task.constant_loss(t))
        return [*losses, task.score(s, t), task.best_constant_score(t), *task.chance_losses(t).values()]

    whole = said()
    monkeypatch.setattr(blocks, "ELEMENTS", 24)
    assert said() == pytest.approx(whole, rel=1e-12, nan_ok=True)
