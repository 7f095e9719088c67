import ast
import dataclasses
import inspect
import operator
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import babysit
from babysit.checks import find_checks, find_rules
from babysit.diagnosis.consequences import EXPLAINS
from babysit.outline import SECTIONS
from babysit.report import Severity
from babysit.reporting.formats import formats

PACKAGE = Path(babysit.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
TESTS = Path(__file__).parent
RULES = {
    "check-target": {
        "state-not-restored",
        "evaluate-changes-state",
        "step-changes-nothing",
        "nondeterministic-evaluation",
        "bad-output",
    },
    "check-parallel": {"ranks-diverge", "ranks-share-data", "ranks-share-noise"},
    "check-data": {
        "inputs-not-finite",
        "labels-out-of-range",
        "target-leak",
        "constant-features",
        "feature-scales-differ",
        "inputs-badly-scaled",
        "inputs-not-centered",
        "missing-classes",
        "split-statistics-differ",
        "split-overlap",
        "unshuffled-batches",
        "per-batch-preprocessing",
        "class-imbalance",
        "targets-badly-scaled",
    },
    "check-init": {
        "symmetric-weights",
        "mis-scaled-weights",
        "shrinking-activations",
        "exploding-activations",
        "vanishing-gradient",
        "exploding-gradient",
    },
    "check-activations": {
        "dead-relu",
        "killed-by-learning-rate",
        "saturated-activation",
        "same-sign-gradient",
        "constant-activation",
        "idle-maxout-piece",
        "collapsed-slope",
    },
    "check-norm": {
        "batch-leak",
        "tiny-norm-batch",
        "train-eval-gap",
        "frozen-statistics",
        "redundant-bias",
        "zero-gamma",
    },
    "check-loss": {
        "unexpected-initial-loss",
        "non-finite-loss",
        "confident-at-init",
        "normalized-scores",
        "summed-loss",
        "inputs-ignored",
        "task-mismatch",
    },
    "check-reg": {
        "regularization-without-effect",
        "regularization-lowers-loss",
        "regularization-dominates",
        "decay-not-applied",
    },
    "check-grad": {"wrong-gradient", "missing-gradient", "accumulated-gradient"},
    "overfit": {
        "cannot-overfit",
        "overfit-diverges",
        "overfit-too-slow",
        "frozen-parameters",
        "constant-predictions",
        "floor-above-zero",
        "output-range",
    },
    "lr-scan": {"no-usable-learning-rate", "learning-rate-too-low", "learning-rate-too-high", "range-edge"},
    "train": {
        "loss-diverges",
        "loss-not-falling",
        "slow-start",
        "loss-plateau",
        "noisy-loss",
        "update-ratio-out-of-range",
        "overfitting-gap",
        "underfitting",
        "loss-metric-disagree",
        "loss-flat-accuracy-rising",
    },
    "search": {"all-trials-failed", "best-at-edge", "one-seed-winner", "search-too-small"},
}
SETTINGS = [(name, field) for name, check in find_checks().items() for field in dataclasses.fields(check.settings)]


def source_id(path):
    return str(path.relative_to(PACKAGE))


def imported(module):
    """The heavy modules that a fresh interpreter has loaded once it has imported this one."""
    code = f"import {module}, sys; print([m for m in ('numpy', 'torch', 'jax', 'keras') if m in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_the_checks_stand_in_the_lectures_order_and_own_the_rules_of_the_design():
    assert list(find_checks()) == list(RULES)
    assert {name: set(check.rules) for name, check in find_checks().items()} == RULES


def test_a_rule_belongs_to_one_check():
    everything = [rule for check in find_checks().values() for rule in check.rules]
    assert len(everything) == len(set(everything)) == len(find_rules()) == sum(map(len, RULES.values()))


@pytest.mark.parametrize("name", RULES)
def test_a_checks_module_command_and_test_have_one_name(name):
    module = name.replace("-", "_")
    check = find_checks()[name]
    assert check.measure.__module__ in (f"babysit.checks.{module}", f"babysit.checks.{module}.measure")
    assert any((PACKAGE / "checks" / path).is_file() for path in (f"{module}.py", f"{module}/__init__.py"))
    assert (TESTS / "checks" / f"test_{module}.py").is_file()


@pytest.mark.parametrize("module", sorted(info.name for info in pkgutil.iter_modules([str(PACKAGE / "checks")])))
def test_every_module_of_checks_is_a_check(module):
    assert module.replace("_", "-") in RULES


@pytest.mark.parametrize("name", RULES)
def test_what_takes_a_checks_ground_away_is_found_before_it(name):
    earlier = list(RULES)[: list(RULES).index(name)]
    assert {find_rules()[rule][0].name for rule in find_checks()[name].blocked_by} <= set(earlier)


@pytest.mark.parametrize("rule", find_rules())
def test_a_rules_id_is_kebab_case(rule):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule)


