"""The adapter for networks written by hand, held against loops and formulas written here."""

import copy
import random

import numpy as np
import pytest

from babysit.adapters import wrap
from babysit.adapters.numpy import NumpyTrainer
from babysit.arrays import differing, fingerprints, leaves
from babysit.errors import Skip, TargetError
from babysit.tasks.task import Classification
from babysit.trainer import SupportsParameters, SupportsRegularization, SupportsTrace, Trainer


def softmax_loss(scores, y):
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    loss = -np.log(p[np.arange(len(y)), y]).mean()
    p[np.arange(len(y)), y] -= 1
    return loss, p / len(y)


class Net:
    """Affine, ReLU, affine; `core` is shared by the ways in which the strength comes."""

    def __init__(self, dtype=float):
        r = np.random.default_rng(1)
        self.params = {
            "W1": (r.normal(size=(6, 8)) * 0.5).astype(dtype),
            "b1": np.zeros(8, dtype),
            "W2": (r.normal(size=(8, 3)) * 0.5).astype(dtype),
            "b2": np.zeros(3, dtype),
        }

    def core(self, X, y, reg):
        p = self.params
        h = np.maximum(0, X @ p["W1"] + p["b1"])
        scores = h @ p["W2"] + p["b2"]
        if y is None:
            return scores
        loss, ds = softmax_loss(scores, y)
        loss += reg * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())
        dh = ds @ p["W2"].T
        dh[h <= 0] = 0
        grads = {"W1": X.T @ dh + 2 * reg * p["W1"], "b1": dh.sum(0)}
        return loss, {**grads, "W2": h.T @ ds + 2 * reg * p["W2"], "b2": ds.sum(0)}


class Parameter(Net):
    def loss(self, X, y=None, reg=0.01):
        return self.core(X, y, reg)


class Needed(Net):
    def loss(self, X, y, lambd):
        return self.core(X, y, lambd)


class Attribute(Net):
    reg = 0.0

    def __init__(self, dtype=float):
        super().__init__(dtype)
        self.reg = 0.01

    def loss(self, X, y=None):
        return self.core(X, y, self.reg)


class InCode(Net):
    strength = 0.01

    def loss(self, X, y=None):
        return self.core(X, y, self.strength)


class Plain(InCode):
    strength = 0.0


class Full(Net):
    """As the course's second assignment has it: batch norm and dropout, their modes set by whether y is given."""

    def __init__(self, keep=0.5, norm=True, seed=None):
        super().__init__()
        self.reg, self.use_dropout, self.norm = 0.01, keep != 1, norm
        if norm:
            self.params |= {"gamma1": np.ones(8), "beta1": np.zeros(8)}
        self.dropout_param = {"mode": "train", "p": keep} if self.use_dropout else {}
        if seed is not None:
            self.dropout_param["seed"] = seed
        self.bn_params = [{"mode": "train"}] if norm else []

    def batchnorm(self, x, bn):
        running_mean = bn.get("running_mean", np.zeros(x.shape[1]))
        running_var = bn.get("running_var", np.zeros(x.shape[1]))
        if bn["mode"] == "train":
            mean, var = x.mean(0), x.var(0)
            running_mean = 0.9 * running_mean + 0.1 * mean
            running_var = 0.9 * running_var + 0.1 * var
        else:
            mean, var = running_mean, running_var
        bn["running_mean"], bn["running_var"] = running_mean, running_var
        scale = 1 / np.sqrt(var + 1e-5)
        hat = (x - mean) * scale
        cache = (hat, scale) if bn["mode"] == "train" else None  # as many students leave it
        return self.params["gamma1"] * hat + self.params["beta1"], cache

    def loss(self, X, y=None):
        mode = "test" if y is None else "train"
        if self.use_dropout:
            self.dropout_param["mode"] = mode
        for bn in self.bn_params:
            bn["mode"] = mode
        p = self.params
        a = X @ p["W1"] + p["b1"]
        n, cache = self.batchnorm(a, self.bn_params[0]) if self.norm else (a, None)
        h = np.maximum(0, n)
        mask = 1.0
        if self.use_dropout and self.dropout_param["mode"] == "train":
            if "seed" in self.dropout_param:
                np.random.seed(self.dropout_param["seed"])
            mask = (np.random.rand(*h.shape) < self.dropout_param["p"]) / self.dropout_param["p"]
            h = h * mask
        scores = h @ p["W2"] + p["b2"]
        if mode == "test":
            return scores
        loss, ds = softmax_loss(scores, y)
        loss += 0.5 * self.reg * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())
        da = (ds @ p["W2"].T) * mask * (n > 0)
        grads = {"W2": h.T @ ds + self.reg * p["W2"], "b2": ds.sum(0)}
        if self.norm:
            hat, scale = cache
            grads |= {"gamma1": (da * hat).sum(0), "beta1": da.sum(0)}
            dhat = da * p["gamma1"]
            da = (dhat - dhat.mean(0) - hat * (dhat * hat).mean(0)) * scale
        return loss, {**grads, "W1": X.T @ da + self.reg * p["W1"], "b1": da.sum(0)}


