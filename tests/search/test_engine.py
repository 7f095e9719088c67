"""`babysit search` from the command line: its stages, its storage, Ctrl-C, and what it refuses."""

import importlib.util
import json
import math
import shutil
import signal
from pathlib import Path

import parabola
import pytest
import yaml

from babysit.search.addresses import hidden, located

RATES, WIDTHS = "learning_rate=log:1e-6:1e2", "width=log-int:8:1024"
SMALL = ("--coarse", 6, "--fine", 3, "--seeds", 1)


@pytest.fixture
def search(babysit, here):
    """The command on the program, with its report; more options come last."""
    shutil.copy(parabola.__file__, here / "program.py")

    def call(factory="trainer", *options, rates=RATES):
        spaces = [part for spec in ([rates, WIDTHS] if rates else []) for part in ("--param", spec)]
        done = babysit("search", f"program.py:{factory}", *spaces, *options, "--report", "json=report.json", "--quiet")
        path = here / "report.json"
        found = json.loads(path.read_text()) if path.exists() else None
        path.unlink(missing_ok=True)
        return done, found

    return call


def measured(report):
    return report["results"][0]["measurement"]


def trials(report, *stages):
    """What was made, without how long it took."""
    made = measured(report)["trials"]
    return [{k: v for k, v in t.items() if k != "seconds"} for t in made if not stages or t["stage"] in stages]


def rules(report):
    return {finding["rule"]: finding["severity"] for finding in report["findings"]}


def test_it_finds_where_the_program_learns_best(search, here):
    done, report = search("trainer", "--output", "best.yaml")
    assert (done.code, report["verdict"]) == (0, "passed")
    best = yaml.safe_load((here / "best.yaml").read_text())
    assert list(best) == ["learning_rate", "width"]
    assert abs(math.log10(best["learning_rate"]) + 2) < 0.5
    assert isinstance(best["width"], int)
    assert set(rules(report)) <= {"one-seed-winner"}
    assert [len(trials(report, stage)) for stage in ("coarse", "fine", "seeds")] == [30, 15, 6]


def test_the_journal_that_nobody_asked_for_is_gone_in_the_end(search, here):
    search("trainer", *SMALL)
    assert sorted(path.name for path in here.iterdir()) == ["program.py"]


def test_trials_are_a_function_of_the_seed(search):
    first, again, other = (search("trainer", *SMALL, "--seed", seed)[1] for seed in (3, 3, 4))
    assert trials(first) == trials(again)
    drawn = [[t["configuration"] for t in trials(report, "coarse")] for report in (first, other)]
    assert not [c for c in drawn[0] if c in drawn[1]]
    assert {t["seed"] for t in trials(first, "coarse", "fine")} == {3}
    assert {t["seed"] for t in trials(first, "seeds")} == {4}


def test_more_coarse_trials_begin_with_the_same(search):
    few, many = (trials(search("trainer", "--coarse", n, "--fine", 0, "--seeds", 0)[1]) for n in (4, 9))
    assert few == many[:4]


def test_stages(search):
    _, report = search("trainer", *SMALL, "--coarse-epochs", 0.5, "--fine-epochs", 3)
    assert {t["epochs"] for t in trials(report, "coarse")} == {0.5}
    assert {t["steps"] for t in trials(report, "coarse") if t["outcome"] == "finished"} == {2}
    assert {(t["epochs"], t["steps"], len(t["scores"])) for t in trials(report, "fine")} == {(3, 12, 3)}
    low, high = ((p["low"], p["high"]) for p in measured(report)["finer"])
    rates = [t["configuration"]["learning_rate"] for t in trials(report, "fine")]
    assert low[0] <= min(rates) <= max(rates) <= low[1] < 1e2
    assert 8 <= high[0] < high[1] <= 1024


def test_what_explodes_is_given_up(search):
    _, report = search("trainer")
    exploded = [t for t in trials(report) if t["outcome"] == "exploded"]
    assert exploded
    assert all(t["configuration"]["learning_rate"] > 1 and t["steps"] == 2 for t in exploded)
    assert {t["reason"] for t in exploded} == {"the cost rose from 0.7 to 7 in 2 steps"}
    assert {t["score"] for t in exploded} == {"NaN"}


