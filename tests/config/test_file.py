import math
import types
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babysit.check import rule, setting
from babysit.checks import check_of
from babysit.config.file import Config, find, load, names, override, reasons
from babysit.driving.budget import Budget
from babysit.errors import UsageError
from babysit.report import Severity


@dataclass(frozen=True)
class OverfitSettings:
    examples: int = setting(20, "how many to memorize", least=2)
    good: float = setting(1e-2, "loss that counts as memorized", above=0.0)
    share: float = setting(0.5, "a share", least=0.0, most=1.0)
    plots: bool = setting(True, "whether to plot")
    metric: str = setting("accuracy", "what to report")
    rates: tuple[float, ...] = setting((0.1, 0.01), "rates to try", above=0.0)
    limit: float | None = setting(None, "where to stop")
    patience: float = setting(math.inf, "seconds")
    steps: int = setting(200, "steps")


@dataclass(frozen=True)
class ScanSettings:
    steps: int = setting(40, "steps", least=1)
    low: float = setting(1e-6, "lowest rate")


def check(name, settings_class, **rules):
    module = types.ModuleType(f"checks.{name}", f"The {name} check.")
    vars(module).update(ORDER=1, BLOCKED_BY=(), Settings=settings_class, Measurement=object)
    vars(module).update(measure=None, exhibits=None, **rules)
    return check_of(module)


@rule
def cannot_overfit(measured, settings):
    """It can't."""


@rule
def range_edge(measured, settings):
    """At the edge."""


CHECKS = {
    "overfit": check("overfit", OverfitSettings, cannot_overfit=cannot_overfit),
    "lr-scan": check("lr_scan", ScanSettings, range_edge=range_edge),
}
FORMATS = ("text", "json", "junit")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(text, path="babysit.yaml"):
    Path(path).write_bytes(text.encode() if isinstance(text, str) else text)
    return load(Path(path), CHECKS, FORMATS)


def error_of(text):
    with pytest.raises(UsageError) as caught:
        config(text)
    return str(caught.value)


def overfit(line):
    return config(f"overfit:\n  {line}\n").settings["overfit"]


DEFAULTS = {"overfit": OverfitSettings(), "lr-scan": ScanSettings()}


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "\ufeff", "overfit:\nlr-scan: {}\nselect:\nignore:\nreport:\n"]
)
def test_empty_file_is_the_defaults(text):
    assert config(text) == Config(settings=DEFAULTS) == load(None, CHECKS, FORMATS)


