"""A program on several processes, which threads play: see `processes`."""

import dataclasses
import itertools
import json
import math
import random

import numpy as np
import pytest
from processes import GONE, Dropping, Group, Parallel, joined_demo, parallel_demo, together
from trainers import TinyTrainer, TracedTrainer, blobs

from babysit import Output, SupportsRanks, TargetError, Trainer, arrays, runner
from babysit.checks import find_checks
from babysit.commands import plan as planning
from babysit.config.file import Config
from babysit.driving.bench import POOL_EXAMPLES, Bench
from babysit.driving.guard import Driven
from babysit.driving.ranks import Ranks, launched_rank, launched_together
from babysit.driving.target import imported
from babysit.errors import LostError, RanksError
from babysit.report import Status

SIZES = (2, 3)
INPUTS, TARGETS = blobs(24)
SINGLE = [TinyTrainer(), TracedTrainer(), Parallel(Group(1), 0)]
TOGETHER = tuple(name for name, check in find_checks().items() if not check.alone)


def plan(*names, **settings):
    chosen = {name: check.settings(**settings.get(name, {})) for name, check in find_checks().items()}
    return planning.plan(Config(select=names, settings=chosen), find_checks())


def reports(size, make, *names, **settings):
    return together(size, lambda group, rank: runner.run(make(group, rank), plan(*names, **settings), target="t"))


# One process


