"""The command as a person or a CI calls it: exit codes and texts."""

import json
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from importlib.metadata import version
from pathlib import Path

import pytest

from babysit.checks import find_checks, find_rules
from babysit.lab.faults import FAULTS
from babysit.outline import SECTIONS

PROGRAMS = """\
import dataclasses
from babysit.lab import demo, faults
from babysit.lab.trainer import LabTrainer

class Opaque(LabTrainer):
    trace = None

class Crashing(LabTrainer):
    def step(self, batch): raise ValueError("boom")

class Stopped(LabTrainer):
    def step(self, batch): raise KeyboardInterrupt

healthy = demo.trainer
summed = faults.FAULTS["summed-loss"].make
def stuck(): return demo.assemble(learning_rate=1e-12, optimizer="sgd")
def unregularized(): return demo.assemble(dataclasses.replace(demo.DESIGN, l2=0.0))
def crashing(): return demo.assemble(trainer=Crashing)
def stopped(): return demo.assemble(trainer=Stopped)
def unseeded():
    import numpy
    return demo.trainer(seed=numpy.random.randint(1000))
"""
ALL = list(find_checks())
ALONE = [name for name, check in find_checks().items() if check.usual]  # what one process can do
TOGETHER = [name for name, check in find_checks().items() if check.together]
TARGET = "programs.py:healthy"


@pytest.fixture
def programs(here):
    (here / "programs.py").write_text(PROGRAMS)
    return here


def python_m(*arguments):
    """The command in a process of its own."""
    return subprocess.run([sys.executable, "-m", "babysit", *arguments], capture_output=True, text=True)


def results(done):
    return {result["check"]: result for result in json.loads(done.out)["results"]}


def test_run_does_all_checks_in_order(babysit, programs):
    done = babysit("run", TARGET, "--format", "json")
    assert (done.code, list(results(done))) == (0, ALONE)
    assert {result["status"] for result in results(done).values()} == {"passed"}


@pytest.mark.parametrize("name", ALONE)
def test_a_checks_own_command_does_it_alone(babysit, programs, name):
    done = babysit(name, TARGET)
    assert done.code == 0
    assert done.out.startswith(f"✓ PASSED  nothing found in 1 check - {TARGET}, seed 0\n\n✓ {name}")
    assert done.out.endswith(f"✓ PASSED  nothing found in 1 check - {TARGET}, seed 0\n")
    assert find_checks()[name].summary in done.out


@pytest.mark.parametrize("name", TOGETHER)
def test_a_check_of_several_processes_says_that_there_is_one(babysit, programs, name):
    done = babysit(name, TARGET)
    assert (done.code, done.err) == (5, "")
    assert done.out.startswith(f"✗ NOTHING RAN  no check was measured (1 skipped) - {TARGET}, seed 0\n\n- {name}")
    assert "the program runs as a single process; start several with torchrun to check them" in done.out


DAILY = {
    "check-data": {"examples": 90},
    "check-init": {"examples": 60},
    "check-activations": {"examples": 60, "steps": 3},
    "check-norm": {"steps": 5},
    "check-loss": {"examples": 70},
    "check-grad": {"examples": 8, "burn_in": 3, "entries": 2},
    "overfit": {"examples": 10, "steps": 400, "treatment": False},
    "lr-scan": {"low": 1e-4, "high": 1.0, "steps": 8, "horizon": 1000, "plot": False},
    "train": {"steps": 30, "epochs": 2, "record": "run.jsonl", "treatment": False},
    "search": {
        "param": ["learning_rate=log:1e-2:1"],
        "sampler": "grid",
        "coarse": 2,
        "coarse_epochs": 0.5,
        "fine": 1,
        "fine_epochs": 1.5,
        "seeds": 1,
        "pruner": "median",
        "folds": 0,
        "workers": 1,
        "storage": "kept.journal",
    },
}


def option(key, value):
    """As it is written on the command line."""
    name = key.replace("_", "-")
    if isinstance(value, list):
        return f"--{name}={value[0]}"
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={value}"


