import itertools
import json
import math
import random
import re
from dataclasses import replace

import faults
import monitored_programs as programs
import numpy as np
import pytest
import torch
from faults import left
from processes import Group, Parallel, together
from pytorch_programs import bits
from trainers import TinyTrainer, TracedTrainer, blobs

from babysit import Output, runner
from babysit.arrays import differing
from babysit.checks import find_checks
from babysit.checks.train.monitor import monitored
from babysit.commands import plan as planning
from babysit.config.file import Config
from babysit.driving.bench import Bench
from babysit.driving.updates import CALLS
from babysit.errors import UsageError
from babysit.measuring import run_log
from babysit.measuring.split_sample import looked_at, part_of
from babysit.report import ExitCode, Fact, exit_code

SETTINGS = find_checks()["train"].settings


def run(trainer, **settings):
    """What a monitored run of this trainer has shown."""
    return monitored(Bench(trainer), SETTINGS(**{"steps": 20} | settings))[0]


def scripted(losses, **changes):
    """A trainer whose steps give these losses, one after another, and 1 when they are used up."""
    given = iter(losses)

    def step(trainer, batch):
        return replace(TinyTrainer.step(trainer, batch), loss=next(given, 1.0))

    return TinyTrainer(step=step, **changes)


# The loop


def by_hand(trainer, steps):
    """The same run without babysit: losses, and how far each update moved the weights over what stood."""
    losses, ratios = [], []
    epochs = itertools.chain.from_iterable(trainer.batches() for _ in itertools.count())
    for batch in itertools.islice(epochs, steps):
        before = {name: w.copy() for name, w in trainer.parameters().items()}
        losses.append(trainer.step(batch).loss)
        after = trainer.parameters()
        ratios.append({n: np.linalg.norm(after[n] - w) / np.linalg.norm(w) for n, w in before.items() if w.any()})
    return losses, ratios


@pytest.mark.parametrize("make", [faults.healthy, faults.momentum, faults.batch_norm_and_dropout])
def test_the_run_is_the_one_that_the_program_would_make(make):
    losses, ratios = by_hand(make(0), 50)
    found = run(make(0), steps=50)
    assert found.losses == tuple(losses[: len(found.losses)])
    (weights,) = (w for w in found.weights if w.name == "affine1.W")
    for update, ratio in zip(found.weighed, weights.ratios, strict=True):
        assert ratio == pytest.approx(ratios[update - 1]["affine1.W"])


def test_a_step_of_gradient_descent_moves_by_the_rate_times_the_gradient():
    for w in run(TracedTrainer(strength=0.0)).weights:
        moved = [0.1 * gradient / norm for gradient, norm in zip(w.gradients, w.norms, strict=True) if norm > 0]
        assert [r for r in w.ratios if math.isfinite(r)] == pytest.approx([r for r in moved if math.isfinite(r)])


@pytest.mark.parametrize(("steps", "expected"), [(1, [0, 1]), (3, [0, 1, 2, 3]), (4, list(range(5)))])
def test_a_short_run_is_looked_at_behind_every_update(steps, expected):
    assert [m.step for m in run(TinyTrainer(), steps=steps).moments] == expected


def test_the_moments_lie_ever_further_apart():
    found = run(scripted([1.0] * 300), steps=300)
    assert [m.step for m in found.moments] == [0, 12, 48, 108, 192, 228, 264, 300]
    assert run(TracedTrainer(), steps=300, drop=0.99).weighed == (3, 10, 23, 40, 62, 90, 122, 159, 201, 248, 300)


def test_batches_come_from_the_programs_own_loader_pass_after_pass():
    seen = []

    def batches(trainer, split="train"):
        seen.append(split)
        yield from TinyTrainer.batches(trainer, split)

    bench = Bench(TinyTrainer(batches=batches))
    bench.pool(), bench.pool("val")
    seen.clear()
    found = monitored(bench, SETTINGS(steps=20))[0]
    assert seen == ["train"] * 4
    assert (found.batches, found.calls, found.batch_size) == (6, 20, 40)


