"""What a scan suggests changes with nothing that good learning rates don't change with."""

import functools
import math
from itertools import islice

import faults
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR
from torch.utils.data import DataLoader, TensorDataset

from babysit import Classification
from babysit.adapters.pytorch import PyTorchTrainer
from babysit.checks.lr_scan import Settings, measure
from babysit.checks.lr_scan.schema import falls
from babysit.checks.lr_scan.usable_rates import suggestion
from babysit.driving.bench import Bench

CLOSE = 0.25  # decades
MOMENTUM = functools.partial(torch.optim.SGD, momentum=0.9)
OPTIMIZERS = {"momentum": (MOMENTUM, 0.01), "adam": (torch.optim.Adam, 1e-3)}


@functools.cache
def handwriting():
    found = load_digits()
    return TensorDataset(torch.tensor(found.data / 8 - 1, dtype=torch.float32), torch.tensor(found.target))


def digits(optimizer, *, seed=0, order=None, rate=1.0, factor=1.0, shift=0.0, size=32, groups=None, update=None):
    """A classification by two layers.

    Args:
        seed: Of the weights.
        order: Seed of the order of the examples.
        rate: Times the optimizer's usual rate.
        factor: Of the loss.
        shift: Added to it.
        size: Of a batch.
        groups: (model) -> parameter groups, each rate a multiple of the optimizer's.
        update: (optimizer) -> an object that makes the updates.
    """
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    make, usual = OPTIMIZERS[optimizer]
    grouped = [{"params": part.parameters(), "lr": usual * rate * times} for part, times in (groups or whole)(model)]
    made = make(grouped)
    draw = torch.Generator().manual_seed(seed if order is None else order)
    batches = DataLoader(handwriting(), batch_size=size, shuffle=True, drop_last=True, generator=draw)

    def loss(scores, targets):
        return factor * nn.functional.cross_entropy(scores, targets) + shift

    updating = update and update(made)
    stateful = [updating, *updating.more] if updating else []
    task = Classification(10)
    return PyTorchTrainer(model, loss, made, batches, task=task, update=updating, stateful=stateful)


def whole(model):
    return [(model, 1.0)]


def curve(*, seed=0, order=None, rate=1.0, factor=1.0, shift=0.0):
    """A regression, in NumPy."""
    loss = faults.scaled(faults.squared_loss, factor, shift)
    data = faults.curve(0, examples=1000)
    made = faults.regression(seed, data, optimizer="sgd", rate=0.01 * rate, loss=loss)
    made.order = np.random.default_rng(seed if order is None else order)
    return made


PROGRAMS = {
    "momentum": functools.partial(digits, "momentum"),
    "adam": functools.partial(digits, "adam"),
    "numpy": curve,
}
by_all = pytest.mark.parametrize("name", PROGRAMS)
by_torch = pytest.mark.parametrize("name", OPTIMIZERS)


def scanned(trainer, **settings):
    chosen = Settings(**settings)
    with np.errstate(all="ignore"):
        return measure(Bench(trainer), chosen), chosen


def suggested(trainer, **settings):
    """The logarithm of the suggestion."""
    return math.log10(suggestion(*scanned(trainer, **settings)))


@functools.cache
def usual(name):
    return suggested(PROGRAMS[name]())


def close(expected):
    return pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("seed", [1, 2, 3])
@by_all
def test_another_seed(name, seed):
    assert suggested(PROGRAMS[name](seed=seed)) == close(usual(name))


@by_all
def test_another_order_of_the_batches(name):
    assert suggested(PROGRAMS[name](order=101)) == close(usual(name))


@pytest.mark.parametrize(("low", "high"), [(1e-8, 1e-1), (1e-4, 1e3)])
@by_all
def test_another_range(name, low, high):
    assert suggested(PROGRAMS[name](), low=low, high=high) == close(usual(name))


@pytest.mark.parametrize("factor", [1e3, 1e-3])
@by_all
def test_a_scaled_loss(name, factor):
    """Updates of gradient descent scale with it, those of Adam don't."""
    scales = 0 if name == "adam" else math.log10(factor)
    assert suggested(PROGRAMS[name](factor=factor)) == close(usual(name) - scales)


