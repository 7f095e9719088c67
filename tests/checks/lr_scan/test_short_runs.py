"""Short runs from one state: the batches they train on and compare, and what they come to."""

import math
from dataclasses import replace

import numpy as np
import pytest
from rate_trials import Sometimes
from trainers import TinyTrainer, blobs

from babysit import Output, arrays
from babysit.checks.lr_scan import Settings
from babysit.checks.lr_scan.permutation_test import with_exchanged_targets
from babysit.checks.lr_scan.schema import Trial, best, falls
from babysit.checks.lr_scan.short_runs import COMPARED, ORDERS, After, Runs, parted, total_losses
from babysit.driving.bench import Bench
from babysit.driving.updates import CALLS


def pool(batches, size):
    """Batches of numbered examples."""
    rows = np.arange(batches * size).reshape(batches, size)
    return [(row[:, None].astype(float), row) for row in rows]


def rows(batches):
    return [int(i) for _, targets in batches for i in targets]


def runs_of(trainer, **options):
    return Runs(Bench(trainer), Settings(), **options)


def steps_made(trainer, updates, rate=0.1):
    """The outcome of a run, and how many steps it took."""
    bench = Bench(trainer)
    runs = Runs(bench, Settings())
    found = runs.at(rate, updates)
    return found, runs, bench.trainer.steps


# Parts of the pool


@pytest.mark.parametrize(
    ("batches", "size", "examples", "compared"),
    [
        (16, 10, 512, 8),  # half at most
        (32, 32, 512, 16),
        (128, 8, 512, 64),
        (1024, 1, 512, 128),
        (100, 10, 100, 10),
        (100, 10, 10, 9),  # COMPARED of them at least, evenly spaced
        (16, 1000, 512, 8),
    ],
)
def test_some_batches_are_compared_and_the_others_trained_on(batches, size, examples, compared):
    drawn = pool(batches, size)
    first, second = parted(drawn, examples)
    assert len(first.compared) == compared >= COMPARED
    assert sorted(rows(first.compared) + rows(first.trained)) == rows(drawn)
    assert set(rows(second.compared)) <= set(rows(first.trained))
    assert len(first.compared) <= len(second.compared)
    assert rows(second.trained) == rows(first.compared)


def test_those_compared_are_evenly_spaced_and_whole():
    drawn = pool(32, 4)
    first, _ = parted(drawn, 32)
    assert [batch[1][0] for batch in first.compared] == list(range(0, 128, 16))
    assert all(any(batch is one for one in drawn) for batch in first.compared)


@pytest.mark.parametrize(("batches", "size", "pieces"), [(1, 4, 4), (1, 240, 8), (6, 40, 12), (15, 10, 15), (8, 5, 8)])
def test_few_batches_are_trained_on_and_compared_in_pieces(batches, size, pieces):
    drawn = pool(batches, size)
    (part,) = parted(drawn, 512)
    assert rows(part.trained) == rows(part.compared) == rows(drawn)
    assert len(part.trained) == batches
    assert len(part.compared) == pieces
    assert [len(order) for order in part.exchanged] == [pieces] * ORDERS
    sizes = {len(targets) for _, targets in part.compared}
    assert max(sizes) - min(sizes) <= 1


def test_each_part_has_its_exchange():
    for part in parted(pool(16, 10), 512):
        expected = [rows(with_exchanged_targets(part.compared, seed)) for seed in range(ORDERS)]
        assert [rows(order) for order in part.exchanged] == expected


def test_targets_are_exchanged_before_a_batch_is_cut():
    drawn = pool(1, 16)
    (part,) = parted(drawn, 512)
    assert [rows(order) for order in part.exchanged] == [
        rows(with_exchanged_targets(drawn, seed)) for seed in range(ORDERS)
    ]
    for order in part.exchanged:
        assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(order, part.compared, strict=True))
        assert [len(targets) for _, targets in order] == [2] * 8


