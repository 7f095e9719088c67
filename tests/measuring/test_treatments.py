import math

import faults
import numpy as np
import pytest
import torch
from faults import SEEDS, demo, left
from pytorch_programs import CLASSES, FEATURES, loader, program, trainer
from torch import nn
from torch.optim import SGD
from trainers import TinyTrainer, TracedTrainer

from babysit.arrays import differing
from babysit.checks.overfit import Settings
from babysit.checks.overfit.attempts import aim_for, treated_attempts
from babysit.driving.bench import Bench
from babysit.errors import LostError
from babysit.measuring.reference_optimizers import Rprop
from babysit.measuring.treatments import (
    ADVICE,
    PLAIN,
    REDRAWN,
    STANDARDIZED,
    UNREGULARIZED,
    Treated,
    advice,
    cures,
    drawn_anew,
    sentence,
    standardizer,
    treatments,
)

SHIFTED = (3.0, 250.0)  # mean and spread of raw inputs
LOWER = "a learning rate of 0.01"


def raw(*shape, seed=0, mean=SHIFTED[0], spread=SHIFTED[1]):
    """Inputs whose features differ in mean and spread, the channels along axis 1 or the last one of two."""
    return mean + spread * np.random.default_rng(seed).normal(size=shape)


def no_targets(inputs):
    return inputs, np.zeros(len(inputs))


def standardized(*inputs):
    """All inputs as the standardizer has them, in one array."""
    prepare = standardizer([no_targets(x) for x in inputs])
    return np.concatenate([prepare(no_targets(x))[0] for x in inputs])


def assert_standard(values, axes):
    np.testing.assert_allclose(values.mean(axes), 0.0, atol=1e-9)
    np.testing.assert_allclose(values.std(axes), 1.0, rtol=1e-9)


# Inputs made standard


def test_each_column_gets_mean_0_and_variance_1():
    scales = np.array([1.0, 255.0, 1e-4])
    parts = [scales * raw(40, 3, seed=seed) for seed in SEEDS]
    values = standardized(*parts)
    assert_standard(values, 0)
    whole = np.concatenate(parts)
    np.testing.assert_allclose(values, (whole - whole.mean(0)) / whole.std(0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((40, 3, 6, 6), (0, 2, 3)),  # (C, H, W)
        ((40, 6, 6, 3), (0, 1, 2)),  # (H, W, C)
        ((40, 12, 3), (0, 1)),  # (T, D)
        ((40, 3, 12), (0, 2)),  # (D, T)
        ((40, 6, 6), (0, 1, 2)),  # a gray image, all pixels alike
    ],
)
def test_each_channel_gets_mean_0_and_variance_1(shape, axes):
    values = standardized(raw(*shape))
    assert values.shape == shape
    assert_standard(values, axes)


def test_channels_are_scaled_each_by_itself():
    scales = np.array([1.0, 255.0, 1e-4]).reshape(3, 1, 1)
    assert_standard(standardized(scales * raw(40, 3, 6, 6)), (0, 2, 3))


def test_a_column_that_doesn_t_vary_is_centered():
    values = standardized(np.concatenate([raw(40, 1), np.full((40, 1), 7.0)], axis=1))
    assert_standard(values[:, :1], 0)
    assert set(values[:, 1]) == {0.0}


def test_targets_are_left_alone():
    inputs, targets = raw(40, 2), np.arange(40)
    assert standardizer([(inputs, targets)])((inputs, targets))[1] is targets


def test_other_inputs_are_scaled_by_the_same_numbers():
    inputs = raw(40, 2)
    other = np.array([[0.0, 1000.0]])
    found, _ = standardizer([no_targets(inputs)])(no_targets(other))
    np.testing.assert_allclose(found, (other - inputs.mean(0)) / inputs.std(0), rtol=1e-12)


def test_whole_numbers_are_left_alone_beside_amounts():
    names, amounts = np.arange(40).reshape(20, 2) * 100, raw(20, 2)
    prepare = standardizer([no_targets_of({"names": names, "amounts": amounts})])
    found, _ = prepare(no_targets_of({"names": names, "amounts": amounts}))
    assert found["names"] is names
    assert_standard(found["amounts"], 0)


def no_targets_of(inputs):
    return inputs, np.zeros(20)


def test_arrays_that_are_standard_are_left_alone_beside_raw_ones():
    good = np.random.default_rng(1).normal(size=(20, 2))
    prepare = standardizer([no_targets_of((good, raw(20, 2)))])
    found, _ = prepare(no_targets_of((good, raw(20, 2))))
    assert isinstance(found, tuple)
    assert found[0] is good
    assert_standard(found[1], 0)


NORMAL = np.random.default_rng(0).normal(size=(500, 3))
NORMAL = (NORMAL - NORMAL.mean(0)) / NORMAL.std(0)


