"""The examples: one healthy in every way that the checklist looks at, the other not."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", range(3))
def test_digits_are_healthy(seed):
    np.random.seed(seed)
    trainer = example("numpy_digits").trainer()
    assert trainer.strengths() == {"reg": 1e-4}
    X, y = np.concatenate([x for x, _ in trainer.batches()]), np.concatenate([y for _, y in trainer.batches("train")])
    assert 2.29 < trainer.evaluate((X, y)).loss < 2.35
    dead = []
    trainer.trace((X, y), lambda r: dead.append((r.values <= 0).all(0).any()) if r.kind == "relu" else None)
    assert dead == [False]
    start, scale = trainer.save(), trainer.regularization_scale
    trainer.regularization_scale = 0.0
    few = X[:20], np.arange(20) % 10
    for _ in range(100):
        trainer.step(few)
    output = trainer.evaluate(few)
    assert output.loss < 0.02
    assert trainer.task.score(output.scores, few[1]) == 1.0
    trainer.load(start)
    trainer.regularization_scale = scale
    losses = [trainer.step(batch).loss for batch, _ in zip(trainer.batches(), range(20), strict=False)]
    assert np.mean(losses[-5:]) < 1.0


def test_the_broken_version_starts_sure_and_wrong():
    np.random.seed(0)
    trainer = example("numpy_digits_broken").trainer()
    assert trainer.evaluate(next(iter(trainer.batches()))).loss > 10
