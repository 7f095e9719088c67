import math

import numpy as np
import pytest
import torch
from trainers import TinyTrainer, TracedTrainer, softmax

from babysit import (
    Binary,
    ChanceLoss,
    Classification,
    Hinge,
    LanguageModel,
    MultiLabel,
    Output,
    Record,
    Regression,
    Skip,
)
from babysit.driving.guard import Driven
from babysit.measuring.scores import are_distributions, last_layer, look, score_spread, variation

torch.set_num_threads(1)

CONVERT = {"numpy": np.asarray, "torch": lambda values: torch.from_numpy(np.array(values))}
LOGITS, LABELS = np.random.default_rng(0).normal(size=(300, 4)), np.random.default_rng(1).permutation(300) % 4
BATCH = next(iter(TinyTrainer().batches()))


@pytest.fixture(params=CONVERT)
def make(request):
    return CONVERT[request.param]


def seen(task, scores, targets, loss=None):
    return look(task, [scores], [targets], math.nan if loss is None else loss)


@pytest.mark.parametrize("spread", [0.0, 0.1, 3.0])
def test_the_spread_is_that_of_the_logits_drawn(make, spread):
    rng = np.random.default_rng(1)
    z = rng.normal(size=(4000, 3)) * spread
    labels = rng.integers(3, size=4000)
    shifted = z + rng.normal(size=(4000, 1)) * 50  # what all classes share is no spread
    for task in (Classification(3), Hinge(3)):
        assert score_spread(task, make(shifted), make(labels)) == pytest.approx(spread, rel=0.03, abs=1e-9)
    for task, shape in (
        (Binary(), 12000),
        (Binary(), (12000, 1)),
        (MultiLabel(), (4000, 3)),
        (ChanceLoss(1.0), (4000, 3)),
    ):
        targets = make(np.ones(shape))
        assert score_spread(task, make(z.reshape(shape)), targets) == pytest.approx(np.sqrt((z**2).mean()), rel=1e-12)


def test_the_spread_of_two_classes_by_hand():
    assert score_spread(Classification(2), np.array([[1.0, 3.0], [5.0, 5.0]]), np.array([0, 1])) == 1.0
    assert score_spread(Classification(2), np.array([[1.0, 3.0]] * 2), np.array([0, 1])) == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize(("task", "axis"), [(Classification(3), 1), (LanguageModel(3), -1)])
def test_the_spread_is_taken_over_the_classes(make, task, axis):
    rng = np.random.default_rng(3)
    z = rng.normal(size=(50, 3, 7)) + 100 * rng.normal(size=(50, 1, 7))
    expected = np.sqrt(z.var(axis=1, ddof=1).mean())
    scores = np.moveaxis(z, 1, axis).copy()
    assert score_spread(task, make(scores), make(np.zeros((50, 7), int))) == pytest.approx(expected, rel=1e-9)


def test_the_spread_of_predictions_is_in_units_of_the_targets(make):
    assert score_spread(Regression(), make(np.array([3.0, -3.0])), make(np.array([6, -6]))) == 0.5
    assert math.isnan(score_spread(Regression(), np.ones(2), np.zeros(2)))


def test_a_look_at_scores_that_know_nothing(make):
    got = seen(Classification(4), make(LOGITS * 0.5), make(LABELS))
    assert got.chance == {"ln 4": math.log(4), "entropy of the labels": pytest.approx(math.log(4))}
    assert got.spread == pytest.approx(0.5, rel=0.05)
    assert got.excess >= 0.5 * got.spread**2 * 3 / 4
    assert got.reference_loss == Classification(4).reference_loss(LOGITS * 0.5, LABELS)
    assert got.luck < 0.06
    assert got.score == pytest.approx(0.25, abs=0.08)
    assert (got.best_constant_score, got.distributions, got.problem) == (0.25, False, "")
    assert got.reference_loss < math.log(4) + got.excess + got.luck