def data(n=40, dtype=float):
    r = np.random.default_rng(0)
    return r.normal(size=(n, 6)).astype(dtype), r.integers(0, 3, n)


def trainer(model, **options):
    options = {"task": "classification", "learning_rate": 0.1, "batch_size": 16, **options}
    return NumpyTrainer(model, train=data(), **options)


def squares(model):
    return (model.params["W1"] ** 2).sum() + (model.params["W2"] ** 2).sum()


def test_satisfies_the_protocols():
    made = trainer(Parameter())
    for protocol in (Trainer, SupportsTrace, SupportsParameters, SupportsRegularization):
        assert isinstance(made, protocol)
    assert wrap(made) is made
    assert made.task == Classification(3)


@pytest.mark.parametrize(
    ("made", "strengths"),
    [
        (lambda: trainer(Parameter()), {"reg": 0.01}),
        (lambda: trainer(Parameter(), regularization=0.2), {"reg": 0.2}),
        (lambda: trainer(Needed()), {}),
        (lambda: trainer(Needed(), regularization=0.2), {"lambd": 0.2}),
        (lambda: trainer(Attribute()), {"reg": 0.01}),
        (lambda: trainer(Attribute(), regularization=0.2), {"reg": 0.2}),
        (lambda: trainer(Plain()), {}),
    ],
)
@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("training", [True, False])
def test_penalty_is_the_closed_form(made, strengths, scale, training):
    made = made()
    assert made.strengths() == strengths
    made.regularization_scale = scale
    X, y = data()
    scores = made.model.core(X, None, 0)
    output = made.evaluate((X, y), training=training)
    assert output.loss == softmax_loss(scores, y)[0]
    assert output.penalty == pytest.approx(scale * sum(strengths.values()) * squares(made.model), abs=1e-12)
    assert np.array_equal(output.scores, scores)
    step = made.step((X, y))
    assert (step.loss, step.penalty) == (output.loss, output.penalty)


def test_strength_in_the_code_is_said_to_be_hidden():
    made = trainer(InCode())
    hidden = 0.01 * squares(made.model)
    with pytest.raises(Skip) as caught:
        made.strengths()
    assert str(caught.value) == (
        "`loss` takes no strength such as `reg` and the model has no such attribute, but the loss is "
        f"{hidden:.4g} above the cross-entropy of its own scores: a penalty whose strength is written into the code "
        "can't be scaled"
    )


def test_loss_of_another_kind_leaves_the_strength_open():
    class Summed(Plain):
        def loss(self, X, y=None):
            result = super().loss(X, y)
            return result if y is None else (result[0] * len(y), result[1])

    with pytest.raises(Skip, match=r"^`loss` takes no strength .*, and the loss is not the cross-entropy of its own "):
        trainer(Summed()).strengths()


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "rmsprop", "adam"])
def test_steps_equal_a_loop_by_hand(name):
    made, by_hand = trainer(Attribute(), optimizer=name), Attribute()
    v = {k: np.zeros_like(w) for k, w in by_hand.params.items()}
    m = copy.deepcopy(v)
    for t in range(1, 4):
        made.step(data())
        _, grads = by_hand.loss(*data())
        for k, w in by_hand.params.items():
            g, lr = grads[k], 0.1
            if name == "sgd":
                w -= lr * g
            elif name == "momentum":
                v[k] = 0.9 * v[k] - lr * g
                w += v[k]
            elif name == "nesterov":
                old = v[k]
                v[k] = 0.9 * v[k] - lr * g
                w += -0.9 * old + 1.9 * v[k]
            elif name == "rmsprop":
                v[k] = 0.99 * v[k] + 0.01 * g**2
                w -= lr * g / (np.sqrt(v[k]) + 1e-8)
            else:
                m[k], v[k] = 0.9 * m[k] + 0.1 * g, 0.999 * v[k] + 0.001 * g**2
                w -= lr * (m[k] / (1 - 0.9**t)) / (np.sqrt(v[k] / (1 - 0.999**t)) + 1e-8)
    for k, w in by_hand.params.items():
        np.testing.assert_allclose(made.model.params[k], w, rtol=1e-12, atol=1e-14)


