import numpy as np
import pytest
import torch

from babysit.lab.losses import LOSSES, softmax
from babysit.tasks.task import Classification, Hinge, Regression

torch.set_num_threads(1)

LABELS = np.array([0, 2, 1, 2, 0, 1])


def targets_of(name, rng):
    return rng.standard_normal((6, 3)) if name == "squared" else LABELS


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_agrees_with_finite_differences(name, rng, numerical_gradient):
    scores, targets = rng.standard_normal((6, 3)), targets_of(name, rng)
    gradient = LOSSES[name](scores, targets)[1]
    expected = numerical_gradient(lambda: LOSSES[name](scores, targets)[0], scores)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "task"), [("softmax", Classification(3)), ("hinge", Hinge(3)), ("squared", Regression())]
)
def test_value_is_the_tasks_reference_loss(name, task, rng):
    scores, targets = rng.standard_normal((6, 3)), targets_of(name, rng)
    assert LOSSES[name](scores, targets)[0] == pytest.approx(task.reference_loss(scores, targets), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("softmax", torch.nn.functional.cross_entropy),
        # torch divides by the number of classes
        ("hinge", lambda scores, labels: 3 * torch.nn.functional.multi_margin_loss(scores, labels)),
        ("squared", torch.nn.functional.mse_loss),
    ],
)
def test_agrees_with_torch(name, peer, rng):
    scores, targets = rng.standard_normal((6, 3)), targets_of(name, rng)
    loss, gradient = LOSSES[name](scores, targets)
    there = torch.tensor(scores, requires_grad=True)
    loss_there = peer(there, torch.tensor(targets))
    loss_there.backward()
    assert loss == pytest.approx(loss_there.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, there.grad.numpy(), rtol=1e-10, atol=1e-15)


def test_lectures_first_losses_of_equal_scores():
    scores, labels = np.zeros((5, 10)), np.arange(5)
    assert LOSSES["softmax"](scores, labels)[0] == pytest.approx(np.log(10), rel=1e-15)
    assert LOSSES["hinge"](scores, labels)[0] == 9


def test_huge_scores_stay_finite():
    loss, gradient = LOSSES["softmax"](np.array([[1e4, 0.0, -1e4]]), np.array([1]))
    assert loss == 1e4
    np.testing.assert_array_equal(gradient, [[1, -1, 0]])
    np.testing.assert_array_equal(softmax(np.array([[1e4, 0.0, -1e4]])), [[1, 0, 0]])
