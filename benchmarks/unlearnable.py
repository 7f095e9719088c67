"""Programs that learn nothing from their inputs, whatever the learning rate: a scan of it must answer "none".

Of each program in `UNLEARNABLE`, at no rate does the loss of examples never seen fall below that of the best constant
prediction; `val` has such examples. It may fall as far: where it begins above, biases that move to the prior or to the
targets' mean, or weights that decay, bring it there without a look at the inputs. And the loss of rows that come again
falls where a network memorizes them, with labels of nothing too. All that is random is a function of the seed.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from learnable import (
    CLASSES,
    FEATURES,
    Batch,
    LanguageNet,
    Reader,
    TwoLayer,
    by_hand,
    clusters,
    cnn,
    images,
    language_loss,
    magnified,
    mlp,
    program,
    rng,
    sequences,
    spoiled,
    teacher,
    tokens,
)
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, mse_loss
from torch.optim import SGD, Adam, AdamW, Optimizer

from babysit import Binary, Output, Trainer


def shuffle(X: Tensor, y: Tensor, generator: Generator) -> Batch:
    return X, y[torch.randperm(len(y), generator=generator)]


def blank(X: Tensor, y: Tensor, generator: Generator) -> Batch:  # noqa: ARG001
    return torch.zeros_like(X), y


def stepping(optimizer: Optimizer, spoil: Callable[[Tensor], Any]) -> Callable[[Tensor], None]:
    """An update that hands each gradient to `spoil` between the backward pass and the step."""

    def update(total: Tensor) -> None:
        optimizer.zero_grad()
        total.backward()
        for group in optimizer.param_groups:
            for p in group["params"]:
                spoil(p.grad)
        optimizer.step()

    return update


# Data that say nothing.


def labels_shuffled(seed: int) -> Trainer:
    """The labels are shuffled against the inputs."""
    model = mlp(seed)
    return program(model, cross_entropy, SGD(model.parameters(), 0.1), spoiled(clusters(seed), shuffle), seed)


def rare_labels_shuffled(seed: int) -> Trainer:
    """One label in ten is positive, but shuffled against the inputs: the loss falls to the prior's."""
    model = Reader(seed)
    draw = spoiled(sequences(seed, 0.1), shuffle)
    return program(model, binary_cross_entropy_with_logits, Adam(model.parameters(), 0.003), draw, seed)


def labels_anew(seed: int) -> Trainer:
    """Rows and labels are drawn anew at every pass, and the labels at random."""
    model = cnn(seed)
    draw = spoiled(images(seed), lambda X, y, generator: (X, torch.randint(CLASSES, y.shape, generator=generator)))
    return program(model, cross_entropy, Adam(model.parameters(), 0.003), draw, seed, fresh=True)


def inputs_anew(seed: int) -> Trainer:
    """The inputs are overwritten by noise, drawn anew at every pass; the targets' mean is 20."""
    model = mlp(seed, FEATURES, 32, 1)
    draw = teacher(seed, mean=20.0)
    draw = spoiled(draw, lambda X, y, generator: (torch.randn(X.shape, generator=generator), y))
    return program(model, mse_loss, Adam(model.parameters(), 0.01), draw, seed, fresh=True)


def targets_are_noise(seed: int) -> Trainer:
    """The targets are noise around zero."""
    model = mlp(seed, FEATURES, 1)
    draw = spoiled(teacher(seed), lambda X, y, generator: (X, torch.randn(y.shape, generator=generator)))
    return program(model, mse_loss, SGD(model.parameters(), 0.01, momentum=0.9), draw, seed, rows=4096)


def inputs_all_equal(seed: int) -> Trainer:
    """A loop that reads the table gives its first row for every row."""
    model = mlp(seed)
    draw = spoiled(clusters(seed), lambda X, y, generator: (X[:1].expand_as(X), y))
    return program(model, cross_entropy, AdamW(model.parameters(), 0.003), draw, seed)


def mask_inverted(seed: int) -> Trainer:
    """The mask of the padding is inverted, and so the inputs are multiplied by zero."""
    model = Reader(seed)
    draw = spoiled(sequences(seed), blank)
    return program(model, binary_cross_entropy_with_logits, SGD(model.parameters(), 0.1), draw, seed)


def augmented_away(seed: int) -> Trainer:
    """Augmentation adds noise three hundred times as strong as the images."""
    model = cnn(seed)
    draw = spoiled(images(seed), lambda X, y, generator: (X / 300 + torch.randn(X.shape, generator=generator), y))
    return program(model, cross_entropy, SGD(model.parameters(), 0.05, momentum=0.9), draw, seed, fresh=True)