@pytest.mark.parametrize(
    ("inputs", "changed"),
    [
        (NORMAL, False),
        (NORMAL + 0.49, False),
        (NORMAL + 0.51, True),
        (NORMAL - 0.51, True),
        (1.99 * NORMAL, False),
        (2.01 * NORMAL, True),
        (0.51 * NORMAL, False),
        (0.49 * NORMAL, True),
        (NORMAL * [1, 1, 2.01], True),  # one column is enough
        (np.full((500, 3), 7.0), False),  # nothing varies
        (np.concatenate([NORMAL, np.ones((500, 1))], axis=1), False),  # a column of ones, for the bias
        (np.where(np.arange(1500).reshape(500, 3) == 7, math.nan, 9 * NORMAL), False),
        (np.where(np.arange(1500).reshape(500, 3) == 7, math.inf, 9 * NORMAL), False),
        ((9 * NORMAL).astype(int), False),
        (9 * NORMAL > 0, False),
        (9 * NORMAL[:, 0] + 5, False),  # without an axis of features
        ("names", False),
    ],
)
def test_whether_there_is_something_to_scale(inputs, changed):
    with np.errstate(invalid="ignore"):
        assert (standardizer([(inputs, np.zeros(500))]) is not None) == changed


def test_texts_of_other_lengths_are_left_alone():
    assert standardizer([no_targets(raw(20, 5, 3)), no_targets(raw(20, 7, 3))]) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_tensors_keep_their_type(dtype):
    inputs = torch.as_tensor(raw(200, 3)).to(dtype)
    found, _ = standardizer([no_targets(inputs)])(no_targets(inputs))
    assert found.dtype == dtype
    assert found.double().mean(0).abs().max() < 0.02
    assert (found.double().std(0) - 1).abs().max() < 0.02


# Weights drawn anew


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_get_the_spread_that_their_nonlinearity_wants(seed):
    """He's behind a ReLU, Xavier's ahead of the scores; biases are 0."""
    made = demo(seed, sizes=(2, 400, 300, 3))
    made.network.params |= {"affine2.W": np.zeros((400, 300)), "affine2.b": np.full(300, 9.0)}
    fresh = drawn_anew(Bench(made))
    assert set(fresh) == set(made.network.params)
    assert {name: x.shape for name, x in fresh.items()} == {name: x.shape for name, x in made.network.params.items()}
    assert fresh["affine1.W"].std() == pytest.approx(math.sqrt(2 / 2), rel=0.1)
    assert fresh["affine2.W"].std() == pytest.approx(math.sqrt(2 / 400), rel=0.02)
    assert fresh["affine3.W"].std() == pytest.approx(math.sqrt(1 / 300), rel=0.1)
    assert all(not fresh[f"affine{i}.b"].any() for i in (1, 2, 3))


def test_pytorch_s_weights_too():
    model = nn.Sequential(nn.Linear(FEATURES, 300), nn.ReLU(), nn.Linear(300, 200), nn.Tanh(), nn.Linear(200, CLASSES))
    fresh = drawn_anew(Bench(trainer(model)))
    assert {name: (x.shape, x.dtype) for name, x in fresh.items()} == {
        name: (p.shape, p.dtype) for name, p in model.named_parameters()
    }
    assert float(fresh["0.weight"].std()) == pytest.approx(math.sqrt(2 / FEATURES), rel=0.1)
    assert float(fresh["2.weight"].std()) == pytest.approx(math.sqrt(1 / 300), rel=0.02)
    assert not fresh["2.bias"].any()


def test_norm_s_gains_are_no_weights():
    assert not any("norm" in name for name in drawn_anew(Bench(demo(0, batch_norm=True))))


def test_they_are_drawn_alike_each_time():
    assert differing(drawn_anew(Bench(demo(0))), drawn_anew(Bench(demo(0)))) == []


def test_nothing_is_drawn_where_layers_can_t_be_followed():
    assert drawn_anew(Bench(TinyTrainer())) == {}


# What is tried


def names(made):
    return [t.name for t in treatments(Bench(made), lambda trained: Rprop(trained).step)]


def test_what_would_change_nothing_is_not_tried():
    standard = demo(0)
    inputs, labels = standard.splits["train"]
    standard.splits["train"] = (inputs - inputs.mean(0)) / inputs.std(0), labels
    assert names(standard) == [REDRAWN, PLAIN]
    raw_pixels = demo(0)
    raw_pixels.splits["train"] = 255 * inputs, labels
    assert names(raw_pixels) == [STANDARDIZED, REDRAWN, PLAIN]


def test_what_a_trainer_can_t_take_is_not_tried():
    assert names(TinyTrainer()) == []
    inputs, targets = TinyTrainer().splits["train"]
    assert names(TinyTrainer(splits={"train": (255 * inputs, targets)})) == [STANDARDIZED]
    assert PLAIN in names(TracedTrainer())


# As it was found


def attempts(made, **changes):
    bench, settings = Bench(made), Settings(steps=30, window=10, **changes)
    batch = bench.subset(20)
    with np.errstate(all="ignore"):
        return list(treated_attempts(bench, batch, aim_for(bench.task, batch, settings.memorized), settings))


