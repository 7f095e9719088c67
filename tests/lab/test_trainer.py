import numpy as np
import pytest

from babysit.arrays import differing, duplicate
from babysit.lab.data import spiral
from babysit.lab.layers import ACTIVATIONS
from babysit.lab.network import Design, Network
from babysit.lab.optimizers import OPTIMIZERS
from babysit.lab.trainer import LabTrainer
from babysit.tasks.task import Classification
from babysit.trainer import SupportsParameters, SupportsRegularization, SupportsTrace, Trainer

FULL = Design((2, 8, 6, 3), "prelu", batch_norm=True, dropout=0.5, l2=0.01)


def make(design=FULL, optimizer="momentum", seed=0, **changes):
    data = spiral(np.random.default_rng(0))
    options = {"task": Classification(3), "learning_rate": 0.1, "optimizer": optimizer, "batch_size": 64, "seed": seed}
    return LabTrainer(Network(design, seed), data, spiral(np.random.default_rng(1)), **options | changes)


def batch_of(trainer):
    return next(iter(trainer.batches()))


def steps(trainer, count):
    losses = []
    while len(losses) < count:
        losses += [trainer.step(batch).loss for batch in trainer.batches()]
    return losses


def test_has_all_the_powers_of_one_process():
    trainer = make()
    for power in (Trainer, SupportsTrace, SupportsParameters, SupportsRegularization):
        assert isinstance(trainer, power)


def test_batches_cover_each_epoch_in_a_new_order():
    trainer = make()
    first, second = list(trainer.batches()), list(trainer.batches())
    assert [len(targets) for _, targets in first] == [64, 64, 64, 64, 44]
    for epoch in (first, second):
        inputs = np.concatenate([inputs for inputs, _ in epoch])
        np.testing.assert_array_equal(np.sort(inputs, axis=0), np.sort(trainer.splits["train"][0], axis=0))
    assert (first[0][0] != second[0][0]).any()


def test_validation_comes_as_it_is_and_only_if_there_is_any():
    trainer = make()
    inputs = np.concatenate([inputs for inputs, _ in trainer.batches("val")])
    np.testing.assert_array_equal(inputs, trainer.splits["val"][0])
    alone = LabTrainer(Network(FULL), trainer.splits["train"], task=Classification(3), learning_rate=0.1)
    assert list(alone.batches("val")) == []


CALLS = {
    "evaluate": lambda trainer, batch: trainer.evaluate(batch),
    "evaluate in training mode": lambda trainer, batch: trainer.evaluate(batch, training=True),
    "gradients": lambda trainer, batch: trainer.gradients(batch),
    "trace": lambda trainer, batch: trainer.trace(batch, lambda record: None),
    "trace in evaluation mode": lambda trainer, batch: trainer.trace(batch, lambda record: None, training=False),
}


@pytest.mark.parametrize("call", CALLS)
def test_looking_changes_nothing(call):
    trainer = make()
    steps(trainer, 3)
    batch, before = batch_of(trainer), trainer.save()
    before = trainer.save()
    CALLS[call](trainer, batch)
    assert differing(before, trainer.save()) == []


def test_evaluation_is_repeatable_in_training_mode_too():
    trainer = make()
    batch = batch_of(trainer)
    assert trainer.evaluate(batch, training=True).loss == trainer.evaluate(batch, training=True).loss
    assert trainer.evaluate(batch, training=True).loss == trainer.step(batch).loss


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_load_replays_steps_bit_for_bit(optimizer):
    trainer = make(optimizer=optimizer, learning_rate=0.01)
    steps(trainer, 5)
    start = trainer.save()
    kept = duplicate(dict(start))
    first, after = steps(trainer, 12), trainer.save()
    assert differing(start, kept) == []  # a copy, not an alias
    trainer.load(start)
    assert steps(trainer, 12) == first
    assert differing(after, trainer.save()) == []
    assert differing(start, kept) == []


def test_a_step_changes_what_it_should():
    trainer = make()
    batch = batch_of(trainer)
    before = trainer.save()
    trainer.step(batch)
    changed = {name.split(".")[0] for name in differing(before, trainer.save())}
    assert changed == {"parameters", "statistics", "optimizer", "noise"}


def test_seeded_runs_are_the_same_bit_for_bit():
    one, same, other = make(seed=1), make(seed=1), make(seed=2)
    losses = [steps(trainer, 20) for trainer in (one, same, other)]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    assert differing(one.save(), same.save()) == []