def test_nothing_but_explosions(search, here):
    done, report = search("trainer", "--output", "best.yaml", rates="learning_rate=log:2:1e4")
    assert (done.code, rules(report)) == (1, {"all-trials-failed": "error"})
    (finding,) = report["findings"]
    assert finding["message"].startswith("none of 30 trials has come to anything: 30 exploded (learning_rate from 2.")
    assert finding["suggestion"] == "Search lower learning rates, such as --param learning_rate=log:0.002:2."
    assert "babysit: nothing was found, so nothing is written to best.yaml" in done.err
    assert not (here / "best.yaml").exists()


def test_an_earlier_best_is_left_as_it_is_where_nothing_is_found(search, here, monkeypatch):
    kept = here / "best.yaml"
    kept.write_text("learning_rate: 0.1\n")
    assert search("trainer", *SMALL, "--output", "best.yaml", rates="learning_rate=log:2:1e4")[0].code == 1
    assert search("without_validation", "--output", "best.yaml")[0].code == 3
    assert search("blind", *SMALL, "--output", "best.yaml")[0].code == 1
    with monkeypatch.context() as patch:
        Stops(patch, at=2)
        assert search("trainer", *SMALL, "--output", "best.yaml")[0].code == 130
    assert kept.read_text() == "learning_rate: 0.1\n"


def test_a_space_whose_good_rates_lie_at_its_lower_edge_is_told_so(search):
    done, report = search("trainer", rates="learning_rate=log:5e-2:1")
    edge = next(f for f in report["findings"] if f["rule"] == "best-at-edge")
    assert (done.code, edge["severity"], edge["where"]) == (0, "warning", "learning_rate")
    assert "lies beyond the lower end of the range 0.05 to 1" in edge["message"]
    assert "--param learning_rate=log:0.00" in edge["suggestion"]


def test_what_crashes_is_a_trial_that_failed(search):
    done, report = search("trainer", "--param", "activation=choice:relu,swish", "--seeds", 0)
    crashed = [t for t in trials(report) if t["outcome"] == "crashed"]
    assert done.code == 0
    assert {t["configuration"]["activation"] for t in crashed} == {"swish"}
    assert "ValueError: no such activation: swish (program.py:" in crashed[0]["reason"]


def test_learning_rate_and_scale_of_any_trainer(search):
    options = ("--param", "learning_rate=1e-3:1e-1", "--param", "regularization_scale=0.1:10")
    _, report = search("trainer", *options, *SMALL, rates="")
    assert [p["kind"] for p in measured(report)["space"]] == ["log", "log"]
    assert len({t["score"] for t in trials(report)}) > 3


def test_without_a_space_the_learning_rate_is_searched_about_the_programs_own(search):
    _, report = search("trainer", *SMALL, rates="")
    (parameter,) = measured(report)["space"]
    assert parameter | {"choices": []} == {
        "name": "learning_rate",
        "kind": "log",
        "low": pytest.approx(1e-5),
        "high": pytest.approx(1.0),
        "choices": [],
    }


@pytest.mark.parametrize("sampler", ["grid", "quasi-random", "tpe"])
def test_samplers_by_name(search, sampler):
    done, report = search("trainer", "--sampler", sampler, "--coarse", 25, "--fine", 9, "--seeds", 0)
    assert done.code == 0
    assert measured(report)["sampler"] == sampler
    rates = {t["configuration"]["learning_rate"] for t in trials(report, "coarse")}
    assert len(rates) == (5 if sampler == "grid" else 25)
    assert ("search-too-small" in rules(report)) == (sampler == "grid")


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_pruners_end_what_lags_behind(search, pruner):
    options = ("--pruner", pruner, "--coarse", 22, "--fine", 0, "--seeds", 0, "--coarse-epochs", 8)
    _, report = search("lingering", *options, rates="learning_rate=log:1e-6:0.5")
    ends = {outcome: [t for t in trials(report) if t["outcome"] == outcome] for outcome in ("finished", "pruned")}
    assert ends["pruned"]
    assert all(len(t["scores"]) < 8 for t in ends["pruned"])
    assert "behind the others after" in ends["pruned"][0]["reason"]
    assert max(t["scores"][0] for t in ends["finished"]) > min(t["scores"][0] for t in ends["pruned"])


