"""What is read from the sources is what importing them gives."""

import pytest

from babysit import outline
from babysit.checks import find_checks, find_rules
from babysit.outline import outlines, rule_outlines


def test_the_outlines_are_the_checks_in_their_order():
    told = [(check.name, check.summary, check.order) for check in find_checks().values()]
    assert [(found.name, found.summary, found.order) for found in outlines().values()] == told
    assert list(outlines()) == list(find_checks())
    assert [found.order for found in outlines().values()] == sorted(found.order for found in outlines().values())


@pytest.mark.parametrize("name", outlines())
def test_the_outline_of_a_check_has_its_rules_in_their_order(name):
    assert list(outlines()[name].rules) == list(find_checks()[name].rules)


def test_the_outline_of_a_rule_is_its_page():
    read = {id: (check.name, rule.id, rule.title, rule.page) for id, (check, rule) in rule_outlines().items()}
    assert read == {id: (check.name, rule.id, rule.title, rule.page) for id, (check, rule) in find_rules().items()}


MODULE = '''\
"""Is it small?

More.
"""

from babysit.check import rule

ORDER = 7


@rule
def too_large(measured, settings):
    """The number is too large."""


def helper(measured, settings):
    """No rule."""


@rule
def unexplained(measured, settings):
    return []
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose checks are to be written."""
    monkeypatch.setattr(outline, "_PACKAGE", tmp_path / "babysit")
    (tmp_path / "babysit" / "checks").mkdir(parents=True)
    for cached in (outlines, rule_outlines):
        cached.cache_clear()
    yield tmp_path / "babysit"
    for cached in (outlines, rule_outlines):
        cached.cache_clear()


def test_rules_are_those_decorated(package):
    (package / "checks" / "check_size.py").write_text(MODULE)
    (found,) = outlines().values()
    assert (found.name, found.summary, found.order) == ("check-size", "Is it small?", 7)
    assert {id: (rule.title, rule.page) for id, rule in found.rules.items()} == {
        "too-large": ("The number is too large.", {}),
        "unexplained": ("", {}),
    }


def test_rules_are_those_named_wherever_they_stand(package):
    named = "from babysit.size_rules import odd, even\nORDER = 1\nRULES = (even, too_large, odd)\n"
    (package / "checks" / "check_size.py").write_text(MODULE.replace("ORDER = 7\n", named))
    (package / "size_rules.py").write_text('def odd():\n    """Odd."""\n\n\ndef even():\n    """Even."""\n')
    (found,) = outlines().values()
    assert [(id, rule.title) for id, rule in found.rules.items()] == [
        ("even", "Even."),
        ("too-large", "The number is too large."),
        ("odd", "Odd."),
    ]


def test_the_checks_stand_in_their_order_not_in_that_of_their_names(package):
    for name, order in (("a", 3), ("b", 1), ("c", 2)):
        (package / "checks" / f"{name}.py").write_text(f'"""{name}?"""\n\nORDER = {order}\n')
    assert list(outlines()) == ["b", "c", "a"]


def test_a_rule_that_is_nowhere_is_a_fault(package):
    (package / "checks" / "check_size.py").write_text(MODULE.replace("ORDER = 7\n", "ORDER = 7\nRULES = (gone,)\n"))
    (found,) = outlines().values()
    with pytest.raises(LookupError, match=r"check_size\.py has no function gone"):
        _ = found.rules["gone"].title


def test_a_page_that_is_empty():
    assert (outline.title(""), outline.sections("")) == ("", {})
