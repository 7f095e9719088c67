"""Each kind of bad target: one clear message, its exit code, and what was already found."""

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

HEAD = """\
import dataclasses
import numpy as np
from babysit import Classification, Output
from babysit.lab.demo import assemble
from babysit.lab.trainer import LabTrainer
"""
TARGET = "program.py:trainer"
RAISES_IN_STEP = """\
    def step(self, batch):
        self.made += 1
        if self.made == {step}: raise {error}
        return super().step(batch)"""
IDLE_UNTIL_STEP_9 = """\
    def step(self, batch):
        self.made += 1
        if self.made == 9: raise {error}
        return super().evaluate(batch, training=True)"""
ONE_ELEMENT = """\
    def step(self, batch):
        output = super().step(batch)
        return dataclasses.replace(output, loss=np.full({shape}, output.loss))"""
SCORES = """\
    def evaluate(self, batch, *, training=False):
        return dataclasses.replace(super().evaluate(batch, training=training), scores={scores})"""
STOP = """\
class Stop(BaseException): ...
def now(*_): raise Stop("now")
"""
LOUD = """\
print("at import")
class Own(LabTrainer):
    def step(self, batch):
        print("step")
        return super().step(batch)
def trainer():
    print("at build")
    return assemble(trainer=Own)
"""
SLOW = """\
import time
class Own(LabTrainer):
    def step(self, batch):
        print("stepping", flush=True)
        time.sleep(60)
def trainer(): return assemble(trainer=Own)
"""
STEP_CHANGES_NOTHING = "error  step-changes-nothing  4 steps at learning rate 0.02 moved none of 4 parameters."


def line(number):
    """Where a line of a body, counted from 1, stands in the program."""
    return f"program.py:{len(HEAD.splitlines()) + number}"


def with_method(method):
    """The healthy demo, one method of its trainer replaced."""
    return f"class Own(LabTrainer):\n    made = 0\n{method}\ndef trainer(): return assemble(trainer=Own)\n"


def with_batches(body):
    return with_method(f"    def batches(self, split='train'): {body}")


def with_loss(value):
    return with_method(f"    def step(self, batch): return dataclasses.replace(super().step(batch), loss={value})")


def with_value(assignment):
    return f"def trainer():\n    made = assemble()\n    made.{assignment}\n    return made\n"


@pytest.fixture
def run(babysit, here):
    """Runs a command on a program of this body, and sees to it that no traceback is shown and no fault of its own."""

    def call(body, *args, check="run"):
        (here / "program.py").write_text(HEAD + body)
        done = babysit(check, TARGET, *args)
        assert "Traceback" not in done.err + done.out
        assert "babysit's own, please" not in done.err + done.out
        return done

    return call


NO_TRAINER = {
    "raises": ("def trainer(): raise ValueError('boom')", f"trainer() raised ValueError: boom ({line(1)} in trainer)"),
    "is no Python": ("def trainer(:", f"importing program.py raised SyntaxError: invalid syntax ({line(1)})"),
    "imports what is missing": (
        "import no_such_module",
        f"importing program.py raised ModuleNotFoundError: No module named 'no_such_module' ({line(1)})",
    ),
    "exits at import": ("import sys; sys.exit()", "importing program.py called sys.exit()"),
    "exits": ("def trainer(): raise SystemExit(4)", "trainer() called sys.exit(4)"),
    "raises no Exception": (f"{STOP}trainer = now", f"trainer() raised Stop: now ({line(2)} in now)"),
    "is not callable": (
        "trainer = 3",
        "trainer in program.py is no function but of type int; name one that returns the trainer",
    ),
    "needs arguments": (
        "def trainer(depth): ...",
        "trainer() needs arguments (depth); a factory takes none, or has defaults",
    ),
    "returns nothing": (
        "def trainer(): ...",
        "the factory returned None; it must return a trainer (is a `return` missing?)",
    ),
    "returns something else": (
        "def trainer(): return 5",
        "the factory returned a int, which is no trainer: it lacks `task`, `learning_rate`, `regularization_scale`, "
        "`batches`, `evaluate`, `step`, `save`, `load`",
    ),
    "lacks a method": (
        "class Own: task = learning_rate = regularization_scale = batches = evaluate = save = load = 1\ntrainer = Own",
        "the factory returned a Own, which is no trainer: it lacks `step`",
    ),
    "has no learning rate": (
        with_value("learning_rate = None"),
        "learning_rate must be a number, not None (NoneType)",
    ),
    "cannot save": (
        with_method("    def save(self): raise OSError('no')"),
        f"save() raised OSError: no ({line(3)} in save)",
    ),
}