def test_folds(search):
    _, report = search("folded", "--folds", 3, *SMALL)
    finished = [t for t in trials(report) if t["outcome"] == "finished"]
    assert {len(t["scores"]) for t in finished} == {3}
    assert all(t["score"] == pytest.approx(sum(t["scores"]) / 3) for t in finished)
    assert all(t["scores"][2] < t["scores"][0] == t["scores"][1] for t in finished if t["score"] > 0.8)


def test_without_a_metric_the_loss_is_judged(search):
    _, report = search("graded_by_loss", rates="learning_rate=log:1e-4:1e-1")
    finished = [t for t in trials(report, "coarse") if t["outcome"] == "finished"]
    best = min(finished, key=lambda t: t["score"])
    low, high = ((p["low"], p["high"]) for p in measured(report)["finer"] if p["name"] == "learning_rate").__next__()
    assert measured(report)["metric"] == ""
    assert low <= best["configuration"]["learning_rate"] <= high
    assert rules(report).keys() <= {"one-seed-winner"}


def test_without_scores_the_loss_is_judged(search):
    _, report = search("scoreless", *SMALL)
    assert measured(report)["metric"] == ""
    assert {t["outcome"] for t in trials(report)} <= {"finished", "exploded"}
    assert {round(t["score"], 6) for t in trials(report) if t["outcome"] == "finished"} == {0.7}


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_a_trial_that_is_complete_is_not_pruned_nor_one_with_another_seed(search, pruner):
    _, report = search("trainer", "--pruner", pruner, rates="learning_rate=log:1e-6:0.5")
    assert {t["outcome"] for t in trials(report, "coarse", "seeds")} == {"finished"}


def test_what_was_drawn_twice_is_made_once(search):
    _, report = search("trainer", "--param", "activation=choice:relu,tanh", rates="")
    assert [t["configuration"] for t in trials(report, "coarse")] == [{"activation": "tanh"}, {"activation": "relu"}]
    assert len(trials(report, "fine")) == 2
    assert "search-too-small" not in rules(report)


def test_the_bests_other_seeds_may_explode(search):
    _, report = search("unlucky", "--param", "activation=choice:relu,tanh", rates="")
    winner = next(f for f in report["findings"] if f["rule"] == "one-seed-winner")
    assert winner["severity"] == "warning"
    assert "activation relu (accuracy 1), fails with 2 other seeds of 2; activation tanh (acc" in winner["message"]


# Ctrl-C, and after it


class Stops:
    """Ctrl-C in the step of this number, counted over all trials."""

    def __init__(self, monkeypatch, at):
        from babysit.driving.guard import Driven

        self.left, step = at, Driven.step

        def stopping(driven, batch):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
            return step(driven, batch)

        monkeypatch.setattr(Driven, "step", stopping)


def test_ctrl_c_keeps_what_was_finished_and_the_same_command_goes_on(search, here, monkeypatch):
    _, whole = search("trainer", *SMALL)
    with monkeypatch.context() as patch:
        Stops(patch, at=14)
        done, report = search("trainer", *SMALL)
    assert (done.code, report["verdict"]) == (130, "interrupted")
    made = len(trials(report))
    assert trials(report) == trials(whole)[:made]
    assert 0 < made < 12
    reason = f"interrupted: {made} of 12 trials are kept in babysit-search.journal; the same command goes on from there"
    assert report["results"][0]["reason"] == reason
    assert not report["findings"]
    done, report = search("trainer", *SMALL)
    assert (done.code, trials(report)) == (0, trials(whole))
    assert measured(report)["earlier"] == made
    assert not (here / "babysit-search.journal").exists()


