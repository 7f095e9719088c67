"""Trainers by hand, the least that satisfies the protocol, with a way in for every fault.

TinyTrainer(step=lambda trainer, batch: ...)   replaces a method; the healthy one is TinyTrainer.step(trainer, batch)
TinyTrainer(learning_rate=1e6, strength=0.0)   replaces a value
TracedTrainer()                                has the optional powers too, those of several processes left out
"""

from functools import partial

import numpy as np

from babysit import Classification, Output, Record

EXAMPLES, FEATURES, CLASSES = 240, 6, 3


def raw_blobs(examples, seed):
    """Inputs of classes that hyperplanes tell apart, shuffled, and their labels."""
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.arange(examples) % CLASSES)
    inputs = rng.normal(size=(examples, FEATURES))
    inputs[np.arange(examples), targets] += 4
    return inputs, targets


def blobs(examples=EXAMPLES, *, seed=0):
    """The same, standardized by the training split's statistics, whichever split it is."""
    inputs, targets = raw_blobs(examples, seed)
    training, _ = raw_blobs(EXAMPLES, 0)
    return (inputs - training.mean(axis=0)) / training.std(axis=0), targets


def softmax(scores):
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class TinyTrainer:
    """Softmax regression under plain gradient descent with the penalty strength * sum W^2."""

    def __init__(self, **changes):
        self.task = Classification(CLASSES)
        self.learning_rate = 0.1
        self.regularization_scale = 1.0
        self.strength = 1e-3
        self.batch_size = 40
        self.splits = {"train": blobs(), "val": blobs(60, seed=1)}
        self.weights = {"W": 0.01 * np.random.default_rng(2).normal(size=(FEATURES, CLASSES)), "b": np.zeros(CLASSES)}
        for name, change in changes.items():
            setattr(self, name, partial(change, self) if hasattr(type(self), name) else change)

    def batches(self, split="train"):
        inputs, targets = self.splits.get(split, ((), ()))
        for i in range(0, len(inputs), self.batch_size):
            yield inputs[i : i + self.batch_size], targets[i : i + self.batch_size]

    def evaluate(self, batch, *, training=False):
        return self._forward_backward(batch)[0]

    def step(self, batch):
        output, self.latest = self._forward_backward(batch)
        self.weights = {name: w - self.learning_rate * self.latest[name] for name, w in self.weights.items()}
        return output

    def save(self):
        return {name: w.copy() for name, w in self.weights.items()}

    def load(self, state):
        self.weights = {name: w.copy() for name, w in state.items()}

    def _forward_backward(self, batch):
        inputs, targets = batch
        W, b = self.weights["W"], self.weights["b"]
        scores = inputs @ W + b
        p, rows = softmax(scores), np.arange(len(targets))
        loss = -np.log(np.maximum(p[rows, targets], 1e-300)).mean()
        p[rows, targets] -= 1
        strength = self.strength * self.regularization_scale
        gradients = {"W": inputs.T @ p / len(p) + 2 * strength * W, "b": p.mean(axis=0)}
        return Output(loss, strength * (W**2).sum(), scores), gradients


class TracedTrainer(TinyTrainer):
    """The same, and it shows its one layer, its parameters and its strength."""

    def trace(self, batch, visit, *, training=True):
        output = self.evaluate(batch, training=training)
        visit(Record("scores", "linear", "forward", 1, batch[0], output.scores, ("W", "b")))
        return output

    def parameters(self):
        return self.weights

    def set_parameters(self, values):
        self.weights = {**self.weights, **values}

    def gradients(self, batch):
        return self._forward_backward(batch)

    def last_gradients(self):
        return self.latest

    def strengths(self):
        return {"strength": self.strength}
