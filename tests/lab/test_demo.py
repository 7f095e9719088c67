import numpy as np
import pytest

from babysit.lab import demo
from babysit.lab.layers import ACTIVATIONS

SEEDS = range(10)


def losses(trainer, count):
    found = []
    while len(found) < count:
        found += [trainer.step(batch).loss for batch in trainer.batches()]
    return found[:count]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_memorizes_20_examples_within_200_steps(activation):
    for seed in SEEDS:
        trainer = demo.trainer(activation, seed=seed)
        trainer.regularization_scale = 0.0
        inputs, labels = next(iter(trainer.batches()))
        batch = inputs[:20], labels[:20]
        outputs = (trainer.step(batch) for _ in range(200))
        assert any(o.loss < 0.02 and trainer.task.score(o.scores, batch[1]) == 1 for o in outputs), seed


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_starts_at_the_chance_loss(activation):
    for seed in SEEDS:
        trainer = demo.trainer(activation, seed=seed)
        assert trainer.evaluate(trainer.splits["train"]).loss == pytest.approx(np.log(3), rel=0.05)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_learns_visibly_in_20_steps_at_its_own_rate_and_not_at_a_hundredth_or_a_hundredfold(activation):
    falls = {0.01: [], 1: [], 100: []}
    for factor, found in falls.items():
        for seed in SEEDS:
            trainer = demo.trainer(activation, seed=seed)
            trainer.learning_rate *= factor
            course = losses(trainer, 20)
            found.append(course[0] - np.mean(course[-5:]))
    assert min(falls[1]) > 0.1
    assert np.mean(falls[0.01]) < np.mean(falls[1]) / 2
    assert max(falls[100]) < -0.5  # not a fall but a rise


def test_no_relu_is_dead_at_the_start_and_next_to_none_after_50_steps():
    for seed in SEEDS:
        trainer = demo.trainer(seed=seed)
        assert dead_share(trainer) == 0
        losses(trainer, 50)
        assert dead_share(trainer) < 0.05


def dead_share(trainer):
    shares = []

    def visit(record):
        if record.kind == "relu" and record.phase == "forward":
            shares.append(np.mean((record.values > 0).any(axis=0) == 0))

    trainer.trace(trainer.splits["train"], visit, training=False)
    return shares[0]


def test_validation_is_prepared_by_the_training_draw():
    (train, labels), (val, _) = demo.spirals()
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(train.std(axis=0), 1)
    assert abs(val.mean(axis=0)).max() > 1e-4
    assert np.bincount(labels).tolist() == [100, 100, 100]


def test_knobs():
    trainer = demo.trainer("tanh", "large-normal")
    assert "tanh1" in trainer.network.layers
    assert trainer.parameters()["affine1.W"].std() == pytest.approx(1, rel=0.2)