@pytest.mark.parametrize("name", ALL)
def test_a_checks_daily_options_are_its_settings(babysit, programs, name):
    given = DAILY.get(name, {})
    fields = find_checks()[name].settings.__dataclass_fields__.values()
    assert set(given) == {field.name for field in fields if field.metadata["option"]}
    options = [option(key, value) for key, value in given.items()]
    used = results(babysit(name, TARGET, "--format", "json", *options))[name]["settings"]
    assert {key: used[key] for key in given} == given


def treated(done):
    """By check that has one, the setting, and whether something was treated."""
    return {
        name: (result["settings"]["treatment"], bool(result["measurement"]["treated"]))
        for name, result in results(done).items()
        if "treatment" in result["settings"]
    }


SHORT = {"overfit": ("--set", "overfit.steps=60"), "train": ("--set", "train.steps=60", "--set", "train.treated=20")}
WAYS = [((), True), (("--treatment",), True), (("--no-treatment",), False)]
STUCK = "programs.py:stuck"


@pytest.mark.parametrize(("way", "wanted"), WAYS, ids=lambda value: str(value))
@pytest.mark.parametrize("name", ["overfit", "train"])
def test_treatment_of_one_check(babysit, programs, name, way, wanted):
    done = babysit(name, STUCK, *way, "--format", "json", *SHORT[name])
    assert done.code == 1
    assert treated(done) == {name: (wanted, wanted)}


@pytest.mark.parametrize(("way", "wanted"), WAYS, ids=lambda value: str(value))
def test_treatment_is_of_other_learning_rates_too(babysit, programs, way, wanted):
    done = babysit("overfit", STUCK, *way, "--format", "json", *SHORT["overfit"])
    assert (len(results(done)["overfit"]["measurement"]["attempts"]) > 1) is wanted


@pytest.mark.parametrize(("way", "wanted"), WAYS, ids=lambda value: str(value))
def test_treatment_of_a_run_is_that_of_every_check_that_has_one(babysit, programs, way, wanted):
    select = ("--select", "check-data,overfit,train", *SHORT["overfit"], *SHORT["train"])
    done = babysit("run", STUCK, *way, *select, "--format", "json")
    assert done.code == 1
    assert treated(done) == {"overfit": (wanted, wanted), "train": (wanted, wanted)}


@pytest.mark.parametrize(("way", "wanted"), WAYS, ids=lambda value: str(value))
def test_treatment_of_the_demo(babysit, way, wanted):
    fault = ("--fault", "learning-rate-too-low", "--select", "overfit", *SHORT["overfit"])
    done = babysit("demo", *fault, *way, "--format", "json")
    assert done.code == 1
    assert treated(done) == {"overfit": (wanted, wanted)}


def test_a_file_says_whether_to_treat_and_the_option_wins(babysit, programs):
    (programs / "babysit.yaml").write_text("select: overfit\noverfit: {treatment: false, steps: 60}\n")
    assert treated(babysit("run", STUCK, "--format", "json")) == {"overfit": (False, False)}
    assert treated(babysit("run", STUCK, "--treatment", "--format", "json")) == {"overfit": (True, True)}


@pytest.mark.parametrize("name", ["run", "demo", "overfit", "train"])
def test_help_names_the_treatment_and_how_to_leave_it_out(babysit, name):
    text = babysit(name, "--help").out
    assert "--treatment" in text
    assert "--no-treatment" in text


def test_a_daily_option_counts(babysit, programs):
    done = babysit("overfit", TARGET, "--examples", "4", "--steps", "300", "--format", "json")
    assert results(done)["overfit"]["measurement"]["examples"] == 4
    assert results(done)["overfit"]["steps"] <= 300


@pytest.mark.parametrize("name", ["run", *ALL])
def test_help_names_every_option_with_its_default(babysit, name):
    done = babysit(name, "--help")
    assert (done.code, done.err) == (0, "")
    text = " ".join(done.out.split())
    for option in ("--config", "--seed", "--format", "--output", "--report", "--select", "--ignore", "--fail-on",
                   "--quiet", "--set", *(f"--{key}".replace("_", "-") for key in DAILY.get(name, {}))):  # fmt: skip
        assert f" {option} " in text
    assert "seed of the target and the run (default: 0)" in text
    assert "text, json or junit (default: text)" in text
    for field in find_checks()[name].settings.__dataclass_fields__.values() if name != "run" else ():
        said = field.metadata["option"] and field.default not in ("", ())
        assert not said or f"(default: {field.default})" in text


