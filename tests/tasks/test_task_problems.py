import math

import numpy as np
import pytest
import torch

from babysit import Binary, Classification, Hinge, LanguageModel, MultiLabel, Regression
from babysit.tasks.task import NAMES, task_named

torch.set_num_threads(1)

CONVERT = {"numpy": np.asarray, "torch": lambda values: torch.from_numpy(np.array(values))}
NOT_WHOLE = "the targets are no whole numbers, so they can't be class labels"


@pytest.fixture(params=CONVERT)
def make(request):
    return CONVERT[request.param]


@pytest.mark.parametrize(
    ("task", "scores", "targets", "message"),
    [
        (Classification(3), np.zeros((4, 3)), np.array([0, 1, 2, 2]), ""),
        (Classification(3), None, np.array([0, 1, 2, 2]), ""),
        (Classification(3), None, np.array([0.0, 1.0, 2.0]), ""),
        (Classification(3), np.zeros((2, 3, 5)), np.ones((2, 5), int), ""),
        (Classification(3), np.zeros((2, 5, 3)), np.ones((2, 5), int), ""),
        (Classification(2), np.zeros((2, 2)), np.array([True, False]), ""),
        (LanguageModel(9), np.zeros((2, 5, 9)), np.full((2, 5), -100), ""),
        (Classification(3), np.zeros((4, 2)), np.arange(3), "the scores have shape (4, 2), but the task has 3 classes"),
        (Classification(3), np.zeros((4, 1)), np.arange(3), "the scores have shape (4, 1), but the task has 3 classes"),
        (Classification(3), np.zeros(4), np.ones(4, int), "the scores have shape (4,), but the task has 3 classes"),
        (Hinge(10), None, np.arange(11), "a label is 10, but 10 classes go from 0 to 9"),
        (Classification(10), None, np.array([1.0, 10.0]), "a label is 10, but 10 classes go from 0 to 9"),
        (Classification(3), None, np.array([0.5, 1.0]), NOT_WHOLE),
        (Classification(3), None, np.array([math.nan]), NOT_WHOLE),
        (Classification(3), None, np.ones((4, 2)) / 2, NOT_WHOLE),
        (Binary(), np.zeros((4, 1)), np.array([0, 1, 1, 0]), ""),
        (Binary(), None, np.array([True, False]), ""),
        (Binary(), None, np.array([-1, 1]), "targets go from -1 to 1, not from 0 to 1"),
        (MultiLabel(), None, np.array([[0.0, 1.5]]), "targets go from 0 to 1.5, not from 0 to 1"),
        (MultiLabel(), None, np.array([[0.0, math.nan]]), "targets go from nan to nan, not from 0 to 1"),
        (MultiLabel(), np.zeros((2, 3)), np.ones(2), "scores (2, 3) against targets (2,): one for each is needed"),
        (Binary(), np.zeros((4, 2)), np.ones(4), "scores (4, 2) against targets (4,): one for each is needed"),
        (Regression(), np.zeros((4, 1)), np.ones(4), ""),
        (Regression(), None, np.ones(4), ""),
        (Regression(), np.zeros((4, 2)), np.ones(4), "predictions (4, 2) against targets (4,): one for each is needed"),
    ],
)  # fmt: skip
def test_problems(make, task, scores, targets, message):
    assert task.problem(None if scores is None else make(scores), make(targets)) == message


@pytest.mark.parametrize(
    ("scores", "targets"), [((4, 3), (5,)), ((2, 7, 3), (2, 6)), ((2, 3, 4, 4), (2, 8, 8)), ((4, 3), (4, 2))]
)
def test_a_score_for_each_label_is_needed(make, scores, targets):
    problem = Classification(3).problem(make(np.zeros(scores)), make(np.ones(targets, int)))
    assert str(scores) in problem
    assert str(targets) in problem


@pytest.mark.parametrize(
    ("name", "shape", "task"),
    [
        ("classification", (8, 10), Classification(10)),
        ("classification", (8, 10, 4, 4), Classification(10)),
        ("hinge", (8, 10), Hinge(10)),
        ("language-model", (8, 16, 99), LanguageModel(99)),
        ("binary", (8,), Binary()),
        ("multilabel", (8, 5), MultiLabel()),
        ("regression", (8, 2), Regression()),
    ],
)
def test_tasks_by_name(make, name, shape, task):
    assert task_named(name, make(np.zeros(shape))) == task
    assert task.name == name
    assert name in NAMES


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"^unknown task 'multiclass'") as caught:
        task_named("multiclass", np.zeros((2, 3)))
    known = "classification, binary, multilabel, regression, hinge, language-model"
    assert str(caught.value) == f"unknown task 'multiclass'; known are {known}"


def test_the_margin_comes_after_the_classes():
    assert Hinge(10, 0.5) == Hinge(10, margin=0.5)
    assert Hinge(10, 0.5).name == "hinge"
