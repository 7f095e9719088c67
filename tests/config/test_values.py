import pytest

from babysit.config.values import Wrong, given, one_of, read, wanted


@pytest.mark.parametrize(
    ("hint", "limits", "text"),
    [
        (float, {}, "a number"),
        (float, {"above": 0.0}, "a number greater than 0"),
        (float, {"above": 0.0, "most": 1.0}, "a number greater than 0 and at most 1"),
        (float, {"least": 1e-6, "most": 0.25}, "a number of at least 1e-06 and at most 0.25"),
        (int, {"least": 2, "above": None, "most": None}, "a whole number of at least 2"),
        (int, {"most": 2**32 - 1}, "a whole number of at most 4294967295"),
        (bool, {}, "true or false"),
        (str | None, {}, "text, or null"),
        (float | None, {"above": 0}, "a number greater than 0, or null"),
        (tuple[float, ...], {"above": 0}, "a list of numbers, each greater than 0"),
        (tuple[int, ...], {"least": 1, "most": 3}, "a list of whole numbers, each at least 1 and at most 3"),
    ],
)
def test_wanted(hint, limits, text):
    assert wanted(hint, limits) == text


@pytest.mark.parametrize(
    ("hint", "limits", "inside", "outside"),
    [
        (float, {"above": 0.0}, "1e-300", "0"),
        (float, {"least": 0.0}, "0", "-1e-300"),
        (float, {"most": 1.0}, "1", "1.0000001"),
        (int, {"least": 2}, "2", "1"),
        (tuple[float, ...], {"most": 1.0}, "0.5,1", "0.5,1.1"),
    ],
)
def test_limits_hold_at_their_edge(hint, limits, inside, outside):
    read(given(inside, hint), "x", hint, limits)
    with pytest.raises(Wrong, match=r"^x must be "):
        read(given(outside, hint), "x", hint, limits)


def test_the_nearest_name_is_suggested():
    assert one_of(["seed", "format"], "seed", "unknown key") == "seed"
    with pytest.raises(Wrong, match=r"^unknown key 'SEED'; did you mean 'seed'\?$"):
        one_of(["seed", "format"], "SEED", "unknown key")