@pytest.mark.parametrize(
    ("environment", "rank", "several"),
    [
        ({}, 0, False),
        ({"RANK": "3", "WORLD_SIZE": "4"}, 3, True),
        ({"RANK": "0", "WORLD_SIZE": "2"}, 0, True),
        ({"RANK": "3", "WORLD_SIZE": "1"}, 0, False),
        ({"RANK": "3", "WORLD_SIZE": ""}, 0, False),
        ({"RANK": "3"}, 0, False),
        ({"WORLD_SIZE": "2"}, 0, True),
        ({"RANK": "first", "WORLD_SIZE": "2"}, 0, True),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_what_a_launcher_says(monkeypatch, environment, rank, several):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (launched_rank(), launched_together()) == (rank, several)


def test_the_trainers_played_here_are_trainers_of_several_processes():
    for make in (Parallel, parallel_demo):
        made = make(Group(2), 1)
        assert isinstance(made, Trainer)
        assert isinstance(made, SupportsRanks)
        assert (made.rank, made.size) == (1, 2)


@pytest.mark.parametrize("trainer", SINGLE, ids=["knows no ranks", "traced", "one rank"])
def test_on_one_process_nothing_is_done(trainer):
    ranks = Ranks(trainer)
    batch, output = (INPUTS, TARGETS), Output(1.0, 2.0, INPUTS)
    assert (ranks.rank, ranks.size) == (0, 1)
    assert ranks.gather(batch)[0] is batch
    assert ranks.agree("step 1") is None
    assert ranks.share(batch) is batch
    assert ranks.reduced(output, batch) is output
    assert ranks.joined([batch])[0] is batch
    failed = ranks.failed("step 1 raised ValueError")
    assert (type(failed), str(failed)) == (TargetError, "step 1 raised ValueError")


def seeded(monkeypatch, seed, rank):
    """What the global generators give on this rank."""
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", str(rank))
    python, numpy = random.getstate(), np.random.get_state()
    try:
        imported("random:random", seed)
        return random.random(), np.random.rand()
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def test_each_rank_is_seeded_with_a_number_of_its_own(monkeypatch):
    assert len({seeded(monkeypatch, 7, rank) for rank in range(4)}) == 4
    assert seeded(monkeypatch, 7, 2) == seeded(monkeypatch, 9, 0)
    assert seeded(monkeypatch, 2**32 - 1, 1) == seeded(monkeypatch, 0, 0)


# Sharing and joining


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("n", [5, 6, 7, 17, 24])
def test_the_shares_of_a_batch_are_its_parts_in_order(size, n):
    batch = (INPUTS[:n], {"label": TARGETS[:n], "scheme": "plain"})
    shares = [Ranks(Parallel(Group(size), rank)).share(batch) for rank in range(size)]
    joined = arrays.concatenate(shares)
    assert arrays.differing(joined, batch) == []
    counts = [arrays.count(share) for share in shares]
    assert max(counts) - min(counts) <= 1
    assert min(counts) >= 1


@pytest.mark.parametrize("n", [1, 2])
def test_a_batch_with_less_than_an_example_a_rank_goes_to_all(n):
    batch = (INPUTS[:n], TARGETS[:n])
    assert all(Ranks(Parallel(Group(3), rank)).share(batch) is batch for rank in range(3))


def joined(*batches):
    """What the ranks that hold these batches make of them."""
    return together(len(batches), lambda group, rank: Ranks(Parallel(group, rank)).joined(batches[rank]))


def some(*counts, width=2):
    """Batches of so many examples each, no two alike."""
    cuts = np.cumsum((0, *counts))
    return [(np.arange(a, b)[:, None] * np.ones(width), np.arange(a, b)) for a, b in itertools.pairwise(cuts)]


@pytest.mark.parametrize(
    ("of_each", "counts"),
    [
        ([[4, 4], [4, 4]], [8, 8]),
        ([[4, 4, 4], [4]], [8]),
        ([[4], [4, 4, 4]], [8]),
        ([[4, 3], [4, 2]], [8, 5]),
        ([[4, 1], [4, 4], [4, 2]], [12, 7]),
        ([[], [4]], []),
        ([[1], [5]], [6]),
    ],
)
def test_batches_are_joined_as_far_as_all_ranks_have_one(of_each, counts):
    held = [some(*own) for own in of_each]
    every = joined(*held)
    assert [[arrays.count(batch) for batch in pool] for pool in every] == [counts] * len(held)
    for pool in every:
        for k, batch in enumerate(pool):
            assert arrays.differing(batch, arrays.concatenate([own[k] for own in held])) == []


def test_trees_are_joined_leaf_by_leaf_and_plain_values_stay():
    def batch(rank):
        return ({"x": INPUTS[rank::2], "mask": (TARGETS[rank::2] > 0,), "scheme": "plain"}, TARGETS[rank::2])

    for pool in joined([batch(0)], [batch(1)]):
        ((inputs, targets),) = pool
        assert np.array_equal(inputs["x"], np.concatenate([INPUTS[::2], INPUTS[1::2]]))
        assert np.array_equal(targets, np.concatenate([TARGETS[::2], TARGETS[1::2]]))
        assert (inputs["mask"][0].dtype, inputs["scheme"]) == (bool, "plain")


@pytest.mark.parametrize(
    "other",
    [
        some(4, width=3),
        [(np.ones((4, 2, 1)), np.ones(4))],
        [(np.ones((4, 2)), np.ones((4, 1)))],
        [(np.ones((4, 2)), 1)],
    ],
    ids=["another width", "another axis", "other targets", "no targets"],
)
def test_of_batches_that_can_not_be_joined_each_ranks_stands_for_all_in_turn(other):
    own = some(4)
    for pool in joined([*own, *own], [*other, *other]):
        assert len(pool) == 2
        for found, expected in zip(pool, (own[0], other[0]), strict=True):
            assert arrays.differing(found, expected) == []


@pytest.mark.parametrize("size", SIZES)
def test_outputs_become_one(size):
    batch = (INPUTS, TARGETS)
    n = len(TARGETS) // size

    def reduced(group, rank, skipping=None):
        scores = INPUTS[rank * n : (rank + 1) * n]
        return Ranks(Parallel(group, rank)).reduced(Output(rank + 1.0, 10.0 * rank, scores, rank != skipping), batch)

    for output in together(size, reduced):
        assert output.loss == pytest.approx((size + 1) / 2)
        assert output.penalty == pytest.approx(10 * (size - 1) / 2)
        assert np.array_equal(output.scores, INPUTS)
        assert output.updated is True
    skipped = together(size, lambda group, rank: reduced(group, rank, skipping=1))
    assert [output.updated for output in skipped] == [False] * size


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_on_one_rank_is_so_for_all(wrong):
    def reduced(group, rank):
        return Ranks(Parallel(group, rank)).reduced(Output(wrong if rank else 1.0), (INPUTS, TARGETS)).loss

    assert not any(map(math.isfinite, together(2, reduced)))


def test_outputs_without_scores_and_those_of_a_batch_that_all_drove():
    def reduced(group, rank):
        ranks = Ranks(Parallel(group, rank))
        few = (INPUTS[:1], TARGETS[:1])
        return ranks.reduced(Output(1.0), (INPUTS, TARGETS)), ranks.reduced(Output(1.0, 0.0, few[0]), few)

    for none, whole in together(2, reduced):
        assert none.scores is None
        assert np.array_equal(whole.scores, INPUTS[:1])


# Several processes make the run of one on the joined batches


def single(size):
    """One process on the ranks' batches, joined."""
    ranks = [Parallel(Group(size), rank) for rank in range(size)]
    batches = {
        split: [arrays.concatenate(parts) for parts in zip(*(rank.batches(split) for rank in ranks), strict=False)]
        for split in ("train", "val")
    }
    return TracedTrainer(batches=lambda trainer, split="train": batches[split])


def driven(trainer, *, scale=1.0):
    """Losses, penalties and scores of a few calls."""
    bench = Bench(trainer)
    seen = []
    with bench.borrowed(learning_rate=0.5, scale=scale) as borrowed:
        for batch in bench.first_batches(240):
            seen += [borrowed.evaluate(batch), borrowed.step(batch), borrowed.evaluate(batch, training=True)]
        seen += [borrowed.evaluate(batch) for batch in bench.pool("val")]
        weights = arrays.duplicate(trainer.save())
    return [(o.loss, o.penalty, o.scores) for o in seen], weights


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_losses_scores_and_weights_are_those_of_one_process(size, scale):
    expected, weights = driven(single(size), scale=scale)
    for seen, own in together(size, lambda group, rank: driven(Parallel(group, rank), scale=scale)):
        assert len(seen) == len(expected) > 12
        for (loss, penalty, scores), (one_loss, one_penalty, one_scores) in zip(seen, expected, strict=True):
            assert (loss, penalty) == pytest.approx((one_loss, one_penalty), rel=1e-12)
            assert scores == pytest.approx(one_scores, rel=1e-9, abs=1e-12)
        for name, weight in own.items():
            assert weight == pytest.approx(weights[name], rel=1e-9, abs=1e-12)


def numbers(value, where=""):
    """Every plain value in a measurement, with its place."""
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict | tuple):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(child, f"{where}.{key}")
    else:
        yield where, value


@pytest.fixture(scope="module", params=SIZES)
def runs(request):
    """The reports of all ranks, and that of one process on the joined batches."""
    fewer = {"lr-scan": {"low": 1e-3, "high": 0.1, "steps": 8}, "check-activations": {"steps": 20}}
    names = TOGETHER
    return reports(request.param, parallel_demo, *names, **fewer), runner.run(
        joined_demo(request.param), plan(*names, **fewer), target="t"
    )


def test_a_healthy_program_passes_on_every_rank(runs):
    for report in runs[0]:
        expected = dict.fromkeys(TOGETHER, "passed") | {"check-grad": "skipped"}
        assert {result.check: str(result.status) for result in report.results} == expected


def test_all_ranks_measure_the_same(runs):
    first, *others = ([repr(list(numbers(result.measurement))) for result in report.results] for report in runs[0])
    for other in others:
        assert other == first


@pytest.mark.parametrize("name", ["check-target", "check-activations", "lr-scan", "check-loss", "check-reg", "overfit"])
def test_what_is_measured_is_what_one_process_measures(runs, name):
    ranks, one = runs
    if len(ranks) == 3 and name in ("check-loss", "check-reg", "overfit"):
        return  # these cut the batches anew, and ranks with shares of 6, 7 and 7 weigh the same, as their gradients do
    result, expected = ({r.check: r for r in report.results}[name] for report in (ranks[0], one))
    assert (result.status, result.steps) == (expected.status, expected.steps)
    measured, single = dict(numbers(result.measurement)), dict(numbers(expected.measurement))
    assert list(measured) == list(single)
    for where, value in measured.items():
        if isinstance(value, float):
            assert value == pytest.approx(single[where], rel=1e-6, abs=1e-9, nan_ok=True), where
        else:
            assert value == single[where], where


# What the pool holds


@pytest.mark.parametrize(
    ("of_each", "batch_size", "counts"),
    [((12, 9), 4, [8, 8, 5]), ((12, 8), 4, [8, 8]), ((1, 1), 4, [2]), ((9, 9), 4, [8, 8, 2])],
)
def test_the_pool_is_the_ranks_batches_joined(of_each, batch_size, counts):
    def pool(group, rank):
        n, shards = of_each[rank], {"train": (INPUTS[: of_each[rank]], TARGETS[: of_each[rank]])}
        assert len(shards["train"][0]) == n
        bench = Bench(Parallel(group, rank, splits=shards, batch_size=batch_size))
        return [arrays.count(batch) for batch in bench.pool()], bench.pool("val")

    assert together(2, pool) == [(counts, [])] * 2


def test_a_split_that_one_rank_alone_has_is_none():
    splits = {"train": (INPUTS, TARGETS), "val": (INPUTS, TARGETS)}

    def pool(group, rank):
        own = {name: split for name, split in splits.items() if name == "train" or rank == 0}
        return Bench(Parallel(group, rank, splits=own)).pool("val")

    assert together(2, pool) == [[], []]


def test_the_pool_is_bounded_on_every_rank():
    def pool(group, rank):
        return sum(arrays.count(batch) for batch in Bench(Parallel(group, rank, splits={"train": blobs(3000)})).pool())

    drawn = together(2, pool)
    assert drawn[0] == drawn[1] >= POOL_EXAMPLES


@pytest.mark.parametrize("size", [2, 4])
def test_a_run_on_fewer_examples_than_ranks(size):
    """One example on each of several ranks; the subset to memorize may have fewer than there are ranks."""

    def make(group, rank):
        return Parallel(group, rank, splits={"train": (INPUTS[[rank]], TARGETS[[rank]])}, learning_rate=1.0)

    for report in reports(size, make, "check-target", "check-loss", "overfit", overfit={"examples": 1}):
        assert [result.status for result in report.results if result.check != "check-loss"] == [Status.PASSED] * 2


def test_noise_that_differs_between_ranks_leaves_them_in_step():
    def make(group, rank):
        return Dropping(group, rank, seed=rank)

    first, other = reports(2, make, "check-target", "check-parallel", "check-loss", "check-reg")
    assert [result.measurement for result in first.results] == [result.measurement for result in other.results]
    assert {result.status for result in first.results} == {Status.PASSED}


def test_every_rank_is_put_back():
    def left(group, rank):
        made = Dropping(group, rank, seed=rank)
        before = made.save(), made.learning_rate, made.regularization_scale
        runner.run(made, plan("check-target", "check-parallel", "check-reg"), target="t")
        return arrays.differing(before, (made.save(), made.learning_rate, made.regularization_scale))

    assert together(2, left) == [[], []]


# A rank that fails


def at(nth, name, fault):
    """A method that is healthy but for its nth call."""
    calls = itertools.count(1)

    def method(trainer, *arguments, **options):
        if next(calls) == nth:
            return fault(trainer)
        return getattr(Parallel, name)(trainer, *arguments, **options)

    return {name: method}


def boom(trainer):
    raise ValueError("boom")


def leaving(trainer):
    raise SystemExit(3)


def ends(report):
    return [(str(result.status), result.reason) for result in report.results]


def assert_all_know(told, start):
    """Every rank's run ended in this failure, and no check went on behind it."""
    for report in told:
        assert not isinstance(report, BaseException), report
        (_, reason), *behind = itertools.dropwhile(lambda end: end[0] != "crashed", ends(report))
        assert reason.startswith(start)
        assert {status for status, _ in behind} <= {"blocked"}


CHECKS = ("check-target", "check-parallel", "check-activations", "check-reg", "lr-scan")
FAILURES = {
    "evaluation": (2, "evaluate", boom, "evaluate(batch, training=False) raised ValueError: boom ("),
    "step": (3, "step", boom, "step 3 raised ValueError: boom ("),
    "exit": (3, "step", leaving, "step 3 called sys.exit(3)"),
    "late step": (20, "step", boom, "step 20 raised ValueError: boom ("),
    "save": (3, "save", boom, "save() raised ValueError: boom ("),
    "load": (3, "load", boom, "load(state) raised ValueError: boom ("),
    "trace": (1, "trace", boom, "trace(batch, visit) raised ValueError: boom ("),
    "replicas": (1, "replicas", boom, "replicas() raised ValueError: boom ("),
    "parameters": (1, "parameters", boom, "parameters() raised ValueError: boom ("),
    "strengths": (1, "strengths", boom, "strengths() raised ValueError: boom ("),
    "loader": (1, "batches", boom, "batches('train') raised ValueError: boom ("),
    "loader, later": (2, "batches", boom, "batches('train') raised ValueError: boom ("),
}
WRONG = {
    "no output": (3, "step", "done", "step 3 must return babysit.Output, not str"),
    "no number": (3, "step", Output("low"), "the loss of step 3 must be a number, not 'low' (str)"),
    "two losses": (2, "evaluate", Output(np.ones(2)), "the loss of evaluate(batch, training=False) has shape (2,)"),
    "no batch": (1, "batches", [], "batches('train') yielded no batch, so there is nothing to train on"),
    "no pair": (1, "batches", [(1, 2, 3)], "batches('train') must yield (inputs, targets), not tuple"),
    "no arrays": (1, "batches", [(1, 2)], "batches('train'): every array of a batch needs the same number of examples"),
}


def spoiling(failing, *fault):
    """A program that is healthy but for one rank, where it has this fault."""

    def make(group, rank):
        return Parallel(group, rank, **(at(*fault) if rank == failing else {}))

    return make


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize(("nth", "name", "fault", "message"), FAILURES.values(), ids=FAILURES)
def test_a_failure_on_one_rank_fails_all_and_names_it(nth, name, fault, message, failing):
    assert_all_know(reports(2, spoiling(failing, nth, name, fault), *CHECKS), f"rank {failing}: {message}")


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize(("nth", "name", "value", "message"), WRONG.values(), ids=WRONG)
def test_what_one_rank_alone_returns_wrongly_fails_all_and_names_it(nth, name, value, message, failing):
    make = spoiling(failing, nth, name, lambda trainer: value)
    assert_all_know(reports(2, make, *CHECKS), f"rank {failing}: {message}")


@pytest.mark.parametrize("failing", [0, 1])
def test_a_rank_that_can_not_begin_is_named_by_the_others(failing):
    told = reports(2, spoiling(failing, 1, "save", boom), *CHECKS)
    error = told.pop(failing)
    assert isinstance(error, RanksError)
    assert str(error).startswith(f"rank {failing}: save() raised ValueError: boom (")
    assert_all_know(told, f"rank {failing}: save() raised ValueError: boom (")


def test_the_first_word_stands():
    group = Group(2)
    first, second = (Ranks(Parallel(group, rank)) for rank in (1, 0))
    said = (
        (first, "step 1 raised ValueError"),
        (second, "step 1 raised RuntimeError"),
        (first, "step 2 called sys.exit()"),
    )
    errors = [ranks.failed(message) for ranks, message in said]
    assert [type(error) for error in errors] == [RanksError] * 3
    assert {str(error) for error in errors} == {"rank 1: step 1 raised ValueError"}
    assert isinstance(errors[0], LostError)


def test_checks_behind_a_failure_are_blocked_by_it():
    for report in reports(2, spoiling(1, 3, "step", boom), "check-target", "check-reg", "lr-scan"):
        assert ends(report)[1:] == [("blocked", "a rank failed in check-target")] * 2


def test_on_one_process_a_failing_check_leaves_the_others_be():
    made = Parallel(Group(1), 0, **at(3, "step", boom))
    report = runner.run(made, plan("check-target", "check-reg", "lr-scan"), target="t")
    (status, reason), *others = ends(report)
    assert status == "crashed"
    assert reason.startswith("step 3 raised ValueError: boom (")
    assert [status for status, _ in others] == ["passed", "passed"]


# Ranks that part


def test_ranks_that_go_different_ways_are_told():
    def part(group, rank):
        trainer = Driven(Parallel(group, rank))
        batch = (INPUTS, TARGETS)
        return trainer.step(batch) if rank else trainer.evaluate(batch, training=True)

    for error in together(2, part):
        assert isinstance(error, RanksError)
        assert str(error) == (
            "the ranks went different ways: rank 0 is at evaluate(batch, training=True), rank 1 is at step 1; "
            "they must measure the same to stay together"
        )


def test_of_three_ranks_each_place_is_told():
    def part(group, rank):
        trainer = Driven(Parallel(group, rank))
        if rank == 2:
            trainer.steps += 4
        return trainer.step((INPUTS, TARGETS))

    assert {str(error) for error in together(3, part)} == {
        "the ranks went different ways: rank 0 is at step 1, rank 1 is at step 1, rank 2 is at step 5; "
        "they must measure the same to stay together"
    }


def test_a_rank_that_has_ended_is_not_waited_for():
    """A rank that is killed leaves no word; its connections close."""

    def part(group, rank):
        return Driven(Parallel(group, rank)).step((INPUTS, TARGETS)) if rank == 0 else None

    error, _ = together(2, part)
    assert isinstance(error, RanksError)
    assert GONE in str(error)


@pytest.mark.parametrize("interrupted", [2, 9])
def test_ctrl_c_on_all_ranks(interrupted):
    def stopped(trainer):
        raise KeyboardInterrupt

    def run(group, rank):
        made = Parallel(group, rank, **at(interrupted, "step", stopped))
        before = made.save()
        report = runner.run(made, plan("check-target", "check-reg", "lr-scan"), target="t")
        return report, arrays.differing(before, made.save())

    for report, differing in together(2, run):
        assert report.interrupted
        assert ("blocked", "interrupted before it ended") in ends(report)
        assert differing == []


# The command


PROGRAMS = """\
from babysit.lab import demo
from babysit.lab.faults import FAULTS

healthy = demo.trainer
broken = FAULTS["summed-loss"].make
def dead(): raise RuntimeError("no GPU here")
"""


@pytest.fixture
def on_rank(babysit, here, monkeypatch):
    """The command on one of two ranks."""
    (here / "programs.py").write_text(PROGRAMS)
    monkeypatch.setenv("WORLD_SIZE", "2")

    def call(rank, *arguments):
        monkeypatch.setenv("RANK", str(rank))
        return babysit(*arguments)

    return call


@pytest.mark.parametrize(("program", "code"), [("healthy", 0), ("broken", 1)])
def test_rank_0_tells_and_the_others_are_silent(on_rank, here, program, code):
    call = ("check-loss", f"programs.py:{program}", "--format=json", "--report=junit=junit.xml")
    silent = on_rank(1, *call)
    assert (silent.code, silent.out, silent.err) == (0, "", "")
    assert not (here / "junit.xml").exists()
    told = on_rank(0, *call)
    assert (told.code, told.err) == (code, "")
    assert [result["check"] for result in json.loads(told.out)["results"]] == ["check-loss"]
    assert (here / "junit.xml").exists()


def test_a_report_is_not_taken_away_by_a_rank_that_comes_late(on_rank, here):
    call = ("check-loss", "programs.py:healthy", "--output=report.txt")
    on_rank(0, *call)
    before = (here / "report.txt").read_text()
    on_rank(1, *call)
    assert (here / "report.txt").read_text() == before != ""


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("gone.py:trainer", 2, "no such file: gone.py\n"),
        ("programs.py:wealthy", 2, "programs.py has no 'wealthy'; did you mean 'healthy'?\n"),
        ("programs.py:dead", 3, "dead() raised RuntimeError: no GPU here (programs.py:6 in dead)\n"),
    ],
)
def test_an_error_outside_the_run_names_its_rank(on_rank, target, code, message):
    first, second = on_rank(0, "check-loss", target), on_rank(1, "check-loss", target)
    assert (first.code, first.out, first.err) == (code, "", f"babysit: {message}")
    assert (second.code, second.out, second.err) == (code, "", f"babysit: rank 1: {message}")


def test_the_check_of_several_processes_is_a_part_of_run_there(on_rank):
    done = on_rank(0, "run", "programs.py:healthy", "--format=json")
    found = {result["check"]: result["status"] for result in json.loads(done.out)["results"]}
    assert tuple(found) == TOGETHER
    assert found.pop("check-parallel") == "skipped"
    assert set(found.values()) == {"passed"}
