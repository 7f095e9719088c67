import ast
import math
import re
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from babysit.check import setting
from babysit.checks import check_of, find_checks
from babysit.commands import new
from babysit.config.file import Config, load
from babysit.driving.target import locate
from babysit.errors import UsageError
from babysit.report import Severity
from babysit.seeds import capture, restore, seed_everything


@dataclass(frozen=True)
class Settings:
    examples: int = setting(20, "how many to memorize (the lecture's number)", least=2)
    tiny: float = setting(
        1e-6, "a loss that counts as none, and why: " + ", ".join(["a long explanation"] * 5), above=0.0
    )
    plots: bool = setting(True, "whether to plot")
    metric: str = setting("no", "what to report")
    rates: tuple[float, ...] = setting((0.1, 1e-5), "rates to try")
    limit: float | None = setting(None, "where to stop", most=9.0)
    patience: float = setting(math.inf, "seconds")


def check(name):
    module = types.ModuleType(f"checks.{name}", "Can it memorize?\n\nMore.")
    vars(module).update(ORDER=1, BLOCKED_BY=(), Settings=Settings, Measurement=object, measure=None, exhibits=None)
    return check_of(module)


CHECKS = {"overfit": check("overfit"), "lr-scan": check("lr_scan")}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(new, "find_checks", lambda: CHECKS)
    return tmp_path


def loaded(text, checks=CHECKS):
    Path("babysit.yaml").write_text(text)
    return load(Path("babysit.yaml"), checks, ("text", "json", "junit"))


def uncommented(text):
    return re.sub(r"^( *)#(?=\w)", r"\1", text, flags=re.M)


def test_a_section_explains_each_setting():
    assert (
        new.configuration({"overfit": check("overfit")})
        == new.OPTIONS
        + """
# babysit overfit: Can it memorize?
overfit:
  # How many to memorize (the lecture's number). A whole number of at least 2.
  #examples: 20
  # A loss that counts as none, and why: a long explanation, a long explanation, a long explanation,
  # a long explanation, a long explanation. A number greater than 0.
  #tiny: 1e-06
  # Whether to plot. True or false.
  #plots: true
  # What to report. Text.
  #metric: "no"
  # Rates to try. A list of numbers.
  #rates: [0.1, 1e-05]
  # Where to stop. A number of at most 9, or null.
  #limit: null
  # Seconds. A number.
  #patience: inf
"""
    )


def test_as_written_it_holds_the_defaults():
    defaults = {"overfit": Settings(), "lr-scan": Settings()}
    assert loaded(new.configuration(CHECKS)) == Config(target="babysit_target.py:trainer", settings=defaults)


def test_with_every_line_uncommented_it_holds_the_defaults_still():
    text = uncommented(new.configuration(CHECKS))
    assert loaded(text) == Config(
        target="babysit_target.py:trainer",
        output=Path("babysit.txt"),
        report={"json": Path("babysit.json"), "junit": Path("babysit.xml")},
        fail_on=Severity.ERROR,
        settings={"overfit": Settings(), "lr-scan": Settings()},
    )
    keys = re.findall(r"^([a-z-]+):", text, re.M)
    fields = [name.replace("_", "-") for name in Config.__dataclass_fields__ if name != "settings"]
    assert sorted(keys) == sorted([*fields, *CHECKS])


def test_with_the_real_checks_too():
    checks = find_checks()
    text = new.configuration(checks)
    defaults = {name: check.settings() for name, check in checks.items()}
    assert loaded(text, checks).settings == loaded(uncommented(text), checks).settings == defaults


def test_lines_are_short():
    assert max(map(len, new.configuration(CHECKS).splitlines())) <= new.WIDTH
    assert max(map(len, new.TARGET.splitlines())) <= 120


def test_create_writes_both_files():
    assert new.create(Path("a/b")) == [Path("a/b/babysit.yaml"), Path("a/b/babysit_target.py")]
    assert Path("a/b/babysit.yaml").read_text() == new.configuration(CHECKS)
    assert ast.get_docstring(ast.parse(Path("a/b/babysit_target.py").read_text())).startswith("What babysit drives")


@pytest.mark.parametrize("name", ["babysit.yaml", "babysit_target.py"])
def test_create_overwrites_nothing(folder, name):
    Path(name).write_text("mine")
    with pytest.raises(UsageError, match=rf"^{re.escape(name)} exists already; babysit new overwrites nothing$"):
        new.create(Path())
    assert [path.name for path in folder.iterdir()] == [name]
    assert Path(name).read_text() == "mine"


def test_create_where_nothing_can_be_written():
    Path("file").touch()
    with pytest.raises(UsageError, match=r"^file/sub can't be written: Not a directory$"):
        new.create(Path("file/sub"))
    with pytest.raises(UsageError, match=r"^file can't be written: File exists$"):
        new.create(Path("file"))


@pytest.fixture
def made(monkeypatch):
    """What the target to fill in hands to the adapter: the network, the data and the rest."""
    adapter = types.SimpleNamespace(NumpyTrainer=lambda model, train, val, **options: (model, train, val, options))
    monkeypatch.setitem(sys.modules, "babysit.adapters.numpy", adapter)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    states = capture()
    new.create(Path())
    seed_everything(0)
    yield locate("babysit_target.py:trainer")()
    restore(states)
    sys.modules.pop("babysit_target", None)


def test_the_targets_gradient_is_right(made):
    net, (X, y), _, _ = made
    net.params["b1"] += 0.1
    net.reg = 0.3
    grads = net.loss(X, y)[1]
    for name, parameter in net.params.items():
        place, before = (0,) * parameter.ndim, parameter.flat[0]
        parameter[place] = before + 1e-6
        above = net.loss(X, y)[0]
        parameter[place] = before - 1e-6
        slope = (above - net.loss(X, y)[0]) / 2e-6
        parameter[place] = before
        assert grads[name][place] == pytest.approx(slope, rel=1e-5, abs=1e-8)
        assert grads[name].shape == parameter.shape


def test_the_target_starts_at_chance_and_learns(made):
    net, (X, y), (X_val, y_val), options = made
    assert net.loss(X, y)[0] == pytest.approx(math.log(3) + net.reg * np.sum(net.params["W1"] ** 2), abs=0.02)
    for _ in range(300):
        for name, gradient in net.loss(X, y)[1].items():
            net.params[name] -= options["learning_rate"] * gradient
    assert np.mean(net.loss(X_val).argmax(axis=1) == y_val) > 0.9
