import math
from dataclasses import replace

import pytest

from babysit.checks.train import Settings
from babysit.checks.train.schema import Moment, Moved
from babysit.checks.train.settled import is_calm, settled
from babysit.measuring.split_sample import Ignorance

KNOWN = Ignorance(512, 2.3, 0.1), Ignorance(512, 2.3, 0.1)
STEPS = 192


def going(shape=lambda t: 0.1 + 2.2 * math.exp(-5 * t), *, last=None, known=KNOWN, metric="accuracy", **settings):
    """Whether a run of this shape, a function of the share of it, is settled; `last` changes its last moment."""
    losses = [shape(i / STEPS) + 0.01 * (-1) ** i for i in range(STEPS)]
    moments = [moment(step, shape(step / STEPS)) for step in (0, 12, 48, 108, STEPS)]
    moments[-1] = replace(moment(STEPS, shape(1.0)), **(last or {}))
    return settled(losses, moments, known, metric, Settings(**settings))


def moment(step, loss):
    score = 1 - 0.9 * loss / 2.3
    return Moment(step, loss, 0.02, score, loss, 0.02, score)


def test_a_run_that_goes_well_is_settled():
    assert going()
    assert going(metric="", last={"score": math.nan, "val_score": math.nan})
    assert going(known=(KNOWN[0], Ignorance()), last={"val_loss": math.nan, "val_score": math.nan})


@pytest.mark.parametrize(
    "shape",
    [
        lambda t: 2.3,  # stands
        lambda t: 2.3 - 0.4 * t,  # falls by too little
        lambda t: 2.3 - 1.5 * t,  # in a straight line
        lambda t: 2.3 if t < 0.3 else 0.5,  # slow start
        lambda t: max(0.8, 2.3 - 20 * t) + 0.4 * math.sin(1e5 * t),  # high up; whether it falls on drowns in its noise
        lambda t: math.nan,
    ],
)
def test_a_run_that_may_have_a_finding_goes_on(shape):
    assert not going(shape)


@pytest.mark.parametrize("level", [0.1, 1.0])
def test_a_loss_that_surely_rests_is_settled_high_up_too(level):
    """The rule on plateaus has its ground then."""
    assert going(lambda t: max(level, 2.3 - 20 * t))


@pytest.mark.parametrize(
    "last",
    [
        {"score": 0.1},
        {"val_loss": 2.0},
        {"val_score": 0.3},
        {"val_loss": math.nan},
        {"loss": math.nan},
    ],
)
def test_what_metric_and_validation_do_not_bear_out_goes_on(last):
    assert not going(last=last)


def test_validation_that_rises_again_goes_on():
    shape = lambda t: 0.1 + 2.2 * math.exp(-5 * t)  # noqa: E731
    assert going(shape, last={"val_loss": shape(108 / STEPS) + 0.019})
    assert not going(shape, last={"val_loss": shape(108 / STEPS) + 0.021})


def looks(norm=1.0, ratio=1e-3, axes=2):
    return [{"W": Moved(axes, 1.0, 1e-3, 0.1)}, {}, {"W": Moved(axes, norm, ratio, 0.1)}]


@pytest.mark.parametrize(
    ("changes", "calm"),
    [
        ({}, True),
        ({"norm": 9.9}, True),
        ({"norm": 10.1}, False),
        ({"norm": 10.1, "axes": 1}, True),
        ({"ratio": 0.049}, True),
        ({"ratio": 0.051}, False),
        ({"ratio": math.nan}, True),
    ],
)
def test_weights_on_their_way_out_of_proportion_go_on(changes, calm):
    assert is_calm(looks(**changes), Settings()) is calm


def test_a_head_that_began_near_zero_may_grow():
    def heads(start):
        others = {name: Moved(2, 5.0, 1e-3, 0.1) for name in ("U", "V")}
        return [{"W": Moved(2, start, 1e-3, 0.1), **others}, {"W": Moved(2, 20 * start, 1e-3, 0.1), **others}]

    assert is_calm(heads(0.49), Settings())
    assert not is_calm(heads(0.51), Settings())


def test_without_weights_there_is_nothing_to_wait_for():
    assert is_calm([], Settings())
    assert is_calm([{}], Settings())