def zero_by_zero(seed: int) -> Trainer:
    """A column that never changes is divided by its spread of zero: the loss is NaN."""

    def spoil(X: Tensor, y: Tensor, generator: Generator) -> Batch:  # noqa: ARG001
        X[:, 0] = 7.0
        return (X - X.mean(dim=0)) / X.std(dim=0), y

    model = mlp(seed)
    draw = spoiled(clusters(seed), spoil)
    return program(model, cross_entropy, AdamW(model.parameters(), 0.003), draw, seed)


def one_token_for_all(seed: int) -> Trainer:
    """The inputs' vocabulary knows none of the words: every token gets one id."""
    model = LanguageNet(seed)
    draw = spoiled(tokens(seed, 0.7), blank)
    return program(model, language_loss, AdamW(model.parameters(), 0.003), draw, seed, size=16)


def independent_tokens(seed: int) -> Trainer:
    """No token depends on those before; some are more frequent than others, and the loss falls to their entropy."""
    model = LanguageNet(seed)
    return program(model, language_loss, Adam(model.parameters(), 0.003), tokens(seed, 0.0), seed, size=16, fresh=True)


def confident_about_nothing(seed: int) -> Trainer:
    """The labels are shuffled, the weights too large: the loss falls from far above chance to chance."""
    model = magnified(mlp(seed), 6.0)
    draw = spoiled(clusters(seed), shuffle)
    return program(model, cross_entropy, Adam(model.parameters(), 0.003), draw, seed, fresh=True)


# Networks that don't listen.


def dead_relus(seed: int) -> Trainer:
    """All ReLUs have biases so low that none ever fires; the last bias moves to the targets' mean."""
    model = mlp(seed, FEATURES, 32, 1)
    nn.init.constant_(model[0].bias, -100.0)
    return program(model, mse_loss, SGD(model.parameters(), 0.01, momentum=0.9), teacher(seed, mean=5.0), seed)


def zero_weights(seed: int) -> Trainer:
    """All weights of all layers begin at zero."""
    model = magnified(mlp(seed), 0.0)
    return program(model, cross_entropy, Adam(model.parameters(), 0.003), clusters(seed), seed)


def softmax_of_one(seed: int) -> Trainer:
    """A softmax over the only unit is 1 for every row."""
    model = nn.Sequential(mlp(seed, FEATURES, 1), nn.Softmax(dim=1))
    draw = spoiled(clusters(seed, classes=2), lambda X, y, generator: (X, y[:, None].float()))
    return program(model, binary_cross_entropy, Adam(model.parameters(), 0.01), draw, seed)


def saturated_sigmoids(seed: int) -> Trainer:
    """The inputs are times in seconds, about a billion: every sigmoid is at its end, and at the same one for all."""
    model = mlp(seed, FEATURES, 32, 1, between=nn.Sigmoid)
    draw = spoiled(teacher(seed, mean=3.0), lambda X, y, generator: (1.7e9 + 3600 * X, y))
    return program(model, mse_loss, Adam(model.parameters(), 0.01), draw, seed)


def drops_everything(seed: int) -> Trainer:
    """The share to keep, 1, is given as the share to drop."""
    model = mlp(seed, FEATURES, 64, CLASSES)
    model.insert(2, nn.Dropout(1.0))
    return program(model, cross_entropy, SGD(model.parameters(), 0.1), clusters(seed), seed)


def predictions_rounded(seed: int) -> Trainer:
    """The loss is that of rounded predictions, which have no gradient."""
    model = mlp(seed, FEATURES, 16, 1)
    draw = teacher(seed, mean=2.0)
    return program(model, lambda scores, y: mse_loss(scores.round(), y), Adam(model.parameters(), 0.01), draw, seed)


def answers_too_early(seed: int) -> Trainer:
    """A recurrent network answers behind the first step, where all sequences are alike."""
    model = Reader(seed, answers_at=0)
    loss = binary_cross_entropy_with_logits
    return program(model, loss, Adam(model.parameters(), 0.01), sequences(seed, 0.3), seed)


def output_cut_at_zero(seed: int) -> Trainer:
    """The network ends in a ReLU, and all targets are negative."""
    model = nn.Sequential(mlp(seed, FEATURES, 32, 1), nn.ReLU())
    return program(model, mse_loss, SGD(model.parameters(), 0.01), teacher(seed, mean=-9.0), seed)