def test_help_lists_every_command(babysit):
    done = babysit("--help")
    assert done.code == 0
    for command in ("run", *ALL, "demo", "judge", "rules", "explain", "new"):
        assert re.search(rf"^  {command}  +\S", done.out, re.M)
    codes = "Exit codes: 0 all well, 1 findings, 2 usage, 3 the target failed, 5 nothing ran, 130 interrupted."
    assert codes in " ".join(done.out.split())
    assert babysit("-h").out == done.out


def test_nothing_said_shows_the_help(babysit):
    assert "Usage: " in babysit().out + babysit().err


def test_version(babysit):
    done = babysit("--version")
    assert (done.code, done.out, done.err) == (0, f"babysit {version('babysit')}\n", "")


VERDICTS = {
    ("check-loss", "healthy"): (0, "passed"),
    ("check-loss", "summed"): (1, "failed"),
    ("overfit", "crashing"): (3, "crashed"),
    ("check-reg", "unregularized"): (5, "nothing-ran"),
    ("overfit", "stopped"): (130, "interrupted"),
}


@pytest.mark.parametrize(("call", "expected"), VERDICTS.items(), ids=[verdict for _, verdict in VERDICTS.values()])
def test_the_exit_code_is_the_same_for_every_format_and_way_out(babysit, programs, call, expected):
    command, program = call
    code, verdict = expected
    target = f"programs.py:{program}"
    text, quiet = babysit(command, target), babysit(command, target, "-q")
    as_json, as_junit = (babysit(command, target, "--format", format) for format in ("json", "junit"))
    elsewhere = babysit(command, target, "--format", "json", "--output", "out.json")
    assert [done.code for done in (text, quiet, as_json, as_junit, elsewhere)] == [code] * 5
    assert json.loads(as_json.out)["verdict"] == json.loads(Path("out.json").read_text())["verdict"] == verdict
    suite = ET.fromstring(as_junit.out)[0]
    red = int(suite.get("failures")) + int(suite.get("errors"))
    assert (red == 0) == (code == 0)
    assert (elsewhere.out, {done.err for done in (text, quiet, as_json, as_junit)}) == ("", {""})
    assert text.out.splitlines()[0] == quiet.out.splitlines()[0] == text.out.splitlines()[-1]


def test_a_skipped_check_is_no_pass(babysit, programs):
    done = babysit("check-reg", "programs.py:unregularized", "-q")
    assert (done.code, done.out) == (
        5,
        "✗ NOTHING RAN  no check was measured (1 skipped) - programs.py:unregularized, seed 0\n",
    )


def test_fail_on(babysit, programs):
    warned = ["--set", "check-activations.some_saturated=1e-9", "--activation", "tanh", "--select", "check-activations"]
    codes = {level: babysit("demo", *warned, "--fail-on", level, "-q").code for level in ("error", "warning", "info")}
    assert codes == {"error": 0, "warning": 1, "info": 1}
    assert babysit("demo", *warned, "-q").code == 0


def test_set_and_select(babysit, programs):
    done = babysit("run", TARGET, "--select", "check-loss,lr-scan", "--select", "cannot-overfit",
                   "--set", "lr-scan.steps=6", "--format", "json")  # fmt: skip
    assert list(results(done)) == ["check-loss", "overfit", "lr-scan"]
    assert results(done)["lr-scan"]["settings"]["steps"] == 6