def momentum_of_ones_own():
    velocity, calls = {}, 0

    def update(params, grads, learning_rate):
        nonlocal calls
        calls += 1
        for k, g in grads.items():
            velocity[k] = 0.9 * velocity.get(k, 0) - learning_rate / calls * g
            params[k] += velocity[k]

    return update


MODELS = [Parameter, Needed, Attribute, InCode, lambda: Net32(), Full, lambda: Full(seed=3), lambda: Full(norm=False)]


class Net32(Attribute):
    def __init__(self):
        super().__init__(np.float32)


@pytest.mark.parametrize("optimizer", ["adam", momentum_of_ones_own()])
@pytest.mark.parametrize("model", MODELS)
def test_load_takes_every_step_back(model, optimizer):
    np.random.seed(0)
    made = trainer(model(), optimizer=optimizer)
    batch = next(iter(made.batches()))
    made.step(batch)
    held = dict(made.model.params)
    state, generator = made.save(), np.random.get_state()

    def future():
        losses = [made.step(b).loss for b in made.batches()]
        return losses, {k: w.tobytes() for k, w in made.model.params.items()}

    first = future()
    assert differing(state, made.save())
    made.load(state)
    assert not differing(state, made.save())
    assert all(made.model.params[k] is w for k, w in held.items())
    np.random.set_state(generator)
    assert future() == first


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("scale", [0.0, 1.0])
@pytest.mark.parametrize("model", MODELS)
def test_looking_changes_nothing(model, training, scale):
    made = trainer(model())
    batch = next(iter(made.batches()))
    made.step(batch)
    made.regularization_scale = scale
    before, kept = made.save(), (batch[0].copy(), batch[1].copy())
    numpy_state, python_state = np.random.get_state(legacy=False), random.getstate()
    first = made.evaluate(batch, training=training)
    made.gradients(batch)
    made.trace(batch, lambda record: None, training=training)
    again = made.evaluate(batch, training=training)
    assert (first.loss, first.penalty) == (again.loss, again.penalty)
    assert not differing(before, made.save())
    assert not differing(list(numpy_state["state"].values()), list(np.random.get_state(legacy=False)["state"].values()))
    assert random.getstate() == python_state
    assert not differing(kept, batch)


def test_a_raising_loss_changes_nothing():
    class Raises(Full):
        def loss(self, X, y=None):
            result = super().loss(X, y)
            self.params["W1"] += 1
            if y is not None:
                raise RuntimeError("step 7")
            return result

    made = trainer(Raises())
    before = made.save()
    for look in (made.evaluate, made.gradients, lambda b: made.trace(b, print)):
        with pytest.raises(RuntimeError, match="step 7"):
            look(data())
        assert not differing(before, made.save())


@pytest.mark.parametrize("model", [Full(), Full(norm=False), Full(keep=1), Full(seed=5)])
def test_test_mode_is_the_models_own(model):
    made = trainer(model)
    X, y = data()
    for _ in range(3):
        made.step((X, y))
    scores = copy.deepcopy(model).loss(X)
    output = made.evaluate((X, y))
    assert np.array_equal(output.scores, scores)
    assert output.loss == pytest.approx(softmax_loss(scores, y)[0], rel=1e-12)
    assert output.penalty == pytest.approx(0.5 * 0.01 * squares(model), rel=1e-9)


def test_training_scores_are_those_that_the_loss_sees():
    made = trainer(Full())
    X, y = data()
    made.step((X, y))
    output = made.evaluate((X, y), training=True)
    assert output.loss == softmax_loss(output.scores, y)[0]
    assert not np.array_equal(output.scores, made.evaluate((X, y)).scores)


