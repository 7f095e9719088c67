"""What a network knows of its inputs, seen by an exchange of targets."""

import random

import numpy as np
import pytest
import torch

from babysit.checks.lr_scan.permutation_test import Exchange, exchange, with_exchanged_targets
from babysit.measuring.significance import gap_error


def batch(*targets):
    return np.arange(float(len(targets)))[:, None], np.array(targets)


def targets_of(*batches, seed=0):
    return [targets.tolist() for _, targets in with_exchanged_targets(batches, seed)]


def kept(targets, seed):
    """How many rows keep their key."""
    (others,) = targets_of(batch(*targets), seed=seed)
    return sum(a == b for a, b in zip(targets, others, strict=True))


def told(gap, *, error=0.25, before=0.0, sigmas=3.0):
    return Exchange(0.1, 16, 1.0, 1.0 + gap, error, before).tells(sigmas)


# Which targets are exchanged


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "targets",
    [
        (0, 1),
        (0, 1, 2, 3, 4),
        (0, 0, 1, 1),
        (0, 1, 0, 1, 0, 1),
        (0, 0, 0, 1, 1, 2),
        (0, 0, 1, 1, 2, 2, 3),
        (*range(3),) * 8,
        (0.5, -1.25, 3.0, 2.0),
        (True, False, False, True),
    ],
)
def test_each_row_gets_another_key_where_it_can_be_had(targets, seed):
    assert kept(targets, seed) == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("targets", "least"),
    [((0, 0, 1), 1), ((0, 0, 0, 1), 2), ((0, 0, 0, 1, 2), 1), ((1, *[0] * 19), 18), (([0] * 9) + [1, 2, 3, 3], 5)],
)
def test_of_more_than_half_no_more_keep_theirs_than_must(targets, least, seed):
    assert kept(targets, seed) == least


@pytest.mark.parametrize("seed", range(5))
def test_the_targets_of_a_batch_stay_in_it(seed):
    batches = batch(0, 0, 1, 5), batch(1, 2, 2, 2, 7), batch(3, 3, 3), batch(4, 8)
    others = targets_of(*batches, seed=seed)
    assert [sorted(other) for other in others] == [sorted(targets.tolist()) for _, targets in batches]


def test_inputs_stay():
    batches = [batch(0, 1, 2), batch(3, 3)]
    found = with_exchanged_targets(batches, 0)
    assert all(inputs is before for (inputs, _), (before, _) in zip(found, batches, strict=True))
    assert [inputs.tolist() for inputs, _ in found] == [[[0.0], [1.0], [2.0]], [[0.0], [1.0]]]
    assert [targets.tolist() for _, targets in batches] == [[0, 1, 2], [3, 3]]


def test_a_seed_always_draws_the_same_order_and_another_one_another():
    batches = batch(*range(20)), batch(*range(20))
    drawn = [targets_of(*batches, seed=seed) for seed in range(3)]
    assert drawn == [targets_of(*batches, seed=seed) for seed in range(3)]
    orders = [tuple(order) for found in drawn for order in found]
    assert len(set(orders)) == 6  # of each batch, too


def test_no_other_random_numbers_are_drawn():
    random.seed(5)
    np.random.seed(5)
    targets_of(batch(*range(20)))
    drawn = random.random(), np.random.random()
    random.seed(5)
    np.random.seed(5)
    assert drawn == (random.random(), np.random.random())


# Batches whose targets are alike


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        ([batch(0, 0), batch(1, 1), batch(2, 2)], [[1, 1], [2, 2], [0, 0]]),
        ([batch(0, 0), batch(0, 0), batch(1, 1), batch(1, 1)], [[1, 1], [1, 1], [0, 0], [0, 0]]),
        ([batch(0, 0), batch(1, 2), batch(3, 3)], [[3, 3], [2, 1], [0, 0]]),  # among themselves
        ([batch(0, 0), batch(1, 2)], [[0, 0], [2, 1]]),  # with none
        ([batch(0, 0), batch(1, 1, 1)], [[0, 0], [1, 1, 1]]),  # of another size
        ([batch(3), batch(4), batch(5)], [[4], [5], [3]]),
        ([batch(3)], [[3]]),
    ],
)
def test_batches_of_one_key_exchange_among_themselves(batches, expected):
    assert targets_of(*batches) == expected


