"""A scan of learning rates as plain numbers, what its rules and answers are held against; and a trainer to scan."""

import math
from dataclasses import replace

from trainers import TinyTrainer

from babysit.checks.lr_scan import Measurement
from babysit.checks.lr_scan.permutation_test import Exchange
from babysit.checks.lr_scan.schema import Trial, best


def trial(rate, fall, error=0.01, score=0.1, steps=20):
    """A run from a loss of 2."""
    return Trial(rate, 2.0 - fall, fall, error, score, steps)


def exploded(rate):
    return Trial(rate, math.nan, math.nan, math.nan, math.nan, 3)


EXPLODED = exploded(10.0)
HEALTHY = Measurement(
    metric="accuracy",
    own=0.1,
    examples=256,
    first_loss=2.0,
    first_score=0.1,
    trials=(trial(0.001, 0.02), trial(0.01, 0.2), trial(0.1, 1.0), trial(1.0, -0.5), EXPLODED),
    repeats=(trial(0.1, 1.0),),
    updates=90,
)
BLIND = Exchange(learning_rate=0.1, updates=20, loss=1.0, exchanged=1.02, error=0.01, before=0.0)


def repeated(*trials):
    """The trials, the best of them run once more with the same outcome."""
    top = best(trials)
    return {"trials": trials, "repeats": (top,) if top else ()}


def with_own(mine, *others, longer=None):
    """The same, one of them at the user's own rate."""
    trials = sorted((mine, *others), key=lambda t: t.learning_rate)
    return {"own": mine.learning_rate, "longer": longer, **repeated(*trials)}


class Sometimes(TinyTrainer):
    """Updates with every so many steps, the first of them skipped."""

    def __init__(self, every=1, skipped=0):
        super().__init__()
        self.every, self.skipped, self.count = every, skipped, 0

    def step(self, batch):
        self.count += 1
        if self.count <= self.skipped or self.count % self.every:
            return replace(self.evaluate(batch), updated=False)
        return super().step(batch)

    def save(self):
        return {"weights": super().save(), "count": self.count}

    def load(self, state):
        super().load(state["weights"])
        self.count = state["count"]
