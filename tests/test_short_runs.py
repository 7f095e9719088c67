"""Short runs at several learning rates: the grid, and how noise is kept from looking like learning."""

import math

import numpy as np
import pytest
from scipy import stats
from trainers import TinyTrainer

from babysit import Output
from babysit.bench import Bench
from babysit.checks import lr_scan
from babysit.short_runs import COMPARED, compared_batches, fall_error, grid, student_quantile


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 7, 12, 31, 200])
@pytest.mark.parametrize("level", [1.35e-3, 9e-5, 2e-5])
def test_student_quantile_is_scipys(level, freedom):
    assert student_quantile(level, freedom) == pytest.approx(stats.t.isf(level, freedom), rel=5e-3)


@pytest.mark.parametrize(("low", "high", "count"), [(1e-6, 10.0, 15), (2e-6, 5.0, 14), (1e-3, 1.2e-3, 2)])
def test_grid_has_both_ends(low, high, count):
    rates = grid(low, high, 2)
    assert len(rates) == count
    assert rates[0] == low
    assert rates[-1] == pytest.approx(high)
    assert np.allclose(np.diff(np.log(rates)), np.log(high / low) / (count - 1))


def test_error_is_students_and_shared_out_among_the_rates():
    before, after = [2.0, -2.0, 3.0, 2.0], [1.0, -2.5, 2.5, 1.5]
    falls = np.subtract(before, after)
    expected = falls.std(ddof=1) / 2 * stats.t.isf(stats.norm.sf(3) / 15, 3) / 3
    assert fall_error(before, after, 15) == pytest.approx(expected, rel=5e-3)


def test_error_of_positive_losses_is_that_of_their_shares():
    before, after = [1000.0, 10.0, 100.0, 50.0], [500.0, 5.0, 50.0, 25.0]
    assert fall_error(before, after, 15) == pytest.approx(0, abs=1e-9)
    assert fall_error([b - 2000 for b in before], [a - 2000 for a in after], 15) > 100


@pytest.mark.parametrize("batch_size", [10, 40, 240])
def test_enough_batches_are_compared(batch_size):
    compared = compared_batches(Bench(TinyTrainer(batch_size=batch_size)), 200)
    assert len(compared) >= COMPARED
    assert sum(len(targets) for _, targets in compared) >= 200


def noise(seed, *, batches=COMPARED, rates=15):
    """Runs whose falls are nothing but noise, as many batches and rates as a scan has."""
    rng = np.random.default_rng(seed)
    before = list(2 + 0.2 * rng.standard_normal(batches))
    for rate in grid(1e-6, 10, 2):
        after = list(2 + 0.2 * rng.standard_normal(batches))
        fall = float(np.mean(before) - np.mean(after))
        yield lr_scan.Trial(rate, float(np.mean(after)), fall, fall_error(before, after, rates), math.nan, 20)


def scan_of_noise(seed):
    trials = tuple(noise(seed))
    return lr_scan.Measurement("", trials[7].learning_rate, 256, 2.0, math.nan, trials, 300)


def test_pure_noise_gives_no_suggestion():
    scans = [scan_of_noise(seed) for seed in range(400)]
    wrong = sum(bool(lr_scan.usable_range(scan, lr_scan.Settings())) for scan in scans)
    assert wrong <= 4  # 1 in 740 were the falls independent; they share what they are compared with


def test_an_explosion_at_every_rate_makes_the_range_wider_downward():
    def step(trainer, batch):
        output = TinyTrainer.step(trainer, batch)
        return output if trainer.learning_rate < 0.02 else Output(math.nan, 0.0, output.scores)

    trainer = TinyTrainer(learning_rate=10.0, step=step)
    measured = lr_scan.measure(Bench(trainer), lr_scan.Settings(low=1.0, high=100.0))
    lower, higher = ([t.loss for t in measured.trials if (t.learning_rate < 0.02) is below] for below in (True, False))
    assert lower
    assert all(map(math.isfinite, lower))
    assert not any(map(math.isfinite, higher))