def test_ignore_and_its_reason(babysit, programs):
    target = "programs.py:summed"
    done = babysit("check-loss", target, "--format", "json")
    broken = {finding["rule"] for finding in json.loads(done.out)["findings"]}
    assert "summed-loss" in broken
    ignore = [f"--ignore={rule}=so it was written" for rule in broken]
    done = babysit("check-loss", target, "--format", "json", *ignore)
    document = json.loads(done.out)
    assert (done.code, document["findings"]) == (0, [])
    assert document["ignored"] == dict.fromkeys(broken, "so it was written")
    assert "ignored  summed-loss  so it was written" in babysit("check-loss", target, *ignore).out


def first_loss(done):
    document = json.loads(done.out)
    return document["seed"], document["results"][0]["measurement"]["training_loss"]


@pytest.mark.parametrize(
    "command", [("check-loss", "programs.py:unseeded"), ("demo", "--select=check-loss")], ids=["check-loss", "demo"]
)
def test_seed(babysit, programs, command):
    seeds = ((), ("--seed=0",), ("--seed=1",), ("--seed=1",))
    default, zero, one, again = (first_loss(babysit(*command, "--format", "json", *seed)) for seed in seeds)
    assert default == zero
    assert one == again
    assert (one[0], zero[0]) == (1, 0)
    assert one[1] != zero[1]


def test_a_file_upward_gives_the_target_and_the_settings(babysit, programs, monkeypatch):
    (programs / "babysit.yaml").write_text(f"target: {TARGET}\nselect: overfit\noverfit:\n  examples: 6\n")
    (programs / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(programs / "deep" / "er")
    done = babysit("run", "--format", "json")
    assert done.code == 0
    assert json.loads(done.out)["target"] == "../../programs.py:healthy"
    assert {name: result["settings"]["examples"] for name, result in results(done).items()} == {"overfit": 6}
    (programs / "other.yaml").write_text(f"target: {TARGET}\nselect: check-loss\n")
    assert list(results(babysit("run", "--config", "../../other.yaml", "--format", "json"))) == ["check-loss"]


def test_demo(babysit):
    done = babysit("demo", "-q")
    assert (done.code, done.out) == (0, "✓ PASSED  nothing found in 11 checks - babysit demo, seed 0\n")


def test_demo_with_knobs(babysit):
    assert babysit("demo", "--activation", "tanh", "-q").code == 0
    done = babysit("demo", "--activation", "tanh", "--initialization", "large-normal", "--format", "json")
    layers = results(done)["check-activations"]["measurement"]["at_start"]
    assert [layer["kind"] for layer in layers] == ["tanh"]
    assert layers[0]["spread"] > 0.6


def test_demo_with_a_fault(babysit):
    done = babysit("demo", "--fault", "summed-loss", "-q")
    verdict, first = done.out.splitlines()[:2]
    assert verdict.endswith(" - babysit demo --fault summed-loss, seed 0")
    assert "  summed-loss  " in first


def test_list_faults(babysit):
    done = babysit("demo", "--list-faults")
    lines = done.out.splitlines()
    names = [line for line in lines if not line.startswith(" ")]
    assert done.code == 0
    assert names == [f"{name}  found as {fault.rule}" for name, fault in FAULTS.items()]
    told = " ".join(" ".join(lines).split())
    assert all(fault.explanation in told for fault in FAULTS.values())


def test_rules(babysit):
    done = babysit("rules")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines() if line.startswith("  ")] == list(find_rules())
    assert json.loads(babysit("rules", "--format", "json").out) == [
        {"rule": id, "check": check.name, "title": rule.title} for id, (check, rule) in find_rules().items()
    ]


@pytest.mark.parametrize("id", find_rules())
def test_explain(babysit, id):
    check, rule = find_rules()[id]
    lines = babysit("explain", id).out.splitlines()
    assert lines[:2] == [f"{id}  a rule of {check.name}", rule.title]
    assert [line for line in lines if line in SECTIONS] == list(SECTIONS)
    assert json.loads(babysit("explain", id, "--format", "json").out) == {
        "rule": id, "check": check.name, "title": rule.title, "sections": rule.page,
    }  # fmt: skip


