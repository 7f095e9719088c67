"""Hyperparameters and their ranges: how they are read, what lies where in them, and the finer range about the best."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from babysit.errors import UsageError
from babysit.search import space
from babysit.search.space import ALARM, EDGE, LEADERS, NEAR, Parameter, edge, finer, leaning, read_space

RATE = Parameter("learning_rate", "log", 1e-6, 1e-1)
DROPOUT = Parameter("dropout", "uniform", 0.0, 0.8)
HIDDEN = Parameter("hidden", "int", 32, 512)
WIDTH = Parameter("width", "log-int", 8, 1024)
ACTIVATION = Parameter("activation", "choice", choices=("relu", "tanh", "elu"))
OFFSET = Parameter("offset", "uniform", -10.0, 0.0)  # with no natural end
LAYERS = Parameter("layers", "int", 0, 10)
SHIFT = Parameter("shift", "int", -3, 3)
RANGES = (RATE, DROPOUT, HIDDEN, WIDTH)
KINDS = "kinds are log, uniform, int, log-int, choice"

EVEN = [(n + 0.5) / 30 for n in range(30)]  # a tenth of them at each edge, a third near it
INSIDE = (0.5, 0.4, 0.6, 0.45, 0.55)
UPWARD, DOWNWARD = (0.92, 0.8, 0.9, 0.7, 0.75), (0.08, 0.2, 0.1, 0.3, 0.25)

places = st.floats(0, 1)


def read(text):
    (parameter,) = read_space([text])
    return parameter


def typed(values):
    return [(type(value), value) for value in values]


def about(parameter, *where, tried=EVEN):
    """The finer range about values at these places, the best first, of those that were tried at those."""
    best, everything = ([{parameter.name: parameter.at(place)} for place in some] for some in (where, tried))
    (found,) = finer((parameter,), best, everything)
    return found


def levels(count):
    """Places of so many values, each of them tried as often."""
    return [n / (count - 1) for n in range(count)]


def explained(best, tried):
    """The chance that the best lies at an edge and so many other leaders near it, as scipy has it."""
    near = sum(place < NEAR if best[0] < EDGE else place > 1 - NEAR for place in best[1:LEADERS])
    all_places, found = np.array(tried), 0.0
    for at, beside in (
        (all_places < EDGE, all_places < NEAR),
        (all_places > 1 - EDGE, all_places > 1 - NEAR),
    ):
        found += at.mean() * binom.sf(near - 1, LEADERS - 1, beside.mean())
    return found


def ends(parameter, whole):
    return whole.place(parameter.low), whole.place(parameter.high)


# Reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("learning_rate=log:1e-6:1e-1", RATE),
        ("dropout=uniform:0:0.8", DROPOUT),
        ("hidden=int:32:512", HIDDEN),
        ("width=log-int:8:1024", WIDTH),
        ("activation=choice:relu,tanh,elu", ACTIVATION),
        (" dropout = uniform:0:0.8 ", DROPOUT),
        ("hidden=int:3.2e1:512.0", HIDDEN),
        ("shift=uniform:-1:1", Parameter("shift", "uniform", -1.0, 1.0)),
        ("shift=int:-3:3", Parameter("shift", "int", -3.0, 3.0)),
        ("ß_2=uniform:0:1", Parameter("ß_2", "uniform", 0.0, 1.0)),
        ("_=uniform:0:1", Parameter("_", "uniform", 0.0, 1.0)),
    ],
)
def test_a_spec_is_read(text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("learning_rate=1e-6:1e-1", "log"),
        ("regularization_scale=0.1:10", "log"),
        ("learning_rate=1:10", "log"),
        ("hidden=32:512", "int"),
        ("shift=-3:+3", "int"),
        ("dropout=0:0.8", "uniform"),
        ("hidden=32.0:512", "uniform"),
        ("decay=1e-6:1", "uniform"),
    ],
)
def test_without_a_kind_the_name_and_the_ends_tell(text, kind):
    assert read(text).kind == kind


def test_parameters_keep_their_order():
    texts = ["hidden=32:512", "activation=choice:relu,tanh,elu", "learning_rate=log:1e-6:1e-1"]
    assert read_space(texts) == (HIDDEN, ACTIVATION, RATE)
    assert read_space([]) == ()


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("a=choice:relu,tanh", ["relu", "tanh"]),
        ("a=choice: relu , tanh ,", ["relu", "tanh"]),
        ("a=choice:true,False", [True, False]),
        ("a=choice:null,none", [None, "none"]),
        ("a=choice:1.0,2", [1.0, 2]),
        ("a=choice:1,True or so", [1, "True or so"]),
        ("a=choice:64,128,64", [64, 128]),
        ("a=choice:-1,1", [-1, 1]),
        ("a=choice:0.5,1e-3", [0.5, 0.001]),
        ("a=choice:0.5,relu,null,3,true", [0.5, "relu", None, 3, True]),
        ("a=choice:a:b,c=d", ["a:b", "c=d"]),
    ],
)
def test_choices_have_types(text, choices):
    assert typed(read(text).choices) == typed(choices)


@pytest.mark.parametrize(
    ("choices", "one", "other"),
    [
        ("1,true", "1", "true"),
        ("false,0", "false", "0"),
        ("true,relu,1.0", "true", "1.0"),
        ("1,1.0", "1", "1.0"),
        ("0.1,1e-1", "0.1", "1e-1"),
        ("0,-0", "0", "-0"),
        ("64,0128,128", "0128", "128"),
        ("true,TRUE", "true", "TRUE"),
        ("null,NULL,none", "null", "NULL"),
    ],
)
def test_choices_that_python_takes_for_the_same_are_refused(choices, one, other):
    with pytest.raises(UsageError) as raised:
        read(f"a=choice:{choices}")
    assert str(raised.value) == f"--param a: {one} and {other} are the same value to Python; leave one out"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["dropout"], "--param takes NAME=SPEC, such as learning_rate=log:1e-6:1e-1, not 'dropout'"),
        (["=0:1"], "--param takes NAME=SPEC, such as learning_rate=log:1e-6:1e-1, not '=0:1'"),
        (["2d=0:1"], "--param takes NAME=SPEC, such as learning_rate=log:1e-6:1e-1, not '2d=0:1'"),
        (["a b=0:1"], "--param takes NAME=SPEC, such as learning_rate=log:1e-6:1e-1, not 'a b=0:1'"),
        (["net.drop=0:1"], "--param takes NAME=SPEC, such as learning_rate=log:1e-6:1e-1, not 'net.drop=0:1'"),
        (["a=0:1", "b=0:1", "a=int:1:2"], "--param a is given twice: int:0:1 and int:1:2"),
        (["a=choice"], "--param a: a choice needs two values at least, as choice:relu,tanh has, not 'choice'"),
        (["a=choice:"], "--param a: a choice needs two values at least, as choice:relu,tanh has, not 'choice:'"),
        (
            ["a=choice:x,,x"],
            "--param a: a choice needs two values at least, as choice:relu,tanh has, not 'choice:x,,x'",
        ),
        (["a="], f"--param a: '' is no range, such as uniform:0:0.8 ({KINDS})"),
        (["a=3"], f"--param a: '3' is no range, such as uniform:0:0.8 ({KINDS})"),
        (["a=1:2:3"], f"--param a: '1:2:3' is no range, such as uniform:0:0.8 ({KINDS})"),
        (["a=lgo:1:2"], f"--param a: 'lgo:1:2' is no range, such as uniform:0:0.8 ({KINDS})"),
        (["learning_rate=relu"], f"--param learning_rate: 'relu' is no range, such as log:1e-6:1e-1 ({KINDS})"),
        (["a=log"], f"--param a: 'log' is no range, such as log:1e-6:1e-1 ({KINDS})"),
        (["a=log:1"], f"--param a: 'log:1' is no range, such as log:1e-6:1e-1 ({KINDS})"),
        (["a=int:few:many"], f"--param a: 'int:few:many' is no range, such as int:32:512 ({KINDS})"),
        (["a=log-int:1:2:3"], f"--param a: 'log-int:1:2:3' is no range, such as log-int:8:1024 ({KINDS})"),
        (["a=uniform:0:inf"], "--param a: both ends must be finite, not 'uniform:0:inf'"),
        (["a=nan:1"], "--param a: both ends must be finite, not 'nan:1'"),
        (["a=int:-inf:1"], "--param a: both ends must be finite, not 'int:-inf:1'"),
        (["a=log:0:1"], "--param a: a log scale begins above 0, not at 0"),
        (["a=log-int:-0.5:1"], "--param a: a log scale begins above 0, not at -0.5"),
        (["learning_rate=0:0.1"], "--param learning_rate: a log scale begins above 0, not at 0"),
        (["a=int:0.5:2"], "--param a: int takes whole numbers, such as int:32:512, not 'int:0.5:2'"),
        (["a=log-int:1:2.5"], "--param a: log-int takes whole numbers, such as log-int:8:1024, not 'log-int:1:2.5'"),
        (["a=uniform:2:2"], "--param a: the range must go up, and 2 is not less than 2"),
        (["a=1:0"], "--param a: the range must go up, and 1 is not less than 0"),
        (["a=log:1e-1:1e-6"], "--param a: the range must go up, and 0.1 is not less than 1e-06"),
    ],
)
def test_what_is_no_space_is_said(texts, message):
    with pytest.raises(UsageError) as raised:
        read_space(texts)
    assert str(raised.value) == message


def test_messages_begin_with_where_a_space_comes_from():
    with pytest.raises(UsageError, match=r"^tool\.babysit\.search\.param takes NAME=SPEC, "):
        read_space(["dropout"], "tool.babysit.search.param")
    with pytest.raises(UsageError, match=r"^the file's a: the range must go up"):
        read_space(["a=1:0"], "the file's")


# Writing


@pytest.mark.parametrize(
    ("parameter", "spec"),
    [
        (RATE, "log:1e-06:0.1"),
        (DROPOUT, "uniform:0:0.8"),
        (HIDDEN, "int:32:512"),
        (WIDTH, "log-int:8:1024"),
        (ACTIVATION, "choice:relu,tanh,elu"),
        (Parameter("a", "uniform", 0.12345, 12345.5), "uniform:0.123:1.23e+04"),
        (Parameter("a", "int", 0, 1234567.0), "int:0:1234567"),
        (Parameter("a", "choice", choices=(None, True, False, 3, 0.5, "x")), "choice:null,true,false,3,0.5,x"),
        (Parameter("a", "choice", choices=(1.0, 2, 12345.5, 1e-05)), "choice:1.0,2,12345.5,1e-05"),
    ],
)
def test_a_spec_says_what_it_was_read_from(parameter, spec):
    assert parameter.spec == spec


@given(
    st.sampled_from(["log", "uniform", "int", "log-int"]),
    st.integers(1, 999),
    st.integers(1, 999),
    st.integers(-9, 9),
)
def test_a_spec_of_three_digits_reads_back_the_same(kind, low, wider, power):
    scale = 1 if "int" in kind else 10**power
    low, high = (float(f"{v * scale:.3g}") for v in (low, low + wider * 1000 if "int" in kind else low * 1000))
    made = Parameter("a", kind, low, high)
    assert read(f"a={made.spec}") == made


@pytest.mark.parametrize(
    "text",
    [
        "choice:relu,tanh",
        "choice:null,true,false",
        "choice:64,128",
        "choice:0.5,0.001",
        "choice:1.0,2.0",
        "choice:1e5,123456.789,1e-7",
    ],
)
def test_choices_read_back_with_the_same_types(text):
    made = read(f"a={text}")
    assert typed(read(f"a={made.spec}").choices) == typed(made.choices)


@pytest.mark.parametrize(
    ("parameter", "value", "text"),
    [
        (RATE, 0.00123456, "0.00123"),
        (RATE, 1e-06, "1e-06"),
        (DROPOUT, 0, "0"),
        (DROPOUT, 1023.4, "1.02e+03"),
        (WIDTH, 1023, "1023"),
        (WIDTH, 1023.0, "1023"),
        (HIDDEN, 1234567, "1234567"),
        (HIDDEN, -3.0, "-3"),
        (ACTIVATION, "relu", "relu"),
        (ACTIVATION, None, "null"),
        (ACTIVATION, True, "true"),
        (ACTIVATION, False, "false"),
        (ACTIVATION, 1023, "1023"),
        (ACTIVATION, 0.5, "0.5"),
    ],
)
def test_values_are_shown_shortly_but_whole_numbers_wholly(parameter, value, text):
    assert parameter.shown(value) == text


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        (RATE, "1e-06 to 0.1"),
        (DROPOUT, "0 to 0.8"),
        (WIDTH, "8 to 1024"),
        (Parameter("a", "int", -1234.0, 12345.0), "-1234 to 12345"),
        (Parameter("a", "log", 1e-3, 1023.4), "0.001 to 1.02e+03"),
    ],
)
def test_ends_are_shown_like_values(parameter, text):
    assert parameter.ends == text


@pytest.mark.parametrize(
    ("parameter", "size"),
    [
        (RATE, math.inf),
        (DROPOUT, math.inf),
        (HIDDEN, 481),
        (WIDTH, 1017),
        (SHIFT, 7),
        (Parameter("a", "int", 3, 3), 1),
        (ACTIVATION, 3),
    ],
)
def test_whole_numbers_and_choices_have_so_many_values(parameter, size):
    assert parameter.size == size


# Natural ends


@pytest.mark.parametrize(
    ("parameter", "limits"),
    [
        (RATE, (0.0, math.inf)),
        (Parameter("a", "log", 1e-3, 1.0), (0.0, math.inf)),  # what acts by factors is no share
        (DROPOUT, (0.0, 1.0)),
        (Parameter("share", "uniform", 0.0, 1.0), (0.0, 1.0)),
        (Parameter("share", "uniform", 0.2, 0.7), (0.0, 1.0)),
        (Parameter("a", "uniform", 0.0, 1.5), (0.0, math.inf)),
        (Parameter("a", "uniform", 2.0, 3.0), (0.0, math.inf)),
        (Parameter("a", "uniform", -0.5, 0.5), (-math.inf, math.inf)),
        (HIDDEN, (1.0, math.inf)),
        (WIDTH, (1.0, math.inf)),
        (Parameter("depth", "int", 1, 10), (1.0, math.inf)),
        (Parameter("layers", "int", 0, 10), (0.0, math.inf)),
        (Parameter("layers", "int", 0, 1), (0.0, math.inf)),  # a count may go on above 1
        (Parameter("shift", "int", -3, 3), (-math.inf, math.inf)),
        (Parameter("shift", "int", -10, -1), (-math.inf, math.inf)),
    ],
)
def test_counts_and_shares_have_natural_ends(parameter, limits):
    assert parameter.limits == limits


# Places


@pytest.mark.parametrize("parameter", RANGES)
@given(places)
def test_a_value_lies_where_it_was_taken_from(parameter, place):
    assert parameter.place(parameter.at(place)) == pytest.approx(place, abs=1e-12)


@pytest.mark.parametrize("parameter", RANGES)
@given(places)
def test_a_place_is_where_its_value_lies(parameter, place):
    drawn = parameter.at(place)
    assert parameter.low * (1 - 1e-12) <= drawn <= parameter.high * (1 + 1e-12)
    assert parameter.at(parameter.place(drawn)) == pytest.approx(drawn, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("parameter", [*RANGES, Parameter("a", "log", 3e-7, 0.7), Parameter("a", "uniform", 0.1, 0.3)])
def test_the_ends_are_exact(parameter):
    assert (parameter.at(0.0), parameter.at(1.0)) == (parameter.low, parameter.high)
    assert (parameter.place(parameter.low), parameter.place(parameter.high)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("parameter", "place", "value"),
    [
        (RATE, 0.4, 1e-4),
        (RATE, -0.2, 1e-7),
        (RATE, 1.2, 1.0),
        (DROPOUT, 0.25, 0.2),
        (HIDDEN, 0.5, 272.0),
        (WIDTH, 3 / 7, 64.0),
    ],
)
def test_places_are_on_the_parameter_s_scale(parameter, place, value):
    assert parameter.at(place) == pytest.approx(value)
    assert parameter.place(value) == pytest.approx(place)


@pytest.mark.parametrize("value", ["relu", "tanh", "unknown", None])
def test_a_choice_has_no_places(value):
    assert math.isnan(ACTIVATION.place(value))


def test_what_is_no_number_has_no_place():
    assert math.isnan(RATE.place("fast"))
    assert math.isnan(RATE.place(None))


def test_a_range_of_one_value_has_it_in_the_middle():
    assert Parameter("a", "int", 3, 3).place(3) == 0.5


@pytest.mark.parametrize(
    ("place", "side"),
    [(-0.5, -1), (0.0, -1), (0.0999, -1), (0.1, 0), (0.5, 0), (0.9, 0), (0.9001, 1), (1, 1), (1.5, 1)],
)
def test_the_outer_tenth_is_the_edge(place, side):
    assert edge(place) == side


def test_nowhere_is_no_edge():
    assert edge(math.nan) == 0


# Leaning towards an edge


@pytest.mark.parametrize(
    ("best", "tried", "side"),
    [
        (DOWNWARD, EVEN, -1),
        (UPWARD, EVEN, 1),
        ((0.05, 0.2, 0.2, 0.2, 0.9), EVEN, -1),  # four of five, in 2.2 % of all searches
        ((0.95, 0.8, 0.8, 0.8, 0.1), EVEN, 1),
        ((0.05, 0.2, 0.2, 0.5, 0.9), EVEN, 0),  # three, in 8.1 %
        ((0.0999, 0.3333, 0.3333, 0.3333, 0.5), EVEN, -1),
        ((0.1, 0.3333, 0.3333, 0.3333, 0.5), EVEN, 0),
        ((0.0999, 0.3333, 0.3333, 0.3334, 0.5), EVEN, 0),
        ((0.9001, 0.6667, 0.6667, 0.6667, 0.5), EVEN, 1),
        ((0.9, 0.6667, 0.6667, 0.6667, 0.5), EVEN, 0),
        ((0.9001, 0.6667, 0.6667, 0.6666, 0.5), EVEN, 0),
        ((0.05, 0.95, 0.95, 0.95, 0.95), EVEN, 0),  # at the other edge
        ((0.5, 0.05, 0.05, 0.05, 0.05), EVEN, 0),
        ((-0.3, -0.1, -0.2, 0.1, 0.6), EVEN, -1),  # beyond it is at it
        ((0, 0, 0, 0, 0), levels(2), 0),
        ((1, 1, 1, 1, 1), levels(2), 0),
        ((0, 0, 0, 0, 0), levels(3), -1),
        ((0, 0, 0, 0, 0.5), levels(3), 0),
        ((1, 1, 1, 1, 1), levels(3), 1),
        ((1, 1, 1, 1, 0.5), levels(3), 0),
        ((0, 0, 0, 0, 1), levels(4), -1),  # a fourth of them at it and near it: 2.5 %
        ((0, 0.25, 0.25, 0.25, 0.25), levels(5), -1),  # two fifths near it: 1.0 %
        ((0, 0.25, 0.25, 0.25, 1), levels(5), 0),  # 7.2 %
        ((0, 0, 0, 0, 0), [0.0] * 30, 0),  # all were tried there
        ((0, 0, 0, 0, 0), [0.0, *EVEN], -1),
    ],
)
def test_the_best_lean_to_an_edge_where_chance_explains_it_badly(best, tried, side):
    assert leaning(best, tried) == side


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_fewer_than_five_leaders_lean_to_nothing(count):
    assert leaning([0.01] * count, EVEN) == 0
    assert leaning([0.01] * LEADERS, EVEN) == -1


@pytest.mark.parametrize(
    ("best", "tried"),
    [
        (DOWNWARD, EVEN),
        ((0.05, 0.2, 0.2, 0.2, 0.9), EVEN),
        ((0.95, 0.8, 0.5, 0.5, 0.1), EVEN),
        ((0.95, 0.1, 0.5, 0.5, 0.1), EVEN),  # no other
        ((0, 0, 0, 0, 0.5), levels(3)),
        ((1, 1, 1, 1, 1), levels(2)),
        ((0.02, 0.3, 0.2, 0.1, 0.7), [*EVEN, 0.01, 0.02, 0.3, 0.95]),  # another share at each edge
        ((0.98, 0.8, 0.9, 0.7, 0.3), [*EVEN, 0.01, 0.02, 0.3, 0.95]),
    ],
)
@pytest.mark.parametrize(("factor", "leans"), [(1 - 1e-9, False), (1 + 1e-9, True)])
def test_what_chance_explains_is_scipy_s_binomial(best, tried, factor, leans, monkeypatch):
    monkeypatch.setattr(space, "ALARM", factor * explained(best, tried))
    assert (leaning(best, tried) != 0) is leans


@pytest.mark.parametrize(("alarm", "side"), [(0.0624, 0), (0.0625, -1), (0.0626, -1)])
def test_a_chance_as_large_as_what_is_allowed_is_small_enough(alarm, side, monkeypatch):
    monkeypatch.setattr(space, "ALARM", alarm)
    assert leaning([0.0] * LEADERS, levels(2)) == side  # 1/2 * 1/2 ** 4, at either edge


@given(st.lists(places, min_size=LEADERS, max_size=LEADERS), st.lists(places, min_size=1, max_size=40))
def test_any_five_lean_as_scipy_s_binomial_has_it(best, others):
    tried = [*best, *others]
    chance = explained(best, tried)
    if abs(chance - ALARM) > 1e-9:
        assert leaning(best, tried) == edge(best[0]) * (chance <= ALARM)


NEAREST = [place for place in EVEN if place < NEAR]  # ten of thirty, three of them at the edge
UPPERMOST = [1 - place for place in NEAREST]


@pytest.mark.parametrize(
    ("best", "finished", "side"),
    [
        (DOWNWARD, NEAREST, -1),  # nothing but what is near the edge finishes
        (UPWARD, UPPERMOST, 1),
        (DOWNWARD, [*NEAREST, *[0.5] * 10], -1),  # the better half is near it
        (DOWNWARD, [*NEAREST, *[0.5] * 11], -1),  # ten of 21
        (DOWNWARD, [*NEAREST[:9], 0.5, *[0.2] * 10], 0),  # one of them is not
        (DOWNWARD, [*NEAREST[:5], *[0.5] * 5], -1),
        (DOWNWARD, [*NEAREST[:4], 0.5, *[0.2] * 5], 0),
        (DOWNWARD, NEAREST[:5], -1),  # five, at least
        (DOWNWARD, [*NEAREST[:4], 0.5], 0),  # the fifth of five is not near it
        (DOWNWARD, UPPERMOST, 0),  # at the other edge
        (INSIDE, NEAREST, 0),  # the very best is not at the edge
        (DOWNWARD[:4], NEAREST, 0),  # too few to tell
    ],
)
def test_what_exploded_counts_where_the_better_half_of_what_finished_is_near_the_edge(best, finished, side):
    assert leaning(best, finished, EVEN * 2) == side


@pytest.mark.parametrize("finished", [NEAREST, NEAREST[:5]])
def test_where_nothing_exploded_all_that_was_tried_near_an_edge_leans_nowhere(finished):
    assert leaning(DOWNWARD, finished) == leaning(DOWNWARD, finished, ()) == leaning(DOWNWARD, finished, finished) == 0


# Parts of a range


@pytest.mark.parametrize(
    ("parameter", "first", "last", "low", "high"),
    [
        (RATE, 0.2, 0.6, 1e-5, 1e-3),
        (RATE, -0.2, 1.2, 1e-7, 1.0),
        (DROPOUT, 0.25, 0.5, 0.2, 0.4),
        (DROPOUT, -0.2, 1.2, 0.0, 0.96),  # no share below 0
        (DROPOUT, -0.2, 1.5, 0.0, 1.0),  # nor above 1
        (OFFSET, -0.2, 1.2, -12.0, 2.0),
        (Parameter("a", "uniform", 1.0, 3.0), -1.0, 1.5, 0.0, 4.0),
        (HIDDEN, 0.5, 0.75, 272, 392),
        (HIDDEN, 0.5 + 1e-3, 0.75 + 1e-3, 272, 393),  # outward to whole numbers
        (HIDDEN, -0.2, 1.2, 1, 608),
        (HIDDEN, -0.05, 1.0 + 1e-3, 8, 513),
        (LAYERS, -0.5, 1.5, 0, 15),
        (SHIFT, -0.5, 1.5, -6, 6),
        (WIDTH, 1 / 7 + 1e-3, 2 / 7 + 1e-3, 16, 33),
        (WIDTH, -1, 8 / 7 - 1e-4, 1, 2048),  # not below 1
    ],
)
def test_a_part_between_two_places(parameter, first, last, low, high):
    found = parameter.between(first, last)
    assert (found.name, found.kind) == (parameter.name, parameter.kind)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize(
    ("parameter", "count", "expected"),
    [
        (RATE, 6, [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]),
        (RATE, 1, [math.sqrt(1e-7)]),
        (RATE, 2, [1e-6, 1e-1]),
        (DROPOUT, 3, [0.0, 0.4, 0.8]),
        (HIDDEN, 3, [32, 272, 512]),
        (WIDTH, 8, [8, 16, 32, 64, 128, 256, 512, 1024]),
        (Parameter("depth", "int", 1, 3), 9, [1, 2, 3]),
        (ACTIVATION, 1, ["relu", "tanh", "elu"]),
        (ACTIVATION, 9, ["relu", "tanh", "elu"]),
    ],
)
def test_levels_are_even_and_the_ends_among_them(parameter, count, expected):
    found = parameter.levels(count)
    assert found == [v if isinstance(v, str) else pytest.approx(v) for v in expected]
    assert all(isinstance(v, int) for v in found) == parameter.is_whole


@pytest.mark.parametrize("parameter", RANGES)
def test_optuna_s_distribution_holds_both_ends_and_no_more(parameter):
    made = parameter.distribution()
    assert (made.low, made.high, made.log) == (parameter.low, parameter.high, parameter.is_log)
    assert made._contains(made.to_internal_repr(made.low))
    assert made._contains(made.to_internal_repr(made.high))
    assert not made._contains(made.to_internal_repr(2 * made.high))


def test_optuna_s_distribution_holds_every_choice():
    made = Parameter("a", "choice", choices=(None, "relu", 3, 0.5, True)).distribution()
    assert made.choices == (None, "relu", 3, 0.5, True)


def test_what_a_part_holds_can_be_drawn():
    made = HIDDEN.between(0.1001, 0.7).distribution()
    assert typed([made.low, made.high]) == typed([80, 368])


# The finer range


@pytest.mark.parametrize("parameter", [RATE, DROPOUT])
def test_an_important_parameter_s_range_is_narrowed(parameter):
    found = about(parameter, 0.5, 0.45, 0.6)
    assert ends(found, parameter) == (pytest.approx(0.35), pytest.approx(0.7))  # a tenth on both sides


@pytest.mark.parametrize("parameter", [RATE, DROPOUT])
def test_an_unimportant_parameter_keeps_most_of_its_range(parameter):
    assert ends(about(parameter, 0.5, 0.05, 0.9), parameter) == (pytest.approx(0), pytest.approx(1))
    assert ends(about(parameter, 0.6, 0.25, 0.85), parameter) == (pytest.approx(0.15), pytest.approx(0.95))


@pytest.mark.parametrize("parameter", [RATE, DROPOUT])
@pytest.mark.parametrize("where", [[0.5], [0.5, 0.5, 0.5], [0.48, 0.52]])
def test_some_of_the_range_is_kept_however_close_the_best_are(parameter, where):
    assert ends(about(parameter, *where), parameter) == (pytest.approx(0.35), pytest.approx(0.65))


@pytest.mark.parametrize(
    ("where", "first", "last"),
    [
        (DOWNWARD, -0.2, 0.4),  # from 0 to 0.4 with the margins, and half as much beyond the edge
        (UPWARD, 0.6, 1.2),
        ((0.08, 0.2, 0.1, 0.3, 0.5), -0.3, 0.6),  # four of five will do
        ((0.08, 0.2, 0.1, 0.5, 0.5), 0.0, 0.6),  # three will not
        ((0.1, 0.2, 0.1, 0.3, 0.25), 0.0, 0.4),  # not at the edge
        ((0.9, 0.8, 0.9, 0.7, 0.75), 0.6, 1.0),
        ((0.2, 0.08, 0.05, 0.01, 0.02), 0.0, 0.3),  # the very best is not
        ((0.02,), 0.0, 0.17),  # too few to tell
        ((0.02, 0.03, 0.01, 0.05), 0.0, 0.18),
        ((*DOWNWARD, 0.7, 0.6), -0.4, 0.8),  # the sixth and the seventh have no say in whether
        ((0.08, 0.2, 0.1, 0.5, 0.5, 0.01, 0.02, 0.03), 0.0, 0.6),
    ],
)
@pytest.mark.parametrize("parameter", [RATE, OFFSET])
def test_it_goes_on_beyond_an_edge_that_the_best_lean_to(parameter, where, first, last):
    assert ends(about(parameter, *where), parameter) == (pytest.approx(first, abs=1e-9), pytest.approx(last))


@pytest.mark.parametrize(
    ("where", "first", "last"),
    [
        ((0.08, 0.2, 0.1, 0.3, 0.97), -0.5, 1.0),
        ((0.92, 0.8, 0.9, 0.7, 0.03), 0.0, 1.5),
        ((0.03, 0.95), 0.0, 1.0),
        ((0.08, 0.2, 0.97), 0.0, 1.0),
        ((0.95, 0.97), 0.81, 1.0),
    ],
)
def test_where_they_do_not_lean_to_it_ends_with_the_range(where, first, last):
    assert ends(about(RATE, *where), RATE) == (pytest.approx(first, abs=1e-9), pytest.approx(last))


@pytest.mark.parametrize(
    ("tried", "first"),
    [
        (EVEN, -0.3),
        ([*EVEN, *[0.5] * 30], -0.3),
        ([*EVEN, *[0.2] * 30, *[0.05] * 3], 0.0),  # a tenth of them at the edge, as of EVEN, but two thirds near it
        ([*EVEN, *[0.05] * 30], 0.0),
        (levels(3), 0.0),
    ],
)
def test_whether_it_goes_on_depends_on_where_all_trials_lie(tried, first):
    assert ends(about(RATE, 0.08, 0.2, 0.1, 0.3, 0.5, tried=tried), RATE)[0] == pytest.approx(first, abs=1e-9)


@pytest.mark.parametrize(
    ("parameter", "where", "low", "high"),
    [
        (DROPOUT, (0.02, 0.2), 0.0, 0.24),
        (DROPOUT, (0.98, 0.8), 0.56, 0.8),
        (DROPOUT, DOWNWARD, 0.0, 0.32),
        (DROPOUT, UPWARD, 0.48, 0.96),
        (Parameter("share", "uniform", 0.1, 0.9), UPWARD, 0.58, 1.0),  # to the natural end
        (Parameter("share", "uniform", 0.1, 0.9), DOWNWARD, 0.0, 0.42),
        (HIDDEN, (0.02, 0.19), 32, 172),
        (HIDDEN, (1.0, 0.8), 368, 512),
        (HIDDEN, DOWNWARD, 1, 224),
        (HIDDEN, UPWARD, 320, 608),
        (LAYERS, DOWNWARD, 0, 4),
        (LAYERS, UPWARD, 6, 12),
        (SHIFT, DOWNWARD, -5, 0),
    ],
)
def test_shares_and_counts_go_no_further_than_their_natural_ends(parameter, where, low, high):
    found = about(parameter, *where)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_whole_numbers_stay_whole_and_above_0():
    found = about(WIDTH, 0.0, 0.3, 0.1, 0.2, 0.05)
    assert (found.low, found.high) == (3, 56)  # 8 * 128 ** -0.2 = 3.03, 8 * 128 ** 0.4 = 55.7
    assert about(Parameter("width", "log-int", 2, 1024), 0.0, 0.3, 0.1, 0.2, 0.05).low == 1  # and not 0
    assert about(WIDTH, *UPWARD).high == 2703  # 8 * 128 ** 1.2 = 2702.2
    narrow = Parameter("depth", "int", 1, 4)
    assert ends(about(narrow, 1 / 3), narrow) == (0, 2 / 3)


@given(st.sampled_from(RANGES), st.lists(places, min_size=1, max_size=7), st.lists(places, min_size=1, max_size=9))
def test_the_finer_range_holds_the_best(parameter, where, others):
    found = about(parameter, *where, tried=[*where, *others])
    assert found.low < found.high
    for place in where:
        assert -1e-9 <= found.place(parameter.at(place)) <= 1 + 1e-9
    assert found.place(parameter.at(where[0])) == pytest.approx(0.5, abs=0.5)


@given(
    st.sampled_from([*RANGES, OFFSET]),
    st.lists(places, min_size=1, max_size=7) | st.permutations(UPWARD) | st.permutations(DOWNWARD),
)
def test_it_lies_within_the_whole_one_but_for_the_edge_that_the_best_lean_to(parameter, where):
    found = about(parameter, *where)
    side = leaning([parameter.place(parameter.at(place)) for place in where[:LEADERS]], EVEN)
    least, most = parameter.limits
    assert parameter.place(found.low) >= -1e-9 or side < 0
    assert parameter.place(found.high) <= 1 + 1e-9 or side > 0
    assert side >= 0 or found.low < parameter.low or parameter.low == least
    assert side <= 0 or found.high > parameter.high
    assert least <= found.low < found.high <= most


def test_of_a_choice_the_best_ones_are_kept_in_their_order():
    best = [{"activation": "elu"}, {"activation": "relu"}, {"activation": "elu"}]
    tried = [{"activation": choice} for choice in ("relu", "tanh", "elu")]
    assert finer((ACTIVATION,), best, tried) == (Parameter("activation", "choice", choices=("relu", "elu")),)
    assert finer((ACTIVATION,), best[:1], tried) == (Parameter("activation", "choice", choices=("elu",)),)


def test_each_parameter_has_its_own_finer_range():
    best = [{"learning_rate": 1e-3, "activation": "tanh", "hidden": h} for h in (100, 300, 500)]
    rate, activation, hidden = finer((RATE, ACTIVATION, HIDDEN), best, best)
    assert (rate.low, rate.high) == (pytest.approx(10**-3.75), pytest.approx(10**-2.25))
    assert activation.choices == ("tanh",)
    assert (hidden.low, hidden.high) == (52, 512)


@pytest.mark.parametrize(
    ("parameter", "low", "high"),
    [
        (Parameter("hidden", "int", 6, 200), 1, 84),
        (Parameter("hidden", "log-int", 6, 200), 2, 25),
        (RATE, 1e-7, 1e-4),
        (OFFSET, -12.0, -6.0),
    ],
)
def test_it_goes_on_beyond_the_edge_that_alone_does_not_explode(parameter, low, high):
    best, finished, tried = (
        [{parameter.name: parameter.at(place)} for place in some] for some in (DOWNWARD, NEAREST, EVEN)
    )
    (found,) = finer((parameter,), best, finished, tried)
    (without,) = finer((parameter,), best, finished)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert (without.low, without.high) == (pytest.approx(parameter.low), found.high)


def test_each_parameter_goes_on_beyond_an_edge_of_its_own():
    decay = Parameter("decay", "log", 1e-4, 1.0)

    def configurations(rates, decays):
        pairs = zip(rates, decays, strict=True)
        return [{"learning_rate": RATE.at(rate), "decay": decay.at(other)} for rate, other in pairs]

    rate, other = finer((RATE, decay), configurations(UPWARD, DOWNWARD), configurations(EVEN, EVEN))
    assert (rate.low, rate.high) == (pytest.approx(1e-3), pytest.approx(1.0))
    assert (other.low, other.high) == (pytest.approx(10**-4.8), pytest.approx(10**-2.4))


# What is shown


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("uniform:0.9981:0.9999", ["0.9981", "0.999", "0.9999"]),
        ("uniform:1998:1999", ["1998", "1998.5", "1999"]),
        ("log:0.99:0.999", ["0.99", "0.99449", "0.999"]),
        ("uniform:0:0.8", ["0", "0.4", "0.8"]),
        ("uniform:2:3", ["2", "2.5", "3"]),
        ("log:1e-6:1e-1", ["1e-06", "0.000316", "0.1"]),
        ("uniform:-1000.5:-1000", ["-1000.5", "-1000.25", "-1000"]),
    ],
)
def test_values_are_shown_with_as_many_digits_as_tell_them_apart(spec, shown):
    parameter = read(f"a={spec}")
    assert [parameter.shown(parameter.at(place)) for place in (0, 0.5, 1)] == shown
    assert read(f"a={parameter.spec}") == parameter


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_a_range_is_written_as_one_of_about_its_width(low, width):
    made = Parameter("a", "uniform", low, low + width)
    read_again = read(f"a={made.spec}")
    assert abs(read_again.low - made.low) <= 0.06 * width
    assert abs(read_again.high - made.high) <= 0.06 * width


def test_a_blank_ahead_of_a_list_is_no_part_of_it():
    assert read('a=choice: ["relu", "tanh"]').choices == ("relu", "tanh")


@pytest.mark.parametrize("choices", [("30,60", "50,80"), ("true", True), ("1", 1), (" a", "b"), ("", "a"), ("[a", "b")])
def test_choices_that_words_do_not_tell_are_written_as_a_json_list(choices):
    written = Parameter("a", "choice", choices=choices).spec
    assert written.startswith("choice:[")
    assert typed(read(f"a={written}").choices) == typed(choices)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('choice:["a", "b"', "'[\"a\", \"b\"' is no JSON list: Expecting ',' delimiter"),
        ('choice:[["a"], "b"]', 'a choice is between numbers, words, true, false and null, not [["a"], "b"]'),
        ("choice:nan,1", "nan is no finite number"),
        ('choice:["a"]', "a choice needs two values at least, as choice:relu,tanh has, not 'choice:[\"a\"]'"),
    ],
)
def test_json_lists_that_are_none(text, message):
    with pytest.raises(UsageError) as raised:
        read(f"a={text}")
    assert str(raised.value) == f"--param a: {message}"
