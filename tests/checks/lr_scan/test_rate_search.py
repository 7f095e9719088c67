"""The search for the best rate: a sweep that brackets it, and short runs around, on plain numbers."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rate_trials import Sometimes, exploded, trial
from trainers import TinyTrainer

from babysit.checks.lr_scan import Settings
from babysit.checks.lr_scan.permutation_test import Exchange
from babysit.checks.lr_scan.rate_search import Search, sweep
from babysit.checks.lr_scan.schema import Sweep
from babysit.checks.lr_scan.short_runs import Runs
from babysit.driving.bench import Bench

# The sweep


def blow_up(*changes, scatter=0.5):
    """The number of the update at which the loss has blown up."""
    return Sweep(tuple(float(k) for k in range(len(changes))), changes, scatter).blow_up


def nan_or(expected):
    return pytest.approx(expected, nan_ok=True)


STILL, LOUD = (0.0,) * 8, (0.2, -0.2, 0.2, -0.2, 0.2, -0.2, 0.2, -0.2)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ((), math.nan),
        ((0.0,), math.nan),
        (STILL, math.nan),
        ((*STILL, math.nan), 8),
        ((math.inf,), 0),
        ((*STILL, -math.inf, 0.0), 8),
        ((*STILL, 0.6, 0.6, 0.6), 9),  # a mean of three above 0.5, and the middle one of them
        ((*STILL, 0.4, 0.4, 0.4, 0.4), math.nan),
        ((*STILL, 1.4, 0.0, 0.0), math.nan),  # one batch
        ((*STILL, 1.6, 0.0, 0.0), 7),
        ((*STILL, -2.0, -2.0, -2.0, 1.9, 1.9, 1.9), math.nan),  # no more than it had fallen by
        ((*STILL, -2.0, -2.0, -2.0, 2.1, 2.1, 2.1), 12),
    ],
)
def test_blow_up(changes, expected):
    assert blow_up(*changes) == nan_or(expected)


def test_noise_of_updates_that_move_nothing_is_no_blow_up():
    spread = 4 * math.sqrt(0.04 - 0.04**2)  # of 0.2 three times and -0.2 twice, fourfold: 0.78
    assert math.isnan(blow_up(*LOUD, spread, spread, spread, scatter=0.0))
    assert blow_up(*LOUD, 0.8, 0.8, 0.8, scatter=0.0) == 9
    assert blow_up(0.0, 0.0, 0.0, 0.0, 1e-9, scatter=0.0) == nan_or(math.nan)  # among the updates that show the noise


def swept(trainer, **settings):
    runs, settings = Runs(Bench(trainer), Settings()), Settings(**settings)
    return sweep(runs, settings), runs


def test_rates_grow_by_equal_factors_until_the_loss_has_blown_up():
    found, runs = swept(TinyTrainer(), low=1e-3, high=1e5, sweep=25)
    factor = 10 ** (8 / 24)
    assert found.rates[0] == 1e-3
    assert [b / a for a, b in zip(found.rates, found.rates[1:], strict=False)] == [pytest.approx(factor)] * (
        len(found.rates) - 1
    )
    assert 1 < found.blow_up <= found.rates[-1] < 1e5
    assert runs.updates == len(found.rates) < 25


def test_the_sweep_ends_at_the_highest_rate():
    found, runs = swept(TinyTrainer(), low=1e-6, high=1e-2, sweep=10)
    assert found.rates == pytest.approx([10 ** (-6 + 4 * k / 9) for k in range(10)])
    assert math.isnan(found.blow_up)
    assert runs.updates == 10


def test_the_rate_grows_with_updates_not_steps():
    found, runs = swept(Sometimes(every=4), low=1e-6, high=1e-2, sweep=10)
    assert len(found.rates) == 40
    assert len(set(found.rates)) == runs.updates == 10


def test_the_sweep_leaves_the_trainer_as_it_was():
    trainer = TinyTrainer()
    before = trainer.save()
    swept(trainer)
    assert trainer.learning_rate == 0.1
    assert all((before[name] == trainer.weights[name]).all() for name in before)


# The search


class Fake:
    """Runs whose fall is a function of the rate's logarithm; NaN explodes."""

    def __init__(self, fall, again=None):
        self.fall, self.again = fall, again or fall
        self.told = []
        self.bench = SimpleNamespace(advance=lambda done, total: self.told.append((done, total)))

    def _trial(self, rate, fall, steps=16):
        found = fall(round(math.log10(rate), 6))
        return exploded(rate) if math.isnan(found) else trial(rate, found, steps=steps)

    def at(self, rate, steps):
        return self._trial(rate, self.fall, steps)

    def after(self, rate, steps, *, again):
        assert again
        return list(steps)

    def trial(self, rate, after):
        return self._trial(rate, self.again, after)

    def exchange(self, rate, after):
        return Exchange(rate, after, loss=1.0, exchanged=2.0, error=0.1, before=0.0)


