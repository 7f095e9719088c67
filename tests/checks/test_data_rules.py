"""The rules of `check-data` on plain numbers: at, below and above each threshold, with NaN and with nothing."""

import math
from dataclasses import replace

import pytest
from faults import judged_whatever_the_numbers

from babysit.checks import find_checks
from babysit.checks.check_data import Measurement, Settings
from babysit.checks.check_data.summaries import Comparison, Labels, Leaf, Order, Overlap, Sight, Tie

LEAF = Leaf(
    name="inputs",
    split="train",
    ids=False,
    shape=(4,),
    features=4,
    are_channels=False,
    examples=300,
    not_finite=0,
    size=1.0,
    nonzero_size=1.0,
    mean=0.0,
    spread=1.0,
    offset=0.1,
    least=-3.0,
    most=3.0,
    widest=2,
    widest_spread=1.1,
    usual_spread=1.0,
    narrowest=1,
    narrowest_range=5.0,
    usual_range=6.0,
    widest_range=6.0,
    constant=0.0,
    batches=6,
    batch_variation=1.0,
)
TRAIN = Labels("train", 3, (100, 100, 100), 300, 0, math.nan, 0.0, 2.0)
VAL = replace(TRAIN, split="val")
ALIKE = Comparison("inputs", 4, 0, 0.05, 1.0, 0, 0.1, 1.02, "")
HEALTHY = Measurement(
    inputs=(LEAF, replace(LEAF, split="val")),
    targets=(replace(LEAF, name="targets"),),
    labels=(TRAIN, VAL),
    order=Order(0.01, 0.5, 6, alike=False),
    whole=("train", "val"),
    comparisons=(ALIKE,),
    overlap=Overlap(300, 0, 0.1),
    holding=(),
    ties=(Tie("inputs[1]", 0.8, 0.78, 0.9),),
    sight=Sight(1, 1e-6, 0.3, 0.0),
    is_regression=False,
    is_text=False,
)
NOTHING = Measurement((), (), (), None, (), (), None, (), (), None, False, False)


def found(measured, **settings):
    return {(f.rule, str(f.severity)) for f in find_checks()["check-data"].judge(measured, Settings(**settings))}


def message(measured, rule):
    findings = find_checks()["check-data"].judge(measured, Settings())
    return next(finding.message for finding in findings if finding.rule == rule)


def with_leaf(**changes):
    return replace(HEALTHY, inputs=(replace(LEAF, **changes),))


def with_labels(counts, val=None, **changes):
    train = replace(TRAIN, classes=len(counts), counts=counts)
    other = replace(train, split="val", counts=val or counts)
    return replace(HEALTHY, labels=(train, other), **changes)


def test_healthy_numbers_and_nothing_at_all_find_nothing():
    assert found(HEALTHY) == set()
    assert found(NOTHING) == set()


def test_nothing_is_raised_whatever_the_numbers():
    for where, wrong, rules in judged_whatever_the_numbers("check-data", HEALTHY, Settings()):
        assert rules <= set(find_checks()["check-data"].rules), (where, wrong)