def test_epochs_instead_of_steps():
    found = run(TinyTrainer(), epochs=3)
    assert (len(found.losses), found.calls, found.batches) == (18, 18, 6)
    assert found.moments[-1].step == 18


def test_no_pass_is_completed_in_a_loader_without_end():
    def batches(trainer, split="train"):
        while split == "train":
            yield from TinyTrainer.batches(trainer)

    assert run(TinyTrainer(batches=batches)).batches == 0


def every(count):
    def step(trainer, batch):
        trainer.calls = getattr(trainer, "calls", 0) + 1
        output = TinyTrainer.step(trainer, batch)
        return replace(output, loss=float(trainer.calls), updated=trainer.calls % count == 0)

    return step


def test_steps_that_accumulate_gradients_are_parts_of_one_update():
    found = run(TracedTrainer(step=every(4)), steps=5)
    assert (found.calls, found.losses) == (20, (2.5, 6.5, 10.5, 14.5, 18.5))
    assert [m.step for m in found.moments] == [0, 1, 2, 3, 4, 5]


def test_a_program_that_never_updates_is_given_up():
    found = run(TracedTrainer(step=every(10**9)), steps=5)
    assert (found.calls, found.losses, len(found.moments)) == (CALLS, (), 1)


def test_a_pass_that_ends_within_an_update_changes_nothing():
    assert len(run(TinyTrainer(step=every(4)), epochs=3).losses) == 4


# Its end


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_one_loss_that_is_not_finite_ends_the_run(wrong):
    found = run(scripted([1.0, 0.9, wrong]))
    assert (len(found.losses), found.moments[-1].step) == (3, 3)


def test_a_penalty_that_is_not_finite_ends_it_too():
    def step(trainer, batch):
        return replace(TinyTrainer.step(trainer, batch), penalty=math.inf)

    assert run(TinyTrainer(step=step)).losses == (math.inf,)


def test_the_run_ends_where_the_loss_has_passed_three_times_its_start():
    assert len(run(scripted([1.0] * 10 + [50.0 + i for i in range(200)]), steps=300).losses) == 20


def test_it_goes_on_through_a_bump_of_the_first_steps():
    found = run(scripted([1.0, 400.0, 200.0, 100.0, 50.0, 25.0, 12.0, 6.0, 3.0]), steps=100)
    assert len(found.losses) >= 64  # where runs that rest may end


def test_a_run_that_stands_still_goes_on_at_a_tenth_of_the_rate():
    rates = []

    def step(trainer, batch):
        rates.append(trainer.learning_rate)
        return replace(TinyTrainer.step(trainer, batch), loss=1.0)

    found = run(TinyTrainer(step=step), steps=150)
    assert rates == [0.1] * 150 + [pytest.approx(0.01)] * 30
    assert found.slower == (1.0,) * 30


def test_a_run_that_falls_does_not():
    assert run(faults.healthy(0), steps=100).slower == ()


# What is looked at


def test_both_splits_are_looked_at_in_evaluation_mode():
    made = faults.batch_norm_and_dropout(0)
    for batch in itertools.islice(made.batches(), 5):
        made.step(batch)
    bench = Bench(made)
    part = part_of(bench, "val", 512)
    inputs, labels = made.splits["val"]
    loss, _, score = looked_at(bench.trainer, bench.task, part)
    whole = made.evaluate((inputs, labels))
    assert loss == pytest.approx(whole.loss)
    assert score == pytest.approx(np.mean(whole.scores.argmax(axis=1) == labels))


def test_parts_are_whole_batches_up_to_so_many_examples():
    assert part_of(Bench(TinyTrainer()), "train", 100).sizes == [40, 40, 40]
    assert part_of(Bench(TinyTrainer()), "val", 512).sizes == [40, 20]
    assert part_of(Bench(TinyTrainer(batch_size=1)), "train", 512).ignorance.examples == 24


