"""A program for searches, that learns nothing in no time: what it reaches is a function of its hyperparameters.

The accuracy is highest at a learning rate of 0.01 and a width of 100; above a rate of 1 the loss explodes.
"""

import math
import os
import signal
import time
from pathlib import Path

import numpy as np

import babysit


class Parabola:
    """Its loss grows tenfold with each step where the learning rate is too high."""

    task = babysit.Binary()

    def __init__(self, width, activation, slow):
        self.width, self.activation, self.slow = width, activation, slow
        self.learning_rate, self.regularization_scale = 0.01, 1.0
        self.state = {"steps": np.zeros(1)}
        self.luck = np.random.normal(scale=0.01)

    def worth(self):
        off = abs(math.log10(self.learning_rate) + 2) / 5 + abs(math.log10(self.width) - 2) / 20
        return 1.0 - 0.4 * min(1.0, off) - 0.05 * (self.activation == "tanh")

    def batches(self, split="train"):
        for _ in range({"train": 4, "val": 2}.get(split, 0)):
            yield np.arange(1000)[:, None] / 1000, np.arange(1000) % 2

    def evaluate(self, batch, *, training=False):
        right = batch[0][:, 0] < self.worth() + self.luck
        scores = np.where(right == (batch[1] == 1), 1.0, -1.0)
        loss = 0.7 if self.learning_rate < 1 else 0.7 * 10 ** float(self.state["steps"][0])
        return babysit.Output(loss, 0.0, scores)

    def step(self, batch):
        output = self.evaluate(batch, training=True)
        self.state["steps"] = self.state["steps"] + 1
        time.sleep(self.slow)
        while self.slow and Path("hold").exists():
            time.sleep(self.slow)
        return output

    def save(self):
        return dict(self.state)

    def load(self, state):
        self.state = dict(state)


def trainer(width=100, activation="relu"):
    if activation == "swish":
        raise ValueError("no such activation: swish")
    return Parabola(width, activation, 0.0)


def slow(width=100, activation="relu"):
    """As long a trial as a worker needs to be killed in it; one that lasts for as long as there is a file `hold`."""
    return Parabola(width, activation, 0.02)


class Shuffled(Parabola):
    """What it reaches depends on the order of its examples, which each pass draws anew."""

    def batches(self, split="train"):
        if split == "train":
            self.luck = np.random.normal(scale=0.1)
        return super().batches(split)


def shuffled(width=100):
    return Shuffled(width, "relu", 0.02)


def deadly(width=100, activation="relu"):
    """One choice kills its process whenever it is tried, another the first time alone."""
    seen = Path("seen")
    if activation == "swish" or (activation == "tanh" and not seen.exists()):
        seen.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Parabola(width, activation, 0.0)


def folded(width=100, fold=0, folds=2):
    """Half as good in the last fold."""
    made = Parabola(width, "relu" if fold < folds - 1 else "tanh", 0.0)
    made.folds = folds
    return made


def blind(width=100):
    """Calls all examples of one class."""
    made = trainer(width)
    made.worth = lambda: -math.inf
    return made


def needy(width=100):
    if width > 64:
        raise ValueError("too wide")
    return trainer(width)


def anything(what=None):
    return trainer()


def without_validation(width=100):
    made = trainer(width)
    made.batches = lambda split="train", all=made.batches: all(split) if split == "train" else ()
    return made


class ByLoss(Parabola):
    """Its scores can't be graded."""

    task = babysit.ChanceLoss(0.7)

    def evaluate(self, batch, *, training=False):
        return babysit.Output(1.0 - self.worth())


def graded_by_loss(width=100):
    return ByLoss(width, "relu", 0.0)


class Lingering(Parabola):
    """Slower to learn the worse it is."""

    def worth(self):
        return super().worth() - 0.3 / (1 + float(self.state["steps"][0]))


def lingering(width=100):
    return Lingering(width, "relu", 0.0)


class Scoreless(Parabola):
    """Its task has a metric, and its output nothing to grade."""

    def evaluate(self, batch, *, training=False):
        output = super().evaluate(batch, training=training)
        return babysit.Output(output.loss)


def scoreless(width=100):
    return Scoreless(width, "relu", 0.0)


def unlucky(activation="relu"):
    """The better activation bears no other seed than the first."""
    made = Parabola(100, activation, 0.0)
    first = np.random.RandomState(0).normal(scale=0.01)
    made.learning_rate = 10.0 if made.luck != first and activation == "relu" else 0.01
    return made