@pytest.mark.parametrize(
    ("changes", "rule", "severity"),
    [
        ({"not_finite": 1}, "inputs-not-finite", "error"),
        ({"constant": 0.49}, "constant-features", None),
        ({"constant": 0.5}, "constant-features", "warning"),
        ({"constant": 0.99}, "constant-features", "warning"),
        ({"constant": 1.0}, "constant-features", "error"),
        ({"constant": 1.0, "examples": 1}, "constant-features", None),
        ({"widest_spread": 9.9, "widest_range": 600.0}, "feature-scales-differ", None),
        ({"widest_spread": 10.0, "widest_range": 600.0}, "feature-scales-differ", "warning"),
        ({"widest_spread": 99.0, "widest_range": 600.0}, "feature-scales-differ", "warning"),
        ({"widest_spread": 100.0, "widest_range": 600.0}, "feature-scales-differ", "error"),
        ({"widest_spread": 100.0, "features": 1}, "feature-scales-differ", None),
        ({"widest_spread": 100.0, "widest_range": 59.0}, "feature-scales-differ", None),
        ({"widest_spread": 100.0, "widest_range": 60.0}, "feature-scales-differ", "warning"),
        ({"narrowest_range": 6 / 99}, "feature-scales-differ", None),
        ({"narrowest_range": 0.0599}, "feature-scales-differ", "warning"),
        ({"narrowest_range": 6 / 101, "are_channels": True}, "feature-scales-differ", None),
        ({"narrowest_range": 0.0}, "feature-scales-differ", None),
        ({"widest_spread": 100.0, "widest_range": math.nan, "are_channels": True}, "feature-scales-differ", "error"),
        ({"size": 9.9}, "inputs-badly-scaled", None),
        ({"size": 10.0}, "inputs-badly-scaled", "warning"),
        ({"size": 49.0}, "inputs-badly-scaled", "warning"),
        ({"size": 50.0}, "inputs-badly-scaled", "error"),
        ({"nonzero_size": 0.101}, "inputs-badly-scaled", None),
        ({"nonzero_size": 0.1}, "inputs-badly-scaled", "warning"),
        ({"nonzero_size": 0.02}, "inputs-badly-scaled", "error"),
        ({"size": math.inf, "nonzero_size": math.inf}, "inputs-badly-scaled", "error"),
        ({"size": math.nan}, "inputs-badly-scaled", None),
        ({"size": 50.0, "ids": True}, "inputs-badly-scaled", None),
        ({"size": 50.0, "split": "val"}, "inputs-badly-scaled", None),
        ({"offset": 0.99}, "inputs-not-centered", None),
        ({"offset": 1.0}, "inputs-not-centered", "info"),
        ({"offset": 2.99}, "inputs-not-centered", "info"),
        ({"offset": 3.0}, "inputs-not-centered", "warning"),
        ({"offset": 29.9}, "inputs-not-centered", "warning"),
        ({"offset": 30.0}, "inputs-not-centered", "error"),
        ({"offset": 30.0, "spread": 0.0}, "inputs-not-centered", None),
        ({"batch_variation": 0.0011, "batches": 100}, "per-batch-preprocessing", None),
        ({"batch_variation": 0.001, "batches": 100}, "per-batch-preprocessing", "error"),
        ({"batch_variation": 0.001, "batches": 3}, "per-batch-preprocessing", None),
        ({"batch_variation": 1e-13, "batches": 2}, "per-batch-preprocessing", "error"),
        ({"batch_variation": 1e-6, "batches": 2}, "per-batch-preprocessing", None),
        ({"batch_variation": 0.0, "batches": 1}, "per-batch-preprocessing", None),
    ],
)
def test_an_array_of_the_inputs(changes, rule, severity):
    assert found(with_leaf(**changes)) == ({(rule, severity)} if severity else set())


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (with_labels((300, 0, 0)), {("missing-classes", "error")}),
        (with_labels((150, 150, 0)), {("missing-classes", "warning")}),
        (with_labels((150, 150, 0), whole=("val",)), {("missing-classes", "warning")}),
        (with_labels((20, 20, 0), whole=("val",)), set()),
        (with_labels((150, 150, 0), whole=(), order=None), set()),
        (with_labels((150, 150, 0), (149, 149, 2)), {("missing-classes", "error")}),
        (with_labels((1000, 1000, 10)), set()),
        (with_labels((1000, 1000, 6)), {("missing-classes", "warning")}),
        (with_labels((40, 40, 1)), set()),
        (with_labels((88, 12)), set()),
        (with_labels((890, 110)), {("class-imbalance", "warning")}),
        (with_labels((250, 4), (70, 30)), {("class-imbalance", "warning"), ("split-statistics-differ", "error")}),
        (with_labels((900, 27), (700, 300)), {("class-imbalance", "warning"), ("split-statistics-differ", "error")}),
        (with_labels((900, 28), (700, 300)), {("class-imbalance", "warning")}),
        (with_labels((600, 400), (950, 50)), set()),
        (with_labels((30, 0), (21, 9)), {("missing-classes", "error")}),
        (with_labels((1, 1, 0)), set()),
        (with_labels((2, 1, 0)), {("missing-classes", "warning")}),
    ],
)
def test_labels(measured, expected):
    assert found(measured) == expected


