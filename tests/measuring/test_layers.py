"""What flows through the layers, looked at once: at the start with gradients, after some training without."""

import faults
import numpy as np
import pytest
import torch
from initialized_programs import FEATURES, Words, conv, ended, images, program, sequences, texts
from processes import joined_demo, parallel_demo, together
from torch import nn
from trainers import TinyTrainer, TracedTrainer

from babysit import Record
from babysit.driving.bench import Bench
from babysit.errors import Skip
from babysit.measuring.layers import SAMPLE, Call, Layers, histograms, layers, look, nonlinearities
from babysit.trainer import ForwardOnly


def record(name, kind, values, inputs=None, phase="forward", axis=1, parameters=()):
    return Record(name, kind, phase, axis, inputs, values, parameters)


def visited(*records):
    found = Layers(0)
    for one in records:
        found.visit(one)
    return found


X = np.arange(12.0).reshape(4, 3)


def test_each_kind_has_its_place():
    found = visited(
        record("affine1", "linear", X, X[:, :2], parameters=("W", "b")),
        record("norm1", "norm", X, X, parameters=("W", "b", "gamma")),
        record("relu1", "relu", X, X, parameters=("W", "b", "gamma")),
        record("softmax", "softmax", X, X),
        record("relu1", "relu", 2 * X, phase="backward"),
        record("affine1", "linear", X, phase="backward"),
    )
    assert found.calls == {
        "affine1": Call("affine1", "linear", 3, ("W", "b"), True),
        "norm1": Call("norm1", "norm", 3, ("W", "b", "gamma"), True),
        "relu1": Call("relu1", "relu", 3, ("W", "b", "gamma"), True),
    }
    places = {"outputs": "relu1", "fed": "affine1", "linear": "affine1", "norms": "norm1", "gradients": "relu1"}
    assert {place: list(getattr(found, place)) for place in places} == {p: [name] for p, name in places.items()}
    assert found.fed["affine1"].summary().units == 2
    assert found.gradients["relu1"].summary().mean == 2 * X.mean()
    assert list(found.samples["relu1"]) == list(range(12))


def test_an_embedding_is_fed_nothing():
    found = visited(record("table", "linear", X, parameters=("table",)))
    assert (found.calls["table"].fed, found.fed) == (False, {})
    assert layers(Bench(texts(Words(nn.Tanh()), 0)), 32).calls["table"].fed is False


def test_calls_add_up_and_the_first_one_tells_what_the_layer_is():
    found = visited(
        record("tanh", "tanh", X, parameters=("W",)),
        record("tanh", "tanh", 3 * X, parameters=("W", "U")),
        record("tanh", "tanh", X, phase="backward"),
        record("tanh", "tanh", X, phase="backward"),
    )
    assert found.calls["tanh"].parameters == ("W",)
    assert found.outputs["tanh"].examples == found.gradients["tanh"].examples == 8
    assert found.outputs["tanh"].summary().mean == 2 * X.mean()
    assert list(found.samples["tanh"]) == list(X.ravel())