@pytest.mark.parametrize(("body", "message"), NO_TRAINER.values(), ids=NO_TRAINER)
def test_a_target_that_gives_no_trainer(run, body, message):
    for format in ("text", "json", "junit"):
        done = run(body, "--format", format)
        assert (done.code, done.out, done.err) == (3, "", f"babysit: {message}\n")


FAILS = {
    "yields nothing": (with_batches("return []"), "batches('train') yielded no batch, so there is nothing to train on"),
    "yields None": (with_batches("yield None"), "batches('train') must yield (inputs, targets), not NoneType"),
    "yields no pair": (
        with_batches("yield np.ones(3)"),
        "batches('train') must yield (inputs, targets), not ndarray",
    ),
    "yields more targets than inputs": (
        with_batches("yield np.ones((3, 2)), np.ones(4)"),
        "batches('train'): every array of a batch needs the same number of examples along axis 0; found 3 and 4",
    ),
    "loader raises": (
        with_batches("yield from list(super().batches())[:1]; raise OSError('gone')"),
        f"batches('train') raised OSError: gone ({line(3)} in batches)",
    ),
    "loss is text": (with_loss("'high'"), "the loss of step 1 must be a number, not 'high' (str)"),
    "loss is text of a number": (with_loss("'2.5'"), "the loss of step 1 must be a number, not '2.5' (str)"),
    "loss is None": (with_loss("None"), "the loss of step 1 must be a number, not None (NoneType)"),
    "loss is a vector": (with_loss("np.ones(3)"), "the loss of step 1 has shape (3,); it must be one number"),
    "loss is complex": (with_loss("1 + 2j"), "the loss of step 1 must be a number, not (1+2j) (complex)"),
    "no Output": (with_method("    def step(self, batch): return 2.5"), "step 1 must return babysit.Output, not float"),
    "exits": (with_method("    def step(self, batch): raise SystemExit"), "step 1 called sys.exit()"),
    "exits with a text": (
        with_method("    def step(self, batch): raise SystemExit('bye')"),
        "step 1 called sys.exit('bye')",
    ),
    "raises no Exception": (STOP + with_method("    step = now"), f"step 1 raised Stop: now ({line(2)} in now)"),
    "raises in step 7": (
        with_method(RAISES_IN_STEP.format(step=7, error="ValueError('boom')")),
        f"step 7 raised ValueError: boom ({line(5)} in step)",
    ),
}


@pytest.mark.parametrize(("body", "reason"), FAILS.values(), ids=FAILS)
def test_a_target_that_fails_while_it_is_driven(run, body, reason):
    done = run(body, "-q", check="overfit")
    assert done.out.splitlines() == [
        f"✗ CRASHED  no check was measured (overfit crashed) - {TARGET}, seed 0",
        f"crashed  overfit  {reason}",
    ]
    assert (done.code, done.err) == (3, "")


def test_a_loss_too_large_for_a_float_is_not_finite(run):
    done = run(with_loss("10**400"), "-q", check="overfit")
    assert done.code == 1
    assert "error  overfit-diverges  20 examples, learning rate 0.02: the loss goes from inf to inf" in done.out


@pytest.mark.parametrize("loss", ["np.complex128(1 + 2j)", "np.ones(1, complex)"])
def test_a_loss_that_a_conversion_would_cut(run, loss):
    done = run(with_loss(loss), "-q", check="overfit")
    assert done.code == 3
    assert "crashed  overfit  the loss of step 1 must be a number, not " in done.out


@pytest.mark.parametrize("shape", ["(1,)", "(1, 1)"])
def test_a_loss_that_is_an_array_of_one_element_is_a_number(run, shape):
    done = run(with_method(ONE_ELEMENT.format(shape=shape)), "-q", check="overfit")
    assert (done.code, done.out) == (0, f"✓ PASSED  nothing found in 1 check - {TARGET}, seed 0\n")


@pytest.mark.parametrize("task", ["'classification'", "Classification", "None"])
def test_a_task_that_is_none(run, task):
    done = run(with_value(f"task = {task}"), "-q")
    assert done.code == 3
    assert "task" in done.err + done.out


@pytest.mark.parametrize("scores", ["[[1.0]]", "'high'", "np.ones(())", "np.ones((50, 3), complex)"])
def test_scores_that_are_no_array_of_numbers_by_example(run, here, scores):
    done = run(with_method(SCORES.format(scores=scores)), "-q", "--report", "json=report.json")
    assert done.code in (1, 3)
    assert "scores" in done.out
    assert json.loads((here / "report.json").read_text())["exit_code"] == done.code