@pytest.mark.parametrize(("training", "scale"), [(True, 1.0), (True, 0.0), (False, 1.0)])
def test_trace_is_in_the_mode_asked_for(training, scale):
    made = trainer(Full())
    X, y = data()
    made.step((X, y))
    made.regularization_scale = scale
    records = []
    made.trace((X, y), records.append, training=training)
    p, bn = made.model.params, made.model.bn_params[0]
    a = X @ p["W1"] + p["b1"]
    mean, var = (a.mean(0), a.var(0)) if training else (bn["running_mean"], bn["running_var"])
    n = p["gamma1"] * (a - mean) / np.sqrt(var + 1e-5) + p["beta1"]
    _, relu, last = records
    assert [r.name for r in records] == ["W1,b1", "relu1", "W2,b2"]
    assert relu.parameters == ("W1", "b1", "gamma1", "beta1")
    np.testing.assert_allclose(relu.inputs, n, rtol=1e-9, atol=1e-12)
    kept = np.count_nonzero(last.inputs) / np.count_nonzero(relu.values)
    assert (kept < 0.7) == (training and scale == 1.0)
    assert last.values.tobytes() == made.evaluate((X, y), training=training).scores.tobytes()


def test_trace_of_dropout_in_the_code_is_of_the_training_pass():
    made = trainer(Inline())
    records = []
    made.trace(data(), records.append)
    _, relu, last = records
    assert [r.name for r in records] == ["W1,b1", "relu1", "W2,b2"]
    assert 0.3 < np.count_nonzero(last.inputs) / np.count_nonzero(relu.values) < 0.7


def test_a_loss_that_is_not_finite_is_handed_on():
    made = trainer(Plain())
    made.model.params["W2"][:] = np.nan
    for training in (True, False):
        output = made.evaluate(data(), training=training)
        assert np.isnan(output.loss)
        assert np.isnan(output.scores).all()
    made.model.params["W2"][:] = 0
    assert made.evaluate(data()).loss == pytest.approx(np.log(3))


def test_one_example_will_do():
    made = trainer(Full(norm=False))
    X, y = data(1)
    assert made.evaluate((X, y)).scores.shape == (1, 3)
    assert trainer(Parameter()).evaluate((X, y)).loss > 0


@pytest.mark.parametrize(
    ("name", "value", "off"), [("dropout_rate", 0.5, 0.0), ("dropout", 0.25, 0.0), ("keep_prob", 0.5, 1.0)]
)
def test_dropout_by_an_attribute_is_switched_off(name, value, off):
    class Rated(Plain):
        def loss(self, X, y=None):
            self.seen = getattr(self, name)
            return super().loss(X, y)

    model = Rated()
    setattr(model, name, value)
    made = trainer(model)
    made.step(data())
    assert model.seen == value
    made.regularization_scale = 0.0
    made.step(data())
    assert (model.seen, getattr(model, name)) == (off, value)


def test_scale_zero_switches_dropout_off_and_leaves_batch_norm_training():
    made, without = trainer(Full()), Full(keep=1)
    made.regularization_scale = 0.0
    without.reg = 0.0
    X, y = data()
    assert made.step((X, y)).loss == without.loss(X, y)[0]
    assert np.array_equal(made.model.bn_params[0]["running_mean"], without.bn_params[0]["running_mean"])
    assert made.model.dropout_param == {"mode": "train", "p": 0.5}


class Inline(Plain):
    """Dropout as the lecture's slide has it: in the code, where y is given."""

    factor = 1.0

    def loss(self, X, y=None):
        p = self.params
        h = np.maximum(0, X @ p["W1"] + p["b1"])
        if y is not None:
            h *= (np.random.rand(*h.shape) < 0.5) / 0.5
        scores = h @ p["W2"] + p["b2"]
        return scores if y is None else (softmax_loss(scores, y)[0] * self.factor, {})


def test_dropout_in_the_code_is_seen_through_the_trace():
    made = trainer(Inline())
    X, y = data()
    output = made.evaluate((X, y))
    assert output.loss == pytest.approx(softmax_loss(made.model.loss(X), y)[0], rel=1e-12)
    trained = made.evaluate((X, y), training=True)
    assert trained.loss == softmax_loss(trained.scores, y)[0]
    assert not np.array_equal(trained.scores, output.scores)