def times_255(made):
    inputs, labels = made.splits["train"]
    made.splits["train"] = 255 * inputs, labels
    return made


@pytest.mark.parametrize(
    "make", [faults.batch_norm_and_dropout, faults.momentum, faults.zero_head, lambda seed: times_255(demo(seed))]
)
def test_the_lab_network_is_left_as_it_was_found(make):
    made = make(0)
    before = left(made)
    assert len(attempts(made)) >= 2
    assert differing(before, left(made)) == []


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Dropout(0.5), nn.Linear(20, CLASSES)
    )


@pytest.mark.parametrize("owned", [True, False])
def test_a_pytorch_program_is_left_as_it_was_found(owned):
    model, data = network(), loader(owned=owned)
    data.dataset.tensors[0].mul_(255)
    made = program(model, SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-3), data)
    before = made.bits()
    tried = [t.treatment for t in attempts(made.trainer)]
    assert tried == [STANDARDIZED, REDRAWN, PLAIN]
    assert made.bits() == before


def fails_on_standard_inputs(trainer, batch):
    if abs(batch[0]).max() < 50:
        raise ValueError("pixels go up to 255")
    return TracedTrainer.step(trainer, batch)


def test_a_change_that_the_program_can_t_take_shows_nothing():
    inputs, targets = TracedTrainer().splits["train"]
    made = TracedTrainer(step=fails_on_standard_inputs, splits={"train": (255 * inputs, targets)})
    before = made.save()
    assert STANDARDIZED in names(made)
    assert STANDARDIZED not in [t.treatment for t in attempts(made)]
    assert differing(before, made.save()) == []


def test_a_rank_that_is_lost_ends_it():
    def lost(trainer, batch):
        raise LostError("rank 1 is gone")

    inputs, targets = TracedTrainer().splits["train"]
    with pytest.raises(LostError, match="rank 1 is gone"):
        attempts(TracedTrainer(step=lost, splits={"train": (255 * inputs, targets)}))


# What is told of it

CURED = Treated(STANDARDIZED, True, 0.0123, 40)
SOONER = Treated(REDRAWN, True, 0.5, 30)
BY_PLAIN = Treated(PLAIN, True, 0.001, 3)
IN_VAIN = Treated(REDRAWN, False, 2.3, 50)
EXPLODED = Treated(UNREGULARIZED, False, math.nan, 7)


def test_as_text():
    assert str(CURED) == "cured, loss 0.0123 after 40 updates"
    assert str(IN_VAIN) == "in vain, loss 2.3 after 50 updates"
    assert str(EXPLODED) == "in vain, loss nan after 7 updates"


@pytest.mark.parametrize(
    ("treated", "expected"),
    [
        ([], []),
        ([IN_VAIN, EXPLODED], []),
        ([CURED, SOONER, IN_VAIN], [SOONER, CURED]),  # the one that needs fewer steps first
        ([BY_PLAIN, CURED], [CURED, BY_PLAIN]),  # plain gradients last, however quick
        ([BY_PLAIN], [BY_PLAIN]),
    ],
)
def test_cures(treated, expected):
    assert cures(treated) == expected


@pytest.mark.parametrize(
    ("treated", "expected"),
    [
        ([], ""),
        ([CURED], " With standardized inputs it reaches 0.012 in 40 steps."),
        ([IN_VAIN, CURED], " With standardized inputs it reaches 0.012 in 40 steps."),
        (
            [BY_PLAIN, CURED],
            " With standardized inputs it reaches 0.012 in 40 steps; with plain gradients instead of the program's own "
            "update it reaches 0.001 in 3 steps.",
        ),
        ([IN_VAIN], " Tried in vain: weights drawn anew for their nonlinearities."),
        (
            [IN_VAIN, EXPLODED],
            " Tried in vain: weights drawn anew for their nonlinearities, all regularization off.",
        ),
    ],
)
def test_sentence(treated, expected):
    assert sentence(treated) == expected


@pytest.mark.parametrize("treatment", [STANDARDIZED, REDRAWN, PLAIN, UNREGULARIZED])
def test_advice_follows_the_cure(treatment):
    assert advice([Treated(treatment, True, 0.1, 9)], "Think.") == ADVICE[treatment]


@pytest.mark.parametrize(
    ("treated", "expected"),
    [
        ([], "Think."),
        ([IN_VAIN, EXPLODED], "Think."),
        ([IN_VAIN, CURED, BY_PLAIN], ADVICE[STANDARDIZED]),
        ([Treated(LOWER, True, 0.1, 9), BY_PLAIN], "Train with a learning rate of 0.01."),
    ],
)
def test_advice(treated, expected):
    assert advice(treated, "Think.") == expected


def test_what_the_advice_on_inputs_says():
    assert advice([CURED], "") == (
        "Scale the inputs: subtract the mean of the training data, divide by its standard deviation."
    )