def test_without_a_validation_split_there_is_nothing_to_see():
    found, _, val = monitored(Bench(TinyTrainer(splits={"train": blobs()})), SETTINGS(steps=5))
    assert val.examples == 0
    assert all(math.isnan(m.val_loss) and math.isnan(m.val_score) for m in found.moments)


def test_a_trainer_without_the_optional_powers_shows_its_losses():
    found = run(TinyTrainer())
    assert (found.weights, found.units) == ((), ())
    assert all(math.isfinite(m.loss) for m in found.moments)


def test_weights_that_stand_at_zero_have_no_ratio():
    (bias,) = (w for w in run(TracedTrainer()).weights if w.name == "b")
    assert (bias.axes, bias.norms[0]) == (1, 0.0)
    assert math.isnan(bias.ratios[0])
    assert bias.ratios[1] > 0


def test_dead_units_are_followed():
    found = run(faults.some_dead_relus(0))
    (units,) = found.units
    assert (units.name, units.kind, units.dead[0]) == ("relu1", "relu", 0.3)
    assert len(units.dead) == len(units.saturated) == len(found.moments)


def test_saturated_outputs_are_followed():
    units = run(faults.saturated_tanh(0)).units
    assert [u.kind for u in units] == ["tanh"] * len(units)
    assert max(u.saturated[0] for u in units) > 0.5


# What it costs to know nothing


@pytest.mark.parametrize(("factor", "expected"), [(1.0, 1.0), (0.5, 0.5), (40.0, 40.0)])
def test_the_loss_of_knowing_nothing_is_in_the_programs_units(factor, expected):
    made = faults.demo(0)
    made.network.loss = faults.scaled(made.network.loss, factor)
    assert part_of(Bench(made), "train", 512).ignorance.loss == pytest.approx(expected * math.log(3))


def test_a_smoothed_loss_has_the_units_of_the_standard_one():
    assert part_of(Bench(faults.label_smoothing(0)), "train", 512).ignorance.loss == pytest.approx(
        math.log(3), rel=0.01
    )


@pytest.mark.parametrize("batch_size", [10, 200, 1000])
def test_the_standard_error_is_that_of_a_mean_over_examples(batch_size):
    made = TinyTrainer(splits={"train": blobs(600, seed=3)}, batch_size=batch_size)
    bench = Bench(made)
    part = part_of(bench, "train", 600)
    _, error, _ = looked_at(bench.trainer, bench.task, part)
    losses = [made.evaluate((x[i : i + 1], y[i : i + 1])).loss for x, y in part.batches for i in range(len(y))]
    assert error == pytest.approx(np.std(losses) / math.sqrt(len(losses)), rel=0.5)


def test_texts_of_different_lengths_are_looked_at():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Embedding(7, 8), torch.nn.Linear(8, 7))
    pairs = [(torch.randint(7, (4, n)), torch.randint(7, (4, n))) for n in (3, 5, 9)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loss(scores, targets):
        return torch.nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten())

    made = programs.PyTorchTrainer(model, loss, optimizer, pairs, pairs, task="language-model")
    found, train, _ = monitored(Bench(made), SETTINGS(steps=5))
    counts = torch.cat([y.flatten() for _, y in pairs]).bincount()
    shares = counts / counts.sum()
    assert train.loss == pytest.approx(float(-(shares * shares.log()).nansum()), rel=1e-5)
    assert math.isfinite(found.moments[-1].score)


# The record