@pytest.mark.parametrize(
    ("order", "severity"),
    [
        (Order(0.19, 20.0, 6, alike=False), None),
        (Order(0.2, 20.0, 6, alike=False), "warning"),
        (Order(0.2, 5.9, 6, alike=False), None),
        (Order(0.5, 6.0, 6, alike=False), "error"),
        (Order(0.9, 5.9, 2, alike=False), None),
        (Order(0.0, 0.0, 6, alike=True), None),
        (None, None),
    ],
)
def test_an_order(order, severity):
    assert found(replace(HEALTHY, order=order)) == ({("unshuffled-batches", severity)} if severity else set())


def test_a_long_sorted_split_shows_one_class_at_first():
    alike = Order(0.0, 0.0, 6, alike=True)
    one = with_labels((300, 0, 0), (100, 100, 100), whole=("val",), order=alike)
    assert found(one) == {("unshuffled-batches", "error")}
    assert message(one, "unshuffled-batches") == "the first 300 training labels are all the same."
    assert found(with_labels((300, 0, 0), whole=("val",), order=alike)) == {("unshuffled-batches", "warning")}


@pytest.mark.parametrize(
    ("overlap", "whole", "severity"),
    [
        (Overlap(300, 0, 0.0), ("train", "val"), None),
        (Overlap(300, 4, 0.0), ("train", "val"), None),
        (Overlap(300, 5, 0.0), ("train", "val"), "warning"),
        (Overlap(300, 14, 0.0), ("train", "val"), "warning"),
        (Overlap(300, 15, 0.0), ("train", "val"), "error"),
        (Overlap(300, 5, 0.0), ("val",), "error"),
        (Overlap(300, 300, 280.0), ("train", "val"), None),
        (Overlap(0, 0, 0.0), (), None),
    ],
)
def test_an_overlap(overlap, whole, severity):
    measured = replace(HEALTHY, overlap=overlap, whole=whole)
    assert found(measured) == ({("split-overlap", severity)} if severity else set())


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({"different": 1}, "warning"),
        ({"different": 2}, "error"),
        ({"different": 2, "features": 5}, "warning"),
        ({"different": 1, "shift": 0.49}, "warning"),
        ({"different": 1, "shift": 0.5}, "error"),
        ({"different": 1, "ratio": 1.49}, "warning"),
        ({"different": 1, "ratio": 1.5}, "error"),
        ({"different": 1, "ratio": 0.6}, "error"),
        ({"different": 1, "ratio": 0.0}, "warning"),
        ({"own": "standardized"}, "error"),
    ],
)
def test_splits_that_differ(changes, severity):
    measured = replace(HEALTHY, comparisons=(replace(ALIKE, **changes),))
    assert found(measured) == {("split-statistics-differ", severity)}


@pytest.mark.parametrize(("common", "told"), [(150, True), (151, False)])
def test_a_split_that_is_the_training_split_has_its_statistics(common, told):
    """Half of it, and no more, may be in the training split."""
    own = replace(ALIKE, own="standardized")
    measured = replace(HEALTHY, comparisons=(own,), overlap=Overlap(300, common, 0.1))
    assert (("split-statistics-differ", "error") in found(measured)) == told


@pytest.mark.parametrize(
    ("size", "nonzero", "is_regression", "expected"),
    [
        (9.9, 9.9, True, set()),
        (10.0, 10.0, True, {("targets-badly-scaled", "warning")}),
        (0.05, 0.05, True, {("targets-badly-scaled", "warning")}),
        (100.0, 100.0, False, set()),
    ],
)
def test_targets(size, nonzero, is_regression, expected):
    target = replace(LEAF, name="targets", size=size, nonzero_size=nonzero)
    measured = replace(HEALTHY, targets=(target,), is_regression=is_regression, labels=(), inputs=())
    assert found(measured) == expected