@pytest.mark.parametrize("size", [1, 100, SAMPLE, 10 * SAMPLE])
@pytest.mark.parametrize("make", [np.arange, lambda n: torch.arange(n).float()], ids=["numpy", "torch"])
def test_samples_are_evenly_spread_and_of_their_own(size, make):
    values = make(size).reshape(-1, 1)
    sample = visited(record("tanh", "tanh", values)).samples["tanh"]
    step = max(1, size // SAMPLE)
    assert isinstance(sample, np.ndarray)
    assert list(sample) == list(range(0, size, step))
    values[:] = -1
    assert sample.min() == 0


def test_the_names_are_in_the_order_of_the_calls():
    made = faults.demo(0, sizes=(2, 8, 8, 3), batch_norm=True)
    found = layers(Bench(made), 100)
    assert list(found.calls) == ["affine1", "norm1", "relu1", "affine2", "norm2", "relu2", "affine3"]
    assert [call.units for call in found.calls.values()] == [8, 8, 8, 8, 8, 8, 3]
    assert list(found.outputs) == list(found.samples) == ["relu1", "relu2"]
    assert sorted(found.gradients) == ["relu1", "relu2"]


def test_numbers_at_the_start_are_those_of_a_forward_pass():
    made = faults.healthy(0)
    bench = Bench(made)
    found = layers(bench, 300)
    calls = {c.name: c for c in made.network.forward(np.concatenate([x for x, _ in bench.first_batches(300)]))}
    assert found.steps == 0
    assert found.outputs["relu1"].summary().spread == pytest.approx(calls["relu1"].output.std())
    assert found.linear["affine1"].summary().mean == pytest.approx(calls["affine1"].output.mean())
    assert found.fed["affine2"].summary().spread == pytest.approx(calls["affine2"].inputs.std())
    assert found.outputs["relu1"].examples == 300


def small(seed=0):
    return program(nn.Sequential(nn.Linear(FEATURES, 8), nn.GELU(), nn.Linear(8, 4)), seed)


def test_later_there_are_no_gradients():
    found = layers(Bench(small()), 64, 3)
    assert (found.steps, found.gradients) == (3, {})


def test_convolutions_and_recurrent_networks():
    found = layers(Bench(images(ended(conv(3, 8), conv(8, 8), width=8), 0)), 32)
    assert found.outputs["1.1"].examples == 32 * 64
    assert found.fed["1.0"].summary().units == 8
    steps = nn.RNN(8, 16, batch_first=True)

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = steps, nn.Linear(16, 4)

        def forward(self, x):
            return self.head(self.body(x)[0][:, -1])

    found = layers(Bench(sequences(Last(), 0)), 32)
    assert [call.kind for call in found.calls.values()] == ["tanh", "linear"]


class Watched:
    """Keeps the visits that a trainer is asked to make."""

    def __init__(self, made):
        self.visits, trace = [], made.trace

        def traced(batch, visit, **options):
            self.visits.append((len(batch[1]), isinstance(visit, ForwardOnly)))
            return trace(batch, visit, **options)

        made.trace = traced


def test_the_same_look_is_taken_once():
    made = faults.healthy(0)
    watched, bench = Watched(made), Bench(made)
    first = layers(bench, 100)
    assert layers(bench, 100) is first
    assert watched.visits == [(50, False)] * 2
    later = layers(bench, 100, 3)
    assert layers(bench, 100, 3) is later
    assert watched.visits[2:] == [(50, True)] * 2
    assert layers(bench, 50) is not first
    assert layers(bench, 100, 4) is not later
    assert len(watched.visits) == 2 + 2 + 1 + 2


def test_looking_again_does_not_add_to_what_was_seen():
    bench = Bench(faults.healthy(0))
    first = repr(layers(bench, 100).outputs["relu1"].summary())
    layers(bench, 100, 3)
    assert repr(layers(bench, 100).outputs["relu1"].summary()) == first  # NaN is NaN


def test_fewer_steps_are_told():
    assert layers(Bench(faults.rate_of(1e200, "sgd", activation="leaky-relu")(0)), 100, 50).steps < 10


def test_a_look_at_a_trainer_as_it_stands():
    bench = Bench(small())
    with bench.borrowed() as trainer:
        found = look(trainer, bench.first_batches(50))
        later = look(trainer, bench.first_batches(50), 7)
    assert (found.steps, bool(found.gradients)) == (0, True)
    assert (later.steps, bool(later.gradients)) == (7, False)


def test_no_nonlinearity_is_a_skip():
    with pytest.raises(Skip) as skipped:
        nonlinearities(layers(Bench(TracedTrainer()), 40))
    assert str(skipped.value) == (
        "no nonlinearity was seen in the forward pass: there is nothing that could die or saturate"
    )
    with pytest.raises(Skip, match=r"^the trainer can't show what flows"):
        layers(Bench(TinyTrainer()), 40)
    with pytest.raises(Skip, match=r"^the trainer can't show what flows"):
        layers(Bench(TinyTrainer()), 40, 1)


def test_what_was_skipped_is_asked_again():
    made = faults.healthy(0)
    trace, made.trace = made.trace, lambda *args, **options: (_ for _ in ()).throw(Skip("not now"))
    bench = Bench(made)
    with pytest.raises(Skip, match="not now"):
        layers(bench, 100)
    made.trace = trace
    assert layers(bench, 100).outputs


def test_several_ranks_see_what_one_process_sees():
    size = 2
    found = together(size, lambda group, rank: layers(Bench(parallel_demo(group, rank)), 200))
    alone = layers(Bench(joined_demo(size)), 200)
    for one in found:
        for group, expected in zip(one.groups, alone.groups, strict=True):
            assert list(group) == list(expected)
            for name, layer in group.items():
                summary, wanted = layer.summary(), expected[name].summary()
                assert (summary.examples, summary.units, summary.kind) == (wanted.examples, wanted.units, wanted.kind)
                if group is not one.gradients:
                    assert summary.spread == pytest.approx(wanted.spread, rel=1e-9)


def test_gradients_over_ranks_are_those_of_their_own_losses():
    """Each rank's loss is a mean over its own examples, so that they are as many times larger as there are ranks."""
    size = 2
    one, _ = together(size, lambda group, rank: layers(Bench(parallel_demo(group, rank)), 200))
    alone = layers(Bench(joined_demo(size)), 200).gradients["relu1"].summary()
    assert one.gradients["relu1"].summary().size == pytest.approx(size * alone.size, rel=1e-9)


def test_a_program_with_a_plain_module():
    found = layers(Bench(small()), 64)
    assert [(c.name, c.kind, c.parameters) for c in found.calls.values()] == [
        ("0", "linear", ("0.weight", "0.bias")),
        ("1", "gelu", ("0.weight", "0.bias")),
        ("2", "linear", ("2.weight", "2.bias")),
    ]


def drawn(*samples):
    """The histograms of layers with these outputs, by kind."""
    return histograms(visited(*(record(f"{kind}{i}", kind, x) for i, (kind, x) in enumerate(samples))))


def test_histograms_share_an_axis_on_which_each_layer_loses_little():
    numbers = np.random.default_rng(0)
    wide, narrow = numbers.normal(size=(1000, 4)), 0.1 * numbers.normal(size=(1000, 4))
    edges, counts = drawn(("tanh", narrow), ("tanh", wide))
    assert (len(edges), [len(row) for row in counts]) == (41, [40, 40])
    assert (edges[0], edges[-1]) == pytest.approx(np.quantile(wide, (0.005, 0.995)))
    assert sum(counts[0]) == 4000
    assert sum(counts[1]) == pytest.approx(0.99 * 4000, abs=2)


def test_histograms_of_rectifiers_leave_zeros_out():
    values = np.maximum(0, np.random.default_rng(0).normal(size=(1000, 4)))
    kept = np.count_nonzero(values)
    assert sum(map(sum, drawn(("relu", values))[1])) == pytest.approx(0.99 * kept, abs=2)
    assert sum(map(sum, drawn(("elu", values))[1])) == pytest.approx(0.995 * 4000, abs=2)  # none lies below 0
    assert drawn(("relu", 0 * values)) == ((), ())


def test_histograms_of_one_number_and_of_none():
    edges, ((*counts,),) = drawn(("tanh", np.full((5, 2), 3.0)))
    assert (edges[0], edges[-1], sum(counts)) == (2.5, 3.5, 10)
    assert drawn(("tanh", np.array([[1.0, np.nan]]))) == drawn(("tanh", np.array([[np.inf, 1.0]]))) == ((), ())
    assert histograms(Layers(0)) == ((), ())
