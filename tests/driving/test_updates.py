import itertools
import math

import pytest

from babysit import Output
from babysit.driving.updates import CALLS, updates_of


def program(every=1, losses=None, penalty=0.0):
    """A step that updates at each so many calls."""
    calls = itertools.count(1)

    def step(batch):
        k = next(calls)
        return Output(float(k) if losses is None else losses[k - 1], penalty, updated=k % every == 0)

    return step


def losses_of(step, count, batches=None):
    return [output.loss for output in updates_of(step, itertools.count() if batches is None else batches, count)]


@pytest.mark.parametrize(("every", "expected"), [(1, [1.0, 2.0]), (2, [1.5, 3.5]), (CALLS, [32.5, 96.5])])
def test_an_update_has_the_mean_loss_of_its_calls(every, expected):
    assert losses_of(program(every), 2) == expected


def test_no_batch_is_drawn_beyond_the_last_update():
    batches = itertools.count()
    assert losses_of(program(3), 2, batches) == [2.0, 5.0]
    assert next(batches) == 6


@pytest.mark.parametrize(("every", "expected"), [(CALLS + 1, []), (10**9, [])])
def test_a_program_that_never_updates_is_given_up(every, expected):
    batches = itertools.count()
    assert losses_of(program(every), 50, batches) == expected
    assert next(batches) == CALLS


def test_the_batches_may_end_first():
    assert losses_of(program(), 5, [0, 0]) == [1.0, 2.0]
    assert losses_of(program(), 0) == []


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_counts_as_an_update_and_shows(wrong):
    found = losses_of(program(every=10**9, losses=[1.0, wrong] * 4), 2)
    assert len(found) == 2
    assert not any(map(math.isfinite, found))
    assert not math.isfinite(losses_of(program(penalty=wrong), 1)[0])