OUTPUTS = replace(LEAF, name="targets", shape=(2,), features=2, widest=0, narrowest=1)


@pytest.mark.parametrize(
    ("widest", "narrowest", "changes", "severity"),
    [
        (9.9, 1.0, {}, None),
        (10.0, 1.0, {}, "warning"),
        (1e-3, 1.01e-5, {}, "warning"),
        (99.0, 1.0, {}, "warning"),
        (100.0, 1.0, {}, "error"),
        (math.inf, 1.0, {}, "error"),
        (100.0, 0.0, {}, None),  # an output that never varies
        (math.nan, 1.0, {}, None),
        (100.0, math.nan, {}, None),
        (100.0, 1.0, {"shape": (8, 8)}, None),  # maps
        (100.0, 1.0, {"split": "val"}, None),
    ],
)
def test_outputs_of_different_ranges(widest, narrowest, changes, severity):
    leaf = replace(OUTPUTS, widest_range=widest, narrowest_range=narrowest, **changes)
    measured = replace(HEALTHY, targets=(leaf,), is_regression=True, labels=(), inputs=())
    assert found(measured) == ({("targets-badly-scaled", severity)} if severity else set())
    assert found(replace(measured, is_regression=False)) == set()


LOST = Tie("inputs[1]", 0.7, 0.34, 6.0)


@pytest.mark.parametrize(
    ("tie", "told"),
    [
        (LOST, True),
        (replace(LOST, train=0.69), False),
        (replace(LOST, sigmas=5.9), False),
        (replace(LOST, val=0.36), False),  # half of it is left
        (replace(LOST, val=-0.7), True),
        (replace(LOST, train=-0.7, val=-0.34), True),
        (replace(LOST, train=-0.7, val=-0.36), False),
        (replace(LOST, train=-0.9, val=0.9), True),
        (replace(LOST, train=math.nan), False),
        (replace(LOST, val=math.nan), False),
        (replace(LOST, sigmas=math.nan), False),
    ],
)
def test_a_tie_that_validation_lacks(tie, told):
    assert found(replace(HEALTHY, ties=(tie,))) == ({("split-statistics-differ", "error")} if told else set())


SEEN = ("target-leak", "error")


@pytest.mark.parametrize(
    ("sight", "told"),
    [
        (Sight(1, 0.9e-3, 0.5, 0.0), False),
        (Sight(1, 1.1e-3, 0.5, 0.0), True),
        (Sight(3, 1.1e-3, 0.0, 0.0), True),
        (Sight(1, 0.3, 0.5, 0.1), False),  # noise alone changes as much
        (Sight(1, 0.32, 0.5, 0.1), True),
        (Sight(0, 0.9e-3, 0.0, 0.0), False),
        (Sight(0, 1.1e-3, 0.0, 0.0), True),
        (Sight(0, 0.5, 0.9e-3, 0.0), True),
        (Sight(0, 0.5, 1.1e-3, 0.0), False),  # it looks both ways
        (Sight(1, math.nan, 0.5, 0.0), False),
        (Sight(1, 0.5, 0.5, math.nan), False),
        (None, False),
    ],
)
def test_a_sight_of_the_targets(sight, told):
    assert found(replace(HEALTHY, sight=sight)) == ({SEEN} if told else set())


@pytest.mark.parametrize(
    ("holding", "message"),
    [
        (("inputs[3]",), "inputs[3] holds the targets: they can be read off without an error."),
        (("a[0]", "a[1]"), "a[0], a[1] hold the targets: they can be read off without an error."),
        (
            tuple(f"inputs[{c}]" for c in range(5)),
            "inputs[0], inputs[1], inputs[2], inputs[3] ... hold the targets: they can be read off without an error.",
        ),
    ],
)
def test_columns_that_hold_the_targets(holding, message):
    measured = replace(HEALTHY, holding=holding)
    assert found(measured) == {SEEN}
    (leak,) = find_checks()["check-data"].judge(measured, Settings())
    assert (leak.message, leak.where, leak.evidence) == (message, holding[0], {"columns": list(holding)})