def test_every_key():
    text = """
        target: train.py:trainer
        seed: 7
        format: json
        output: out/report.json
        report: {junit: out/junit.xml, text: report.txt}
        select: [overfit, range-edge]
        ignore: {range-edge: known}
        expected: [cannot-overfit]
        fail-on: warning
        quiet: yes
        budget: 5m
        fail-fast: yes
        overfit: {examples: 10, metric: "no"}
        """
    assert config(text) == Config(
        target="train.py:trainer",
        seed=7,
        format="json",
        output=Path("out/report.json"),
        report={"junit": Path("out/junit.xml"), "text": Path("report.txt")},
        select=("overfit", "range-edge"),
        ignore={"range-edge": "known"},
        expected={"cannot-overfit": ""},
        fail_on=Severity.WARNING,
        quiet=True,
        budget=Budget(300.0, in_steps=False),
        fail_fast=True,
        settings={"overfit": OverfitSettings(examples=10, metric="no"), "lr-scan": ScanSettings()},
    )


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("examples: 5.0", "examples", 5),
        ("examples: 1e3", "examples", 1000),
        ("examples: 1_000", "examples", 1000),
        ("examples: '30'", "examples", 30),
        ("good: 1e-3", "good", 0.001),
        ("good: 10", "good", 10.0),
        ("good: .5", "good", 0.5),
        ("good: 1_000.5", "good", 1000.5),
        ("share: 1", "share", 1.0),
        ("plots: no", "plots", False),
        ("plots: On", "plots", True),
        ("metric: 'no'", "metric", "no"),
        ("metric: 010", "metric", "010"),
        ("metric: 2024-05-01", "metric", "2024-05-01"),
        ("rates: [1e-3, 1]", "rates", (0.001, 1.0)),
        ("rates: []", "rates", ()),
        ("limit: 3", "limit", 3.0),
        ("limit: null", "limit", None),
        ("limit:", "limit", None),
        ("patience: inf", "patience", math.inf),
    ],
)
def test_values_are_coerced(line, key, value):
    found = getattr(overfit(line), key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("examples: many", "overfit.examples must be a whole number of at least 2, not 'many'"),
        ("examples: 1", "overfit.examples must be a whole number of at least 2, not '1'"),
        ("examples: 2.5", "overfit.examples must be a whole number of at least 2, not '2.5'"),
        ("examples: true", "overfit.examples must be a whole number of at least 2, not 'true'"),
        ("examples: 1e999", "overfit.examples must be a whole number of at least 2, not '1e999'"),
        ("examples:", "overfit.examples must be a whole number of at least 2, not nothing"),
        ("good: 0", "overfit.good must be a number greater than 0, not '0'"),
        ("good: true", "overfit.good must be a number greater than 0, not 'true'"),
        ("good: .nan", "overfit.good must be a number greater than 0, not '.nan'"),
        ("good: nan", "overfit.good must be a number greater than 0, not 'nan'"),
        ("good: inf", "overfit.good must be a number greater than 0, not 'inf'"),
        ("good: 1:30", "overfit.good must be a number greater than 0, not '1:30'"),
        ("good: [1]", "overfit.good must be a number greater than 0, not [1]"),
        ("good: {a: 1}", "overfit.good must be a number greater than 0, not keys and values"),
        ("share: 1.01", "overfit.share must be a number of at least 0 and at most 1, not '1.01'"),
        ("plots: 2", "overfit.plots must be true or false, not '2'"),
        ("metric: no", "overfit.metric must be text; YAML reads no as true or false, so write 'no'"),
        ("metric: ~", "overfit.metric must be text, not nothing"),
        ("rates: 0.1", "overfit.rates must be a list of numbers, each greater than 0, not '0.1'"),
        ("rates: [0.1, yes]", "overfit.rates must be a list of numbers, each greater than 0, not [0.1, yes]"),
        ("rates: [0.1, -1]", "overfit.rates must be a list of numbers, each greater than 0, not [0.1, -1]"),
        ("rates: [[1]]", "overfit.rates must be a list of numbers, each greater than 0, not [...]"),
        ("rates: &a [*a]", "overfit.rates must be a list of numbers, each greater than 0, not [...]"),
        ("limit: soon", "overfit.limit must be a number, or null, not 'soon'"),
    ],
)
def test_bad_values_are_refused_in_plain_words(line, message):
    assert error_of(f"# first line\noverfit:\n  {line}\n") == f"babysit.yaml:3: {message}"


FLOATS = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
NOTATIONS = ["{!r}", "{:.17e}", "{:.17E}", "+{!r}", "'{!r}'"]


