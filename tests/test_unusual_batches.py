import math

import faults
import numpy as np
import pytest
from faults import demo, verdict

from babysit.checks.overfit.irreducible_loss import floor
from babysit.errors import Skip
from babysit.lab.losses import squared_loss
from babysit.measuring.treatments import standardizer
from babysit.tasks.task import Classification, LanguageModel

NOTHING = (0.0, 1.0)
RNG = np.random.default_rng(0)


# babysit/checks/overfit/irreducible_loss.py


@pytest.mark.parametrize("shape", [(4, 2, 3, 3), (4, 5, 2)])
def test_one_hot_targets_with_positions_leave_nothing(shape):
    axis = 1 if len(shape) == 4 else 2
    labels = RNG.integers(2, size=[n for i, n in enumerate(shape) if i != axis])
    targets = np.stack([labels == 0, labels == 1], axis=axis).astype(float)
    assert floor(Classification(2), (RNG.normal(size=(4, 7)), targets)) == pytest.approx(NOTHING)


def test_equal_texts_with_equal_tags_are_no_contradiction():
    inputs = np.ones((3, 4))
    assert floor(Classification(2), (inputs, np.array([[0, 1, 0, 1]] * 3))) == pytest.approx(NOTHING)


def test_inputs_of_complex_numbers_are_seen():
    inputs = RNG.normal(size=(4, 5)) + 1j * RNG.normal(size=(4, 5))
    assert floor(Classification(2), (inputs, np.array([0, 1, 0, 1]))) == pytest.approx(NOTHING)


def test_padding_is_not_counted():
    """Of four words that count, two are a toss."""
    inputs, targets = np.array([[0, 1, 0], [0, 1, 0]]), np.array([[1, 2, -100], [1, 0, -100]])
    assert floor(LanguageModel(3), (inputs, targets)) == pytest.approx((2 * math.log(2) / 4, 3 / 4))


# babysit/checks/check_target.py: a false positive since the gap is held against the whole loss


@pytest.mark.parametrize("offset", [100.0, 1000.0, 1e4])
def test_a_loss_with_a_large_constant_term_is_no_broadcast(offset):
    made = faults.regression(0, loss=faults.scaled(squared_loss, 1.0, offset))
    assert verdict("check-target", made) == set()


# babysit/measuring/treatments.py


def test_a_column_that_varies_by_rounding_alone_does_not_vary():
    inputs = RNG.normal(size=(300, 3))
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    assert standardizer([(np.concatenate([inputs, np.full((300, 1), 0.1)], 1), np.zeros(300))]) is None


def test_batches_of_other_trees_are_left_alone():
    a, b = np.full((4, 2), 3.0), np.ones((4, 2))
    assert standardizer([([a], np.zeros(4)), ([a, b], np.zeros(4))]) is None
    assert standardizer([({"a": a}, np.zeros(4)), ({"b": b}, np.zeros(4))]) is None


# overfit, train: what prepares a treatment takes the finding with it


@pytest.mark.parametrize("method", ["trace", "gradients"])
def test_overfit_tells_of_divergence_where_a_treatment_can_t_be_made(method):
    made = demo(0, rate=100.0, optimizer="sgd")

    def fails(*_, **__):
        raise RuntimeError("hooks")

    setattr(made, method, fails)
    assert ("overfit-diverges", "error") in verdict("overfit", made, steps=20, window=5)


def test_train_tells_of_divergence_where_the_strength_can_t_be_told():
    made = demo(0, rate=50.0, optimizer="sgd")

    def strengths():
        raise Skip("the strength can't be scaled")

    made.strengths = strengths
    assert "loss-diverges" in {rule for rule, _ in verdict("train", made, steps=40, treated=10)}


class NoGradients(faults.StepDoesNothing):
    def gradients(self, batch):
        raise Skip("the gradient can't be followed")


def test_a_step_that_does_nothing_is_found_where_gradients_can_t_be_shown():
    assert verdict("check-target", demo(0, made=NoGradients)) == {("step-changes-nothing", "error")}
