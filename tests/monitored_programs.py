"""Programs whose fault shows in a longer run, or that only look as if: functions of a seed, as in `faults`."""

from dataclasses import replace

import numpy as np
from faults import Binary, demo, logistic_loss, noise_floor, program, rare
from pytorch_programs import DataLoader, TensorDataset, nn, torch

from babysit import Classification, Regression
from babysit.adapters.numpy import NumpyTrainer
from babysit.adapters.pytorch import PyTorchTrainer
from babysit.lab.broken import summed as over_batch
from babysit.lab.data import gaussian
from babysit.lab.network import Design
from babysit.lab.trainer import LabTrainer


def at(rate, make):
    """The same program at another learning rate."""

    def made(seed):
        trainer = make(seed)
        trainer.learning_rate = rate
        return trainer

    made.__name__ = f"{make.__name__}_at_{rate:g}"
    return made


# Broken


def exploding(seed):
    return demo(seed, activation="leaky-relu", rate=100.0, optimizer="momentum")


def small_weights_in_tanh(seed):
    """It stands still until the weights have grown."""
    return demo(
        seed, sizes=(2, 50, 50, 3), activation="tanh", initialization="small-normal", rate=0.1, optimizer="momentum"
    )


class Signs(LabTrainer):
    """All updates are of one length, and the weights bounce about where the loss is lowest."""

    def _update(self, gradients):
        super()._update({name: np.sign(g) for name, g in gradients.items()})


def bouncing(seed):
    made = program(Design(sizes=(8, 1), loss="squared"), linear(seed), Regression(), seed)
    return Signs(
        made.network,
        made.splits["train"],
        task=Regression(),
        learning_rate=0.3,
        optimizer="sgd",
        batch_size=50,
        seed=seed,
    )


