import numpy as np
import pytest

from babysit.arrays import differing
from babysit.lab.faults import FAULTS

NAMES = list(FAULTS)


def made(name):
    return FAULTS[name].make(0)


def whole(trainer):
    return trainer.splits["train"]


def shown(trainer, kind, phase="forward"):
    records = []
    trainer.trace(whole(trainer), records.append, training=False)
    return [record for record in records if record.kind == kind and record.phase == phase]


def run(trainer, count):
    while count > 0:
        for batch in trainer.batches():
            trainer.step(batch)
            count -= 1


def memorizing_loss(trainer):
    trainer.regularization_scale = 0.0
    inputs, targets = next(iter(trainer.batches()))
    return [trainer.step((inputs[:20], targets[:20])).loss for _ in range(200)][-1]


def test_faults_have_the_names_of_their_functions():
    assert all(fault.name == name == fault.make.__name__.replace("_", "-") for name, fault in FAULTS.items())


@pytest.mark.parametrize("name", NAMES)
def test_makes_a_fresh_trainer_that_steps(name):
    one, other = made(name), made(name)
    assert differing(one.save(), other.save()) == []
    run(one, 5)
    assert one.evaluate(whole(one)).scores.shape[0] == len(whole(one)[0])
    one.trace(whole(one), lambda record: None)


@pytest.mark.parametrize("name", NAMES)
def test_explanation_is_one_sentence(name):
    explanation = FAULTS[name].explanation
    assert explanation.endswith(".")
    assert "\n" not in explanation
    assert ". " not in explanation


def dead_share(trainer):
    return np.mean(~(shown(trainer, "relu")[0].values > 0).any(axis=0))


def test_dead_relu_by_bias():
    assert 0.5 < dead_share(made("dead-relu-by-bias")) < 1


def test_dead_relu_by_learning_rate():
    trainer = made("dead-relu-by-learning-rate")
    assert dead_share(trainer) == 0
    run(trainer, 20)
    assert dead_share(trainer) > 0.4  # "as much as 40 % of the network", course notes
    assert np.isfinite(trainer.evaluate(whole(trainer)).loss)


def test_saturated_tanh():
    trainer = made("saturated-tanh")
    later = shown(trainer, "tanh")[1:]
    assert len(later) == 2
    assert all(np.mean(np.abs(record.values) > 0.98) > 0.5 for record in later)
    assert trainer.evaluate(whole(trainer)).loss == pytest.approx(np.log(3), rel=0.05)


def test_zero_weights():
    trainer = made("zero-weights")
    before = trainer.parameters()
    run(trainer, 5)
    assert differing(dict(before), dict(trainer.parameters())) == ["affine2.b"]


@pytest.mark.parametrize("name", ["zero-weights", "small-weights-deep"])
def test_inputs_ignored(name):
    trainer = made(name)
    inputs, labels = whole(trainer)
    loss = trainer.evaluate((inputs, labels)).loss
    assert trainer.evaluate((np.zeros_like(inputs), labels)).loss == pytest.approx(loss, abs=1e-9)


def test_labels_below_zero():
    assert set(whole(made("labels-below-zero"))[1]) == {-1, 0, 1}


def test_label_among_inputs():
    trainer = made("label-among-inputs")
    for inputs, labels in trainer.splits.values():
        np.testing.assert_array_equal(inputs[:, 2], labels)
    run(trainer, 60)
    assert trainer.evaluate(trainer.splits["val"]).loss < 0.2  # on validation, too


def test_integer_division():
    assert not whole(made("integer-division"))[0].any()


def test_column_in_other_units():
    spreads = whole(made("column-in-other-units"))[0].std(axis=0)
    assert spreads[0] / spreads[1] == pytest.approx(1e6)


def test_inputs_never_scaled():
    assert whole(made("inputs-never-scaled"))[0].std() == pytest.approx(200)


def test_inputs_off_center():
    inputs = whole(made("inputs-off-center"))[0]
    np.testing.assert_allclose(inputs.mean(axis=0), 40)
    np.testing.assert_allclose(inputs.std(axis=0), 1)


def test_labels_divided():
    trainer = made("labels-divided")
    assert set(whole(trainer)[1]) == {0}
    assert set(trainer.splits["val"][1]) == {0, 1, 2}


def test_validation_scaled_by_itself():
    inputs = made("validation-scaled-by-itself").splits["val"][0]
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(inputs.std(axis=0), 1)


def test_validation_not_scaled():
    assert made("validation-not-scaled").splits["val"][0].std() > 10 * whole(made("validation-not-scaled"))[0].std()


def test_validation_in_training():
    trainer = made("validation-in-training")
    np.testing.assert_array_equal(whole(trainer)[0][-300:], trainer.splits["val"][0])


def test_never_shuffled():
    trainer = made("never-shuffled")
    assert [set(labels) for _, labels in trainer.batches()] == [{0}, {0}, {1}, {1}, {2}, {2}]
    assert sum(len(labels) for _, labels in trainer.batches("val")) == 300
    assert list(trainer.batches("test")) == []


def test_scaled_by_batch():
    trainer = made("scaled-by-batch")
    for split in ("train", "val"):
        for inputs, _ in trainer.batches(split):
            np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-12)


def test_weights_twice_too_wide():
    trainer = made("weights-twice-too-wide")
    sizes = [np.sqrt(np.mean(record.values**2)) for record in shown(trainer, "relu")]
    assert len(sizes) == 12
    assert sizes[-1] > 1000 * sizes[0]


