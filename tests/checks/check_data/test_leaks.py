"""Targets that can be read off the inputs: columns of a table, ties that validation lacks, places of a sequence."""

import math

import numpy as np
import pytest
import torch
from data_programs import FRAMEWORKS, cut, handed, prepared
from faults import SEEDS, findings, left, verdict
from torch import nn
from torch.nn import functional as F

from babysit import Binary, ChanceLoss, Classification, Hinge, LanguageModel, MultiLabel, Regression
from babysit.adapters.pytorch import PyTorchTrainer
from babysit.arrays import differing
from babysit.checks.check_data.leaks import columns, lost_ties, sight
from babysit.driving.bench import Bench

torch.set_num_threads(1)

NAME = "check-data"
LEAK = ("target-leak", "error")
DIFFERENT = ("split-statistics-differ", "error")
THREE = Classification(3)


# Columns that hold the targets


def table(n=200, width=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width))


def labels(n=200, classes=3, seed=1):
    return np.random.default_rng(seed).permutation(np.arange(n) % classes)


X, Y = table(), labels()
CODES = np.array([5.0, -1.0, 2.0])
ANSWERS = Y > 0
NUMBERS = 100 * table(width=1, seed=2) + 40


def beside(*new, old=X):
    """The table, with these columns behind its four."""
    return np.column_stack([old, *new])


@pytest.mark.parametrize(
    ("inputs", "targets", "task", "names"),
    [
        (beside(Y), Y, THREE, ["inputs[4]"]),
        (beside(CODES[Y]), Y, THREE, ["inputs[4]"]),  # any code tells the class
        (beside(Y, -Y), Y, Hinge(3), ["inputs[4]", "inputs[5]"]),
        (beside(np.eye(3)[Y]), Y, THREE, ["inputs[4]", "inputs[5]", "inputs[6]"]),
        (beside(np.eye(3)[Y][:, 1:]), Y, THREE, ["inputs[4]", "inputs[5]"]),  # the first class is what neither marks
        (beside(2 * ANSWERS - 1), ANSWERS[:, None].astype(float), Binary(), ["inputs[4]"]),
        (beside(NUMBERS), NUMBERS, Regression(), ["inputs[4]"]),
        (beside(7 - 3e-3 * NUMBERS), NUMBERS[:, 0], Regression(), ["inputs[4]"]),
        (beside(NUMBERS).astype(np.float32), NUMBERS, Regression(), ["inputs[4]"]),
        ({"pixels": X, "row": beside(Y)}, Y, THREE, ["inputs.row[4]"]),
    ],
)
@pytest.mark.parametrize("make", [np.asarray, torch.tensor], ids=["numpy", "torch"])
def test_columns_that_hold_the_targets(inputs, targets, task, names, make):
    def part(tree, i):
        if isinstance(tree, dict):
            return {key: part(leaf, i) for key, leaf in tree.items()}
        return tuple(part(leaf, i) for leaf in tree) if isinstance(tree, tuple) else make(tree[i : i + 50])

    batches = [(part(inputs, i), part(targets, i)) for i in range(0, 200, 50)]
    assert columns(batches, task) == tuple(names)


def but_for_one(column):
    """One example tells otherwise."""
    other = np.array(column)
    other[17] = other[17 - next(k for k in range(17) if other[17 - k] != other[17])]
    return other


def noisy(share):
    """The numbers, off by noise of such a share of their spread."""
    return NUMBERS + share * NUMBERS.std() * table(width=1, seed=3)


