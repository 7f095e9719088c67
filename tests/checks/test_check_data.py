"""`check-data` on programs whose data is prepared wrongly, rightly, and in ways that only look wrong.

Its rules on plain numbers: test_data_rules.
"""

import itertools

import data_programs as programs
import faults
import numpy as np
import pytest
import torch
from data_programs import FRAMEWORKS, IN_CLASSES, cut, handed, in_pytorch, labelled, prepared, regression, shuffled
from faults import SEEDS, findings, left, measured, verdict
from pytorch_programs import program as pytorch_program
from torch import nn
from trainers import TinyTrainer

from babysit import Binary, ChanceLoss, Classification, Hinge, MultiLabel
from babysit.arrays import differing
from babysit.checks import find_checks
from babysit.errors import TargetError
from babysit.lab.demo import trainer
from babysit.lab.faults import FAULTS

NAME = "check-data"

NOT_FINITE = ("inputs-not-finite", "error")
OUT_OF_RANGE = ("labels-out-of-range", "error")
CONSTANT = ("constant-features", "error")
SCALES = ("feature-scales-differ", "error")
LARGE = ("inputs-badly-scaled", "error")
OFF_CENTER = ("inputs-not-centered", "error")
MISSING = ("missing-classes", "error")
SOME_MISSING = ("missing-classes", "warning")
IMBALANCE = ("class-imbalance", "warning")
DIFFERENT = ("split-statistics-differ", "error")
OVERLAP = ("split-overlap", "error")
ORDERED = ("unshuffled-batches", "error")
PARTLY_ORDERED = ("unshuffled-batches", "warning")
PER_BATCH = ("per-batch-preprocessing", "error")
TARGETS = ("targets-badly-scaled", "warning")
MENTIONED = ("inputs-not-centered", "info")


def times(factor):
    return programs.with_inputs(lambda x: factor * x)


def images_times(factor):
    return lambda seed: programs.images(seed, lambda x: factor * x)


ARRAYS = {
    "not a number": (programs.not_a_number, {NOT_FINITE}),
    "classes counted from -1": (programs.counted_from_below, {OUT_OF_RANGE, SOME_MISSING}),
    "integer division": (times(0), {CONSTANT}),
    "a column in grams": (programs.with_inputs(programs.grams), {SCALES, LARGE}),
    "a hundred times too large": (times(100), {LARGE}),
    "divided twice": (times(1 / 255), {LARGE}),
    "pixels to 255": (images_times(255), {LARGE, MENTIONED}),
    "kelvin": (programs.with_inputs(programs.kelvin), {LARGE, OFF_CENTER}),
    "a class overwritten": (programs.overwritten_class, {MISSING, DIFFERENT}),
    "one label": (programs.one_label, {MISSING}),
    "two rare classes": (programs.one_in_fourteen, {IMBALANCE}),
    "validation raw": (programs.validation_raw, {DIFFERENT}),
    "validation by its own statistics": (programs.own_statistics, {DIFFERENT}),
    "validation by its own extremes": (programs.own_extremes, {DIFFERENT}),
    "leaked": (programs.leaked, {OVERLAP}),
    "healthy": (prepared, set()),
    "stretched": (lambda seed: prepared(seed, programs.stretched), {MENTIONED}),
    "images": (programs.images, {MENTIONED}),
    "rare words": (programs.rare_words, set()),
    "grades": (programs.grades, set()),
    "rows standardized": (programs.rows_standardized, set()),
    "drawn twice": (programs.drawn_twice, set()),
    "augmented": (programs.augmented, set()),
    "three to one": (programs.three_to_one, set()),
    "a small validation split": (programs.small_validation, set()),
    "five times": (times(5), set()),
}


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda framework: framework.__name__)
@pytest.mark.parametrize(("specimen", "expected"), ARRAYS.values(), ids=ARRAYS)
def test_arrays_in_any_framework(specimen, expected, framework):
    for seed in SEEDS:
        assert verdict(NAME, framework(specimen(seed), seed)) == expected


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_the_demo_is_healthy(activation, seed):
    assert verdict(NAME, trainer(activation, seed=seed)) == set()


OWN_FAULTS = [fault for fault in FAULTS.values() if fault.make.__module__.endswith(".data")]


@pytest.mark.parametrize("fault", OWN_FAULTS, ids=lambda fault: fault.name)
def test_every_fault_of_the_demo_s_data_is_found(fault):
    for seed in SEEDS:
        assert fault.rule in {finding.rule for finding in findings(NAME, fault.make(seed))}


