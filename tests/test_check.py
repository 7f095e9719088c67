import types
from dataclasses import dataclass, fields

import pytest

from babysit.check import Rule, rule, setting
from babysit.checks import check_of, find_checks, find_rules
from babysit.outline import SECTIONS
from babysit.report import Finding, Severity


@rule
def too_large(measured, settings):
    """The number is too large.

    What it finds: a number above
    the limit.

    Why it matters: it would not fit.

    And it is ugly.

    What to try: a smaller one.

    When it is wrong: never. Note that a limit: like this one is no heading.

    References: none.
    """
    for number in measured:
        if number > settings:
            yield too_large.error(f"{number} is above {settings}.", suggestion="Shrink it.", number=number)


@rule
def odd(measured, settings):
    """The number is odd."""
    return (odd.info(f"{number} is odd.", where="here", suggestion="") for number in measured if number % 2)


def module(**more):
    made = types.ModuleType("babysit.checks.check_numbers", "Is it small?\n\n    Details follow.\n    ")
    vars(made).update(ORDER=7, BLOCKED_BY=("odd",), Settings=int, Measurement=list, measure=min, exhibits=max, **more)
    return made


def test_a_rules_id_is_its_functions_name():
    assert too_large.id == "too-large"
    assert isinstance(too_large, Rule)


def test_a_rule_finds_by_yielding_or_returning():
    assert too_large([1, 5, 9], 4) == [
        Finding("too-large", Severity.ERROR, "5 is above 4.", "", {"number": 5}, "Shrink it."),
        Finding("too-large", Severity.ERROR, "9 is above 4.", "", {"number": 9}, "Shrink it."),
    ]
    assert odd([1], 0) == [Finding("odd", Severity.INFO, "1 is odd.", "here", {}, "")]
    assert too_large([], 4) == odd([2], 0) == []


@pytest.mark.parametrize("severity", Severity)
def test_a_finding_of_each_severity(severity):
    made = getattr(too_large, severity)("seen", where="W1", suggestion="do", a=1, b=[2.0])
    assert made == Finding("too-large", severity, "seen", "W1", {"a": 1, "b": [2.0]}, "do")


def test_a_rules_page():
    assert too_large.title == "The number is too large."
    assert too_large.page == dict(
        zip(
            SECTIONS,
            (
                "A number above the limit.",
                "It would not fit.\n\nAnd it is ugly.",
                "A smaller one.",
                "Never. Note that a limit: like this one is no heading.",
                "None.",
            ),
            strict=True,
        )
    )
    assert odd.page == {}


def test_a_check_is_made_of_its_module():
    check = check_of(module(first=too_large, second=odd, other=3))
    assert (check.name, check.order, check.blocked_by) == ("check-numbers", 7, ("odd",))
    assert (check.summary, check.page) == ("Is it small?", "Is it small?\n\nDetails follow.")
    assert (check.settings, check.measurement, check.measure, check.exhibits) == (int, list, min, max)
    assert list(check.rules) == ["too-large", "odd"]
    assert [found.message for found in check.judge([5, 6], 4)] == ["5 is above 4.", "6 is above 4.", "5 is odd."]


@pytest.mark.parametrize("missing", ["ORDER", "BLOCKED_BY", "Settings", "Measurement", "measure", "exhibits"])
def test_a_module_that_lacks_a_part_is_no_check(missing):
    broken = module()
    delattr(broken, missing)
    with pytest.raises(AttributeError, match=missing):
        check_of(broken)


def test_a_setting_carries_its_page_and_limits():
    @dataclass(frozen=True)
    class Settings:
        steps: int = setting(20, "updates", least=1, most=9, option=True)
        share: float = setting(0.5, "a share", above=0.0)

    first, second = (field.metadata for field in fields(Settings))
    assert Settings() == Settings(steps=20, share=0.5)
    assert [first[key] for key in ("doc", "least", "most", "above", "option")] == ["updates", 1, 9, None, True]
    assert [second[key] for key in ("doc", "least", "most", "above", "option")] == ["a share", None, None, 0.0, False]


def test_checks_are_found_once_in_the_order_of_the_lecture():
    assert find_checks() is find_checks()
    orders = [check.order for check in find_checks().values()]
    assert orders == sorted(orders)
    assert len(orders) == len(set(orders))


def test_rules_are_found_with_their_check():
    assert list(find_rules()) == [id for check in find_checks().values() for id in check.rules]
    assert all(check.rules[id] is found for id, (check, found) in find_rules().items())