def test_where_no_way_is_honest_it_says_so():
    made = trainer(Inline())
    made.model.factor = 0.5
    with pytest.raises(Skip) as caught:
        made.evaluate(data())
    assert str(caught.value) == (
        "the loss in test mode can't be had: `loss(X, y)` always trains (it draws random numbers, as for dropout, or "
        "mixes the examples of a batch), and it isn't the standard loss of scores that can be seen"
    )
    assert made.evaluate(data(), training=True).scores is None


class Mode(Plain):
    def loss(self, X, y=None, mode="train"):
        return super().loss(X * (2 if mode == "train" else 1), y)


class Flag(Plain):
    def __init__(self):
        super().__init__()
        self.training = True

    def loss(self, X, y=None):
        return super().loss(X * (2 if self.training else 1), y)


class FlagSetByLoss(Flag):
    def loss(self, X, y=None):
        self.training = y is not None
        return super().loss(X, y)


@pytest.mark.parametrize("model", [Mode, Flag, FlagSetByLoss])
def test_modes_in_a_parameter_or_an_attribute(model):
    made = trainer(model())
    X, y = data()
    for training, factor in ((True, 2), (False, 1)):
        scores = made.model.core(factor * X, None, 0)
        output = made.evaluate((X, y), training=training)
        assert output.loss == pytest.approx(softmax_loss(scores, y)[0], rel=1e-12)
        assert np.array_equal(output.scores, scores)


def test_batches_cover_all_in_an_order_that_numpys_generator_governs():
    np.random.seed(3)
    made = NumpyTrainer(Plain(), data(), data(20), task="classification", learning_rate=1, batch_size=16)
    X, _ = data()
    epoch = list(made.batches())
    assert [len(y) for _, y in epoch] == [16, 16, 8]
    rows = np.concatenate([x for x, _ in epoch])
    assert not np.array_equal(rows, X)
    assert np.array_equal(rows[np.lexsort(rows.T)], X[np.lexsort(X.T)])
    assert not np.array_equal(np.concatenate([x for x, _ in made.batches()]), rows)
    assert np.array_equal(np.concatenate([x for x, _ in made.batches("val")]), data(20)[0])
    assert list(trainer(Plain()).batches("val")) == []
    np.random.seed(3)
    assert np.array_equal(next(iter(trainer(Plain()).batches()))[0], epoch[0][0])


def test_gradients_and_parameters():
    made = trainer(Parameter())
    _, expected = made.model.core(*data(), 0.01)
    _, grads = made.gradients(data())
    assert made.last_gradients() == {}
    made.step(data())
    for k, g in expected.items():
        assert np.array_equal(grads[k], g)
        assert np.array_equal(made.last_gradients()[k], g)
    held = made.model.params["b1"]
    made.set_parameters({"b1": np.full(8, 3.0)})
    assert held.tolist() == [3.0] * 8
    assert made.parameters()["b1"].tolist() == [3.0] * 8


def test_missing_gradient_leaves_the_parameter():
    class Forgets(Plain):
        def loss(self, X, y=None):
            result = super().loss(X, y)
            return result if y is None else (result[0], {k: g for k, g in result[1].items() if k != "W1"})

    made = trainer(Forgets())
    before = made.parameters()
    made.step(data())
    assert [k for k, w in made.parameters().items() if np.array_equal(w, before[k])] == ["W1"]


def test_inputs_used_in_place_leave_the_batch():
    class InPlace(Plain):
        def loss(self, X, y=None):
            X -= 1
            self.inputs = X
            return super().loss(X, y)

    made = trainer(InPlace())
    batch = data()
    made.step(batch)
    state = made.save()
    made.evaluate(batch)
    made.step((batch[0] + 1, batch[1]))
    made.load(state)
    assert np.array_equal(batch[0], data()[0])
    assert np.array_equal(made.model.inputs, batch[0] - 1)


class Affine:
    """A layer that shares its network's arrays and keeps its input."""

    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, d):
        self.dW, self.db = self.x.T @ d, d.sum(0)
        return d @ self.W.T


class Layered:
    def __init__(self):
        self.params = {"W": np.random.default_rng(0).normal(size=(6, 3)), "b": np.zeros(3)}
        self.layers = [Affine(self.params["W"], self.params["b"])]
        self.rng = np.random.default_rng(1)

    def loss(self, X, y=None):
        scores = self.layers[0].forward(X)
        if y is None:
            return scores
        loss, ds = softmax_loss(scores, y)
        self.noise = self.rng.normal()
        self.layers[0].backward(ds)
        return loss, {"W": self.layers[0].dW, "b": self.layers[0].db}