@pytest.mark.parametrize("rule", find_rules())
def test_a_rules_page_has_exactly_the_sections_and_none_is_empty(rule):
    explained = find_rules()[rule][1]
    assert tuple(explained.page) == SECTIONS
    assert all(len(text) > 20 for text in explained.page.values())
    assert re.fullmatch(r"[A-Z].*\.", explained.title)
    headings = re.findall(r"^([A-Z][a-z ]+):(?: |$)", inspect.cleandoc(explained.judge.__doc__), re.M)
    assert tuple(headings) == SECTIONS


@pytest.mark.parametrize("name", RULES)
def test_a_checks_summary_is_a_question(name):
    assert re.fullmatch(r"[A-Z].*\?", find_checks()[name].summary)


@pytest.mark.parametrize(("name", "field"), SETTINGS, ids=lambda value: getattr(value, "name", value))
def test_a_setting_says_what_it_means_and_its_default_keeps_its_limits(name, field):
    assert set(field.metadata) >= {"doc", "option", "above", "least", "most"}
    assert len(field.metadata["doc"]) > 10
    assert not field.metadata["doc"].endswith(".")
    holds = {"above": operator.gt, "least": operator.ge, "most": operator.le}
    limits = {kind: field.metadata[kind] for kind in holds if field.metadata[kind] is not None}
    assert all(holds[kind](field.default, limit) for kind, limit in limits.items())


@pytest.mark.parametrize("name", RULES)
def test_settings_and_measurements_are_frozen(name):
    check = find_checks()[name]
    assert check.settings.__dataclass_params__.frozen
    assert check.measurement.__dataclass_params__.frozen


def test_what_explains_and_what_is_explained_exists():
    assert set(EXPLAINS) <= set(find_rules())
    assert {rule for consequences in EXPLAINS.values() for rule in consequences} <= set(find_rules())


@pytest.mark.parametrize("start", EXPLAINS)
def test_no_fault_explains_itself_by_way_of_others(start):
    paths = [(start,)]
    while paths:
        path = paths.pop()
        following = EXPLAINS.get(path[-1], ())
        assert start not in following, f"{' -> '.join(path)} -> {start}"
        paths += [(*path, rule) for rule in following if rule not in path]


def test_the_public_names_are_there_and_sorted():
    assert babysit.__all__ == sorted(babysit.__all__)
    assert all(getattr(babysit, name).__module__.startswith("babysit.") or name == "Task" for name in babysit.__all__)


def test_a_public_name_is_imported_when_it_is_asked_for():
    code = "import babysit, sys; before = set(sys.modules); from babysit import Classification; "
    code += "print('babysit.tasks.task' in before, 'numpy' in before, Classification(3) == babysit.Classification(3))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False False True\n"
    assert set(babysit.__all__) <= set(dir(babysit))
    with pytest.raises(AttributeError, match="module 'babysit' has no attribute 'Nothing'"):
        _ = babysit.Nothing


def test_the_formats():
    assert list(formats()) == ["json", "junit", "text"]
    assert [str(severity) for severity in Severity] == ["error", "warning", "info"]


@pytest.mark.parametrize(
    "module", ["babysit", "babysit.cli", "babysit.__main__", *(f"babysit.checks.{n.replace('-', '_')}" for n in RULES)]
)
def test_importing_it_imports_no_numpy(module):
    assert imported(module) == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=source_id)
def test_every_module_has_a_docstring(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def code_lines(path):
    """Lines that are neither blank nor comment nor documentation: docstrings, and what a setting says of itself."""
    text = path.read_text()
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    told = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            told |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setting":
            told |= set(range(node.lineno + 1, node.end_lineno + 1))
    lines = enumerate(text.splitlines(), 1)
    return {
        number for number, line in lines if number not in told and line.strip() and not line.strip().startswith("#")
    }


@pytest.mark.parametrize("path", SOURCES, ids=source_id)
def test_a_module_fits_in_a_head(path):
    assert len(code_lines(path)) <= 250


@pytest.mark.parametrize("path", SOURCES, ids=source_id)
def test_a_function_fits_on_a_screen(path):
    code = code_lines(path)
    functions = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))
    long = {f.name: n for f in functions if (n := len(code & set(range(f.lineno, f.end_lineno + 1)))) > 45}
    assert long == {}