@pytest.mark.parametrize(
    "labels", [LABELS, np.arange(300) % 4, np.arange(300) // 75], ids=["shuffled", "in turn", "sorted"]
)
def test_scores_that_know_the_answer_have_luck_in_plenty(labels):
    got = seen(Classification(4), 5 * np.eye(4)[labels], labels)
    knowing_nothing = math.log(math.exp(5) + 3) - 5 / 4
    assert got.score == 1.0
    assert got.luck == pytest.approx(knowing_nothing - math.log(1 + 3 * math.exp(-5)), rel=0.1)
    assert got.excess == pytest.approx(knowing_nothing - math.log(4), rel=0.15)


def test_batches_are_added_up_and_odd_ones_left_out(make):
    parts = [make(LOGITS[:100]), make(LOGITS[:50]), make(LOGITS[100:])]
    targets = [make(LABELS[:100]), make(np.stack([LABELS[:50]] * 2, axis=1)), make(LABELS[100:])]
    got, whole = look(Classification(4), parts, targets, math.nan), seen(Classification(4), make(LOGITS), make(LABELS))
    assert got.chance == whole.chance
    for name in ("spread", "excess", "luck", "score", "best_constant_score", "reference_loss", "probability_loss"):
        assert getattr(got, name) == pytest.approx(getattr(whole, name), rel=1e-12), name


def test_without_scores_only_chance_is_known():
    got = look(Classification(4), [None, None], [LABELS, LABELS], 1.0)
    assert got.chance == {"ln 4": math.log(4), "entropy of the labels": pytest.approx(math.log(4))}
    assert math.isinf(got.excess)
    assert all(map(math.isnan, (got.spread, got.luck, got.score, got.reference_loss, got.probability_loss)))


def test_what_speaks_against_the_task_ends_the_look():
    got = seen(Classification(3), LOGITS, LABELS)
    assert got.problem == "the scores have shape (300, 4), but the task has 3 classes"
    assert got.chance == {}
    assert math.isnan(got.reference_loss)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_regression_is_looked_at_in_its_own_units(make, scale):
    y, x = np.random.default_rng(3).normal(size=(2, 200)) * [[1.0], [0.5]]
    one, other = seen(Regression(), x, y), seen(Regression(), make(scale * x), make(scale * y))
    assert other.spread == pytest.approx(one.spread)
    for name in ("excess", "luck", "reference_loss"):
        assert getattr(other, name) == pytest.approx(scale**2 * getattr(one, name)), name


@pytest.mark.parametrize(
    ("task", "targets", "expected"),
    [
        (Classification(4), np.array([0, 0, 0, 1]), 0.75),
        (Classification(4), np.array([3, 3, 1, -100]), 2 / 3),
        (Classification(4), np.eye(4)[[0, 0, 1, 2]], 0.5),
        (LanguageModel(4), np.array([[3, 3], [1, 0]]), 0.5),
        (Binary(), np.array([1, 0, 0, 0]), 0.75),
        (MultiLabel(), np.array([[0.0, 1.0], [0.0, 1.0]]), 1.0),  # each label has its own commonest value
        (Regression(), np.array([1.0, 2.0, 3.0, 5.0]), 0.0),
    ],
)
def test_the_score_of_the_best_constant(make, task, targets, expected):
    size = (*targets.shape, 4) if isinstance(task, LanguageModel) else (len(targets), 4)
    scores = np.ones(size if isinstance(task, Classification) else targets.shape)
    assert seen(task, make(scores), make(targets)).best_constant_score == pytest.approx(expected)


@pytest.mark.parametrize("task", [Classification(4), MultiLabel()])
def test_probabilities_that_the_loss_takes_for_such_have_the_spread_of_their_logits(make, task):
    if isinstance(task, Classification):
        p, targets = softmax(2 * LOGITS), make(LABELS)
    else:
        p, targets = 1 / (1 + np.exp(-2 * LOGITS)), make(np.eye(4)[LABELS])
    as_such = seen(task, make(p), targets, task.probability_loss(make(p), targets))
    as_logits = seen(task, make(p), targets, task.reference_loss(make(p), targets))
    assert as_such.spread == pytest.approx(seen(task, make(2 * LOGITS), targets).spread)
    assert as_logits.spread == pytest.approx(score_spread(task, p, targets))
    assert as_logits.spread < 0.7 < 1.8 < as_such.spread


def test_a_stated_chance_loss_has_no_score():
    got = seen(ChanceLoss(2.0), LOGITS, LABELS)
    assert (got.chance, got.excess) == ({"the stated chance loss": 2.0}, math.inf)
    assert math.isnan(got.best_constant_score)


@pytest.mark.parametrize("targets", [{"tags": LABELS, "lengths": LABELS + 1.0}, (LABELS, LABELS[:, None])])
def test_targets_may_be_a_tree_where_the_chance_loss_is_stated(make, targets):
    tree = {k: make(y) for k, y in targets.items()} if isinstance(targets, dict) else tuple(map(make, targets))
    parts = [{k: y[:150] for k, y in tree.items()} if isinstance(tree, dict) else tuple(y[:150] for y in tree)] * 2
    for got in (
        seen(ChanceLoss(2.0), make(LOGITS), tree, 2.1),
        look(ChanceLoss(2.0), [make(LOGITS[:150])] * 2, parts, 2),
    ):
        assert (got.chance, got.problem, got.own_loss) == ({"the stated chance loss": 2.0}, "", False)
        assert got.spread == pytest.approx(1.0, rel=0.1)


def test_batches_whose_trees_differ_in_shape_are_left_out():
    trees = [{"y": LABELS[:100]}, {"y": LOGITS[:100]}, {"y": LABELS[100:]}]
    got = look(ChanceLoss(2.0), [LOGITS[:100], LOGITS[:100], LOGITS[100:]], trees, 2.0)
    assert got.spread == seen(ChanceLoss(2.0), LOGITS, LABELS).spread


# Losses of a regression's own

TRUE = np.random.default_rng(5).normal(size=(200, 3))
GUESSED = 0.3 * np.random.default_rng(6).normal(size=(200, 3))


def huber(differences):
    size = np.abs(differences)
    return np.where(size < 1, size**2 / 2, size - 0.5)


@pytest.mark.parametrize(
    ("task", "loss", "own"),
    [
        (Regression(), ((GUESSED - TRUE) ** 2).mean(), False),
        (Regression(), ((GUESSED - TRUE) ** 2).sum(axis=1).mean() / 2, False),
        (Regression(), 1.0009 * ((GUESSED - TRUE) ** 2).mean(), False),  # batches of other sizes
        (Regression(), 1.002 * ((GUESSED - TRUE) ** 2).mean(), True),
        (Regression(), huber(GUESSED - TRUE).sum(axis=1).mean(), True),
        (Regression("huber"), huber(GUESSED - TRUE).sum(axis=1).mean(), False),
        (Regression("absolute"), np.abs(GUESSED - TRUE).mean(), False),
        (Regression(), math.nan, True),
    ],
)
def test_a_loss_that_is_none_of_the_tasks_errors(make, task, loss, own):
    assert seen(task, make(GUESSED), make(TRUE), float(loss)).own_loss == own


def test_only_a_regression_has_a_loss_of_its_own():
    assert not seen(Classification(4), LOGITS, LABELS, 99.0).own_loss
    assert not seen(MultiLabel(), LOGITS, np.eye(4)[LABELS], 99.0).own_loss


QUANTILES = np.array([0.1, 0.5, 0.9])


def pinball(guessed, true):
    miss = true - guessed
    return np.maximum(QUANTILES * miss, (QUANTILES - 1) * miss).sum(axis=1).mean()


BROADCAST = GUESSED - TRUE[:, :1]  # three guesses for each number


@pytest.mark.parametrize(
    ("loss", "own"),
    [
        (pinball(GUESSED, TRUE[:, :1]), True),
        ((BROADCAST**2).mean(), False),
        ((BROADCAST**2).mean() / 2, False),
        ((BROADCAST**2).sum(axis=1).mean(), False),
        (np.abs(BROADCAST).mean(), False),
        (np.abs(BROADCAST).sum(axis=1).mean(), False),
        (1.049 * (BROADCAST**2).mean(), False),
        (math.nan, False),
    ],
)
def test_scores_that_do_not_fit_under_a_loss_of_their_own(make, loss, own):
    got = seen(Regression(), make(GUESSED), make(TRUE[:, :1]), float(loss))
    assert got.problem == "predictions (200, 3) against targets (200, 1): one for each is needed"
    assert got.own_loss == own


def test_scores_that_do_not_even_broadcast_are_meant_so():
    assert seen(Regression(), GUESSED[:, :2], TRUE, 1.0).own_loss
    assert not seen(Classification(3), LOGITS, LABELS, 1.0).own_loss


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (softmax(LOGITS), True),
        (softmax(LOGITS).astype(np.float32), True),
        (np.eye(3), True),
        (np.array([[0.5, 0.5 + 0.9e-4]]), True),
        (np.array([[0.5, 0.5 + 1.1e-4]]), False),
        (np.array([[1.5, -0.5]]), False),
        (np.r_[softmax(LOGITS), [[0.25, 0.25, 0.25, 0.3]]], False),
        (np.ones((5, 1)), False),
        (np.full(2, 0.5), False),
        (np.array([[1, 0], [0, 1]]), False),  # whole numbers are labels
        (np.array([[math.nan, 1.0]]), False),
        (LOGITS, False),
        (np.moveaxis(softmax(LOGITS).reshape(30, 10, 4), 2, 1), True),
    ],
)
def test_distributions(make, scores, expected):
    assert are_distributions(make(scores)) is expected