def search(fall, again=None, own=0.01, **settings):
    return Search(Fake(fall, again), own, Settings(**settings))


def tried(found):
    """The logarithms of the rates, in steps of the lattice."""
    return [round(math.log10(t.learning_rate), 2) for t in found.trials]


def around(start, fall, **options):
    found = search(fall, **options)
    found.around(10**start)
    return tried(found)


def peak(at):
    return lambda x: 1 - 0.2 * abs(x - at)


def nothing(x):
    return 0.0


def explosion(x):
    return math.nan


def up(x):
    return 1 + 0.01 * x


def down(x):
    return 1 - 0.01 * x


def lattice(low, high):
    return [low + 0.5 * k for k in range(round(2 * (high - low)) + 1)]


@pytest.mark.parametrize(
    ("start", "fall", "expected"),
    [
        (-1, peak(-1), lattice(-1.5, -0.5)),
        (-0.9, peak(-1), lattice(-1.5, -0.5)),
        (-3, peak(0), lattice(-3.5, 0.5)),
        (-1, peak(-3), lattice(-3.5, -0.5)),
        (-1, nothing, lattice(-1.5, -0.5)),
        (9, peak(0), lattice(-0.5, 1)),  # begins inside the range
        (-9, peak(-5), lattice(-6, -4.5)),
        (-1, up, lattice(-1.5, 5)),
        (-1, down, lattice(-10, -0.5)),
        (-1, explosion, lattice(-10, -0.5)),
        (-1, lambda x: -0.031, lattice(-10, -0.5)),
        (-1, lambda x: -0.029, lattice(-1.5, -0.5)),
        (-1, lambda x: math.nan if x > -3 else peak(-3.5)(x), lattice(-4, -0.5)),
    ],
)
def test_runs_move_to_where_the_loss_is_lower(start, fall, expected):
    assert around(start, fall) == pytest.approx(expected)


@pytest.mark.parametrize("widen", [0, 1, 2, 3])
def test_the_range_is_widened_by_two_decades_each_time(widen):
    assert around(-1, up, widen=widen)[-1] == 1 + 2 * widen
    assert around(-1, down, widen=widen)[0] == -6 - 2 * widen


@pytest.mark.parametrize(("own", "per_decade"), [(0.02, 2), (0.02, 3), (3e4, 2), (1e-9, 5)])
def test_every_rate_is_steps_of_the_lattice_from_the_user_s(own, per_decade):
    found = search(peak(-1), own=own, per_decade=per_decade)
    found.around(0.1)
    found.run(0)
    places = [per_decade * math.log10(t.learning_rate / own) for t in found.trials]
    assert places == pytest.approx([round(place) for place in places], abs=1e-6)
    assert found.place(own) == 0
    assert own in [t.learning_rate for t in found.trials]


def test_a_place_is_run_once():
    found = search(peak(-1))
    found.run(0, 0, 1)
    first = found.trials
    found.run(1, 0)
    assert all(a is b for a, b in zip(found.trials, first, strict=True))


def test_progress_never_passes_its_end():
    found = search(up)
    found.around(0.1)
    told = found.runs.told
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert all(done < total for done, total in told[:-1])


@pytest.mark.parametrize(
    ("fall", "expected"),
    [
        (nothing, range(-6, 2)),
        (lambda x: math.nan if x > -2.5 else 0.0, range(-6, 0)),  # two explosions, and the next ones explode too
        (explosion, range(-6, -4)),
    ],
)
def test_everywhere_is_each_decade_until_two_explode(fall, expected):
    found = search(fall)
    found.everywhere()
    assert tried(found) == list(expected)