def linear(seed, examples=400, features=8):
    """A linear function without noise."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(examples, features))
    weights = rng.normal(size=(features, 1))
    return inputs, inputs @ weights / np.linalg.norm(weights)


def teacher(seed, features=50, examples=300):
    """Gaussian inputs, and the class that a linear map gives to each: a training and a validation split."""
    rng = np.random.default_rng(seed)
    inputs = gaussian(rng, examples + 300, features)
    labels = (inputs @ rng.normal(size=(features, 3))).argmax(axis=1)
    return (inputs[:examples], labels[:examples]), (inputs[examples:], labels[examples:])


def taught(seed, train, val, **options):
    features = train[0].shape[1]
    made = program(Design(sizes=(features, 100, 3)), train, Classification(3), seed, **{"rate": 0.01} | options)
    made.splits["val"] = val
    return made


def carries_over(seed):
    return taught(seed, *teacher(seed))


def labels_shuffled(seed):
    (inputs, labels), val = teacher(seed)
    return taught(seed, (inputs, np.random.default_rng(seed).permutation(labels)), val)


def too_few_examples(seed):
    """More features than examples: all are fitted, and half of what is predicted is wrong."""
    return taught(seed, *teacher(seed, features=200, examples=100))


def tiny_validation(seed):
    """Shuffled labels, and a validation split that could not show it."""
    made = labels_shuffled(seed)
    inputs, labels = made.splits["val"]
    made.splits["val"] = inputs[:8], labels[:8]
    return made


def linear_on_spirals(seed):
    """No hidden layer."""
    return demo(seed, sizes=(2, 3))


class ScoresInAnotherOrder(LabTrainer):
    """The scores that it shows begin with another class than those that the loss gets."""

    def evaluate(self, batch, *, training=False):
        output = super().evaluate(batch, training=training)
        return replace(output, scores=np.roll(output.scores, 1, axis=1))


def scores_in_another_order(seed):
    return demo(seed, made=ScoresInAnotherOrder)


def batches_of_one(seed):
    made = demo(seed, rate=0.005)
    made.batch_size = 1
    return made


def vanishing_weights(seed):
    return demo(seed, l2=1.0, rate=0.1, optimizer="momentum")


def clipped(seed):
    """As plain gradient descent behind a limit of almost nothing is."""
    return demo(seed, rate=1e-9, optimizer="sgd")


# Near misses


class WarmUp(LabTrainer):
    """The learning rate rises to its value over 300 updates."""

    made = 0

    def _update(self, gradients):
        rate = self.learning_rate
        self.learning_rate = rate * min(1, (self.made + 1) / 300)
        super()._update(gradients)
        self.learning_rate, self.made = rate, self.made + 1

    def save(self):
        return {**super().save(), "made": self.made}

    def load(self, state):
        super().load(state)
        self.made = state["made"]


def warm_up(seed):
    design = {"sizes": (2, 50, 50, 3), "activation": "tanh", "initialization": "xavier"}
    return demo(seed, made=WarmUp, rate=0.002, **design)


def first_steps_jump(seed):
    """Adam throws the loss up to ten times its start, and has it down again within twenty updates."""
    return demo(seed, rate=0.3)


def rarely_positive(seed):
    """Accuracy is blind: nearly all are negative, and what is known of the others never makes one of them likely."""
    inputs, targets = rare(seed, share=0.1, examples=2000)
    return program(Design(sizes=(5, 30, 1)), (inputs - 1.6 * targets, targets), Binary(), seed, loss=logistic_loss)


def half_noise(seed):
    """A linear network that has learned all there is within the first fifty updates, and its validation split."""
    made = noise_floor(seed)
    inputs, targets = made.splits["train"]
    made.splits = {"train": (inputs[:250], targets[:250]), "val": (inputs[250:], targets[250:])}
    return made


def validation_in_order(seed):
    """The validation split comes class after class, and the part that is looked at is of one alone."""
    made = carries_over(seed)
    inputs, labels = made.splits["val"]
    order = labels.argsort(kind="stable")
    made.splits["val"] = inputs[order][:100], labels[order][:100]
    return made


def dropout_with_validation(seed):
    return demo(seed, dropout=0.5)


def summed(seed):
    """The loss is a sum over the batch, and the rate is as much lower."""
    made = demo(seed)
    made.network.loss = over_batch(made.network.loss)
    return made


# On PyTorch and NumPy


def torch_program(seed, *, shuffled=False, batch_norm=False, dropout=0.0, accumulate=1):
    torch.manual_seed(seed)
    train, val = teacher(seed, features=20)
    if shuffled:
        train = train[0], np.random.default_rng(seed).permutation(train[1])
    layers = [nn.Linear(20, 60), *([nn.BatchNorm1d(60)] if batch_norm else []), nn.ReLU(), nn.Dropout(dropout)]
    model = nn.Sequential(*layers, nn.Linear(60, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    loaders = [DataLoader(_tensors(*split), 50, shuffle=True) for split in (train, val)]
    calls = []

    def update(loss):
        (loss / accumulate).backward()
        calls.append(1)
        if len(calls) % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()

    return PyTorchTrainer(
        model, nn.functional.cross_entropy, optimizer, *loaders, update=update if accumulate > 1 else None
    )


def _tensors(inputs, labels):
    return TensorDataset(torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels))


def torch_healthy(seed):
    return torch_program(seed, batch_norm=True, dropout=0.2)


def torch_labels_shuffled(seed):
    return torch_program(seed, shuffled=True)


class ByHand:
    """Softmax regression as the course's first assignment has it."""

    def __init__(self, features):
        self.params = {"W": 0.01 * np.random.randn(features, 3), "b": np.zeros(3)}

    def loss(self, X, y=None):
        scores = X @ self.params["W"] + self.params["b"]
        if y is None:
            return scores
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        loss = -np.log(p[rows, y]).mean()
        p[rows, y] -= 1
        return loss, {"W": X.T @ p / len(y), "b": p.mean(axis=0)}


def by_hand(seed, rate=0.5):
    np.random.seed(seed)
    train, val = teacher(seed, features=10)
    return NumpyTrainer(ByHand(10), train, val, task="classification", learning_rate=rate, batch_size=50)


def by_hand_too_slow(seed):
    return by_hand(seed, rate=1e-6)
