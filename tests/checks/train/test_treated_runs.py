import math
from types import SimpleNamespace

import faults
import numpy as np
import pytest
import torch
from faults import SEEDS, demo, left
from pytorch_programs import CLASSES, loader, program
from torch import nn
from torch.optim import SGD

from babysit.arrays import differing
from babysit.checks.train import Settings
from babysit.checks.train.monitor import passes
from babysit.checks.train.treated_runs import treated_runs
from babysit.driving.bench import Bench
from babysit.errors import Skip
from babysit.measuring.split_sample import Ignorance, part_of
from babysit.measuring.treatments import PLAIN, REDRAWN, STANDARDIZED, UNREGULARIZED


def own_run(bench, steps):
    """The losses of the program's own run, up to one that isn't finite."""
    losses = []
    with bench.borrowed() as trainer:
        for batch in passes(trainer):
            losses += [] if batch is None else [trainer.step(batch).loss]
            if len(losses) == steps or not math.isfinite(losses[-1]):
                break
    return losses


def treated(made, steps=100, losses=None):
    """What became of the run under each treatment, by name."""
    with np.errstate(all="ignore"):
        bench = Bench(made)
        known = part_of(bench, "train", 512).ignorance
        losses = own_run(bench, steps) if losses is None else losses
        return {t.treatment: t for t in treated_runs(bench, Settings(treated=steps), losses, known)}


def cured(made, **options):
    return {name for name, t in treated(made, **options).items() if t.cured}


def times_255(seed):
    made = demo(seed, rate=0.1, optimizer="sgd")
    inputs, labels = made.splits["train"]
    made.splits["train"] = 255 * inputs, labels
    return made


def at_rate(rate):
    return f"a learning rate of {rate:.3g}"


def network(copied=False, rate=0.1, decay=0.0):
    """A PyTorch program that a plain run teaches; its optimizer may hold the parameters of a copy."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 20), nn.ReLU(), nn.Linear(20, CLASSES))
    held = nn.Sequential(nn.Flatten(), nn.Linear(16, 20), nn.ReLU(), nn.Linear(20, CLASSES)) if copied else model
    return program(model, SGD(held.parameters(), rate, weight_decay=decay), loader())


# Which treatment cures which fault


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_of_zero_are_drawn_anew(seed):
    assert cured(demo(seed, initialization="zeros", output_initialization="zeros")) == {REDRAWN}


@pytest.mark.parametrize("seed", SEEDS)
def test_raw_pixels_under_plain_gradient_descent_are_standardized(seed):
    assert cured(times_255(seed)) == {STANDARDIZED}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rate_that_is_too_high_is_lowered(seed):
    found = treated(demo(seed, rate=50.0, optimizer="sgd"))
    assert found[at_rate(0.5)].cured
    assert UNREGULARIZED in found
    assert not found[UNREGULARIZED].cured


def test_a_weight_decay_of_5_is_switched_off():
    found = treated(network(decay=5.0).trainer)
    assert found[UNREGULARIZED].cured
    assert not any(found[name].cured for name in found if name.startswith("a learning rate"))


def test_the_optimizer_of_a_copy_is_passed_by():
    assert cured(network(copied=True).trainer, losses=[math.log(3)] * 100) == {PLAIN}


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_cures_shuffled_labels(seed):
    made = demo(seed, rate=0.1, optimizer="sgd")
    inputs, labels = made.splits["train"]
    made.splits["train"] = inputs, np.random.default_rng(seed).permutation(labels)
    found = treated(made)
    assert {UNREGULARIZED, REDRAWN, PLAIN} <= set(found)
    assert not any(t.cured for t in found.values())


# What is tried


def test_lower_rates_alone_where_the_run_blew_up():
    for losses in ([1.1, 5.0, math.nan], [1.1, math.inf], [1.1, 1.2, 1.4, 1.5]):
        found = treated(demo(0, rate=0.5, optimizer="sgd"), steps=10, losses=losses)
        assert [name for name in found if name.startswith("a learning rate")] == [at_rate(0.05), at_rate(0.005)]


def test_higher_rates_first_where_it_stood_still():
    found = treated(demo(0, rate=0.5, optimizer="sgd"), steps=10, losses=[1.1] * 10)
    rates = [name for name in found if name.startswith("a learning rate")]
    assert rates == [at_rate(5), at_rate(0.05), at_rate(50)]


def test_regularization_is_left_alone_where_there_is_none():
    assert UNREGULARIZED not in treated(demo(0, l2=0.0), steps=10, losses=[1.1] * 10)
    assert UNREGULARIZED in treated(demo(0), steps=10, losses=[1.1] * 10)


def test_a_run_ends_with_its_first_loss_that_is_no_number():
    found = treated(demo(0, rate=1e300, optimizer="sgd"), steps=10, losses=[1.1] * 10)
    higher = found[at_rate(1e301)]
    assert higher.steps < 10
    assert math.isnan(higher.loss)
    assert not higher.cured


def test_a_run_is_as_long_as_is_set():
    assert {t.steps for t in treated(demo(0), steps=17, losses=[1.1] * 10).values() if math.isfinite(t.loss)} == {17}


def test_steps_that_update_nothing_don_t_count():
    found = treated(faults.first_steps_skipped(0), steps=10, losses=[1.1] * 10)
    assert found[UNREGULARIZED].steps == 10


# What a cure is


@pytest.mark.parametrize(
    ("known", "first", "expected"),
    [
        (1.0, 1.0, True),  # from 1 to 0.79
        (0.99, 1.0, True),
        (0.98, 1.0, False),  # 0.784 is to be reached
        (1.0, 0.98, False),  # by the first loss, where that is lower
        (math.nan, 1.0, True),
        (math.inf, 1.0, True),
        (math.nan, 0.98, False),
        (math.nan, math.nan, False),
    ],
)
def test_a_fifth_of_what_it_costs_to_know_nothing_must_go(known, first, expected):
    made = demo(0, rate=0.1)
    bench = Bench(made)
    flat = SimpleNamespace(loss=0.79, penalty=0.0, scores=None, updated=True)
    bench.trainer.step = lambda batch: flat
    ran = treated_runs(bench, Settings(treated=10), [first] * 10, Ignorance(300, known, 0.3))
    outcomes = {t.treatment: (t.cured, t.loss) for t in ran}
    assert outcomes[UNREGULARIZED] == (expected, pytest.approx(0.79))


# As it was found


def test_the_lab_network_is_left_as_it_was_found():
    made = demo(0, dropout=0.2, batch_norm=True, optimizer="momentum")
    before = left(made)
    assert len(treated(made, steps=10)) >= 5
    assert differing(before, left(made)) == []


def test_a_pytorch_program_is_left_as_it_was_found():
    made = network(decay=1e-3)
    before = made.bits()
    assert len(treated(made.trainer, steps=10)) >= 5
    assert made.bits() == before


def test_a_change_that_the_program_can_t_take_shows_nothing():
    made = demo(0)
    healthy = made.step

    def step(batch):
        if made.learning_rate != 0.02:
            raise ValueError("this rate is fixed")
        return healthy(batch)

    made.step = step
    found = treated(made, steps=10)
    assert [name for name in found if name.startswith("a learning rate")] == []
    assert {UNREGULARIZED, PLAIN} <= set(found)
    assert made.learning_rate == 0.02


def test_a_power_that_fails_shows_nothing():
    made = demo(0)

    def gradients(batch):
        raise Skip("the gradients can't be followed")

    made.gradients = gradients
    found = treated(made, steps=10, losses=[1.1] * 10)
    assert PLAIN not in found
    assert UNREGULARIZED in found