@pytest.mark.parametrize("rate", ["-0.1", "float('nan')", "float('inf')", "0.0"])
def test_a_learning_rate_at_which_nothing_can_be_learned(run, rate):
    done = run(with_value(f"learning_rate = {rate}"), "-q")
    assert done.code in (1, 3)
    assert "learning" in done.err + done.out


def test_a_state_that_cannot_be_put_back_blocks_the_rest(run):
    done = run(with_method("    def load(self, state): raise KeyError('W1')"), "-q")
    assert done.out.splitlines() == [
        f"✗ CRASHED  no check was measured (10 blocked, check-target crashed) - {TARGET}, seed 0",
        f"crashed  check-target  load(state) raised KeyError: 'W1' ({line(3)} in load)",
    ]
    assert (done.code, done.err) == (3, "")


def test_a_target_that_prints(run):
    done = run(LOUD, "--format", "json", check="check-target")
    assert json.loads(done.out)["verdict"] == "passed"
    assert done.err.splitlines() == ["at import", "at build", *["step"] * 8]
    assert done.code == 0


UNUSUAL = {
    "endless": "\n        while True: yield from super().batches('train')",
    "one batch": "yield next(iter(super().batches(split)))",
}


@pytest.mark.parametrize("loader", UNUSUAL.values(), ids=UNUSUAL)
def test_an_unusual_loader_is_no_fault(run, loader):
    done = run(with_batches(loader), "-q")
    assert (done.code, done.out) == (0, f"✓ PASSED  nothing found in 11 checks - {TARGET}, seed 0\n")


@pytest.mark.parametrize("value", ["np.nan", "np.inf"])
def test_data_that_is_not_finite_is_a_finding(run, value):
    done = run(with_value(f"splits['train'][0][5] = {value}"), "-q")
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("✗ FAILED  2 errors in 3 checks (1 skipped, 7 blocked)")
    assert "\nerror  inputs-not-finite  " in done.out
    assert "\nerror  non-finite-loss  the loss is not finite on 1 of 6 batches" in done.out


def test_what_was_found_before_a_crash_is_reported(run, here):
    done = run(with_method(IDLE_UNTIL_STEP_9.format(error="ValueError('boom')")), "-q", "--report", "json=report.json")
    first, *lines = done.out.splitlines()
    assert first.startswith("✗ CRASHED  ")
    assert f"crashed  check-init  step 9 raised ValueError: boom ({line(5)} in step)" in lines
    assert STEP_CHANGES_NOTHING in lines
    saved = json.loads((here / "report.json").read_text())
    assert (done.code, saved["exit_code"], saved["verdict"]) == (3, 3, "crashed")
    assert [result["status"] for result in saved["results"][:3]] == ["failed", "passed", "crashed"]


def test_what_was_found_before_ctrl_c_is_reported(run, here):
    body = with_method(IDLE_UNTIL_STEP_9.format(error="KeyboardInterrupt"))
    done = run(body, "-q", "--report", "json=report.json", "--report", "junit=report.xml")
    assert done.out.splitlines() == [
        f"✗ INTERRUPTED  1 error in 2 checks (9 blocked) - {TARGET}, seed 0",
        STEP_CHANGES_NOTHING,
    ]
    saved = json.loads((here / "report.json").read_text())
    assert (done.code, saved["exit_code"], saved["verdict"], saved["interrupted"]) == (130, 130, "interrupted", True)
    assert [finding["rule"] for finding in saved["findings"]] == ["step-changes-nothing"]
    assert [result["reason"] for result in saved["results"]] == [
        *["", ""],
        "interrupted before it ended",
        *["interrupted before it began"] * 8,
    ]
    suite = ET.parse(here / "report.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("errors")) == ("1", "1")
    assert suite.find(".//error").get("message") == "interrupted before all checks had run"


@pytest.mark.parametrize(
    "body",
    ["def trainer(): raise KeyboardInterrupt", with_method("    def save(self): raise KeyboardInterrupt")],
    ids=["in the factory", "in the first save"],
)
def test_ctrl_c_before_anything_ran(run, body):
    done = run(body)
    assert (done.code, done.out, done.err) == (130, "", "babysit: interrupted before anything ran\n")


def test_a_real_ctrl_c(here):
    (here / "program.py").write_text(HEAD + SLOW)
    command = [sys.executable, "-m", "babysit", "run", TARGET, "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline() == "stepping\n"
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err, json.loads(out)["verdict"]) == (130, "", "interrupted")
