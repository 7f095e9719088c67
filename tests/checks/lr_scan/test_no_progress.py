"""What keeps every update from lowering the loss, each by a small trainer."""

from dataclasses import replace

import numpy as np
import pytest
from trainers import TinyTrainer, TracedTrainer

from babysit.checks.lr_scan import Settings, measure
from babysit.checks.lr_scan.no_progress import obstacle
from babysit.checks.lr_scan.short_runs import Runs
from babysit.driving.bench import Bench
from babysit.errors import LostError, Skip, TargetError

NO_UPDATE = "no step reported an update"
NO_GRADIENT = "the loss reaches no parameter"
NOT_FINITE = "gradients are not finite"
ZERO = "the gradients of all parameters are zero"
NOTHING_MOVES = "no parameter moves, at a rate of 10 either: the optimizer holds others"


def seen(trainer, updates=1):
    return obstacle(Runs(Bench(trainer), Settings(), updates=updates), 10.0)


def handing(spoil):
    """A trainer whose gradients are spoiled so."""
    return TracedTrainer(gradients=lambda trainer, batch: (TracedTrainer.evaluate(trainer, batch), spoil(batch)))


def raising(error):
    def gradients(trainer, batch):
        raise error

    return TracedTrainer(gradients=gradients)


def idle(trainer, batch):
    return trainer.evaluate(batch)


def with_nan(batch):
    return {"W": np.ones(3), "b": np.array([1.0, np.nan])}


def zeros(batch):
    return {"W": np.zeros(3), "b": np.zeros(2)}


def nearly_zeros(batch):
    return {"W": np.zeros(3), "b": np.array([0.0, 1e-100])}


class Accumulating(TracedTrainer):
    """Sums the gradients of so many batches for one update, uphill."""

    def __init__(self, every):
        super().__init__()
        self.every, self.count, self.held = every, 0, None

    def step(self, batch):
        output, found = self._forward_backward(batch)
        self.held = found if self.held is None else {name: self.held[name] + g for name, g in found.items()}
        self.count += 1
        if self.count % self.every:
            return replace(output, updated=False)
        self.weights = {name: w + self.learning_rate * self.held[name] / self.every for name, w in self.weights.items()}
        self.held = None
        return output

    def save(self):
        return {"weights": super().save(), "count": self.count, "held": self.held}

    def load(self, state):
        super().load(state["weights"])
        self.count, self.held = state["count"], state["held"]


@pytest.mark.parametrize(
    ("trainer", "expected"),
    [
        (handing(lambda batch: {}), NO_GRADIENT),
        (handing(with_nan), NOT_FINITE),
        (handing(zeros), ZERO),
        (handing(nearly_zeros), ""),
        (TracedTrainer(step=idle), NOTHING_MOVES),
        (TracedTrainer(), ""),
        (TinyTrainer(step=idle), ""),
        (raising(Skip("no gradients here")), ""),
        (raising(ValueError("no gradients here")), ""),
    ],
    ids=["none", "nan", "zeros", "nearly zeros", "idle", "healthy", "without names", "skips", "raises"],
)
def test_obstacle(trainer, expected):
    assert seen(trainer) == expected


def test_what_reported_no_update_is_not_looked_at():
    assert seen(raising(AssertionError()), updates=0) == NO_UPDATE


def test_processes_that_are_lost_are_no_obstacle():
    with pytest.raises(LostError):
        seen(raising(LostError("the other rank is gone")))


def test_the_trainer_is_left_as_it_was():
    trainer = TracedTrainer()
    before = trainer.save()
    seen(trainer)
    assert all(np.array_equal(before[name], trainer.weights[name]) for name in before)
    assert trainer.learning_rate == 0.1


@pytest.mark.parametrize(("trainer", "expected"), [(TracedTrainer(step=idle), NOTHING_MOVES), (TracedTrainer(), "")])
def test_a_scan_looks_where_nothing_falls_alone(trainer, expected):
    assert measure(Bench(trainer), Settings()).obstacle == expected


@pytest.mark.parametrize("every", [2, 8, 16, 64, 128])
def test_parameters_that_move_with_every_so_many_steps_do_move(every):
    assert seen(Accumulating(every)) == ""


@pytest.mark.parametrize(("every", "looked"), [(1, 4), (8, 32), (16, 64)])
def test_four_updates_are_looked_at(every, looked):
    """However many steps each takes, what never moves is seen."""
    steps = []

    def step(trainer, batch):
        steps.append(1)
        return replace(trainer.evaluate(batch), updated=len(steps) % every == 0)

    assert seen(TracedTrainer(step=step)) == NOTHING_MOVES
    assert len(steps) == looked


def test_errors_of_the_program_are_no_obstacle():
    def step(trainer, batch):
        raise TargetError("a rate of 10 is too much for me")

    assert seen(TracedTrainer(step=step)) == ""