def test_the_record_holds_what_was_measured(tmp_path):
    path = tmp_path / "run.jsonl"
    found = run(faults.healthy(0), record=str(path))
    first, *rows = run_log.read(path)
    assert {"metric": "accuracy", "learning_rate": 0.02, "steps": 20}.items() <= first.items()
    steps = [row for row in rows if row["kind"] == "step"]
    moments = [row for row in rows if row["kind"] == "moment"]
    assert [row["loss"] for row in steps] == list(found.losses)
    assert [row["step"] for row in steps] == list(range(1, 21))
    assert [(row["step"], row["val_loss"], row["score"]) for row in moments] == [
        (m.step, m.val_loss, m.score) for m in found.moments
    ]
    weights = [row for row in rows if row["kind"] == "weights"]
    assert [row["step"] for row in weights] == list(found.weighed)
    assert weights[3]["ratios"] == {w.name: w.ratios[3] for w in found.weights}
    assert moments[3]["dead"] == {u.name: u.dead[3] for u in found.units}
    assert rows[-1] == {"kind": "end", "step": 20, "reason": ""}


def test_a_run_that_is_killed_leaves_its_record(tmp_path):
    path = tmp_path / "run.jsonl"

    def step(trainer, batch):
        trainer.made = getattr(trainer, "made", 0) + 1
        if trainer.made == 8:
            raise KeyboardInterrupt
        return TinyTrainer.step(trainer, batch)

    with pytest.raises(KeyboardInterrupt):
        run(TinyTrainer(step=step), record=str(path))
    rows = run_log.read(path)
    assert [row["step"] for row in rows if row["kind"] == "step"] == list(range(1, 8))
    assert "end" not in {row["kind"] for row in rows}


def test_the_record_says_why_the_run_ended(tmp_path):
    run(scripted([1.0, math.nan]), record=str(tmp_path / "run.jsonl"))
    assert run_log.read(tmp_path / "run.jsonl")[-1] == {"kind": "end", "step": 2, "reason": "the loss is not finite"}


def test_a_record_that_cannot_be_written_is_told_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"^no/run.jsonl can't be written: No such file or directory$"):
        run(TinyTrainer(step=lambda trainer, batch: pytest.fail("stepped")), record="no/run.jsonl")


def test_in_a_report_it_is_a_check_that_could_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checks = find_checks()
    settings = {name: check.settings() for name, check in checks.items()} | {"train": SETTINGS(record="no/run.jsonl")}
    report = runner.run(TinyTrainer(), planning.plan(Config(settings=settings), checks, "train"), target="t")
    assert report.results[0].reason == "no/run.jsonl can't be written: No such file or directory"
    assert exit_code(report) is ExitCode.TARGET


def test_the_command_writes_the_record(babysit, here):
    (here / "program.py").write_text("from babysit.lab.demo import trainer\n")
    done = babysit("train", "program.py:trainer", "--record", "run.jsonl", "--steps", "40", "--format", "json")
    assert (done.code, done.err) == (0, "")
    losses = json.loads(done.out)["results"][0]["measurement"]["run"]["losses"]
    assert [row["loss"] for row in run_log.read("run.jsonl") if row["kind"] == "step"] == losses


# What can be seen on the way


def test_how_far_it_has_come_is_told_and_can_be_seen():
    bench, told, made = Bench(faults.healthy(0)), [], []
    bench.advance = lambda done, total: told.append((done, total))
    bench.show = lambda make: made.append(list(make()))
    monitored(bench, SETTINGS(steps=20))
    assert told == [(i, 20) for i in range(1, 21)]
    assert [exhibit.title for exhibit in made[-1][:1]] == ["loss while training"]
    facts = {e.label: e.value for e in made[-1] if isinstance(e, Fact)}
    assert re.fullmatch(r"\S+ \(affine\d.W\) to \S+ \(affine\d.W\)", facts["update / weight"])
    assert facts["time left"] == "0 s"
    assert len(made[0][0].x) == 1


def test_nobody_looks_and_nothing_is_drawn():
    bench = Bench(TinyTrainer())
    offered = []
    bench.show = offered.append
    monitored(bench, SETTINGS(steps=3))
    assert len(offered) == 3


# All is put back


