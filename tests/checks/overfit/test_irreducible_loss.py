import math

import numpy as np
import pytest
import torch

from babysit.checks.overfit.irreducible_loss import floor
from babysit.tasks.task import Binary, ChanceLoss, Classification, Hinge, LanguageModel, MultiLabel, Regression

LN2, LN3 = math.log(2), math.log(3)
NOTHING = (0.0, 1.0)
TWO_ALIKE = np.array([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
ALL_OTHERS = np.arange(8.0).reshape(4, 2)


def near(expected):
    return pytest.approx(expected, abs=1e-12)


def entropy(*shares):
    return -sum(p * math.log(p) for p in shares if p)


# Targets that are uncertain


@pytest.mark.parametrize(
    ("rows", "loss", "score"),
    [
        ([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], 0.0, 1.0),
        ([[0.5, 0.5]] * 4, LN2, 0.5),
        ([[0.9, 0.1], [0.1, 0.9], [1.0, 0.0], [0.0, 1.0]], entropy(0.9, 0.1) / 2, 0.95),
    ],
)
def test_probabilities_of_classes_leave_their_entropy(rows, loss, score):
    assert floor(Classification(2), (ALL_OTHERS, np.array(rows))) == near((loss, score))


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_a_probability_of_yes_leaves_its_entropy(shape):
    targets = np.array([1.0, 0.0, 0.8, 0.5]).reshape(shape)
    expected = (entropy(0.8, 0.2) + LN2) / 4, (1 + 1 + 0.8 + 0.5) / 4
    assert floor(Binary(), (ALL_OTHERS, targets)) == near(expected)


def test_probabilities_of_several_labels_leave_the_mean_of_their_entropies():
    targets = np.array([[1.0, 0.5], [0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    assert floor(MultiLabel(), (ALL_OTHERS, targets)) == near((3 * LN2 / 8, 1 - 3 * 0.5 / 8))


def test_yes_and_no_as_floats_leave_nothing():
    assert floor(Binary(), (ALL_OTHERS, np.array([1.0, 0.0, 0.0, 1.0]))) == NOTHING


# Targets that contradict each other


@pytest.mark.parametrize(
    ("labels", "loss", "score"),
    [
        ([0, 0, 1, 2], 0.0, 1.0),
        ([0, 1, 1, 2], 2 * LN2 / 4, (1 + 1 + 1) / 4),
    ],
)
def test_equal_inputs_with_labels(labels, loss, score):
    assert floor(Classification(3), (TWO_ALIKE, np.array(labels))) == near((loss, score))


def test_three_of_four_equal_inputs():
    inputs = np.ones((4, 2))
    assert floor(Classification(2), (inputs, np.array([0, 0, 0, 1]))) == near((entropy(0.75, 0.25), 0.75))


def test_other_inputs_leave_nothing():
    assert floor(Classification(3), (ALL_OTHERS, np.array([0, 1, 1, 2]))) == NOTHING


def test_inputs_that_differ_in_one_of_two_arrays_are_others():
    targets = np.array([0, 1, 1, 0])
    assert floor(Classification(2), ({"a": TWO_ALIKE, "b": ALL_OTHERS}, targets)) == NOTHING
    assert floor(Classification(2), ({"a": TWO_ALIKE, "b": TWO_ALIKE}, targets)) == near((LN2 / 2, 0.75))


def test_a_tensor_is_seen_like_an_array():
    batch = torch.as_tensor(TWO_ALIKE), torch.tensor([0, 1, 1, 0])
    assert floor(Classification(2), batch) == near((LN2 / 2, 0.75))


def test_contradictory_labels_of_a_hinge():
    """Each of two classes once: 1 a wrong answer, whatever the scores."""
    loss, score = floor(Hinge(2), (TWO_ALIKE, np.array([0, 1, 1, 0])))
    assert (loss, score) == near((2 * Hinge(2).constant_loss(np.array([0, 1])) / 4, 0.75))
    assert loss == near(0.5)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_equal_inputs_of_a_regression_leave_their_variance(shape):
    targets = np.array([1.0, 3.0, 5.0, 7.0]).reshape(shape)
    loss, score = floor(Regression(), (TWO_ALIKE, targets))
    assert loss == near(2 * 1.0 / 4)  # 1 and 3 are 1 off their mean
    assert score == near(1 - 0.5 / 5.0)  # the variance of all four is 5


def test_a_regression_s_targets_are_not_soft():
    assert floor(Regression(), (ALL_OTHERS, np.array([0.5, 0.2, 0.1, 0.9]))) == NOTHING


def test_constant_targets_of_a_regression():
    assert floor(Regression(), (TWO_ALIKE, np.ones(4))) == NOTHING


# Texts that are read from left to right


def test_the_first_word_is_a_guess():
    """After the same first word, either of two; from then on, all is known."""
    inputs = np.array([[0, 1, 1], [0, 2, 2]])
    targets = np.array([[1, 1, 1], [2, 2, 2]])
    assert floor(LanguageModel(3), (inputs, targets)) == near((2 * LN2 / 6, 5 / 6))


def test_equal_texts_are_no_contradiction_where_what_follows_is_the_same():
    inputs = np.array([[0, 1, 2]] * 3)
    assert floor(LanguageModel(3), (inputs, np.array([[1, 2, 0]] * 3))) == NOTHING


def test_the_last_word_of_equal_texts_is_a_guess():
    inputs = np.array([[0, 1, 2]] * 3)
    targets = np.array([[1, 2, 0], [1, 2, 1], [1, 2, 2]])
    assert floor(LanguageModel(3), (inputs, targets)) == near((3 * LN3 / 9, 1 - 3 * (2 / 3) / 9))


def test_the_same_word_at_another_place_is_something_else():
    inputs = np.array([[0, 0, 0]])
    assert floor(LanguageModel(3), (inputs, np.array([[0, 1, 2]]))) == NOTHING


def test_words_to_come_are_not_read():
    inputs = np.array([[0, 1], [0, 2]])
    assert floor(LanguageModel(3), (inputs, np.array([[1, 0], [2, 0]]))) == near((2 * LN2 / 4, 0.75))


def test_labels_of_a_classification_see_the_whole_text():
    inputs = np.array([[0, 1], [0, 2]])
    assert floor(Classification(3), (inputs, np.array([1, 2]))) == NOTHING


# Where nothing is known


@pytest.mark.parametrize(
    ("task", "targets"),
    [
        (ChanceLoss(1.0), np.array([0, 1, 1, 0])),
        (Classification(2), {"a": np.array([0, 1, 1, 0]), "b": np.array([0, 1, 1, 0])}),
        (Classification(2), (np.array([0, 1, 1, 0]), np.array([0.0, 1.0, 1.0, 0.0]))),
        (Classification(2), {}),
        (Classification(2), {"names": "abcd"}),
    ],
)
def test_targets_that_tell_nothing(task, targets):
    assert floor(task, (TWO_ALIKE, targets)) == NOTHING


def test_one_array_in_a_dict_is_taken_for_the_targets():
    assert floor(Classification(2), (TWO_ALIKE, {"labels": np.array([0, 1, 1, 0])})) == near((LN2 / 2, 0.75))