@settings(deadline=None, max_examples=50)
@given(value=FLOATS, notation=st.sampled_from(NOTATIONS))
def test_a_number_in_any_notation_is_the_same_number(tmp_path_factory, value, notation):
    path = tmp_path_factory.mktemp("notation") / "babysit.yaml"
    path.write_text(f"overfit: {{good: {notation.format(value)}}}")
    assert load(path, CHECKS, FORMATS).settings["overfit"].good == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nfail_on: error\n", "babysit.yaml:2: unknown key 'fail_on'; did you mean 'fail-on'?"),
        ("lr_scan:\n", "babysit.yaml:1: unknown key 'lr_scan'; did you mean 'lr-scan'?"),
        (
            "zzz: 1\n",
            "babysit.yaml:1: unknown key 'zzz'; known are target, seed, format, output, report, select, ignore, "
            "expected, fail-on, quiet, budget, fail-fast, overfit, lr-scan",
        ),
        ("overfit:\n  exmples: 1\n", "babysit.yaml:2: overfit has no setting 'exmples'; did you mean 'examples'?"),
        ("lr-scan:\n  q: 1\n", "babysit.yaml:2: lr-scan has no setting 'q'; known are steps, low"),
        ("seed: -1\n", "babysit.yaml:1: seed must be a whole number of at least 0 and at most 4294967295, not '-1'"),
        ("format: jsn\n", "babysit.yaml:1: unknown format 'jsn'; did you mean 'json'?"),
        (
            "seed: 1\nbudget: 1parsec\n",
            "babysit.yaml:2: budget must be a time as 60s, 5m or 2h, or training steps as 200steps, above 0; not "
            "'1parsec'",
        ),
        ("fail-on: never\n", "babysit.yaml:1: unknown severity 'never'; known are error, warning, info"),
        ("report:\n  html: x\n", "babysit.yaml:2: unknown format 'html'; known are text, json, junit"),
        ("report: json\n", "babysit.yaml:1: report must hold keys and values, not 'json'"),
        ("report:\n  json:\n", "babysit.yaml:2: report.json must be text, not nothing"),
        ("target: off\n", "babysit.yaml:1: target must be text; YAML reads off as true or false, so write 'off'"),
        ("select:\n- overfti\n", "babysit.yaml:2: unknown check or rule 'overfti'; did you mean 'overfit'?"),
        ("select: {overfit: a}\n", "babysit.yaml:1: an entry of select must be text, not keys and values"),
        ("ignore: [rnge-edge]\n", "babysit.yaml:1: unknown rule 'rnge-edge'; did you mean 'range-edge'?"),
        ("ignore: {x: y}\n", "babysit.yaml:1: unknown rule 'x'; `babysit rules` lists them"),
        (
            "expected:\n  range-edge: no\n",
            "babysit.yaml:2: expected.range-edge must be text; YAML reads no as true or false, so write 'no'",
        ),
        ("seed: 1\n\nseed: 2\n", "babysit.yaml:3: duplicate key 'seed'; the first is in line 1"),
        ("- seed\n", "babysit.yaml:1: the file must hold keys and values, not [seed]"),
        ("seed\n", "babysit.yaml:1: the file must hold keys and values, not 'seed'"),
        ("? [a]\n: 1\n", "babysit.yaml:1: a key must be a name, not [a]"),
        ("overfit: 3\n", "babysit.yaml:1: overfit must hold keys and values, not '3'"),
        ("seed: 1\nselect: [a\n", "babysit.yaml:3:1: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n\tb: 2\n", "babysit.yaml:2:1: not YAML: found character '\\t' that cannot start any token"),
        ("seed: *x\n", "babysit.yaml:1:7: not YAML: found undefined alias 'x'"),
        ("seed: 1\n---\nseed: 2\n", "babysit.yaml:2:1: not YAML: but found another document"),
        ("seed: 1\n# \x07\n", "babysit.yaml:2: control character '\\x07' in the text"),
        (b"seed: 1\n# \xe4\n", "babysit.yaml:2: byte 0xE4 is not UTF-8 text"),
    ],
)
def test_bad_files_are_refused_with_their_line(text, message):
    assert error_of(text) == message


def test_a_file_that_cannot_be_read():
    with pytest.raises(UsageError, match=r"^nowhere\.yaml can't be read: No such file or directory$"):
        load(Path("nowhere.yaml"), CHECKS, FORMATS)
    with pytest.raises(UsageError, match=r"can't be read: Is a directory$"):
        load(Path(), CHECKS, FORMATS)


def test_find_looks_upward(folder, monkeypatch):
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "babysit.yaml").touch()
    assert find(Path()) == Path("babysit.yaml")
    monkeypatch.chdir(folder / "a" / "b")
    assert find(Path()) == Path("../../babysit.yaml")
    (folder / "a" / "babysit.yaml").touch()
    assert find(Path.cwd()) == Path("../babysit.yaml")