def only_a_shift_trains(seed: int) -> Trainer:
    """All is frozen but a number that is added to the scores of all classes alike, which softmax doesn't see."""

    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network, self.shift = magnified(mlp(seed), 3.0).requires_grad_(False), nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            return self.network(x) + self.shift

    model = Shifted()
    return program(model, cross_entropy, SGD([model.shift], 0.1), clusters(seed), seed)


# Losses that say nothing.


def scores_detached(seed: int) -> Trainer:
    """The loss is that of detached scores; only a term of zero weight has a gradient."""

    def loss(scores: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(scores.detach(), y) + 0.0 * scores.square().mean()

    model = cnn(seed)
    return program(model, loss, Adam(model.parameters(), 0.003), images(seed), seed, task="classification")


def mean_probability(seed: int) -> Trainer:
    """The loss is the mean probability of all classes, in place of the label's: one over their number, always."""
    model = mlp(seed)

    def loss(scores: Tensor, y: Tensor) -> Tensor:  # noqa: ARG001
        return scores.softmax(dim=1).mean()

    return program(model, loss, SGD(model.parameters(), 0.1), clusters(seed), seed, task="classification")


def targets_permuted(seed: int) -> Trainer:
    """The loss holds each row's scores against the target of the row before."""

    def loss(scores: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(scores, y.roll(1))

    model = cnn(seed)
    return program(model, loss, SGD(model.parameters(), 0.05, momentum=0.9), images(seed), seed, size=64)


def log_of_zero(seed: int) -> Trainer:
    """The logarithm is taken of a softmax that has gone to zero: the loss is infinite."""

    def loss(scores: Tensor, y: Tensor) -> Tensor:
        return -scores.softmax(dim=1).log().gather(1, y[:, None]).mean()

    model = magnified(mlp(seed), 30.0)
    return program(model, loss, SGD(model.parameters(), 0.1), clusters(seed), seed, task="classification")


# Gradients that lead nowhere.


def ascent(seed: int) -> Trainer:
    """The optimizer maximizes."""
    model = mlp(seed, FEATURES, 32, 1)
    return program(model, mse_loss, SGD(model.parameters(), 0.01, maximize=True), teacher(seed, mean=1.0), seed)


def only_decay_moves(seed: int) -> Trainer:
    """Gradients are zeroed before the step: weights that were too large decay, and the loss with them, to chance."""
    model = magnified(mlp(seed, FEATURES, 64, 64), 4.0)
    optimizer = AdamW(model.parameters(), 0.01, weight_decay=1.0)
    options = {"update": stepping(optimizer, Tensor.zero_)}
    return program(model, cross_entropy, optimizer, clusters(seed, classes=64), seed, **options)


def gradients_are_noise(seed: int) -> Trainer:
    """Gradients are overwritten by noise."""
    model = mlp(seed, FEATURES, 64, 64)
    optimizer = Adam(model.parameters(), 0.01)
    update = stepping(optimizer, Tensor.normal_)
    return program(model, cross_entropy, optimizer, clusters(seed, classes=64), seed, update=update)


def clipped_away(seed: int) -> Trainer:
    """Gradients are clipped to 1e-12."""
    model = LanguageNet(seed)
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    update = stepping(optimizer, lambda gradient: gradient.clamp_(-1e-12, 1e-12))
    return program(model, language_loss, optimizer, tokens(seed, 0.7), seed, size=16, update=update)


def decays_faster_than_it_learns(seed: int) -> Trainer:
    """A weight decay of 1000 takes all weights to zero: the loss falls from far above chance to chance."""
    model = magnified(mlp(seed), 6.0)
    optimizer = SGD(model.parameters(), 1e-4, weight_decay=1000.0)
    return program(model, cross_entropy, optimizer, clusters(seed), seed)


def zeros_by_hand(seed: int) -> Trainer:
    """A backward pass in NumPy begins with gradients of zero, and leaves them so."""

    class Unfinished(TwoLayer):
        def loss(self, X: np.ndarray, y: np.ndarray | None = None) -> Any:
            if y is None:
                return super().loss(X)
            loss, grads = super().loss(X, y)
            return loss, {name: np.zeros_like(grad) for name, grad in grads.items()}

    return by_hand(Unfinished(seed, 0.5), seed, optimizer="momentum")


class Logistic:
    """Logistic regression by hand that satisfies the trainer protocol; its update adds the gradient."""

    def __init__(self, seed: int) -> None:
        self.task, self.learning_rate, self.regularization_scale = Binary(), 0.1, 1.0
        draw, generator = clusters(seed, classes=2), rng(seed, 1)
        self.splits = {name: [x.double().numpy() for x in draw(1024, generator)] for name in ("train", "val")}
        self.w = np.zeros(FEATURES)

    def batches(self, split: str = "train") -> Iterator[tuple[np.ndarray, np.ndarray]]:
        X, y = self.splits.get(split, ((), ()))
        for start in range(0, len(X), 32):
            yield X[start : start + 32], y[start : start + 32]

    def evaluate(self, batch: tuple[np.ndarray, np.ndarray], *, training: bool = False) -> Output:  # noqa: ARG002
        X, y = batch
        scores = X @ self.w
        return Output(np.mean(np.logaddexp(0, scores) - y * scores), scores=scores)

    def step(self, batch: tuple[np.ndarray, np.ndarray]) -> Output:
        (X, y), output = batch, self.evaluate(batch)
        self.w += self.learning_rate * X.T @ ((1 + np.tanh(output.scores / 2)) / 2 - y) / len(y)
        return output

    def save(self) -> Mapping[str, Any]:
        return {"w": self.w.copy()}

    def load(self, state: Mapping[str, Any]) -> None:
        self.w = state["w"].copy()


def ascent_by_hand(seed: int) -> Trainer:
    """An update written by hand adds the gradient."""
    return Logistic(seed)


# Updates of something else.


def optimizer_of_a_copy(seed: int) -> Trainer:
    """The optimizer holds the parameters of a copy of the model."""
    model = mlp(seed, FEATURES, 32, 1)
    return program(model, mse_loss, Adam(copy.deepcopy(model).parameters(), 0.01), teacher(seed, mean=1.0), seed)


def optimizer_of_another_head(seed: int) -> Trainer:
    """The optimizer holds a head that the loss doesn't use."""
    model = LanguageNet(seed)
    model.other = nn.Linear(32, 16)
    optimizer = SGD(model.other.parameters(), 0.1)
    return program(model, language_loss, optimizer, tokens(seed, 0.7), seed, size=16)


def copies_by_hand(seed: int) -> Trainer:
    """An update in NumPy makes new arrays and forgets them."""

    def update(params: dict[str, np.ndarray], grads: dict[str, np.ndarray], learning_rate: float) -> None:
        for name, w in params.items():
            w = w - learning_rate * grads[name]

    return by_hand(TwoLayer(seed, 0.5), seed, optimizer=update)


def average_written_back(seed: int) -> Trainer:
    """Behind every step the weights are overwritten by their average, which nobody updates."""
    model = LanguageNet(seed)
    optimizer, average = AdamW(model.parameters(), 0.003), copy.deepcopy(model.state_dict())

    def update(total: Tensor) -> None:
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        model.load_state_dict(average)

    return program(model, language_loss, optimizer, tokens(seed, 0.7), seed, size=16, update=update)


def every_update_skipped(seed: int) -> Trainer:
    """Loss scaling is so high that gradients overflow, and every update is skipped."""
    model = magnified(cnn(seed), 2.0)
    optimizer = SGD(model.parameters(), 0.05, momentum=0.9)

    def update(total: Tensor) -> None:
        optimizer.zero_grad()
        (total * 1e30 * 1e30).backward()
        if all(p.grad.isfinite().all() for p in model.parameters()):
            optimizer.step()

    return program(model, cross_entropy, optimizer, images(seed), seed, update=update)


UNLEARNABLE = (
    labels_shuffled, rare_labels_shuffled, labels_anew, inputs_anew, targets_are_noise, inputs_all_equal,
    mask_inverted, augmented_away, zero_by_zero, one_token_for_all, independent_tokens, confident_about_nothing,
    dead_relus, zero_weights, softmax_of_one, saturated_sigmoids, drops_everything, predictions_rounded,
    answers_too_early, output_cut_at_zero, only_a_shift_trains, scores_detached, mean_probability, targets_permuted,
    log_of_zero, ascent, only_decay_moves, gradients_are_noise, clipped_away, decays_faster_than_it_learns,
    zeros_by_hand, ascent_by_hand, optimizer_of_a_copy, optimizer_of_another_head, copies_by_hand,
    average_written_back, every_update_skipped,
)  # fmt: skip