@pytest.mark.parametrize("call", ["set_trial_state_values", "set_trial_user_attr", "create_new_trial"])
@pytest.mark.parametrize("at", [1, 2, 5, 10])
def test_ctrl_c_while_something_is_written_waits_for_the_next_trial(search, monkeypatch, call, at):
    import optuna

    _, whole = search("trainer", *SMALL)
    write, left = getattr(optuna.storages.JournalStorage, call), [at]

    def interrupted(storage, *words, **more):
        left[0] -= 1
        if not left[0]:
            signal.raise_signal(signal.SIGINT)
        return write(storage, *words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(optuna.storages.JournalStorage, call, interrupted)
        done, report = search("trainer", *SMALL)
    result = report["results"][0]
    assert (done.code, report["verdict"], result["status"] != "crashed") == (130, "interrupted", True)
    if result["measurement"] is not None:
        assert result["steps"] == sum(t["steps"] for t in trials(report)) > 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    done, report = search("trainer", *SMALL)
    assert (done.code, trials(report)) == (0, trials(whole))


def test_another_search_does_not_take_the_kept_trials_for_its_own(search, here, monkeypatch):
    with monkeypatch.context() as patch:
        Stops(patch, at=14)
        search("trainer", *SMALL)
    _, report = search("trainer", *SMALL, "--seed", 1)
    assert measured(report)["earlier"] == 0
    assert (here / "babysit-search.journal").exists()  # it keeps the first
    with (here / "program.py").open("a") as program:
        program.write("# changed\n")
    assert measured(search("trainer", *SMALL)[1])["earlier"] == 0


def test_a_search_that_has_ended_is_shown_again(search, monkeypatch):
    _, first = search("trainer", *SMALL, "--storage", "kept.journal")
    done, again = search("trainer", *SMALL, "--storage", "kept.journal")
    assert (done.code, trials(again)) == (0, trials(first))
    assert measured(again)["earlier"] == 12
    assert again["results"][0]["steps"] == 0


def test_more_trials_go_on_with_those_that_are_there(search):
    kept = ("--storage", "kept.journal", "--fine", 2)
    _, first = search("trainer", "--coarse", 4, "--seeds", 1, *kept)
    _, more = search("trainer", "--coarse", 7, "--seeds", 1, *kept)
    assert trials(more, "coarse")[:4] == trials(first, "coarse")
    assert measured(more)["earlier"] == 4
    _, seeds = search("trainer", "--coarse", 7, "--seeds", 3, *kept)
    assert measured(seeds)["earlier"] == 12
    assert trials(seeds, "seeds")[:3] == trials(more, "seeds")
    assert trials(seeds, "coarse", "fine") == trials(more, "coarse", "fine")
    assert len(trials(seeds, "seeds")) == 9
    assert trials(search("trainer", "--coarse", 4, "--seeds", 1, *kept)[1]) == trials(first)


def test_a_trial_that_another_takes_for_dead_is_made_again_and_ends_nothing(search, monkeypatch):
    from babysit.search.storage import Board
    from babysit.search.worker import Worker

    show, taken = Worker._watch, []

    def taken_for_dead(worker, asked):
        if not taken:
            taken.append(asked.number)
            Board(worker.boards[0].storage, worker.job.names["coarse"], "coarse", higher=True).reclaim(lambda who: True)
        return show(worker, asked)

    _, expected = search("trainer", *SMALL)
    monkeypatch.setattr(Worker, "_watch", taken_for_dead)
    done, report = search("trainer", *SMALL)
    assert (done.code, taken, trials(report)) == (0, [0], trials(expected))


def test_a_trial_that_another_ended_meanwhile_ends_nothing(search, monkeypatch):
    import optuna

    _, expected = search("trainer", *SMALL)
    write, ended = optuna.storages.JournalStorage.set_trial_state_values, []

    def too_late(storage, trial, state, values=None):
        done = write(storage, trial, state, values)
        if state.is_finished() and not ended:
            ended.append(trial)
            raise optuna.exceptions.UpdateFinishedTrialError
        return done

    monkeypatch.setattr(optuna.storages.JournalStorage, "set_trial_state_values", too_late)
    done, report = search("trainer", *SMALL)
    assert (done.code, len(ended), trials(report)) == (0, 1, trials(expected))


def test_a_torn_last_line_is_no_end_of_a_study(search, here):
    _, first = search("trainer", *SMALL, "--storage", "kept.journal")
    with (here / "kept.journal").open("a") as journal:
        journal.write('{"op_code": 4, "worker_i')
    done, again = search("trainer", *SMALL, "--storage", "kept.journal")
    assert (done.code, trials(again)) == (0, trials(first))


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--param", "widht=int:1:9"), "--param widht: trainer() takes no 'widht'; did you mean 'width'?"),
        (("--param", "width"), "--param takes NAME=SPEC, such as learning_rate=log:1e-6:1e-1, not 'width'"),
        (("--folds", "3"), "--folds 3: trainer() must take `fold` and `folds`, and doesn't"),
        (("--folds", "1"), "search: folds must be 0, for none, or 2 and more"),
        (("--sampler", "best"), "search: sampler must be one of random, grid, quasi-random, tpe, not 'best'"),
        (("--pruner", "best"), "search: pruner must be one of none, median, halving, not 'best'"),
        (("--storage", "no/such/file"), "no/such/file can't be written: No such file or directory; --storage names"),
        (("--storage", "nothing://here"), "the storage nothing://here can't be opened: "),
        (("--storage", "nothing://me:se?cret@here/x"), "the storage nothing://me@here/x can't be opened: "),
        (
            ("--storage", "sqlite:///"),
            "--storage sqlite:/// is in memory, where nothing lasts: name a file, sqlite:///sea",
        ),
        (
            ("--storage", "sqlite://"),
            "--storage sqlite:// is in memory, where nothing lasts: name a file, sqlite:///sea",
        ),
        (("--storage", "sqlite:///:memory:"), "is in memory, where nothing lasts"),
        (("--storage", "postgresql:/me:secret@here"), "--storage: a database's URL has two slashes, as in"),
        (("--sampler", "grid", "--coarse", "1", "--param", "activation=choice:relu,tanh"), "--coarse 1 is too few"),
        (("--sampler", "grid", "--fine", "1", "--param", "activation=choice:relu,tanh"), "--fine 1 is too few"),
    ],
)
def test_what_makes_no_sense_is_refused_ahead_of_any_trial(search, here, options, message):
    done, report = search("trainer", *options, rates="")
    assert (done.code, report) == (2, None)
    assert done.said.startswith("babysit: ")
    assert message in done.said