@pytest.mark.parametrize(
    ("inputs", "targets", "task"),
    [
        (X, Y, THREE),
        (beside(but_for_one(Y)), Y, THREE),
        (beside(np.eye(3)[Y][:, 0]), Y, THREE),  # tells one class of three
        (beside(np.eye(3)[Y][:, 0], np.eye(3)[Y][:, 0]), Y, THREE),  # twice the same one
        (beside(Y + 3 * labels(classes=2, seed=5)), Y, THREE),  # a category of which each class has two
        (beside(Y // 2), Y, THREE),  # and one that classes share
        (np.eye(3)[Y] @ table(3, 4), Y, THREE),  # one pattern for each class, and nothing beside
        (Y[:, None], Y, THREE),  # one input is all there is to learn from
        (beside(labels(classes=21)), labels(classes=21), Classification(21)),  # fewer than ten examples of each
        (beside(0 * Y), 0 * Y, THREE),
        (beside(np.where(np.arange(200) == 3, np.nan, Y)), Y, THREE),  # columns with gaps are not looked at
        (beside(Y), np.eye(3)[Y], THREE),  # shares of the classes
        (beside(np.eye(3)[Y]), np.eye(3)[Y], MultiLabel()),
        (beside(Y), Y, ChanceLoss(1.0)),
        (beside(Y), Y, LanguageModel(3)),
        (beside(noisy(1e-2)), NUMBERS, Regression()),
        (beside(noisy(0.1)), NUMBERS, Regression()),
        (NUMBERS, NUMBERS, Regression()),
        (beside(Y), Y.astype(float), Regression()),  # too few values to be sure of
        (beside(0 * NUMBERS), 0 * NUMBERS, Regression()),
        (beside(np.exp(NUMBERS / 100)), NUMBERS, Regression()),  # still to be learned
    ],
)
def test_columns_that_do_not(inputs, targets, task):
    assert columns(cut(np.asarray(inputs), targets, 50), task) == ()


@pytest.mark.parametrize(("share", "held"), [(0.9e-4, 1), (1.2e-4, 0)])
def test_a_number_may_be_off_by_a_ten_thousandth_of_its_spread(share, held):
    assert len(columns(cut(beside(noisy(share)), NUMBERS), Regression())) == held


@pytest.mark.parametrize(("count", "held"), [(40, 0), (49, 0), (50, 1)])
def test_it_takes_fifty_examples(count, held):
    wide, few = beside(Y)[:count], Y[:count]
    assert len(columns(cut(wide, few), THREE)) == held
    assert len(columns(cut(beside(NUMBERS)[:count], NUMBERS[:count]), Regression())) == held


@pytest.mark.parametrize(("classes", "held"), [(20, 1), (21, 0)])
def test_it_takes_ten_examples_of_each_class(classes, held):
    y = labels(classes=classes)
    assert len(columns(cut(beside(y), y), Classification(classes))) == held


def test_nothing_is_held_without_targets_and_images_are_no_tables():
    assert columns([(X, ())], THREE) == ()
    assert columns(cut(np.tile(Y[:, None, None, None], (1, 3, 5, 5)), Y), THREE) == ()


def with_the_label(seed, change=lambda y: y):
    return {name: (beside(change(y), old=x), y) for name, (x, y) in prepared(seed).items()}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda framework: framework.__name__)
def test_a_label_among_the_inputs_in_any_framework(framework, seed):
    (found,) = findings(NAME, framework(with_the_label(seed), seed))
    assert (found.rule, str(found.severity)) == LEAK
    assert found.message == "inputs[6] holds the targets: they can be read off without an error."
    assert (found.where, found.suggestion) == ("inputs[6]", "Take the target out of the inputs.")
    assert found.evidence == {"columns": ["inputs[6]"]}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_feature_that_is_right_nine_times_in_ten_is_none(seed):
    def guess(y):
        draw = np.random.default_rng(seed)
        return np.where(draw.random(len(y)) < 0.9, y, draw.integers(3, size=len(y)))

    assert verdict(NAME, FRAMEWORKS[0](with_the_label(seed, guess), seed)) == set()


# Ties that the validation split lacks


def correlated(r, n, seed):
    """A column and numbers of exactly this correlation."""
    a, b = table(n, 2, seed).T
    a, b = ((v - v.mean()) / v.std() for v in (a, b))
    b -= a * (a @ b) / n
    return a, r * a + math.sqrt(1 - r**2) * b / b.std()


def splits(train, val, n=400, m=200, width=3):
    """Batches of both splits, whose column 1 has these correlations with the targets."""
    both = []
    for r, count, seed in ((train, n, 1), (val, m, 2)):
        column, y = correlated(r, count, seed)
        x = table(count, width, seed + 10)
        x[:, 1] = column
        both.append(cut(x, y[:, None]))
    return both


@pytest.mark.parametrize(("train", "val"), [(0.8, 0.1), (-0.9, 0.3), (0.75, 0.74), (0.8, -0.8)])
def test_correlations_and_how_far_they_are_apart(train, val):
    (tie,) = lost_ties(*splits(train, val, width=2), Regression())
    if abs(train) - abs(val) > 0.2:
        assert tie.name == "inputs[1]"
        assert (tie.train, tie.val) == pytest.approx((train, val))
        fisher = abs(math.atanh(train) - math.atanh(val)) / math.sqrt(1 / 397 + 1 / 197)
        assert tie.sigmas == pytest.approx(fisher)
    else:
        assert abs(tie.train) - abs(tie.val) >= abs(train) - abs(val) - 1e-9


def test_the_tie_to_classes_is_the_root_of_the_variance_between_them():
    x = np.repeat([[1.0], [3.0], [8.0]], 100, axis=0) + np.tile([[-1.0], [1.0]], (150, 1))
    y = np.repeat(np.arange(3), 100)
    (tie,) = lost_ties(cut(beside(x, old=table(300, 1)), y), cut(table(300, 2, 5), y), THREE)
    between, within = np.var([1, 3, 8]), 1.0
    assert tie.name == "inputs[1]"
    assert tie.train == pytest.approx(math.sqrt(between / (between + within) - 2 / 299))
    assert tie.val < 0.2


def test_few_examples_and_other_shapes_are_not_compared():
    train, val = splits(0.9, 0.0)
    assert lost_ties(train, cut(*(np.concatenate(a)[:49] for a in zip(*val, strict=True))), Regression()) == ()
    assert len(lost_ties(train, cut(*(np.concatenate(a)[:50] for a in zip(*val, strict=True))), Regression())) == 1
    assert lost_ties(train, [(x[:, :2], y) for x, y in val], Regression()) == ()
    assert lost_ties(train, [(x, np.tile(y, 2)) for x, y in val], Regression()) == ()


def test_columns_and_targets_that_do_not_vary_are_tied_to_nothing():
    train, val = splits(0.9, 0.9)
    (still,) = lost_ties([(0 * x, y) for x, y in train], [(0 * x, y) for x, y in val], Regression())
    assert (still.train, still.val, still.sigmas) == (0, 0, 0)
    (same,) = lost_ties([(x, 0 * y) for x, y in train], val, Regression())
    assert (same.train, same.sigmas) == (0, pytest.approx(same.sigmas))


def line(seed, count=550):
    """Columns of which the first tells most of the targets."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(count, 4))
    return x, (1.5 * x[:, :1] + 0.5 * x[:, 1:2] + 0.5 * draw.normal(size=(count, 1))) / 1.7


def of_rows(x, y, change=lambda v, w: (v, w), keep=400):
    """A regression whose validation rows are changed so."""
    return handed(cut(x[:keep], y[:keep]), cut(*change(x[keep:], y[keep:])), task=Regression())


def target_encoded(seed):
    """A thousand places for 550 rows: the mean target of a place is the row's own, and unknown in validation."""
    x, y = line(seed)
    place = np.random.default_rng(seed).integers(1000, size=len(y))
    means = {p: y[:400][place[:400] == p].mean() for p in place[:400]}
    return of_rows(np.column_stack([x[:, 1:], [means.get(p, 0.0) for p in place]]), y)


LOST = {
    "columns in another order": lambda seed: of_rows(*line(seed), lambda v, w: (v[:, [2, 3, 0, 1]], w)),
    "target encoding": target_encoded,
    "rows against one another": lambda seed: of_rows(*line(seed), lambda v, w: (v, np.roll(w, 1, axis=0))),
}
KEPT = {
    "honest": lambda seed: of_rows(*line(seed)),
    "a weak tie": lambda seed: of_rows(line(seed)[0][:, 1:], line(seed)[1], lambda v, w: (v[:, ::-1], w)),
    "a small split": lambda seed: of_rows(*line(seed, 430), lambda v, w: (v[:, [2, 3, 0, 1]], w)),
    "noisier": lambda seed: of_rows(
        *line(seed), lambda v, w: (v, (w + 0.8 * table(len(w), 1, seed + 5)) / math.hypot(1, 0.8))
    ),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("make", LOST.values(), ids=LOST)
def test_a_tie_that_is_lost(make, seed):
    (found,) = (f for f in findings(NAME, make(seed)) if "tied" in f.message)
    assert (found.rule, str(found.severity)) == DIFFERENT
    assert found.where.startswith("inputs[")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("make", KEPT.values(), ids=KEPT)
def test_a_tie_that_holds(make, seed):
    assert [f.message for f in findings(NAME, make(seed)) if "tied" in f.message] == []


# Places of a sequence


WORDS, LENGTH = 8, 12


def sentences(seed, n=128, length=LENGTH + 1):
    """Words that follow from the one before, mostly."""
    draw = np.random.default_rng(seed)
    text = np.zeros((n, length), dtype=int)
    text[:, 0] = draw.integers(WORDS, size=n)
    for i in range(1, length):
        text[:, i] = (text[:, i - 1] + draw.choice([1, 2, 5], size=n, p=[0.7, 0.2, 0.1])) % WORDS
    return torch.tensor(text)


class Reader(nn.Module):
    """A GRU over words or numbers, in one direction or both."""

    def __init__(self, *, both=False, words=WORDS, numbers=0, always_drops=0.0):
        super().__init__()
        self.enter = nn.Linear(numbers, 16) if numbers else nn.Embedding(words, 16)
        self.read = nn.GRU(16, 16, batch_first=True, bidirectional=both)
        self.leave = nn.Linear(32 if both else 16, numbers or words)
        self.always_drops = always_drops

    def forward(self, x):
        read, _ = self.read(self.enter(x))
        return self.leave(F.dropout(read, self.always_drops, training=self.always_drops > 0))


class Attention(nn.Module):
    """A transformer's block over words, masked or not."""

    def __init__(self, *, masked):
        super().__init__()
        self.enter, self.places = nn.Embedding(WORDS, 16), nn.Parameter(0.1 * torch.randn(LENGTH + 1, 16))
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, norm_first=True)
        self.leave, self.masked = nn.Linear(16, WORDS), masked

    def forward(self, x):
        n = x.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(n) if self.masked else None
        return self.leave(self.block(self.enter(x) + self.places[:n], src_mask=mask))


class Window(nn.Module):
    """A convolution over three words: the ones around, or the ones up to here."""

    def __init__(self, *, centered):
        super().__init__()
        self.enter, self.see = nn.Embedding(WORDS, 16), nn.Conv1d(16, 16, 3)
        self.leave, self.pad = nn.Linear(16, WORDS), (1, 1) if centered else (2, 0)

    def forward(self, x):
        seen = self.see(F.pad(self.enter(x).transpose(1, 2), self.pad))
        return self.leave(torch.relu(seen).transpose(1, 2))


class WordByWord(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Embedding(WORDS, 16), nn.Linear(16, WORDS))


def next_word(scores, targets):
    return F.cross_entropy(scores.flatten(0, 1), targets.flatten())


def taught(model, inputs, targets, *, loss=next_word, task="language-model", seed=0):
    batches = [(inputs[i : i + 32], targets[i : i + 32]) for i in range(0, len(inputs), 32)]
    torch.manual_seed(seed)
    return PyTorchTrainer(model, loss, torch.optim.Adam(model.parameters(), lr=0.01), batches, task=task)


def ahead(model):
    """Targets one step ahead of the inputs."""

    def make(seed):
        torch.manual_seed(seed)
        text = sentences(seed)
        return taught(model(), text[:, :-1], text[:, 1:], seed=seed)

    return make


def in_place(model):
    """Targets that are the inputs."""

    def make(seed):
        torch.manual_seed(seed)
        return taught(model(), sentences(seed), sentences(seed), seed=seed)

    return make


def waves(seed, n=128):
    draw = np.random.default_rng(seed)
    times = np.arange(LENGTH + 1)[:, None] * draw.uniform(0.3, 1, size=(n, 1, 2)) + draw.uniform(0, 6, size=(n, 1, 2))
    return torch.tensor(np.sin(times)).float()


def forecast(*, both):
    """The next value of two waves."""

    def make(seed):
        torch.manual_seed(seed)
        x = waves(seed)
        return taught(Reader(both=both, numbers=2), x[:, :-1], x[:, 1:], loss=nn.MSELoss(), task="regression")

    return make


def autoencoder(seed):
    torch.manual_seed(seed)
    return taught(Reader(both=True, numbers=2), waves(seed), waves(seed), loss=nn.MSELoss(), task="regression")


def masked_words(seed):
    """A sixth of the words is hidden, and they alone are scored."""
    torch.manual_seed(seed)
    text = sentences(seed)
    hidden = torch.rand(text.shape) < 1 / 6
    inputs, targets = torch.where(hidden, WORDS, text), torch.where(hidden, text, -100)
    return taught(Reader(both=True, words=WORDS + 1), inputs, targets, seed=seed)


def tagger(seed):
    """A tag for each word, by the words on both sides."""
    torch.manual_seed(seed)
    text = sentences(seed)
    tags = (text.roll(1, dims=1) + 2 * text.roll(-1, dims=1)) % WORDS
    return taught(Reader(both=True), text, tags, seed=seed)


SEEING = {
    "attention without a mask": ahead(lambda: Attention(masked=False)),
    "both directions": ahead(lambda: Reader(both=True)),
    "a window around": ahead(lambda: Window(centered=True)),
    "a forecast in both directions": forecast(both=True),
}
COPYING = {
    "one direction": in_place(Reader),
    "attention": in_place(lambda: Attention(masked=True)),
    "word by word": in_place(WordByWord),
}
NOT_SEEING = {
    "attention": ahead(lambda: Attention(masked=True)),
    "one direction": ahead(Reader),
    "a window behind": ahead(lambda: Window(centered=False)),
    "word by word": ahead(WordByWord),
    "noise in evaluation": ahead(lambda: Reader(always_drops=0.3)),
    "a forecast": forecast(both=False),
    "autoencoder": autoencoder,
    "words on both sides again": in_place(lambda: Reader(both=True)),
    "masked words": masked_words,
    "tagger": tagger,
}


def leaks_of(made):
    return [f for f in findings(NAME, made) if f.rule == "target-leak"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("make", SEEING.values(), ids=SEEING)
def test_a_network_that_sees_what_it_is_to_predict(make, seed):
    (found,) = leaks_of(make(seed))
    assert (str(found.severity), found.where, found.evidence["offset"]) == ("error", "scores", 1)
    assert found.message.startswith("targets stand 1 further on in the inputs, and a score changes by ")
    assert found.suggestion == "Mask later places (a causal mask), or read in one direction alone."


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("make", COPYING.values(), ids=COPYING)
def test_a_causal_network_whose_targets_are_its_inputs(make, seed):
    (found,) = leaks_of(make(seed))
    assert (str(found.severity), found.where, found.evidence["offset"]) == ("error", "targets", 0)
    assert found.suggestion == "Take targets one step ahead: inputs x[:, :-1], targets x[:, 1:]."


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("make", NOT_SEEING.values(), ids=NOT_SEEING)
def test_a_network_that_does_not(make, seed):
    assert leaks_of(make(seed)) == []


def test_causal_networks_do_not_change_at_all():
    for make in (ahead(Reader), ahead(lambda: Attention(masked=True))):
        found = sight(Bench(make(0)))
        assert (found.offset, found.noise) == (1, 0.0)
        assert found.target < 1e-5
        assert found.later < 1e-5


class Drifting(Reader):
    """Each pass gives other scores than the one before."""

    passes = 0

    def forward(self, x):
        self.passes += 1
        return super().forward(x) + 0.1 * torch.sin(self.passes * torch.arange(x.shape[1] * WORDS)).reshape(-1, WORDS)


def test_noise_is_measured_with_the_change():
    made = ahead(Drifting)(0)
    found = sight(Bench(made))
    assert found.target > 0.01
    assert found.target < 3 * found.noise
    assert leaks_of(made) == []


@pytest.mark.parametrize("places", [2, 3])
def test_targets_may_lie_up_to_three_places_ahead(places):
    text = sentences(0, length=LENGTH + places)
    found = sight(Bench(taught(Reader(both=True), text[:, :-places], text[:, places:])))
    assert found.offset == places
    assert found.target > 0.1
    assert sight(Bench(taught(Reader(), text[:, :-places], text[:, places:]))).target < 1e-5


def test_places_left_out_of_the_loss_do_not_count():
    text = sentences(0)
    targets = torch.where(torch.arange(LENGTH) < LENGTH - 4, text[:, 1:], -100)
    assert sight(Bench(taught(Reader(), text[:, :-1], targets))).offset == 1


@pytest.mark.parametrize("length", [5, 6])
def test_short_sequences_are_not_looked_at(length):
    text = sentences(0, length=length + 1)
    assert (sight(Bench(taught(Reader(), text[:, :-1], text[:, 1:]))) is None) == (length < 6)


def test_scores_may_hold_their_classes_first():
    class ClassesFirst(Reader):
        def forward(self, x):
            return super().forward(x).transpose(1, 2)

    torch.manual_seed(0)
    text = sentences(0)
    made = taught(ClassesFirst(both=True), text[:, :-1], text[:, 1:], loss=F.cross_entropy, task=ChanceLoss(2.08))
    found = sight(Bench(made))
    assert found.target > 0.1


def test_tables_and_programs_without_scores_have_no_sight():
    assert sight(Bench(handed(cut(X, Y)))) is None
    assert sight(Bench(FRAMEWORKS[0](prepared(0), 0))) is None


def test_the_program_is_as_it_was():
    made = ahead(lambda: Attention(masked=False))(0)
    before = left(made)
    assert sight(Bench(made)) is not None
    assert differing(before, left(made)) == []


# Told apart all the same


def shifted_by_the_loss(seed):
    """Inputs and targets are the same words; the loss moves them against one another by itself."""
    torch.manual_seed(seed)
    text = sentences(seed)
    return taught(Reader(), text, text, loss=lambda scores, y: next_word(scores[:, :-1], y[:, 1:]), seed=seed)


def piano_roll(seed):
    """Few of forty keys are down at a time, so that most of what comes next is what is: zeros."""
    torch.manual_seed(seed)
    keys = (torch.rand(128, LENGTH + 1, 40) < 0.04).float()
    loss = nn.BCEWithLogitsLoss()
    return taught(Reader(numbers=40), keys[:, :-1], keys[:, 1:], loss=loss, task="multilabel", seed=seed)


def one_hot_words(seed):
    torch.manual_seed(seed)
    words = F.one_hot(torch.randint(40, (128, LENGTH + 1)), 40).float()
    task = ChanceLoss(math.log(40))
    return taught(Reader(numbers=40), words[:, :-1], words[:, 1:], loss=next_shares, task=task, seed=seed)


def next_shares(scores, targets):
    return F.cross_entropy(scores.flatten(0, 1), targets.flatten(0, 1))


@pytest.mark.parametrize("make", [shifted_by_the_loss, piano_roll, one_hot_words], ids=lambda make: make.__name__)
def test_causal_networks_on_sparse_places_and_under_losses_that_shift(make):
    assert leaks_of(make(0)) == []


def test_two_columns_that_mark_the_same_class_are_no_two_marks():
    one = np.eye(3)[Y][:, 0]
    assert columns(cut(beside(one, 1 - one), Y), THREE) == ()


def test_labels_in_an_array_of_their_own():
    batches = [((x, y[:, None]), y) for x, y in cut(X, Y)]
    assert columns(batches, THREE) == ("inputs.1[0]",)


def test_gaps_among_the_targets_are_no_class():
    assert columns(cut(X, np.where(np.arange(200) == 3, np.nan, ANSWERS)), Binary()) == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tie_that_turns_its_sign_is_lost(seed):
    x, y = line(seed)
    (found,) = (f for f in findings(NAME, of_rows(x, y, lambda v, w: (v, -w))) if "tied" in f.message)
    assert found.where == "inputs[0]"
    yes = (y > 0).astype(float)
    made = handed(cut(x[:400], yes[:400]), cut(x[400:], 1 - yes[400:]), task=Binary())
    (found,) = findings(NAME, made)
    assert (found.rule, str(found.severity)) == DIFFERENT