def test_find_takes_no_folder_for_a_file(folder):
    (folder / "babysit.yaml").mkdir()
    assert find(Path()) is None


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ("train.py:trainer", "../train.py:trainer"),
        ("src/train.py:trainer", "../src/train.py:trainer"),
        ("train.py", "../train.py"),
        ("/abs/train.py:trainer", "/abs/train.py:trainer"),
        ("package.module:trainer", "package.module:trainer"),
    ],
)
def test_paths_in_the_file_are_relative_to_it(folder, monkeypatch, written, target):
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    loaded = config(f"target: {written}\noutput: o.txt\nreport: {{json: r.json}}", "../babysit.yaml")
    assert loaded.target == target
    assert loaded.output == Path("../o.txt")
    assert loaded.report == {"json": Path("../r.json")}


def set_(*assignments, only=None):
    return override(load(None, CHECKS, FORMATS), assignments, CHECKS, only).settings


def test_set_on_run():
    changed = set_("overfit.examples=30", "low=1e-5", "lr-scan.steps=5", "overfit.examples=31")
    assert changed == {"overfit": OverfitSettings(examples=31), "lr-scan": ScanSettings(steps=5, low=1e-5)}


@pytest.mark.parametrize(
    ("assignment", "changed"),
    [
        ("steps=9", OverfitSettings(steps=9)),
        ("overfit.steps = 9", OverfitSettings(steps=9)),
        ("rates=1e-3,1e-2", OverfitSettings(rates=(0.001, 0.01))),
        ("rates=[0.5]", OverfitSettings(rates=(0.5,))),
        ("metric=no", OverfitSettings(metric="no")),
        ("metric=a=b", OverfitSettings(metric="a=b")),
        ("metric=", OverfitSettings(metric="")),
        ("plots=off", OverfitSettings(plots=False)),
        ("limit=none", OverfitSettings()),
        ("overfit.limit=2", OverfitSettings(limit=2.0)),
    ],
)
def test_set_on_one_check(assignment, changed):
    assert set_(assignment, only="overfit")["overfit"] == changed


@pytest.mark.parametrize(
    ("assignment", "only", "message"),
    [
        ("examples", None, "--set takes NAME=VALUE, such as --set examples=20; 'examples' has no '='"),
        ("steps=5", None, "--set: more than one check has a setting 'steps'; write overfit.steps or lr-scan.steps"),
        ("exampels=5", None, "--set: no check has a setting 'exampels'; did you mean 'examples'?"),
        (
            "ovrfit.examples=5",
            None,
            "--set: no check has a setting 'ovrfit.examples'; did you mean 'overfit.examples'?",
        ),
        ("goods=1", "overfit", "--set: overfit has no setting 'goods'; did you mean 'good'?"),
        ("overfit.steps=1", "lr-scan", "--set: lr-scan has no setting 'overfit.steps'; known are steps, low"),
        ("examples=x", "overfit", "--set: overfit.examples must be a whole number of at least 2, not 'x'"),
        ("good=true", None, "--set: overfit.good must be a number greater than 0, not 'true'"),
        ("good=", None, "--set: overfit.good must be a number greater than 0, not ''"),
        ("rates=1,no", None, "--set: overfit.rates must be a list of numbers, each greater than 0, not [1, no]"),
    ],
)
def test_set_refuses(assignment, only, message):
    with pytest.raises(UsageError) as caught:
        set_(assignment, only=only)
    assert str(caught.value) == message


def test_names_on_the_command_line():
    assert names(["overfit,range-edge", "lr-scan"], CHECKS, "--select") == ("overfit", "range-edge", "lr-scan")
    assert names([], CHECKS, "--select") == ()
    with pytest.raises(UsageError, match=r"^--select: unknown check or rule 'lrscan'; did you mean 'lr-scan'\?$"):
        names(["overfit", "lrscan"], CHECKS, "--select")


def test_reasons_on_the_command_line():
    written = ["range-edge=we know, and = is fine", "cannot-overfit"]
    assert reasons(written, CHECKS, "--ignore") == {"range-edge": "we know, and = is fine", "cannot-overfit": ""}
    assert reasons(["range-edge,cannot-overfit"], CHECKS, "--ignore") == {"range-edge": "", "cannot-overfit": ""}
    with pytest.raises(UsageError, match=r"^--ignore: unknown rule 'overfit'; did you mean 'cannot-overfit'\?$"):
        reasons(["overfit"], CHECKS, "--ignore")