def test_columns_and_places_are_both_told():
    both = replace(HEALTHY, holding=("inputs[3]",), sight=Sight(1, 0.5, 0.5, 0.0))
    assert len(find_checks()["check-data"].judge(both, Settings())) == 2


def test_labels_and_tokens_out_of_range():
    outside = replace(HEALTHY, labels=(replace(TRAIN, outside=12, example=-1.0),))
    assert found(outside) == {("labels-out-of-range", "error")}
    assert message(outside, "labels-out-of-range") == (
        "12 of 300 labels of the train split are no class: -1, for one; classes go from 0 to 2."
    )
    marked = replace(HEALTHY, labels=(replace(TRAIN, outside=12, example=255.0, marked=True),))
    assert found(marked) == {("labels-out-of-range", "warning")}
    assert message(marked, "labels-out-of-range") == (
        "12 of 300 labels of the train split are no class: 255, all of them; classes go from 0 to 2."
    )
    words = Labels("train", 50, (), 300, 0, math.nan, 0.0, 49.0)
    tokens = replace(LEAF, ids=True, least=0.0, most=49.0)
    text = replace(HEALTHY, labels=(words,), inputs=(tokens,), is_text=True)
    assert found(text) == set()
    assert found(replace(text, inputs=(replace(tokens, most=50.0),))) == {("labels-out-of-range", "warning")}
    assert found(replace(text, inputs=(replace(tokens, least=-1.0),))) == {("labels-out-of-range", "error")}


def test_messages():
    assert message(with_leaf(widest_spread=566.0, usual_spread=0.07, widest_range=1e5), "feature-scales-differ") == (
        "column 2 of the inputs has a spread of 566, the middle one 0.07: 8.09e+03 times as much."
    )
    assert message(with_leaf(size=123.0, least=0.0, most=255.0), "inputs-badly-scaled") == (
        "the inputs have a root mean square of 123 (from 0 to 255); initial weights and usual learning rates are made "
        "for 1."
    )
    assert message(with_labels((250, 4), (70, 30)), "split-statistics-differ") == (
        "class 1 is 30% of the validation labels and 1.6% of the training labels (4 of 254)."
    )
    assert message(replace(HEALTHY, overlap=Overlap(300, 300, 0.0)), "split-overlap") == (
        "300 of 300 validation examples (100%) are in the training split."
    )
    assert message(with_leaf(batch_variation=0.0, batches=20), "per-batch-preprocessing") == (
        "the means of 20 batches of the inputs vary by 0 of what random batches do: each batch is centered by itself."
    )
    assert message(replace(HEALTHY, ties=(LOST,)), "split-statistics-differ") == (
        "inputs[1] is tied to the targets in training (correlation 0.70), and not so on the validation split (0.34)."
    )
    assert message(replace(HEALTHY, sight=Sight(1, 0.456, 0.5, 0.0)), "target-leak") == (
        "targets stand 1 further on in the inputs, and a score changes by 0.46 spreads with the place that holds its "
        "own target: it sees what it is to predict."
    )
    assert message(replace(HEALTHY, sight=Sight(0, 0.456, 0.0, 0.0)), "target-leak") == (
        "targets repeat the inputs, place by place, and a score sees its own place and none behind: it only has to "
        "copy."
    )
    outputs = replace(HEALTHY, targets=(replace(OUTPUTS, widest_range=40.0, narrowest_range=0.1),), is_regression=True)
    assert message(outputs, "targets-badly-scaled") == (
        "output 0 of the targets has a range of 40, output 1 one of 0.1: of a squared error they have shares like "
        "1.6e+05 to 1."
    )