@pytest.mark.parametrize("scores", [softmax(LOGITS).astype(np.float16), softmax(LOGITS).reshape(30, 10, 4)])
def test_distributions_in_half_precision_and_of_tokens_are_seen(scores):
    labels = LABELS.reshape(scores.shape[:-1])
    assert seen(LanguageModel(4), scores, labels).distributions


@pytest.mark.parametrize(
    ("task", "scores", "targets", "expected"),
    [
        (Classification(2), [[3.0, 1.0], [5.0, 3.0], [-1.0, -3.0]], [0, 1, 0], 0.0),  # shared by both classes
        (Classification(2), [[1.0, -1.0], [-1.0, 1.0]], [0, 1], 1.0),
        (Binary(), [1.0, -3.0], [0, 1], 2.0),
        (MultiLabel(), [[1.0, 7.0], [1.0, 9.0]], [[0, 1], [1, 1]], 1.0),
        (Regression(), [1.0, 3.0], [10.0, 14.0], 0.5),
        (Regression(), [1.0, 3.0], [10.0, 10.0], math.nan),
        (ChanceLoss(1.0), [[1.0], [5.0]], [0, 1], 2.0),
        (Classification(2), [[1, 0], [0, 1]], [0, 1], math.nan),
    ],
)
def test_variation_over_the_examples(make, task, scores, targets, expected):
    found = variation(task, make(np.array(scores)), make(np.array(targets)))
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_no_scores_have_no_variation():
    assert math.isnan(variation(Classification(2), None, np.array([0, 1])))