def test_a_password_is_in_no_report(search):
    """Not even among the settings; SQLite takes none, and has no use for the query."""
    _, report = search("trainer", *SMALL, "--storage", "sqlite:///kept.db?password=secret")
    assert "secret" not in json.dumps(report)


def test_what_mattered_is_told_by_the_trials_that_were_asked_for(search):
    _, alone = search("trainer", "--coarse", 25, "--fine", 0)
    search("trainer", "--coarse", 40, "--fine", 0, "--storage", "kept.journal")
    _, shared = search("trainer", "--coarse", 25, "--fine", 0, "--storage", "kept.journal")
    assert measured(shared)["earlier"] == 25
    assert measured(shared)["importances"] == measured(alone)["importances"] != {}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("log:1:0.1", "search.param width: the range must go up, and 1 is not less than 0.1"),
        ("[32]", "search.param width: a choice needs two values at least, as choice:relu,tanh has, not 'choice:32'"),
        ("[]", "search.param width: a choice needs two values at least, as choice:relu,tanh has, not 'choice:'"),
        ("{min: 1}", "search.param.width must be text"),
    ],
)
def test_a_space_of_the_configuration_file_is_wrong_by_line(search, here, said, message):
    (here / "babysit.yaml").write_text(f"search:\n  param:\n    width: {said}\n")
    done, _ = search("trainer", rates="")
    assert done.code == 2
    assert done.err.startswith(f"babysit: babysit.yaml:3: {message}")


def test_a_program_must_do_without_arguments(search):
    done, _ = search("needy", "--param", "width=int:8:64", rates="")
    told = "needy() raised ValueError: too wide (program.py:"
    assert (done.code, told in done.err) == (3, True)
    assert done.err.endswith("; ahead of all trials it is called without arguments, which must do\n")