@by_all
def test_a_loss_below_zero(name):
    assert suggested(PROGRAMS[name](shift=-100.0)) == close(usual(name))


@pytest.mark.parametrize("times", [100.0, 0.01, 37.0])
@by_all
def test_another_starting_rate(name, times):
    assert suggested(PROGRAMS[name](rate=times)) == close(usual(name))


def warm(trainer, steps=20):
    """The trainer after so many steps at a hundredth of its rate, so that momentum has a direction."""
    own, trainer.learning_rate = trainer.learning_rate, trainer.learning_rate / 100
    for batch in islice(trainer.batches(), steps):
        trainer.step(batch)
    trainer.learning_rate = own
    return trainer


def cold(trainer):
    """The same order of batches, and no step."""
    list(islice(trainer.batches(), 20))
    return trainer


@by_all
def test_a_warm_state(name):
    """By the mean of three orders, since which batches come first weighs as much."""
    differences = [
        suggested(warm(PROGRAMS[name](order=order))) - suggested(cold(PROGRAMS[name](order=order)))
        for order in (0, 1, 2)
    ]
    assert sum(differences) / 3 == close(0.0)


# Updates of other kinds


class Update:
    """Plain updates; what else they keep is saved with the rest."""

    def __init__(self, optimizer):
        self.optimizer, self.made, self.more = optimizer, 0, ()

    def __call__(self, total):
        self.made += 1
        total.backward()
        self.step()

    def step(self):
        self.optimizer.step()
        self.optimizer.zero_grad()

    def state_dict(self):
        return {"made": self.made}

    def load_state_dict(self, state):
        self.made = state["made"]


class OfFour(Update):
    """Accumulates the gradients of four batches."""

    def __call__(self, total):
        super().__call__(total / 4)

    def step(self):
        if self.made % 4 == 0:
            super().step()


class FiveSkipped(Update):
    """As loss scaling does that is still finding its scale."""

    def step(self):
        if self.made > 5:
            super().step()
        self.optimizer.zero_grad()


class Scheduled(Update):
    """A schedule that divides the rate by ten in ten updates."""

    def __init__(self, optimizer):
        super().__init__(optimizer)
        self.more = [ExponentialLR(optimizer, 0.8)]

    def step(self):
        super().step()
        self.more[0].step()


@by_torch
def test_accumulation_over_four_batches(name):
    """Of a quarter the size each, so that an update sees as many examples."""
    measured, settings = scanned(digits(name, size=8, update=OfFour))
    assert {t.steps for t in measured.trials if math.isfinite(t.loss)} == {settings.steps}
    assert math.log10(suggestion(measured, settings)) == close(usual(name))


@by_torch
def test_updates_skipped_at_first(name):
    measured, settings = scanned(digits(name, update=FiveSkipped))
    assert {t.steps for t in measured.trials if math.isfinite(t.loss)} == {settings.steps}
    assert math.log10(suggestion(measured, settings)) == close(usual(name))


@by_torch
def test_a_scheduler_that_steps_inside_the_update(name):
    assert suggested(digits(name, update=Scheduled)) == close(usual(name))


# Parameter groups


def first_layer_slower(model):
    return [(model[0], 0.1), (model[2], 1.0)]


def the_same_listed_the_other_way(model):
    return first_layer_slower(model)[::-1]


class Noting(Update):
    """Keeps the rates of every step."""

    rates: list

    def step(self):
        self.rates.append([group["lr"] for group in self.optimizer.param_groups])
        super().step()


@by_torch
def test_groups_keep_their_ratio_in_every_step(name):
    noting = type("Noting", (Noting,), {"rates": []})
    measured, settings = scanned(digits(name, groups=first_layer_slower, update=noting))
    assert len(noting.rates) >= measured.updates > 50
    assert [second / first for first, second in noting.rates] == pytest.approx([10.0] * len(noting.rates))
    assert {first for first, _ in noting.rates} >= {t.learning_rate for t in measured.trials}
    assert any(falls(t, settings.sigmas) for t in measured.trials)


@by_torch
def test_the_suggestion_is_the_first_group_s(name):
    """A tenth where the group of a tenth comes first."""
    slower = suggested(digits(name, groups=first_layer_slower))
    assert slower == close(suggested(digits(name, groups=the_same_listed_the_other_way)) - 1)