def tracing(*records, scores=None):
    def trace(trainer, batch, visit, *, training=True):
        for record in records:
            visit(record)
        return Output(0.5, scores=scores)

    return Driven(TracedTrainer(trace=trace))


def forward(name, kind, values):
    return Record(name, kind, "forward", 1, None, values)


def test_the_last_layer_is_the_one_that_gives_the_scores():
    assert last_layer(Driven(TracedTrainer()), BATCH) == ("linear", "scores")
    hidden, p = forward("fc1", "relu", LOGITS), softmax(LOGITS)
    assert last_layer(tracing(hidden, forward("out", "sigmoid", p), scores=p), BATCH) == ("sigmoid", "out")
    assert last_layer(tracing(hidden, forward("out", "sigmoid", p[:, :1]), scores=p[:, 0]), BATCH) == ("sigmoid", "out")


@pytest.mark.parametrize("scores", [None, LOGITS + 1e-9, LOGITS[:, :2]])
def test_no_layer_is_seen_to_give_the_scores(scores):
    assert last_layer(tracing(forward("fc1", "relu", LOGITS), scores=scores), BATCH) == ()
    assert last_layer(tracing(scores=scores), BATCH) == ()


def test_gradients_are_no_layers_and_buffers_may_be_used_again():
    values = LOGITS.copy()
    backward = Record("out", "sigmoid", "backward", 1, None, LOGITS)

    def trace(trainer, batch, visit, *, training=True):
        visit(forward("out", "linear", values))
        values[:] = 0
        visit(backward)
        return Output(0.5, scores=LOGITS)

    assert last_layer(Driven(TracedTrainer(trace=trace)), BATCH) == ("linear", "out")


def test_a_trainer_without_a_trace_is_skipped():
    with pytest.raises(Skip, match=r"^the trainer can't show what flows through its layers"):
        last_layer(Driven(TinyTrainer()), BATCH)