def test_regularization_scale_scales_the_penalty_and_turns_dropout_off_at_0():
    trainer = make(Design((2, 8, 3), dropout=0.5, l2=0.01))
    batch = batch_of(trainer)
    losses, penalties, decays = {}, {}, {}
    for scale in (0.0, 1.0, 100.0):
        trainer.regularization_scale = scale
        output, gradients = trainer.gradients(batch)
        losses[scale], penalties[scale], decays[scale] = output.loss, output.penalty, gradients["affine1.W"]
    assert penalties[0.0] == 0
    assert penalties[100.0] == pytest.approx(100 * penalties[1.0])
    assert losses[1.0] == losses[100.0] != losses[0.0]
    np.testing.assert_allclose(decays[100.0] - decays[1.0], 99 * 2 * 0.01 * trainer.parameters()["affine1.W"])
    trainer.regularization_scale = 0.0
    assert trainer.evaluate(batch, training=True).loss == trainer.evaluate(batch).loss


def test_strengths_are_those_that_the_design_states():
    assert make().strengths() == {"l2": 0.01, "dropout": 0.5}
    assert make(Design((2, 8, 3))).strengths() == {}


def test_set_parameters_leaves_the_others():
    trainer = make()
    before = trainer.parameters()
    trainer.set_parameters({"affine1.b": np.full(8, 2.0)})
    after = trainer.parameters()
    np.testing.assert_array_equal(after["affine1.b"], np.full(8, 2.0))
    assert differing(dict(before), dict(after)) == ["affine1.b"]


def test_last_gradients_are_those_of_the_step():
    trainer = make(optimizer="sgd")
    batch = batch_of(trainer)
    expected = trainer.gradients(batch)[1]
    before = trainer.parameters()
    trainer.step(batch)
    assert differing(dict(expected), dict(trainer.last_gradients())) == []
    np.testing.assert_array_equal(trainer.parameters()["affine1.W"], before["affine1.W"] - 0.1 * expected["affine1.W"])


def records_of(trainer, training=True):
    records = []
    output = trainer.trace(batch_of(trainer), records.append, training=training)
    return output, records


def test_trace_shows_every_layer_forward_and_then_backward():
    _, records = records_of(make())
    names = ["affine1", "norm1", "prelu1", "affine2", "norm2", "prelu2", "affine3"]
    assert [record.name for record in records] == names + names[::-1]
    assert [record.phase for record in records] == ["forward"] * 7 + ["backward"] * 7
    assert [record.kind for record in records[:7]] == ["linear", "norm", "prelu", "linear", "norm", "prelu", "linear"]


def test_trace_names_the_parameters_since_the_previous_nonlinearity():
    _, records = records_of(make())
    used = {record.name: record.parameters for record in records if record.phase == "backward"}
    assert used["affine1"] == ("affine1.W", "affine1.b")
    assert used["norm1"] == ("affine1.W", "affine1.b", "norm1.gamma", "norm1.beta")
    assert used["prelu1"] == ("affine1.W", "affine1.b", "norm1.gamma", "norm1.beta", "prelu1.slope")
    assert used["affine2"] == ("affine2.W", "affine2.b")
    assert used["affine3"] == ("affine3.W", "affine3.b")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_records_have_matching_shapes_and_kinds(activation, training):
    trainer = make(Design((2, 8, 3), activation))
    output, records = records_of(trainer, training)
    forward = {record.name: record for record in records if record.phase == "forward"}
    backward = {record.name: record for record in records if record.phase == "backward"}
    shown = forward[f"{activation}1"]
    assert shown.kind == activation
    assert shown.values.shape == (64, 8)
    assert shown.inputs.shape == ((64, 8, 2) if activation == "maxout" else (64, 8))
    assert all(record.values.shape[record.unit_axis] in (3, 8, 16) for record in records)
    assert all(backward[name].values.shape == record.values.shape for name, record in forward.items())
    np.testing.assert_array_equal(forward["affine2"].inputs, shown.values)
    np.testing.assert_array_equal(forward["affine2"].values, output.scores)


def test_traced_gradients_are_those_of_the_layers_outputs():
    trainer = make(Design((2, 8, 3), "tanh"))
    batch = batch_of(trainer)
    records = []
    trainer.trace(batch, records.append)
    backward = {record.name: record for record in records if record.phase == "backward"}
    gradients = trainer.gradients(batch)[1]
    for name in ("affine1", "affine2"):
        record = backward[name]
        np.testing.assert_allclose(gradients[f"{name}.W"], record.inputs.T @ record.values)
        np.testing.assert_allclose(gradients[f"{name}.b"], record.values.sum(axis=0))


def test_a_run_that_diverges_warns_of_nothing():
    trainer = make(Design((2, 8, 3), "leaky-relu", l2=0.01), learning_rate=1e6)
    assert not np.isfinite(steps(trainer, 100)[-1])