@pytest.mark.parametrize(
    "keys",
    [
        (0, 1, 2) * 3,
        (0, 0, 0, 1, 1, 1),
        (0, 1) * 2,
        (0, 1, 2) * 4,
    ],
)
def test_batches_of_one_key_get_another(keys):
    others = targets_of(*(batch(key, key) for key in keys))
    assert all(other != [key, key] for key, other in zip(keys, others, strict=True))


# Targets of any kind


@pytest.mark.parametrize("seed", range(3))
def test_targets_of_any_structure_move_together(seed):
    targets = {"boxes": np.arange(8.0).reshape(4, 2), "labels": np.arange(4)}
    ((_, moved),) = with_exchanged_targets([(np.zeros((4, 1)), targets)], seed)
    assert sorted(moved["labels"]) == [0, 1, 2, 3]
    assert all(moved["labels"] != targets["labels"])
    assert np.array_equal(moved["boxes"], targets["boxes"][moved["labels"]])
    assert targets["labels"].tolist() == [0, 1, 2, 3]


def test_a_key_is_all_that_belongs_to_a_row():
    """Of rows that differ in one leaf or one place alone, each gets another's."""
    texts = np.array([[1, 2], [1, 3], [1, 2], [1, 3]])
    ((_, moved),) = with_exchanged_targets([(np.zeros((4, 1)), texts)], 0)
    assert moved.tolist() == texts[[1, 0, 1, 0]].tolist()
    pair = {"group": np.zeros(4), "label": np.array([0, 1, 0, 1])}
    ((_, moved),) = with_exchanged_targets([(np.zeros((4, 1)), pair)], 0)
    assert moved["label"].tolist() == [1, 0, 1, 0]


def test_tensors_are_exchanged():
    targets = torch.tensor([0, 0, 1, 1])
    ((_, moved),) = with_exchanged_targets([(torch.zeros(4, 1), targets)], 0)
    assert torch.equal(moved, torch.tensor([1, 1, 0, 0]))


# Whether it tells


@pytest.mark.parametrize(("gap", "expected"), [(0.7499, False), (0.75, False), (0.7501, True), (-5.0, False)])
def test_it_tells_by_more_than_noise(gap, expected):
    assert told(gap) is expected


@pytest.mark.parametrize(("before", "expected"), [(0.99, True), (1.0, False), (1.01, False)])
def test_it_tells_by_more_than_at_the_start(before, expected):
    assert told(1.0, before=before) is expected


@pytest.mark.parametrize("gap", [0.0, -1.0])
def test_targets_of_others_that_fit_as_well_tell_nothing_however_small_the_noise(gap):
    assert not told(gap, error=0.0, before=-3.0)


@pytest.mark.parametrize("name", ["gap", "error", "before"])
def test_what_is_no_number_tells_no_lie(name):
    numbers = {"gap": 1.0, "error": 0.25, "before": 0.0} | {name: float("nan")}
    assert told(**numbers) in (True, False)


def test_losses_become_means_and_the_error_of_their_difference():
    own, others = [1.0, 2.0, 3.0], [2.0, 2.5, 4.0]
    found = exchange(0.3, 16, [0.1, -0.1, 0.3], own, others)
    assert (found.learning_rate, found.updates, found.loss) == (0.3, 16, 2.0)
    assert found.exchanged == pytest.approx(8.5 / 3)
    assert found.before == pytest.approx(0.1)
    assert found.error == gap_error(others, own)