# Batches


def classes(seed, count=600):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    inputs = rng.normal(size=(count, 5))
    inputs[np.arange(count), labels] += 2
    return programs.standardized(inputs, inputs), labels


def photographs(seed, count=400):
    """Colour images whose brightness is their own."""
    rng = np.random.default_rng(seed)
    light = rng.normal(size=(count, 3, 1, 1))
    return light + rng.normal(size=(count, 3, 6, 6)), rng.integers(3, size=count)


def by_batch(prepare, drawn=classes, **options):
    """Batches that are each prepared by themselves."""
    return lambda seed: handed([(prepare(x), y) for x, y in shuffled(*drawn(seed), seed, **options)])


def centered(x, axis=0):
    return x - x.mean(axis=axis, keepdims=True)


def normalized(x, axis=0):
    return centered(x, axis) / x.std(axis=axis, keepdims=True)


def stratified(seed, apart=12.0):
    """Every batch has as many of each class, and the classes lie far apart."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(3), 200)
    inputs = rng.normal(size=(600, 3)) + apart * np.eye(3)[labels]
    return handed(cut(programs.standardized(inputs, inputs), labels, 30))


def whole_each_time(seed):
    """All examples make the batch, in a new order."""
    inputs, labels = classes(seed)
    orders = [np.random.default_rng(seed + k).permutation(len(labels)) for k in range(20)]
    return handed([(inputs[order], labels[order]) for order in orders])


def sorted_by(key, size=40):
    def made(seed):
        inputs, labels = classes(seed)
        order = np.argsort(key(labels, np.random.default_rng(seed)), kind="stable")
        return handed(cut(inputs[order], labels[order], size))

    return made


def runs(length, size):
    """Examples of one class come several in a row."""
    return lambda seed: labelled(np.repeat(np.random.default_rng(seed).integers(3, size=600 // length), length)[:600])


def few_of_many(seed):
    """Four of each class in a batch, as losses of triples want it."""
    labels = np.repeat(np.random.default_rng(seed).permutation(np.tile(np.arange(20), 8)), 4)
    return labelled(labels, task=Classification(20))


def rare_pair(seed):
    """Both examples of a class happen to stand in one small batch."""
    labels = np.zeros(200, dtype=int)
    labels[[40, 41]] = 1
    return handed(cut(np.random.default_rng(seed).normal(size=(200, 5)), labels, 4), task=Classification(2))


BATCHES = {
    "centered by batch": (by_batch(centered), {PER_BATCH}),
    "standardized by batch": (by_batch(normalized), {PER_BATCH}),
    "one mean and spread by batch": (by_batch(lambda x: (x - x.mean()) / x.std()), {PER_BATCH}),
    "in half precision": (by_batch(lambda x: normalized(x).astype(np.float16)), {PER_BATCH}),
    "two batches": (by_batch(normalized, size=300), {PER_BATCH}),
    "channels by batch": (by_batch(lambda x: normalized(x, (0, 2, 3)), photographs), {PER_BATCH}),
    "pixels by batch": (by_batch(normalized, photographs), {PER_BATCH}),
    "images one by one": (by_batch(lambda x: normalized(x, (1, 2, 3)), photographs), set()),
    "rows one by one": (by_batch(lambda x: normalized(x, 1)), set()),
    "in batches that differ in size": (by_batch(lambda x: x, size=37), set()),
    "stratified": (stratified, set()),
    "the whole split each time": (whole_each_time, set()),
    "sorted by class": (sorted_by(lambda y, r: y), {ORDERED}),
    "through a small buffer": (
        sorted_by(lambda y, r: np.argsort(np.argsort(y)) + r.uniform(0, 100, len(y))),
        {ORDERED},
    ),
    "nearly sorted": (sorted_by(lambda y, r: y + r.uniform(0, 1.5, len(y))), {ORDERED}),
    "partly sorted": (sorted_by(lambda y, r: y + r.normal(0, 1.0, len(y))), {PARTLY_ORDERED}),
    "in a fixed order that was random once": (sorted_by(lambda y, r: r.random(len(y))), set()),
    "four of a class in a row": (few_of_many, set()),
    "runs of four": (runs(4, 32), set()),
    "two of a rare class together": (rare_pair, {IMBALANCE}),
}


@pytest.mark.parametrize(("make", "expected"), BATCHES.values(), ids=BATCHES)
def test_batches(make, expected):
    for seed in SEEDS:
        assert verdict(NAME, make(seed)) == expected


# Labels

RNG = np.random.default_rng(0)
LABELS = RNG.integers(10, size=1000)
TEN = Classification(10)
SHARES = RNG.beta(0.4, 0.4, size=(1000, 1)) * (np.eye(10)[LABELS] - np.eye(10)[LABELS[::-1]]) + np.eye(10)[LABELS[::-1]]
ANSWERS = RNG.integers(2, size=1000)
MAPS = RNG.integers(10, size=(40, 6, 6))
SORTED_FIRST = np.sort(RNG.integers(2, size=12_000))
LABELLED = {
    "labels": (LABELS, TEN, set()),
    "with decimals of 0": (LABELS[:, None] * 1.0, TEN, set()),
    "bytes": (LABELS.astype(np.uint8), TEN, set()),
    "one-hot": (np.eye(10)[LABELS], TEN, set()),
    "one-hot in truth values": (np.eye(10)[LABELS] > 0, TEN, set()),
    "mixed up": (SHARES, TEN, set()),
    "mixed up in half precision": (SHARES.astype(np.float16), TEN, set()),
    "smoothed": (0.9 * np.eye(10)[LABELS] + 0.01, TEN, set()),
    "some left out": (np.where(LABELS == 3, -100, LABELS), TEN, {SOME_MISSING}),
    "padding of one's own": (np.where(np.arange(1000) % 7, LABELS, -1), TEN, {("labels-out-of-range", "warning")}),
    "void": (np.where(MAPS[:, :1] == 5, 255, MAPS), TEN, {("labels-out-of-range", "warning")}),
    "maps": (MAPS, TEN, set()),
    "maps of shares": (np.moveaxis(np.eye(10)[MAPS], -1, 1), TEN, set()),
    "from 1": (LABELS + 1, TEN, {OUT_OF_RANGE, SOME_MISSING}),
    "from -1": (LABELS - 1, TEN, {OUT_OF_RANGE, SOME_MISSING}),
    "one class too few": (LABELS, Classification(9), {OUT_OF_RANGE}),
    "halves": (LABELS + 0.5, TEN, {OUT_OF_RANGE}),
    "gaps": (np.where(LABELS == 3, np.nan, LABELS), TEN, {NOT_FINITE, SOME_MISSING}),
    "a class that never comes": (np.where(LABELS == 3, 4, LABELS), TEN, {SOME_MISSING}),
    "a handful of examples": (LABELS[:8], TEN, set()),
    "hinge": (LABELS, Hinge(10), set()),
    "hinge from -1": (LABELS - 1, Hinge(10), {OUT_OF_RANGE, SOME_MISSING}),
    "yes or no": (ANSWERS, Binary(), set()),
    "truth values": (ANSWERS > 0, Binary(), set()),
    "softened": (0.05 + 0.9 * ANSWERS, Binary(), set()),
    "rates": (RNG.uniform(0.1, 0.4, size=1000), Binary(), set()),
    "1 and 2": (1 + ANSWERS, Binary(), {OUT_OF_RANGE, MISSING}),
    "-1 and 1": (2 * ANSWERS - 1, Binary(), {OUT_OF_RANGE, MISSING}),
    "always no": (0 * ANSWERS, Binary(), {MISSING}),
    "seldom yes": (programs.yes_or_no(0.1), Binary(), {IMBALANCE}),
    "rather seldom": (programs.yes_or_no(0.12), Binary(), set()),
    "several of each": ((RNG.random((500, 6)) < 0.1) * 1, MultiLabel(), set()),
    "several, -1 and 1": (np.sign(RNG.normal(size=(500, 6))), MultiLabel(), {OUT_OF_RANGE}),
    "a loss of one's own": (LABELS - 5, ChanceLoss(1.0), set()),
    "a loss of one's own, sorted": (np.sort(LABELS) - 1.5, ChanceLoss(1.0), set()),
}


@pytest.mark.parametrize(("targets", "task", "expected"), LABELLED.values(), ids=LABELLED)
def test_labels(targets, task, expected):
    assert verdict(NAME, labelled(targets, task=task)) == expected


def test_a_rare_class():
    several = np.random.default_rng(0).permutation(np.r_[np.arange(5000) % 9, [9] * 6])
    few = np.random.default_rng(0).permutation(np.r_[np.arange(5000) % 9, [9] * 5])
    assert verdict(NAME, labelled(several, task=TEN)) == set()
    assert verdict(NAME, labelled(few, task=TEN)) == {SOME_MISSING}


@pytest.mark.parametrize(
    ("counts", "validation", "expected"),
    [
        ((500, 500), (50, 50), set()),
        ((900, 100), (20, 80), {IMBALANCE}),
        ((940, 60), (20, 80), {IMBALANCE, DIFFERENT}),
        ((96, 4), (9, 6), {IMBALANCE}),
        ((500, 500), (95, 5), set()),
    ],
)
def test_classes_in_both_splits(counts, validation, expected):
    """A tenth of the share, or less, unless so few tell little."""
    splits = (np.random.default_rng(0).permutation(np.repeat([0, 1], k)) for k in (counts, validation))
    assert verdict(NAME, labelled(*splits, task=Classification(2))) == expected


def test_a_sorted_split_that_is_not_seen_to_its_end():
    one = labelled(SORTED_FIRST, val=ANSWERS[:100], task=Classification(2))
    assert verdict(NAME, one, examples=2000) == {ORDERED}
    assert verdict(NAME, one, examples=7000) == {ORDERED}
    alone = labelled(SORTED_FIRST, task=Classification(2))
    assert verdict(NAME, alone, examples=2000) == {PARTLY_ORDERED}


# Regression


def numbers(seed, count=600, outputs=1):
    return np.random.default_rng(seed).normal(size=(count, outputs))


NUMBERS = {
    "numbers": (numbers, set()),
    "five times": (lambda seed: 5 * numbers(seed), set()),
    "prices": (lambda seed: 200 + 80 * numbers(seed), {TARGETS}),
    "returns": (lambda seed: 0.01 * numbers(seed), {TARGETS}),
    "counts of something rare": (lambda seed: (numbers(seed) > 2) * 1.0, set()),
    "sorted": (lambda seed: np.sort(numbers(seed), axis=0), {ORDERED}),
    "sorted by one of three": (lambda seed: _sorted_by_first(numbers(seed, outputs=3)), {PARTLY_ORDERED}),
    "heavy tails": (lambda seed: np.random.default_rng(seed).standard_t(2, size=(600, 1)), set()),
    "depth maps": (lambda seed: np.sort(numbers(seed, 40, 144).reshape(40, 12, 12), axis=0), set()),
    "gaps": (lambda seed: np.where(numbers(seed) > 2.5, np.nan, numbers(seed)), {NOT_FINITE}),
}


def _sorted_by_first(targets):
    return targets[np.argsort(targets[:, 0])]


@pytest.mark.parametrize(("make", "expected"), NUMBERS.values(), ids=NUMBERS)
def test_numbers(make, expected):
    for seed in SEEDS:
        assert verdict(NAME, regression(make(seed), seed)) == expected


# Words


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda tokens: tokens, set()),
        (lambda tokens: tokens + 5, {("labels-out-of-range", "warning")}),
        (lambda tokens: tokens - 5, {OUT_OF_RANGE}),
    ],
    ids=["known", "unknown", "below 0"],
)
def test_words(change, expected):
    tokens = np.random.default_rng(0).integers(50, size=(200, 12))
    assert verdict(NAME, programs.texts(change(tokens))) == expected


class Embedding(nn.Module):
    def __init__(self, known):
        super().__init__()
        self.rows, self.scores = nn.Embedding(known, 8), nn.Linear(8, 3)

    def forward(self, tokens):
        return self.scores(self.rows(tokens).mean(1))


class Flattened(nn.Module):
    def __init__(self):
        super().__init__()
        self.scores = nn.Linear(12, 3)

    def forward(self, counts):
        return self.scores(counts.float())


def whole_numbers(model, labels=3):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(200, (240, 12), generator=generator)
    targets = torch.randint(labels, (240,), generator=generator)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = list(zip(inputs.split(40), targets.split(40), strict=True))
    return pytorch_program(model, optimizer, batches, task=IN_CLASSES).trainer


def test_names_are_told_from_amounts_by_where_the_network_takes_them():
    assert verdict(NAME, whole_numbers(Embedding(200))) == set()
    assert verdict(NAME, whole_numbers(Flattened())) == {LARGE, MENTIONED}


def test_a_label_that_the_loss_fails_at_is_named():
    assert verdict(NAME, whole_numbers(Flattened(), labels=4)) == {OUT_OF_RANGE}


# What it measures


def test_left_as_found():
    for made in (trainer(), in_pytorch(prepared(0), 0), faults.batch_norm_and_dropout(0)):
        before = left(made)
        measured(NAME, made)
        assert differing(before, left(made)) == []


def test_a_loader_with_a_generator_of_its_own_is_left_as_found():
    inputs, targets = torch.randn(100, 4), torch.randint(3, (100,))
    own = torch.Generator().manual_seed(1)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(inputs, targets), 20, shuffle=True, generator=own
    )
    model = nn.Linear(4, 3)
    made = pytorch_program(model, torch.optim.Adam(model.parameters()), loader)
    before = made.bits()
    measured(NAME, made.trainer)
    assert made.bits() == before


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (
            [(np.zeros((4, 6)), np.zeros(3, dtype=int))],
            "batches('train'): every array of a batch needs the same number of examples along axis 0; found 3 and 4",
        ),
        ([], "batches('train') yielded no batch, so there is nothing to train on"),
        (
            [(np.zeros((0, 6)), np.zeros(0, dtype=int))],
            "batches('train') yielded no batch, so there is nothing to train on",
        ),
        ([np.zeros((4, 6))], "batches('train') must yield (inputs, targets), not ndarray"),
    ],
)
def test_loaders_that_cannot_be_read(batches, message):
    with pytest.raises(TargetError) as raised:
        measured(NAME, handed(batches))
    assert str(raised.value) == message


def test_a_loader_that_never_ends():
    rows, labels = classes(0)
    endless = handed(lambda: itertools.cycle(cut(rows, labels)), lambda: itertools.cycle(cut(*classes(1, 60))))
    found, settings = measured(NAME, endless, examples=3000)
    assert find_checks()[NAME].judge(found, settings) == []
    assert found.whole == ()
    assert [leaf.examples for leaf in found.inputs] == [3000, 3000]


def test_so_many_examples_as_asked_for():
    made = handed(cut(*classes(0), 50), cut(*classes(1, 120), 50))
    found, _ = measured(NAME, made, examples=120)
    assert [(leaf.split, leaf.examples) for leaf in found.inputs] == [("train", 150), ("val", 120)]
    assert found.whole == ("val",)
    assert measured(NAME, made, examples=600)[0].whole == ("train", "val")


def test_no_validation_split():
    found, _ = measured(NAME, TinyTrainer(splits={"train": classes(0)}))
    assert (found.comparisons, found.overlap, found.whole) == ((), None, ("train",))


def test_the_validation_loader_of_the_training_split():
    splits = prepared(0)
    both = in_pytorch(splits | {"val": splits["train"]}, 0)
    assert [(f.rule, f.message) for f in findings(NAME, both)] == [
        ("split-overlap", "400 of 400 validation examples (100%) are in the training split.")
    ]


def test_any_tree_of_inputs():
    rng = np.random.default_rng(0)
    batches = [
        (
            {"pixels": rng.normal(size=(30, 3, 5, 5)), "more": (1000 * rng.normal(size=30), rng.random((30, 2)) < 0.5)},
            rng.integers(3, size=30),
        )
        for _ in range(5)
    ]
    batches = [(inputs | {"scale": np.asarray(2.0), "path": "train/1"}, targets) for inputs, targets in batches]
    found, settings = measured(NAME, handed(batches))
    assert [leaf.name for leaf in found.inputs] == ["inputs.pixels", "inputs.more.0"]
    assert [(f.rule, f.where) for f in find_checks()[NAME].judge(found, settings)] == [
        ("inputs-badly-scaled", "inputs.more.0")
    ]


def test_huge_numbers():
    """Their squares overflow."""
    made = handed(
        cut(1e200 * numbers(0, outputs=5), LABELS[:600] % 3), cut(1e200 * numbers(1, outputs=5), LABELS[:600] % 3)
    )
    assert verdict(NAME, made) == {LARGE}


@pytest.mark.parametrize("finite", [0, 1])
def test_hardly_any_example_is_finite(finite):
    inputs, labels = classes(0)
    inputs[finite:, 1] = np.inf
    assert verdict(NAME, handed(cut(inputs, labels), cut(*classes(1)))) == {NOT_FINITE}


def test_one_example():
    assert verdict(NAME, labelled([1])) == set()


# Messages


@pytest.mark.parametrize(
    ("make", "rule", "message", "where"),
    [
        (
            lambda: in_pytorch(programs.not_a_number(0), 0),
            "inputs-not-finite",
            "1 of 150 examples of the val split have a NaN or an infinity in the inputs.",
            "val inputs",
        ),
        (
            lambda: in_pytorch(times(0)(0), 0),
            "constant-features",
            "all of the elements of the inputs are the same in each of 400 examples.",
            "inputs",
        ),
        (
            lambda: in_pytorch(programs.own_statistics(0), 0),
            "split-statistics-differ",
            "the validation split's inputs are standardized by statistics of their own: by chance, the training "
            "split's would not fit so exactly.",
            "inputs",
        ),
        (
            lambda: in_pytorch(programs.own_extremes(0), 0),
            "split-statistics-differ",
            "the validation split's inputs are stretched to the same range by statistics of their own: by chance, the "
            "training split's would not fit so exactly.",
            "inputs",
        ),
        (
            lambda: labelled(np.where(np.arange(1000) % 5, LABELS, 255), task=TEN),
            "labels-out-of-range",
            "200 of 1000 labels of the train split are no class: 255, all of them; classes go from 0 to 9.",
            "train targets",
        ),
        (
            lambda: labelled(0 * LABELS + 4, task=TEN),
            "missing-classes",
            "each of 1000 training labels is 4.",
            "train targets",
        ),
        (
            lambda: labelled(np.where(LABELS < 7, 7, LABELS), LABELS[:100], task=TEN),
            "missing-classes",
            "1000 training labels hold no example of 7 of 10 classes: 0, 1, 2, 3, 4 and 2 more; the validation split "
            "has 0, 1, 2, 3, 4 and 2 more.",
            "train targets",
        ),
        (
            lambda: labelled(programs.yes_or_no(0.01), task=Binary()),
            "class-imbalance",
            "99.0% of the training labels are 0: always answering that is right so often, and knowing nothing but the "
            "frequencies costs 0.056 (ln 2 is 0.693).",
            "train targets",
        ),
        (
            lambda: regression(200 + 0 * numbers(0)),
            "targets-badly-scaled",
            "the targets are 200 ± 0; a fresh network answers about 0 ± 1.",
            "targets",
        ),
    ],
)
def test_messages(make, rule, message, where):
    found = [finding for finding in findings(NAME, make()) if finding.rule == rule]
    assert (found[0].message, found[0].where) == (message, where)


def test_exhibits():
    check = find_checks()[NAME]
    found, settings = measured(NAME, in_pytorch(programs.leaked(0), 0))
    *facts, table = check.exhibits(found, settings)
    assert [fact.label for fact in facts] == [
        "labels, train",
        "labels, val",
        "targets' variance between batches",
        "validation examples in training",
    ]
    assert facts[-1].value == "40 of 150"
    assert [row[:4] for row in table.rows] == [
        ("inputs", "train", "440", "6"),
        ("inputs", "val", "150", "6"),
        ("targets", "train", "440", "-"),
        ("targets", "val", "150", "-"),
    ]


# Outputs of a regression


def outputs(*ranges, seed=0, count=200):
    """Targets of such ranges, each about 0."""
    spans = np.random.default_rng(seed).uniform(-0.5, 0.5, size=(count, len(ranges)))
    spans[0], spans[1] = -0.5, 0.5
    return regression(spans * ranges, seed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ((2.0, 2.0), set()),
        ((2.0, 0.21), set()),
        ((2.0, 0.19), {TARGETS}),
        ((0.19, 2.0, 1.0), {TARGETS}),
        ((2.0, 0.0201), {TARGETS}),
        ((2.0, 0.0199), {("targets-badly-scaled", "error")}),
        ((2.0, 0.0), set()),  # an output that is always 0
        ((2.0,), set()),
    ],
)
def test_outputs_whose_ranges_differ(ranges, expected, seed):
    assert verdict(NAME, outputs(*ranges, seed=seed)) == expected


def test_the_output_that_is_left_out_is_named():
    (found,) = findings(NAME, outputs(3.0, 0.01, 1.0))
    assert (found.where, found.evidence["apart"]) == ("targets[1]", pytest.approx(300))
    assert found.message.startswith("output 0 of the targets has a range of 3, output 1 one of 0.01: ")