def test_layers_keep_sharing_their_networks_arrays():
    made = trainer(Layered())
    state = made.save()
    made.step(data())
    noise = made.model.noise
    made.load(state)
    layer = made.model.layers[0]
    assert layer.W is made.model.params["W"]
    assert not hasattr(layer, "x")
    assert not hasattr(made.model, "noise")
    made.step(data())
    assert made.model.noise == noise


def broken(result):
    class Broken(Plain):
        def loss(self, X, y=None):
            return super().loss(X) if y is None else result(*super().loss(X, y))

    return Broken()


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda loss, grads: loss, "`loss(X, y)` must return (loss, grads); it returned a float64"),
        (lambda loss, grads: (loss, [1]), "the grads that `loss(X, y)` returned must be a dict by parameter, not list"),
        (
            lambda loss, grads: (np.ones(4), grads),
            "the loss that `loss(X, y)` returned is an array of shape (4,); it must be one real number",
        ),
        (
            lambda loss, grads: ("2.3", grads),
            "the loss that `loss(X, y)` returned is a str; it must be one real number",
        ),
        (
            lambda loss, grads: (loss, {**grads, "b2": grads["b2"][None]}),
            "the gradient of 'b2' has shape (1, 3), the parameter (3,)",
        ),
    ],
)
def test_wrong_results_are_named(result, message):
    with pytest.raises(TargetError) as caught:
        trainer(broken(result)).step(data())
    assert str(caught.value) == message


class NoLoss:
    params = {"W": np.zeros(3)}  # noqa: RUF012


class NeedsMore(Plain):
    def loss(self, X, y, weights):
        return self.core(X, y, 0)


def with_params(**params):
    model = Plain()
    model.params = params
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: NumpyTrainer(Plain(), (data()[0], data()[1][:9]), task="classification", learning_rate=1),
            "train: X has shape (40, 6) and y (9,); both need one row for each example",
        ),
        (
            lambda: NumpyTrainer(Plain(), data(), data()[0][:3], task="classification", learning_rate=1),
            "val must be a pair (X, y), not a ndarray",
        ),
        (lambda: trainer(object()), "object has no dict `params` of its parameters by name"),
        (lambda: trainer(NoLoss()), "NoLoss has no method `loss(X, y)`"),
        (lambda: trainer(with_params(W=[1.0])), "params['W'] is a list, not a NumPy array"),
        (
            lambda: trainer(with_params(W=np.zeros(3, int))),
            "params['W'] holds int64; parameters must be floating-point numbers",
        ),
        (
            lambda: trainer(Plain(), optimizer="lion"),
            "unknown optimizer 'lion'; known are sgd, momentum, nesterov, rmsprop, adam, or a function of your own",
        ),
        (
            lambda: trainer(Plain(), task="clasification"),
            "unknown task 'clasification'; known are classification, binary, multilabel, regression, hinge, "
            "language-model",
        ),
        (lambda: trainer(Plain(), batch_size=0), "batch_size=0 must be at least 1"),
        (
            lambda: trainer(Plain(), regularization=0.5),
            "regularization=0.5 has no place to go: `loss` has no parameter like `reg`, and Plain has no such "
            "attribute",
        ),
        (
            lambda: trainer(NeedsMore()),
            "`loss` needs a parameter 'weights' that babysit can't give: give it a default",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(make, message):
    with pytest.raises(TargetError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize("optimizer", ["adam", momentum_of_ones_own()])
@pytest.mark.parametrize("model", MODELS)
def test_saving_into_a_state_uses_its_arrays(model, optimizer):
    np.random.seed(0)
    made = trainer(model(), optimizer=optimizer)
    early = made.save()
    batch = next(iter(made.batches()))
    made.step(batch)
    state = made.save_into(early)
    assert not differing(state, made.save())
    held = {name: leaf for name, leaf in leaves(state) if isinstance(leaf, np.ndarray)}
    made.step(batch)
    assert differing(state, made.save())
    again = made.save_into(state)
    assert not differing(again, made.save())
    assert all(dict(leaves(again))[name] is array for name, array in held.items())
    kept = fingerprints(again)
    made.step(batch)
    made.load(again)
    assert not differing(kept, fingerprints(made.save()))
    made.step(batch)
    assert not differing(kept, fingerprints(again))  # load has kept nothing of it
