import math

import numpy as np
import pytest
import torch
from pytorch_programs import Dropping, batches, first, linear, trainer
from torch.nn import functional as F

from babysit.driving.guard import Driven
from babysit.lab import demo
from babysit.measuring.reference_optimizers import Adam, Rprop
from babysit.trainer import Output

UPDATES = 60


class Bowl:
    """The loss a (w - goal)^2 / 2, gradients alone; whoever steps does it from outside."""

    def __init__(self, start, goal, steepness=1.0):
        self.held = {"w": np.asarray(start, dtype=float)}
        self.goal, self.steepness = np.asarray(goal, dtype=float), np.asarray(steepness, dtype=float)

    def gradients(self, batch):
        off = self.held["w"] - self.goal
        return Output(float((self.steepness * off**2 / 2).sum())), {"w": self.steepness * off}

    def parameters(self):
        return dict(self.held)

    def set_parameters(self, values):
        self.held |= values


def path(kind, bowl, steps, *options):
    """Where each step leads."""
    method = kind(bowl, *options)
    seen = []
    for _ in range(steps):
        method.step(None)
        seen.append(bowl.held["w"].copy())
    return np.array(seen)


def theirs(kind, bowl, steps, **options):
    """The same by PyTorch's own optimizer."""
    w = torch.tensor(bowl.held["w"], requires_grad=True)
    optimizer = kind([w], **options)
    seen = []
    for _ in range(steps):
        w.grad = torch.as_tensor(bowl.steepness) * (w.detach() - torch.as_tensor(bowl.goal))
        optimizer.step()
        seen.append(w.detach().numpy().copy())
    return np.array(seen)


BOWLS = [
    ((0.0,), (1.0,), (1.0,)),
    ((0.0, 5.0, -3.0), (1.0, -1.0, -3.0), (1.0, 100.0, 1e-4)),
    ((1e-7, 200.0), (0.0, -200.0), (1e-6, 1e6)),
]


# Rprop


def test_rprop_by_hand():
    """Towards 0.3, first by 0.1: 20 % longer as long as the sign stays; a turn halves the pace, and stands still."""
    by_hand = [0.1, 0.1 + 0.12, 0.1 + 0.12 + 0.144]  # 0.364 is beyond
    by_hand += [by_hand[-1], by_hand[-1] - 0.072]  # the turn; 0.292 is short of it
    by_hand += [by_hand[-1], by_hand[-1] + 0.036]
    found = path(Rprop, Bowl([0.0], [0.3]), 7, 0.1)
    assert found[:, 0] == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize("bowl", BOWLS)
def test_rprop_goes_pytorch_s_way(bowl):
    found, expected = path(Rprop, Bowl(*bowl), UPDATES), theirs(torch.optim.Rprop, Bowl(*bowl), UPDATES, lr=1e-3)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_rprop_sees_signs_alone():
    gentle, steep = (path(Rprop, Bowl([0.0], [1.0], a), UPDATES) for a in (1e-6, 1e6))
    np.testing.assert_array_equal(gentle, steep)


def test_rprop_stands_still_at_the_goal():
    assert path(Rprop, Bowl([1.0], [1.0]), 5).tolist() == [[1.0]] * 5


@pytest.mark.parametrize(("goal", "most"), [(1e9, 50.0), (-1e9, 50.0)])
def test_rprop_s_longest_step(goal, most):
    found = np.diff(path(Rprop, Bowl([0.0], [goal]), 100)[:, 0])
    assert abs(found).max() == pytest.approx(most, rel=1e-12)


def test_rprop_s_shortest_step():
    """Each turn halves the pace; it ends within the shortest step of the goal."""
    found = path(Rprop, Bowl([0.0], [1.0]), 400)
    assert found[-1, 0] == pytest.approx(1.0, abs=2e-6)
    assert found[-1, 0] != 1.0


# Adam


def test_adam_s_first_step_is_the_rate():
    assert path(Adam, Bowl([0.0, 0.0], [1.0, -1000.0]), 1, 0.01)[0] == pytest.approx([0.01, -0.01], rel=1e-6)


@pytest.mark.parametrize("rate", [1e-3, 0.1])
@pytest.mark.parametrize("bowl", BOWLS)
def test_adam_goes_pytorch_s_way(bowl, rate):
    found = path(Adam, Bowl(*bowl), UPDATES, rate)
    np.testing.assert_allclose(found, theirs(torch.optim.Adam, Bowl(*bowl), UPDATES, lr=rate), rtol=1e-6, atol=1e-12)


def test_adam_s_rate_is_that_of_kingma_and_ba():
    np.testing.assert_array_equal(path(Adam, Bowl([0.0], [1.0]), 9), path(Adam, Bowl([0.0], [1.0]), 9, 1e-3))


# Programs


@pytest.mark.parametrize(
    ("kind", "reference", "options"),
    [(Rprop, torch.optim.Rprop, {"lr": 1e-3}), (Adam, torch.optim.Adam, {"lr": 1e-3})],
)
def test_a_pytorch_program_goes_where_the_optimizer_would_take_it(kind, reference, options):
    torch.manual_seed(0)
    made = trainer(linear(), optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=1e9, momentum=0.9))
    torch.manual_seed(0)
    twin = linear()
    optimizer, method = reference(twin.parameters(), **options), kind(Driven(made))
    losses = []
    for inputs, targets in batches() * 10:
        optimizer.zero_grad()
        loss = F.cross_entropy(twin(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(method.step((inputs, targets)).loss - float(loss.detach()))
    assert losses == pytest.approx([0.0] * 30, abs=1e-5)
    for name, value in twin.named_parameters():
        torch.testing.assert_close(made.parameters()[name].detach(), value.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [Rprop, Adam])
def test_the_loss_is_from_before_the_update(kind):
    made = Driven(demo.trainer())
    batch = first(made)
    before = made.evaluate(batch, training=True).loss
    assert kind(made).step(batch).loss == before
    assert made.evaluate(batch, training=True).loss < before


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rprop_memorizes_one_batch(seed):
    made = Driven(demo.trainer(seed=seed))
    batch, method = first(made), Rprop(made)
    losses = [method.step(batch).loss for _ in range(150)]
    assert losses[-1] < 0.02 * losses[0]


@pytest.mark.parametrize("kind", [Rprop, Adam])
def test_a_parameter_without_gradient_stays(kind):
    model = Dropping()
    model.unused = torch.nn.Linear(2, 2)
    made = Driven(trainer(model))
    before = made.parameters()["unused.weight"].detach().clone()
    kind(made).step(first(made))
    assert torch.equal(made.parameters()["unused.weight"], before)


@pytest.mark.parametrize("kind", [Rprop, Adam])
def test_a_gradient_that_is_no_number_makes_none_of_it(kind):
    bowl = Bowl([0.0], [math.nan])
    assert np.isnan(path(kind, bowl, 3)[-1]).all()


@pytest.mark.parametrize("kind", [Rprop, Adam])
def test_precision_stays(kind):
    model = linear().double()
    made = Driven(trainer(model, train=batches(dtype=torch.float64)))
    kind(made).step(first(made))
    assert {str(p.dtype) for p in made.parameters().values()} == {"torch.float64"}