@pytest.mark.parametrize("make", [faults.batch_norm_and_dropout, faults.momentum, programs.bouncing])
@pytest.mark.parametrize("settings", [{}, {"epochs": 2}, {"steps": 60}])
def test_the_trainer_is_left_as_found(make, settings):
    made = make(0)
    before = left(made)
    run(made, **settings)
    assert differing(before, left(made)) == []


@pytest.mark.parametrize("fatal", [3, 155])
def test_also_where_a_step_fails(fatal):
    made, calls = faults.rate_of(1e-9, "sgd")(0), []
    healthy = made.step

    def step(batch):
        calls.append(random.random() + np.random.random())
        if len(calls) == fatal:
            raise KeyboardInterrupt
        return healthy(batch)

    made.step = step
    before = left(made)
    with pytest.raises(KeyboardInterrupt):
        run(made, steps=150)
    assert differing(before, left(made)) == []


def test_a_pytorch_program_is_left_as_found():
    made = programs.torch_healthy(0)
    before = bits(made.save()), torch.get_rng_state().tolist()
    run(made)
    assert (bits(made.save()), torch.get_rng_state().tolist()) == before


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_pytorch_program_runs_as_in_its_own_loop(accumulate):
    options = {"batch_norm": True, "dropout": 0.2, "accumulate": accumulate}
    made, losses = programs.torch_program(0, **options), []
    epochs = itertools.chain.from_iterable(made.batches() for _ in itertools.count())
    for batch in itertools.islice(epochs, 12 * accumulate):
        losses.append(made.step(batch).loss)
    found = run(programs.torch_program(0, **options), steps=12)
    assert found.losses == pytest.approx(np.reshape(losses, (12, accumulate)).mean(axis=1))


# Several processes


def test_the_ranks_measure_the_same(tmp_path):
    def program(group, rank):
        return monitored(Bench(Parallel(group, rank)), SETTINGS(steps=25, record=str(tmp_path / f"{rank}.jsonl")))

    first, second = together(2, program)
    assert repr(first) == repr(second)
    assert [path.name for path in tmp_path.iterdir()] == ["0.jsonl"]


def test_they_measure_what_one_process_would_on_all_their_batches():
    def batches(trainer, split="train"):
        shards = [Parallel(Group(2), rank).batches(split) for rank in range(2)]
        return (tuple(np.concatenate(both) for both in zip(*pair, strict=True)) for pair in zip(*shards, strict=True))

    alone = run(TracedTrainer(batches=batches), steps=25)
    both = together(2, lambda group, rank: run(Parallel(group, rank), steps=25))
    assert both[0].losses == pytest.approx(alone.losses)
    assert [m.val_loss for m in both[0].moments] == pytest.approx([m.val_loss for m in alone.moments])


def test_a_pass_ends_where_the_first_rank_has_no_batch_left():
    def program(group, rank):
        shards = {"train": blobs(120 + 40 * rank, seed=rank), "val": blobs(60)}
        return run(Parallel(group, rank, splits=shards), steps=15)

    assert {found.batches for found in together(2, program)} == {6}


def test_a_rank_that_cannot_write_ends_the_run_on_all(tmp_path):
    checks = find_checks()
    settings = {name: check.settings() for name, check in checks.items()}
    settings |= {"train": SETTINGS(steps=5, record=str(tmp_path / "no" / "run.jsonl"))}
    plan = planning.plan(Config(settings=settings), checks, "train")
    reports = together(2, lambda group, rank: runner.run(Parallel(group, rank), plan, target="t"))
    assert {"can't be written" in report.results[0].reason for report in reports} == {True}


def test_outputs_without_scores_are_looked_at_by_their_loss():
    def evaluate(trainer, batch, *, training=False):
        return Output(TinyTrainer.evaluate(trainer, batch).loss)

    found = run(TinyTrainer(evaluate=evaluate))
    assert all(math.isfinite(m.loss) and math.isnan(m.score) for m in found.moments)