def test_total_losses_have_the_penalty_and_no_score_where_the_loss_is_no_number():
    trainer = Bench(TinyTrainer(strength=10.0)).trainer
    batches = list(trainer.batches())[:2]
    outputs = [trainer.evaluate(batch) for batch in batches]
    losses, score = total_losses(trainer, batches)
    assert losses == [o.loss + o.penalty for o in outputs]
    assert 0 <= score <= 1
    broken = Bench(TinyTrainer(evaluate=lambda *args, training: Output(math.nan, 0.0, outputs[0].scores))).trainer
    losses, score = total_losses(broken, batches)
    assert math.isnan(losses[0])
    assert math.isnan(score)


# Runs


def test_a_run_falls_and_leaves_the_trainer_as_it_was():
    trainer = TinyTrainer()
    before = trainer.save()
    found, runs, steps = steps_made(trainer, 16)
    assert (found.learning_rate, found.steps, steps, runs.updates) == (0.1, 16, 16, 16)
    assert found.fall == pytest.approx(runs.start - found.loss)
    assert falls(found, 3.0)
    assert all(np.array_equal(before[name], trainer.weights[name]) for name in before)


def test_runs_are_alike():
    runs = runs_of(TinyTrainer(batch_size=10))
    assert runs.at(0.1, 16) == runs.at(0.1, 16)


def test_another_run_takes_the_batches_in_reverse():
    seen = []

    def step(trainer, batch):
        seen.append(float(batch[0].sum()))
        return TinyTrainer.step(trainer, batch)

    runs = runs_of(TinyTrainer(batch_size=10, step=step))
    (first,) = runs.after(0.1, [12])
    (again,) = runs.after(0.1, [12], again=True)
    assert seen[12:] == seen[11::-1]
    assert first.losses != again.losses
    assert (len(first.exchanged), len(again.exchanged)) == (0, len(again.losses))


def test_a_run_is_looked_at_on_its_way():
    runs = runs_of(TinyTrainer(batch_size=10), crossed=True)
    way = runs.after(0.1, [4, 16], again=True)
    assert [look.updates for look in way] == [4, 16]
    assert way == [*runs.after(0.1, [4], again=True), *runs.after(0.1, [16], again=True)]
    assert runs.updates == 2 * (16 + 4 + 16)


def test_behind_an_explosion_all_looks_are_none():
    runs = runs_of(explodes(math.nan, at=6))
    first, second, third = runs.after(0.1, [4, 8, 16])
    assert math.isfinite(first.loss)
    assert math.isnan(second.loss)
    assert math.isnan(third.loss)
    assert [first.updates, second.updates, third.updates, runs.updates] == [4, 7, 7, 7]


def test_a_crossed_run_is_made_twice_and_compares_all():
    runs = runs_of(TinyTrainer(batch_size=10), crossed=True, updates=7)
    (after,) = runs.after(0.1, [16])
    assert len(after.losses) == len(runs.before) == 24
    assert (after.updates, runs.updates) == (16, 7 + 32)
    assert runs.at(0.1, 16).loss == pytest.approx(sum(after.losses) / 24)


def test_the_metric_is_that_of_the_batches_compared():
    runs = runs_of(TinyTrainer(batch_size=10))
    found = runs.at(0.1, 16)
    assert 0 <= runs.score < 0.6 < found.score <= 1


@pytest.mark.parametrize(
    ("changes", "made", "steps"),
    [
        ({"every": 4}, 5, 20),
        ({"every": CALLS}, 5, 5 * CALLS),
        ({"every": CALLS + 1}, 0, CALLS),
        ({"skipped": 7}, 5, 12),
        ({"skipped": 10**9}, 0, CALLS),
    ],
)
def test_updates_are_counted_not_steps(changes, made, steps):
    found, runs, taken = steps_made(Sometimes(**changes), 5)
    assert (found.steps, runs.updates, taken) == (made, made, steps)


def explodes(loss, at=3):
    """The loss of a step with these many before it."""

    def step(trainer, batch):
        trainer.made = getattr(trainer, "made", 0) + 1
        output = TinyTrainer.step(trainer, batch)
        return replace(output, loss=loss) if trainer.made > at else output

    return TinyTrainer(step=step)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_run_ends_where_the_loss_is_no_number(loss):
    found, runs, steps = steps_made(explodes(loss), 16)
    assert (found.steps, runs.updates, steps) == (4, 4, 4)
    assert all(map(math.isnan, (found.loss, found.fall, found.error, found.score)))
    assert not falls(found, 3.0)