def test_new_then_run(babysit, here):
    done = babysit("new")
    assert (done.code, done.out) == (0, "wrote babysit.yaml\nwrote babysit_target.py\n")
    done = babysit("run", "-q")
    assert (done.code, done.out) == (0, "✓ PASSED  nothing found in 11 checks - babysit_target.py:trainer, seed 0\n")
    done = babysit("new")
    assert (done.code, done.err) == (2, "babysit: babysit.yaml exists already; babysit new overwrites nothing\n")
    assert babysit("new", "a/b").out == "wrote a/b/babysit.yaml\nwrote a/b/babysit_target.py\n"
    assert babysit("run", "--config", "a/b/babysit.yaml", "--select", "check-loss", "-q").code == 0


HEAVY = """\
import sys
sys.argv = ["babysit", *{words}]
from babysit.__main__ import main
try:
    main()
finally:
    print([name for name in ("numpy", "torch") if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["--help", "overfit --help", "rules", "explain dead-relu", "judge", "--version"])
def test_what_trains_nothing_imports_no_numpy(here, command):
    code = HEAVY.format(words=command.split())
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "[]"
    assert done.returncode == (2 if command == "judge" else 0)


LIGHT = """\
import sys
sys.argv = ["babysit", *{words}]
from babysit.__main__ import main
try:
    main()
finally:
    heavy = ("numpy", "pydantic", "yaml", "rich", "babysit.report", "babysit.tasks", "babysit.checks")
    heavy += ("babysit.driving",)
    print([name for name in heavy if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["", "--help", "-h", "--version"])
def test_what_names_no_command_imports_no_check_and_nothing_that_renders(here, command):
    code = LIGHT.format(words=command.split())
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "[]"


def checks_imported(here, *words):
    """The modules of checks that a call imports."""
    code = LIGHT.format(words=list(words)).replace("in heavy if name in sys.modules", "in sys.modules")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return set(re.findall(r"babysit\.checks\.\w+", done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("words", [("rules",), ("explain", "dead-relu"), ("run", "--help"), ("demo", "--help")])
def test_pages_are_read_without_importing_a_check(here, words):
    assert checks_imported(here, *words) == set()


def test_a_checks_help_imports_no_other_check(here):
    assert checks_imported(here, "check-loss", "--help") == {"babysit.checks.check_loss"}


def test_the_seconds_are_those_that_one_waits(babysit, programs):
    began = time.perf_counter()
    seconds = json.loads(babysit("check-loss", TARGET, "--format", "json").out)["seconds"]
    assert min(seconds.values()) > 0
    assert sum(seconds.values()) <= time.perf_counter() - began
    assert re.search(r" s in all: \S+ s loading, \S+ s in your program", babysit("check-loss", TARGET).out)
    assert " s loading, " in babysit("demo", "--select", "check-loss").out


def test_an_unknown_command_names_its_like(babysit):
    done = babysit("check-los")
    assert (done.code, done.out) == (2, "")
    assert "No such command 'check-los'. Did you mean 'check-loss'" in done.said


def test_python_m(programs):
    done = python_m("overfit", TARGET, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (
        0, f"✓ PASSED  nothing found in 1 check - {TARGET}, seed 0\n", "",
    )  # fmt: skip
    done = python_m("run", "gone.py:trainer")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "babysit: no such file: gone.py\n")
    done = python_m("overfit", "programs.py:crashing", "--format=json")
    assert (done.returncode, json.loads(done.stdout)["verdict"], done.stderr) == (3, "crashed", "")


def test_a_fault_of_its_own_is_owned_with_its_place(babysit, programs, monkeypatch):
    monkeypatch.setattr("babysit.commands.run.plan", lambda *arguments: None)
    done = babysit("run", TARGET)
    assert (done.code, done.out) == (3, "")
    assert re.fullmatch(
        r"babysit: this is a fault of babysit's own, please report it: AttributeError: "
        r"'NoneType' object has no attribute 'checks' \(\S*babysit/commands/run\.py:\d+ in _check\)\n",
        done.err,
    )


def test_a_reader_that_leaves_early_does_not_change_the_verdict():
    for command, code in (("demo", 0), ("demo --fault large-weights", 1)):
        line = f"{sys.executable} -m babysit {command} --quiet | true; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (code, "")