def test_the_middle_is_the_best_or_the_lowest_where_all_explode():
    found = search(peak(-1))
    found.around(0.1)
    assert found.middle == pytest.approx(0.1)
    found = search(explosion)
    found.everywhere()
    assert found.middle == pytest.approx(1e-6)


# Repeats


def confirmed_search(fall, again=None, start=-1, **settings):
    found = search(fall, again, **settings)
    found.around(10**start)
    return found.confirms(), tried(found), sorted(round(math.log10(rate), 2) for rate in found.repeats), found


def test_what_falls_twice_is_confirmed():
    sure, runs, repeats, found = confirmed_search(peak(-1))
    assert (sure, runs, repeats) == (True, lattice(-1.5, -0.5), [-1])
    ((rate, known),) = found.exchanges.items()
    assert (known.learning_rate, known.updates) == (rate, 32)
    assert (found.repeats[found.middle].steps, found.onward[found.middle].steps) == (16, 32)


def test_what_falls_nowhere_is_not_repeated():
    assert confirmed_search(nothing)[:3] == (False, lattice(-1.5, -0.5), [])
    assert confirmed_search(explosion, low=1e-2, high=1, widen=0)[:3] == (False, lattice(-2, -0.5), [])


def test_what_falls_once_is_not_confirmed():
    sure, _, repeats, _ = confirmed_search(peak(-1), nothing)
    assert not sure
    assert -1 in repeats


def test_the_repeat_may_make_another_rate_the_best():
    sure, runs, repeats, _ = confirmed_search(peak(-1), lambda x: 0.3 if x == -1 else 0.95)
    assert sure
    assert repeats == [-1.5, -1]  # of two alike, the lower
    assert runs == lattice(-2, -0.5)  # with its neighbours


def test_what_no_repeat_bears_out_ends_with_all_repeated():
    sure, runs, repeats, _ = confirmed_search(lambda x: 1.0, lambda x: -5.0, low=1e-2, high=1, widen=0)
    assert not sure
    assert repeats == runs == lattice(-2, 0)


def test_a_lower_rate_will_do_where_the_best_ones_repeat_is_noise():
    def rest(x):
        return 0.4 - 0.1 * abs(x + 1.5)

    found = search(lambda x: 1.0 if x == -1 else rest(x), lambda x: 0.0 if x == -1 else rest(x))
    found.around(0.1)
    assert not found.confirms()
    assert [round(math.log10(rate), 2) for rate in found.repeats] == [-1]
    assert found.confirms(lower=True)
    assert sorted(round(math.log10(rate), 2) for rate in found.repeats) == [-1.5, -1]


def test_neighbours_beyond_the_range_are_not_run():
    sure, runs, repeats, _ = confirmed_search(up, low=1e-2, high=1, widen=0)
    assert (sure, runs, repeats) == (True, lattice(-1.5, 0), [0])


def test_a_real_search_confirms():
    found = Search(Runs(Bench(TinyTrainer()), Settings()), 0.1, Settings())
    found.around(1.0)
    assert found.confirms()
    ((rate, again),) = found.repeats.items()
    assert again == replace(again, learning_rate=found.middle)
    assert (again.steps, found.onward[rate].steps) == (16, 32)
    assert found.exchanges[rate].tells(Settings().known)


@pytest.mark.parametrize(
    ("raised", "updates"),
    [
        ({16: 0.5, 32: 0.6}, 32),
        ({16: 0.5, 32: 0.1}, 16),  # what it knew then is gone
        ({16: 0.39, 32: 0.1}, 32),  # 3.9 errors tell nothing yet
        ({16: 0.0, 32: 0.5}, 32),
        ({16: 0.5}, 16),  # then it exploded
        ({32: 0.0}, 32),
        ({}, None),
    ],
)
def test_a_repeat_knows_what_it_knew_when_it_knew_the_most(raised, updates):
    found = search(peak(-1))
    looks = {n: Exchange(0.1, n, loss=1.0, exchanged=1 + gap, error=0.1, before=0.0) for n, gap in raised.items()}
    found.runs.exchange = lambda rate, after: looks.get(after)
    found.repeat(0.1, 16)
    known = found.exchanges[0.1]
    assert (known and known.updates) == updates