def test_ten_sigmoids():
    varied = [record.values.std(axis=0).mean() for record in shown(made("ten-sigmoids"), "sigmoid")]
    assert len(varied) == 10
    assert varied[-1] < 1e-4 * varied[0]


def test_saturated_by_bias():
    (record,) = shown(made("saturated-by-bias"), "tanh")
    assert np.mean(np.abs(record.values) > 0.975) > 0.8


def test_log_of_raw_scores():
    trainer = made("log-of-raw-scores")
    with np.errstate(all="ignore"):
        assert np.isnan(trainer.evaluate(whole(trainer)).loss)


def test_large_weights():
    trainer = made("large-weights")
    assert trainer.evaluate(whole(trainer)).loss > 2 * np.log(3)


def test_softmax_twice():
    trainer = made("softmax-twice")
    np.testing.assert_allclose(trainer.evaluate(whole(trainer)).scores.sum(axis=1), 1)


@pytest.mark.parametrize("name", ["softmax-twice", "summed-loss"])
def test_gradients_of_the_broken_program_are_right(name, numerical_gradient):
    trainer = made(name)
    inputs, labels = whole(trainer)
    batch = inputs[::10], labels[::10]
    gradient = trainer.gradients(batch)[1]["affine2.W"]

    def loss():
        output = trainer.evaluate(batch, training=True)
        return output.loss + output.penalty

    np.testing.assert_allclose(
        gradient, numerical_gradient(loss, trainer.network.params["affine2.W"]), rtol=1e-5, atol=1e-9
    )


def test_summed_loss():
    trainer = made("summed-loss")
    assert trainer.evaluate(whole(trainer)).loss == pytest.approx(300 * np.log(3), rel=0.05)


def test_nan_input():
    trainer = made("nan-input")
    assert np.isnan(whole(trainer)[0]).sum() == 1
    assert np.isnan(trainer.evaluate(whole(trainer)).loss)


def test_too_many_scores():
    trainer = made("too-many-scores")
    scores = trainer.evaluate(whole(trainer)).scores
    expected = "the scores have shape (300, 10), but the task has 3 classes"
    assert trainer.task.problem(scores, whole(trainer)[1]) == expected


def test_regularization_ignored():
    trainer = made("regularization-ignored")
    assert trainer.strengths() == {"l2": 1e-4}
    trainer.regularization_scale = 1e6
    assert trainer.evaluate(whole(trainer)).penalty == 0


def test_penalty_minus_sign():
    assert made("penalty-minus-sign").evaluate(whole(made("penalty-minus-sign"))).penalty < 0


def penalty_and_data_gradients(trainer):
    total = trainer.gradients(whole(trainer))[1]["affine1.W"]
    trainer.regularization_scale = 0.0
    data = trainer.gradients(whole(trainer))[1]["affine1.W"]
    return np.linalg.norm(total - data), np.linalg.norm(data)


def test_penalty_too_strong():
    penalty, data = penalty_and_data_gradients(made("penalty-too-strong"))
    assert penalty > 100 * data


def test_penalty_without_gradient():
    trainer = made("penalty-without-gradient")
    assert trainer.evaluate(whole(trainer)).penalty > 0
    assert penalty_and_data_gradients(trainer)[0] == 0


def test_learning_rate_too_low():
    trainer = made("learning-rate-too-low")
    before = trainer.evaluate(whole(trainer)).loss
    run(trainer, 20)
    assert trainer.evaluate(whole(trainer)).loss == pytest.approx(before, rel=1e-3)


def test_learning_rate_too_high():
    trainer = made("learning-rate-too-high")
    run(trainer, 6)
    assert not trainer.evaluate(whole(trainer)).loss < 1e6


def test_frozen_layer():
    trainer = made("frozen-layer")
    before = trainer.parameters()
    assert memorizing_loss(trainer) > 0.5
    assert differing(dict(before), dict(trainer.parameters())) == ["affine1.W", "affine1.b"]


def test_sigmoid_regression():
    trainer = made("sigmoid-regression")
    run(trainer, 50)
    assert trainer.evaluate(whole(trainer)).scores.max() <= 1
    assert whole(trainer)[1].max() == 100


def test_idle_maxout_piece():
    pieces = shown(made("idle-maxout-piece"), "maxout")[0].inputs
    second_wins = (pieces.argmax(axis=2) == 1).mean(axis=0)
    assert (second_wins[::2] == 0).all()
    assert (second_wins[1::2] > 0).all()


def test_collapsed_slope():
    record = shown(made("collapsed-slope"), "prelu")[0]
    np.testing.assert_array_equal(record.inputs, record.values)


def test_same_sign_gradient():
    (record,) = shown(made("same-sign-gradient"), "sigmoid")
    assert record.values.mean() ** 2 > 0.9 * np.mean(record.values**2)


def test_evaluation_moves_statistics():
    trainer = made("evaluation-moves-statistics")
    before = trainer.save()
    trainer.evaluate(whole(trainer))
    assert differing(before, trainer.save()) == ["statistics.norm1.mean", "statistics.norm1.variance"]


def test_momentum_not_saved():
    trainer = made("momentum-not-saved")
    batch = next(iter(trainer.batches()))
    start = trainer.save()
    trainer.step(batch)
    after = trainer.parameters()
    trainer.load(start)
    trainer.step(batch)
    assert "affine1.W" in differing(dict(after), dict(trainer.parameters()))


def test_step_does_nothing():
    trainer = made("step-does-nothing")
    before = trainer.save()
    trainer.step(next(iter(trainer.batches())))
    assert differing(before["parameters"], trainer.save()["parameters"]) == []