@pytest.mark.parametrize(
    ("listed", "choices"),
    [
        ('["30,60", "50,80"]', ["30,60", "50,80"]),
        ('["true", "1e-3"]', ["true", "1e-3"]),
        ('["1", 1.5, true, null]', ["1", 1.5, True, None]),
        ("[relu, tanh, 1e-3]", ["relu", "tanh", 0.001]),
        ("[~, relu]", [None, "relu"]),
    ],
)
def test_choices_of_the_configuration_file_keep_their_types(search, here, listed, choices):
    (here / "babysit.yaml").write_text(f"search:\n  param:\n    what: {listed}\n")
    _, report = search("anything", "--fine", 0, "--seeds", 0, rates="")
    assert measured(report)["space"][0]["choices"] == choices
    seen = {json.dumps(t["configuration"]["what"]) for t in trials(report)}
    assert seen == {json.dumps(choice) for choice in choices}


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("postgresql://h/db?user=u&password=p@ss", "postgresql://h/db"),
        ("postgresql://u:pw@h:5432/db?application_name=a@b", "postgresql://u@h:5432/db"),
        ("postgresql://u:se?cret@h/db", "postgresql://u@h/db"),
        ("postgresql://u:p@ss@h/db", "postgresql://u@h/db"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("postgresql://h/db", "postgresql://h/db"),
        ("sqlite:////tmp/kept.db?password=x", "sqlite:////tmp/kept.db"),
        ("kept.journal", "kept.journal"),
    ],
)
def test_storages_are_shown_without_their_passwords(place, shown):
    assert hidden(place) == shown


@pytest.mark.parametrize(
    ("storage", "place"),
    [
        ("kept.journal", "/here/kept.journal"),
        ("/there/kept.journal", "/there/kept.journal"),
        ("sqlite:///kept.db", "sqlite:////here/kept.db"),
        ("sqlite+pysqlite:///kept.db", "sqlite+pysqlite:////here/kept.db"),
        ("sqlite:////there/kept.db", "sqlite:////there/kept.db"),
        ("postgresql://h/db", "postgresql://h/db"),
    ],
)
def test_a_storage_is_the_same_in_every_folder(storage, place):
    assert located(storage, Path("/here")) == place


def test_a_password_is_not_shown(search):
    done, _ = search("trainer", "--storage", "postgresql://me:secret@127.0.0.1:1/search")
    assert done.code == 2
    assert "the storage postgresql://me@127.0.0.1:1/search can't be opened" in done.said
    assert "secret" not in done.said


def test_without_validation_examples_nothing_can_be_judged(search):
    done, report = search("without_validation")
    assert done.code == 3
    assert report["results"][0]["reason"] == (
        "batches('val') yielded no batch: a search is judged by examples that it did not train on (PyTorchTrainer and "
        "NumpyTrainer take them as `val`)"
    )


def test_without_the_extra_one_line_says_what_to_install(search, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr("babysit.commands.run.find_spec", lambda name: None if name == "optuna" else there(name))
    done, report = search("trainer")
    assert (done.code, done.out, report) == (3, "", None)
    assert done.err == "babysit: babysit search needs optuna: pip install 'babysit[search]'\n"


def test_run_leaves_it_out(babysit, here):
    shutil.copy(parabola.__file__, here / "program.py")
    done = babysit("run", "program.py:trainer", "--select", "search")
    assert (done.code, done.err) == (
        2,
        "babysit: search is no part of a run; it is a command of its own: babysit search\n",
    )


def test_the_space_in_the_configuration(babysit, here):
    shutil.copy(parabola.__file__, here / "program.py")
    Path("babysit.yaml").write_text(
        "target: program.py:trainer\n"
        "search:\n"
        "  param:\n"
        "    learning_rate: log:1e-6:1e-1\n"
        "    activation: [relu, tanh]\n"
        "  coarse: 4\n"
        "  fine: 0\n"
        "  seeds: 0\n"
    )
    done = babysit("search", "--format", "json")
    space = measured(json.loads(done.out))["space"]
    assert [(p["name"], p["kind"], p["choices"]) for p in space] == [
        ("learning_rate", "log", []),
        ("activation", "choice", ["relu", "tanh"]),
    ]
    assert len(trials(json.loads(done.out))) == 4


def test_a_saved_search_is_judged_again(babysit, search, here):
    done, report = search("trainer", *SMALL)
    (here / "saved.json").write_text(json.dumps(report))
    assert "search-too-small" in rules(report)
    done = babysit("judge", "saved.json", "--set", "search.chance=0.3", "--format", "json")
    assert rules(json.loads(done.out)).keys() == rules(report).keys() - {"search-too-small"}
