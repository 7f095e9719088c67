"""What a call of the command is asked for, where its reports go, and what it refuses before anything runs."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from babysit.config.options import Options, configured
from babysit.errors import UsageError
from babysit.report import Severity

TARGET = "program.py:trainer"
HEALTHY = """\
open("ran", "w").close()
from babysit.lab.demo import trainer
"""
GOES_ELSEWHERE = """\
import os
from babysit.lab import demo
def trainer():
    os.mkdir("elsewhere")
    os.chdir("elsewhere")
    return demo.trainer()
"""
REMOVES_FOLDER = """\
import shutil
from babysit.lab import demo
class Own(demo.LabTrainer):
    def step(self, batch):
        shutil.rmtree("out", ignore_errors=True)
        {then}
        return super().step(batch)
def trainer(): return demo.assemble(trainer=Own)
"""


@pytest.fixture
def program(here):
    (here / "program.py").write_text(HEALTHY)
    (here / "folder").mkdir()
    return here


OUTPUTS = {
    "--output=folder": "folder can't be written: Is a directory",
    "--output=missing/report": "missing/report can't be written: No such file or directory",
    "--output=program.py/report": "program.py/report can't be written: Not a directory",
    "--report=json=folder": "folder can't be written: Is a directory",
    "--report=junit=missing/report": "missing/report can't be written: No such file or directory",
}


@pytest.mark.parametrize(("option", "message"), OUTPUTS.items(), ids=OUTPUTS)
def test_where_nothing_can_be_written_nothing_is_run(babysit, program, option, message):
    for format in ("text", "json", "junit"):
        done = babysit("run", TARGET, option, "--report", "text=other", "--format", format)
        assert (done.code, done.out, done.err) == (2, "", f"babysit: {message}\n")
    assert sorted(path.name for path in program.iterdir()) == ["folder", "program.py"]


USAGE = {
    ("run",): "no target: babysit run path/to/file.py:factory (or write `target:` into babysit.yaml)",
    ("run", "gone.py:trainer"): "no such file: gone.py",
    ("run", "no.such.module:trainer"): "no such module: no.such.module",
    ("run", "program.py:trianer"): "program.py has no 'trianer'; did you mean 'trainer'?",
    ("run", ":trainer"): "a target is path/to/file.py:factory or package.module:factory, not ':trainer'",
    ("run", TARGET, "--format", "xml"): "unknown format 'xml'; known are json, junit, text",
    ("run", TARGET, "--report", "xml=a"): "unknown format 'xml'; known are json, junit, text",
    ("run", TARGET, "--report", "json"): "--report takes FORMAT=PATH, such as --report json=report.json, not 'json'",
    ("run", TARGET, "--report", "json="): "--report takes FORMAT=PATH, such as --report json=report.json, not 'json='",
    ("run", TARGET, "--select", "overfitt"): "--select: unknown check or rule 'overfitt'; did you mean 'overfit'?",
    ("run", TARGET, "--ignore", "dead-rule=x"): "--ignore: unknown rule 'dead-rule'; did you mean 'dead-relu'?",
    ("run", TARGET, "--ignore", "overfit=x"): "--ignore: unknown rule 'overfit'; did you mean 'cannot-overfit'?",
    ("run", TARGET, "--set", "x"): "--set takes NAME=VALUE, such as --set examples=20; 'x' has no '='",
    ("run", TARGET, "--set", "stepss=3"): "--set: no check has a setting 'stepss'; did you mean 'steps'?",
    ("run", TARGET, "--set", "overfit.examples=1"): (
        "--set: overfit.examples must be a whole number of at least 2, not '1'"
    ),
    ("run", TARGET, "--set", "treatment=false"): (
        "--set: more than one check has a setting 'treatment'; write overfit.treatment or train.treatment"
    ),
    ("overfit", TARGET, "--set", "exampels=20"): "--set: overfit has no setting 'exampels'; did you mean 'examples'?",
    ("overfit", TARGET, "--select", "check-loss"): "nothing of overfit is selected: check-loss",
    ("run", TARGET, "--config", "no.yaml"): "no.yaml can't be read: No such file or directory",
    ("demo", "--fault", "summed-los"): "unknown fault 'summed-los'; did you mean 'summed-loss'?",
    ("demo", "--activation", "rel"): "unknown activation 'rel'; did you mean 'relu'?",
    ("demo", "--initialization", "hee"): "unknown initialization 'hee'; did you mean 'he'?",
    ("demo", "--fault", "summed-loss", "--activation", "tanh"): (
        "--fault brings its own network: leave --activation and --initialization out"
    ),
    ("explain", "dead-rule"): "unknown rule 'dead-rule'; did you mean 'dead-relu'?",
    ("explain", "zzzzzz"): "unknown rule 'zzzzzz'; `babysit rules` lists them",
    ("explain", "dead-relu", "--format", "junit"): "unknown format 'junit'; known here are text, json",
    ("rules", "--format", "xml"): "unknown format 'xml'; known here are text, json",
    ("judge", "gone.json"): "gone.json can't be read: No such file or directory",
    ("judge", "folder"): "folder can't be read: Is a directory",
}


@pytest.mark.parametrize(("arguments", "message"), USAGE.items(), ids=[" ".join(arguments) for arguments in USAGE])
def test_a_wrong_word_is_named_with_the_nearest_right_one(babysit, program, arguments, message):
    done = babysit(*arguments)
    assert (done.code, done.out, done.err) == (2, "", f"babysit: {message}\n")
    assert not Path("ran").exists() or "trianer" in message


PARSED = {
    ("run", TARGET, "--sede", "1"): "No such option: --sede (Possible options: --seed",
    ("overfit", TARGET, "--exampels", "3"): "No such option: --exampels (Possible options: --examples, --expected)",
    ("overfitt", TARGET): "No such command 'overfitt'. Did you mean 'overfit'?",
    ("run", TARGET, "more"): "Got unexpected extra argument(s) (more)",
    ("run", TARGET, "--seed", "-1"): "Invalid value for '--seed': Input should be greater than or equal to 0",
    ("run", TARGET, "--seed", "4294967296"): "Input should be less than or equal to 4294967295",
    ("run", TARGET, "--fail-on", "fatal"): "'fatal' is not one of 'error', 'warning', 'info'",
    ("judge",): "Missing argument 'REPORT.json'",
    ("explain",): "Missing argument 'rule'",
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), PARSED.items(), ids=[" ".join(arguments) for arguments in PARSED])
def test_what_is_no_option_argument_or_command(babysit, program, arguments, message):
    done = babysit(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.said
    assert "Traceback" not in done.err
    assert not Path("ran").exists()


@pytest.mark.parametrize("command", ["overfit", "check-loss"])
def test_a_bad_value_of_a_settings_own_option_says_so_once(babysit, program, command):
    done = babysit(command, TARGET, "--examples", "1")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"{command}.examples must be a whole number of at least 2, not '1'\n")
    assert done.err.count(command) == 1
    assert "--set" not in done.err


FILES = {
    "targt: x": "babysit.yaml:1: unknown key 'targt'; did you mean 'target'?",
    "overfit:\n  example: 3": "babysit.yaml:2: overfit has no setting 'example'; did you mean 'examples'?",
    "seed: 0\noverfit:\n  examples: many": (
        "babysit.yaml:3: overfit.examples must be a whole number of at least 2, not 'many'"
    ),
    "expected:\n  dead-rule: x": "babysit.yaml:2: unknown rule 'dead-rule'; did you mean 'dead-relu'?",
    "report: {jsn: a}": "babysit.yaml:1: unknown format 'jsn'; did you mean 'json'?",
    "output: folder": "folder can't be written: Is a directory",
}


@pytest.mark.parametrize(("text", "message"), FILES.items(), ids=FILES)
def test_a_wrong_file_is_named_with_its_line(babysit, program, text, message):
    (program / "babysit.yaml").write_text(text)
    done = babysit("run", TARGET)
    assert (done.code, done.out, done.err) == (2, "", f"babysit: {message}\n")
    assert not Path("ran").exists()


@pytest.fixture
def saved(babysit, program):
    """A run with an error in one check, as JSON."""
    faulty = ("demo", "--fault", "large-weights", "--select", "check-loss,check-target")
    assert babysit(*faulty, "--format", "json", "--output", "saved.json").code == 1
    return program / "saved.json"


def test_judge_finds_the_same_where_nothing_has_changed(babysit, saved):
    done = babysit("judge", "saved.json", "--format", "json")
    assert (done.code, done.err) == (1, "")
    assert done.out.rstrip() == saved.read_text().rstrip()
    assert babysit("judge", "saved.json", "--quiet").out.startswith("✗ FAILED  ")
    suite = ET.fromstring(babysit("judge", "saved.json", "--format", "junit").out)[0]
    assert int(suite.get("failures")) >= 1


def test_judge_with_other_thresholds_and_options(babysit, saved):
    broken = {finding["rule"]: finding["severity"] for finding in json.loads(saved.read_text())["findings"]}
    assert broken["confident-at-init"] == "error"
    set = ("--set", "large_spread=1e6", "--set", "huge_spread=1e6", "--set", "check-loss.sigmas=1e6")
    lenient = babysit("judge", "saved.json", *set, "--format", "json")
    assert "confident-at-init" not in {finding["rule"] for finding in json.loads(lenient.out)["findings"]}
    reasons = [f"--ignore={rule}=known" for rule in broken]
    assert babysit("judge", "saved.json", *reasons, "-q").out.startswith("✓ PASSED  1 ignored in 2 checks")
    assert babysit("judge", "saved.json", "--select", "check-target", "-q").code == 0
    assert babysit("judge", "saved.json", "--select", "overfit", "-q").code == 5


@pytest.fixture
def cured(babysit, here):
    """A run that fails, and what was tried, as JSON."""
    steps = ("--set", "overfit.steps=60", "--set", "train.steps=60", "--set", "train.treated=20")
    faulty = ("demo", "--fault", "learning-rate-too-low", "--select", "overfit,train", *steps)
    assert babysit(*faulty, "--format", "json", "--output", "cured.json").code == 1
    return here / "cured.json"


def test_what_was_tried_is_judged_again(babysit, cured):
    document = json.loads(cured.read_text())
    tried = {result["check"]: result["measurement"]["treated"] for result in document["results"]}
    assert any(treated["cured"] for treated in tried["overfit"])
    assert set(tried["train"][0]) == {"treatment", "cured", "loss", "steps"}
    assert babysit("judge", "cured.json", "--format", "json").out.rstrip() == cured.read_text().rstrip()


def test_a_run_that_tried_nothing_is_judged_too(babysit, cured):
    document = json.loads(cured.read_text())
    of = {result["check"]: result["measurement"] for result in document["results"]}
    of["overfit"]["treated"], of["overfit"]["attempts"] = [], of["overfit"]["attempts"][:1]
    del of["train"]["treated"]  # as a report has it that was written before anything was tried
    cured.write_text(json.dumps(document))
    done = babysit("judge", "cured.json", "--format", "json")
    assert (done.code, done.err) == (1, "")
    assert {f["rule"] for f in json.loads(done.out)["findings"]} >= {"loss-not-falling"}


def test_whether_to_treat_is_measured_and_not_judged(babysit, cured):
    done = babysit("judge", "cured.json", "--set", "overfit.treatment=false")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "babysit: --set: overfit.treatment acts on what is measured; run the check again to change it\n"
    )


@pytest.mark.parametrize(("value", "expected"), [(True, True), (False, False), (None, True)])
def test_an_option_of_several_checks_reaches_each(here, value, expected):
    found = configured(Options(settings={"overfit.treatment": value, "train.treatment": value}))
    assert [found.settings[name].treatment for name in ("overfit", "train")] == [expected, expected]


def test_a_word_that_is_no_truth_value_is_refused(babysit, program):
    done = babysit("run", TARGET, "--set", "overfit.treatment=perhaps")
    assert (done.code, done.out) == (2, "")
    assert done.err == "babysit: --set: overfit.treatment must be true or false, not 'perhaps'\n"
    assert not Path("ran").exists()


REPORTS = {
    b'{"schema_version": 2}': "report.json: the report has schema_version 2; this babysit reads 1",
    b"{": "report.json: the report is not JSON: line 1, column 2: Expecting property name enclosed in double quotes",
    b"[]": "report.json: the JSON is no report of babysit: it has no schema_version",
    b"\xff": "report.json is not a JSON report: it is not UTF-8 text",
    b'{"schema_version": 1}': "report.json: the report can't be used: version: Field required",
}


@pytest.mark.parametrize(("content", "message"), REPORTS.items(), ids=[message[:40] for message in REPORTS.values()])
def test_judge_refuses_what_is_no_report_of_this_version(babysit, here, content, message):
    (here / "report.json").write_bytes(content)
    done = babysit("judge", "report.json")
    assert (done.code, done.out, done.err) == (2, "", f"babysit: {message}\n")


def test_judge_refuses_json_too_deep_to_read(babysit, here):
    (here / "report.json").write_text("[" * 100_000)
    done = babysit("judge", "report.json")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("babysit: report.json: the report ")


def test_options_win_over_the_file_and_the_file_over_the_defaults(here):
    file = "seed: 3\nformat: junit\nfail-on: info\nselect: [overfit]\nignore: {dead-relu: a, range-edge: b}\n"
    (here / "babysit.yaml").write_text(f"{file}overfit: {{examples: 8, steps: 70}}\nreport: {{json: a.json}}\n")
    found = configured(Options())
    assert (found.target, found.seed, found.format, found.fail_on, found.quiet) == (
        None, 3, "junit", Severity.INFO, False,
    )  # fmt: skip
    assert (found.settings["overfit"].examples, found.settings["overfit"].steps) == (8, 70)
    said = Options(
        target=TARGET,
        seed=0,
        format="json",
        fail_on=Severity.ERROR,
        select=("lr-scan,overfit", "dead-relu"),
        ignore=("dead-relu=c",),
        report=("junit=b.xml",),
        quiet=True,
        set=("overfit.steps=90",),
    )
    found = configured(said)
    assert (found.target, found.seed, found.format, found.fail_on, found.quiet) == (
        TARGET, 0, "json", Severity.ERROR, True,
    )  # fmt: skip
    assert found.select == ("lr-scan", "overfit", "dead-relu")
    assert found.ignore == {"dead-relu": "c", "range-edge": "b"}
    assert found.report == {"json": Path("a.json").absolute(), "junit": Path("b.xml").absolute()}
    assert (found.settings["overfit"].examples, found.settings["overfit"].steps) == (8, 90)


def test_a_settings_own_option_and_set_alike(here):
    assert configured(Options(settings={"examples": 9, "steps": None}), "overfit").settings["overfit"].examples == 9
    both = Options(settings={"examples": 9}, set=("examples=11",))
    assert configured(both, "overfit").settings["overfit"].examples == 11


def test_a_file_that_can_be_written_is_left_as_it_is(here):
    (here / "old.txt").write_text("old")
    configured(Options(output=Path("old.txt"), report=("json=new.json",)))
    assert (here / "old.txt").read_text() == "old"
    assert not (here / "new.json").exists()


def test_reports_land_where_the_command_was_given(babysit, here):
    (here / "program.py").write_text(GOES_ELSEWHERE)
    done = babysit("check-loss", TARGET, "--report", "json=report.json", "--output", "report.txt")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert json.loads((here / "report.json").read_text())["verdict"] == "passed"
    assert (here / "report.txt").read_text().startswith("✓ PASSED")


def test_one_report_never_takes_the_place_of_another(babysit, program):
    twice = babysit("check-loss", TARGET, "--report", "json=a.json", "--report", "json=b.json")
    assert twice.code == 2 or (Path("a.json").exists() and Path("b.json").exists())
    shared = babysit("check-loss", TARGET, "--report", "json=c", "--report", "junit=c")
    assert shared.code == 2
    assert babysit("check-loss", TARGET, "--report", "json=d", "--output", "d").code == 2


def test_a_report_that_can_no_longer_be_written_is_printed_all_the_same(babysit, here):
    (here / "out").mkdir()
    (here / "program.py").write_text(REMOVES_FOLDER.format(then="pass"))
    done = babysit("overfit", TARGET, "--output", "out/report.json", "--format", "json")
    assert (done.code, json.loads(done.out)["verdict"]) == (2, "passed")
    assert done.err == "babysit: out/report.json can't be written: No such file or directory\n"


def test_an_interruption_goes_before_a_report_that_cannot_be_written(babysit, here):
    (here / "out").mkdir()
    (here / "program.py").write_text(REMOVES_FOLDER.format(then="raise KeyboardInterrupt"))
    done = babysit("overfit", TARGET, "-q", "--report", "json=out/report.json")
    assert done.code == 130
    assert done.out == f"✗ INTERRUPTED  no check was measured (1 blocked) - {TARGET}, seed 0\n"
    assert done.err == "babysit: out/report.json can't be written: No such file or directory\n"


def test_every_format_from_one_run(babysit, program):
    reports = [f"--report={name}={name}.out" for name in ("json", "junit", "text")]
    done = babysit("check-loss", TARGET, *reports, "--quiet")
    assert (done.code, done.out) == (0, f"✓ PASSED  nothing found in 1 check - {TARGET}, seed 0\n")
    assert json.loads(Path("json.out").read_text())["target"] == TARGET
    assert ET.parse("junit.out").getroot()[0].get("failures") == "0"
    assert Path("text.out").read_text().startswith(f"✓ PASSED  nothing found in 1 check - {TARGET}, seed 0\n")


def test_options_that_are_wrong_raise_a_usage_error(here):
    with pytest.raises(UsageError, match=r"^unknown format 'jsno'; known are json, junit, text$"):
        configured(Options(format="jsno"))