@pytest.mark.parametrize(
    ("start", "after", "exploded"),
    [(2.0, 5.99, False), (2.0, 6.01, True), (-2.0, 1.99, False), (-2.0, 2.01, True), (0.0, 0.01, True)],
)
def test_three_times_the_first_loss_is_an_explosion(start, after, exploded):
    runs = runs_of(TinyTrainer())
    runs.before = [start] * COMPARED
    found = runs.trial(0.1, After([after] * COMPARED, [], 0.5, 16))
    loss, fall = (math.inf, -math.inf) if exploded else (after, start - after)
    assert (found.loss, found.fall) == (pytest.approx(loss), pytest.approx(fall))
    assert (found.score, found.steps) == (0.5, 16)


# The exchange behind a run


def exchanged(trainer):
    runs = runs_of(trainer)
    (after,) = runs.after(0.1, [16], again=True)
    return runs.exchange(0.1, after)


def test_a_network_that_learned_knows_its_inputs():
    found = exchanged(TinyTrainer(batch_size=10))
    assert (found.learning_rate, found.updates) == (0.1, 16)
    assert found.exchanged > found.loss + 0.5
    assert abs(found.before) < 0.05
    assert found.tells(Settings().known)


def test_one_that_sees_nothing_does_not():
    inputs, targets = blobs()
    found = exchanged(TinyTrainer(batch_size=10, splits={"train": (np.zeros_like(inputs), targets)}))
    assert found.exchanged == pytest.approx(found.loss)
    assert not found.tells(3.0)


@pytest.mark.parametrize(("crossed", "orders"), [(False, 1), (True, ORDERS)])
def test_crossed_runs_look_at_the_mean_of_several_orders(crossed, orders):
    trainer = TinyTrainer(batch_size=10, step=lambda trainer, batch: trainer.evaluate(batch))
    runs = runs_of(trainer, crossed=crossed)
    (after,) = runs.after(0.1, [1], again=True)
    driven = runs.bench.trainer
    losses = [[total_losses(driven, order)[0] for order in part.exchanged[:orders]] for part in runs.parts]
    expected = [sum(of_batch) / orders for part in losses for of_batch in zip(*part, strict=True)]
    assert list(after.exchanged) == pytest.approx(expected)
    known = runs.exchange(0.1, after)
    assert known.before == pytest.approx(known.exchanged - known.loss)  # nothing was learned


def test_where_targets_play_no_part_there_is_none():
    inputs, targets = blobs()
    assert exchanged(TinyTrainer(splits={"train": (inputs, np.zeros_like(targets))})) is None


def test_behind_an_explosion_there_is_none():
    assert exchanged(explodes(math.nan)) is None


# Which run is best


def test_the_best_run_has_the_lowest_finite_loss():
    nothing = Trial(1.0, math.nan, math.nan, math.nan, math.nan, 3)
    low, high = Trial(0.1, 1.0, 1.0, 0.1, 0.5, 16), Trial(0.2, 1.5, 0.5, 0.1, 0.5, 16)
    assert best([high, nothing, low, replace(low, loss=-math.inf)]) is low
    assert best([nothing, replace(nothing, loss=math.inf)]) is None
    assert best([]) is None


@pytest.mark.parametrize(
    ("fall", "error", "expected"),
    [(0.31, 0.1, True), (0.29, 0.1, False), (0.0, 0.0, False), (-1.0, 0.1, False), (1e-9, 0.0, True)],
)
def test_a_loss_falls_by_more_than_its_noise(fall, error, expected):
    assert falls(Trial(0.1, 2 - fall, fall, error, math.nan, 16), 3.0) is expected


@pytest.mark.parametrize("size", [1, 3, 7])
def test_any_pool_can_be_parted(size):
    for batches in range(1, 40):
        for part in parted(pool(batches, size), 512):
            assert part.trained
            assert sum(map(arrays.count, part.compared)) >= min(batches * size, COMPARED)
            assert [len(order) for order in part.exchanged] == [len(part.compared)] * ORDERS
