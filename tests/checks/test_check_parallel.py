import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from faults import judged_whatever_the_numbers
from processes import Dropping, Group, Parallel, together
from trainers import TinyTrainer, TracedTrainer, blobs

from babysit import Skip, arrays
from babysit.checks import find_checks
from babysit.checks.check_parallel import Measurement, Settings, _surprise
from babysit.driving.bench import Bench

NAME = "check-parallel"
CHECK = find_checks()[NAME]
HEALTHY = Measurement(
    ranks=2,
    steps=2,
    differing=(),
    replicas=4,
    examples=600,
    common=0.0,
    surprise=0.0,
    noisy=True,
    same_noise=False,
)
DIVERGE = {("ranks-diverge", "error")}
SHARE_DATA = {("ranks-share-data", "error")}
SHARE_NOISE = {("ranks-share-noise", "error")}
EXAMPLES = blobs(240)


def measured(size, make, **settings):
    """What each rank measures."""
    return together(size, lambda group, rank: CHECK.measure(Bench(make(group, rank)), Settings(**settings)))


def verdict(size, make, **settings):
    first, *others = measured(size, make, **settings)
    assert all(other == first for other in others)
    return {(finding.rule, str(finding.severity)) for finding in CHECK.judge(first, Settings(**settings))}


def judged(**changes):
    return CHECK.judge(replace(HEALTHY, **changes), Settings())


# Programs


def alone(trainer, batch):
    """A step that no other rank hears of."""
    output, gradients = trainer._forward_backward(batch)
    trainer.weights = {name: w - trainer.learning_rate * gradients[name] for name, w in trainer.weights.items()}
    return output


def not_averaged(group, rank):
    return Parallel(group, rank, step=alone)


def initialized_apart(group, rank):
    made = Parallel(group, rank)
    made.weights["W"] = made.weights["W"] + 1e-12 * rank
    return made


def one_parameter_outside(group, rank):
    def step(trainer, batch):
        before = trainer.weights["b"]
        alone_after = before - trainer.learning_rate * trainer._forward_backward(batch)[1]["b"]
        output = Parallel.step(trainer, batch)
        trainer.weights["b"] = alone_after
        return output

    return Parallel(group, rank, step=step)


def not_sharded(group, rank):
    return Parallel(group, rank, splits={"train": EXAMPLES}, batch_size=20)


def not_sharded_but_shuffled(group, rank):
    order = np.random.default_rng(rank).permutation(240)
    return Parallel(group, rank, splits={"train": (EXAMPLES[0][order], EXAMPLES[1][order])})


def shards_that_overlap(group, rank):
    """The second rank begins before the first has ended."""
    inputs, targets = (x[110 * rank : 110 * rank + 130] for x in EXAMPLES)
    return Parallel(group, rank, splits={"train": (inputs, targets)})


def healthy(group, rank):
    return Parallel(group, rank)


def padded(group, rank):
    """A sampler gives the last rank an example more than once, so that all have as many: near miss."""
    padding = -len(EXAMPLES[1][1:]) % group.size
    inputs, targets = (np.concatenate([x[1:], x[1 : 1 + padding]])[rank :: group.size] for x in EXAMPLES)
    return Parallel(group, rank, splits={"train": (inputs, targets)})


def uneven(group, rank):
    cut = 150
    train = [(x[:cut], x[cut:])[rank] for x in EXAMPLES]
    return Parallel(group, rank, splits={"train": train})


def four_inputs_alone(group, rank):
    """All examples are among four: near miss."""
    inputs = np.array([(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)])[np.arange(120) % 4] @ np.ones((2, 6))
    inputs[:, 0] = np.arange(120) % 4
    return Parallel(group, rank, splits={"train": (inputs, np.arange(120) % 3)})


def oversampled(group, rank):
    """Every example comes twice, and the ranks share them out well: near miss."""
    order = np.random.default_rng(3).permutation(np.repeat(np.arange(240), 2))[rank :: group.size]
    return Parallel(group, rank, splits={"train": (EXAMPLES[0][order], EXAMPLES[1][order])})


def noise_of_its_own(group, rank):
    return Dropping(group, rank, seed=rank)


def same_noise(group, rank):
    return Dropping(group, rank, seed=0)


def same_noise_on_two_of_three(group, rank):
    return Dropping(group, rank, seed=rank // 2)


def same_noise_and_data(group, rank):
    return Dropping(group, rank, seed=0, splits={"train": EXAMPLES})


def not_averaged_same_noise(group, rank):
    return Dropping(group, rank, seed=0, step=lambda trainer, batch: alone(trainer, trainer._dropped(batch)))


TRAINERS = [
    (not_averaged, DIVERGE),
    (initialized_apart, DIVERGE),
    (one_parameter_outside, DIVERGE),
    (not_sharded, SHARE_DATA),
    (not_sharded_but_shuffled, SHARE_DATA),
    (shards_that_overlap, SHARE_DATA),
    (same_noise, SHARE_NOISE),
    (same_noise_and_data, SHARE_DATA | SHARE_NOISE),
    (not_averaged_same_noise, DIVERGE | SHARE_NOISE),
    (healthy, set()),
    (padded, set()),
    (uneven, set()),
    (four_inputs_alone, set()),
    (oversampled, set()),
    (noise_of_its_own, set()),
]


@pytest.mark.parametrize(("make", "expected"), TRAINERS, ids=lambda value: getattr(value, "__name__", ""))
def test_on_two_ranks(make, expected):
    assert verdict(2, make) == expected


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (not_averaged, DIVERGE),
        (not_sharded, SHARE_DATA),
        (same_noise, SHARE_NOISE),
        (same_noise_on_two_of_three, set()),
        (healthy, set()),
        (padded, set()),
        (oversampled, set()),
        (noise_of_its_own, set()),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_on_three_ranks(make, expected):
    assert verdict(3, make) == expected


@pytest.mark.parametrize("seed", range(3))
def test_the_draw_does_not_matter(seed):
    def make(group, rank):
        drawn = [x[rank :: group.size] for x in blobs(240, seed=seed)]
        return Dropping(group, rank, seed=10 * seed + rank, splits={"train": drawn})

    assert verdict(2, make) == set()


# What is measured


def test_the_measurement_of_a_healthy_program():
    assert measured(2, noise_of_its_own) == [
        Measurement(
            ranks=2,
            steps=2,
            differing=(),
            replicas=2,
            examples=120,
            common=0.0,
            surprise=0.0,
            noisy=True,
            same_noise=False,
        )
    ] * 2  # fmt: skip


@pytest.mark.parametrize(
    ("make", "differing"),
    [(not_averaged, ("W", "b")), (initialized_apart, ("W",)), (one_parameter_outside, ("b",)), (healthy, ())],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_which_parameters_differ(make, differing):
    assert [numbers.differing for numbers in measured(2, make)] == [differing] * 2


@pytest.mark.parametrize("rank", [0, 1])
def test_what_one_rank_alone_holds_differs(rank):
    def replicas(trainer):
        return trainer.weights | ({"average": np.zeros(1)} if trainer.rank == rank else {})

    found = measured(2, lambda group, own: Parallel(group, own, replicas=replicas))
    assert [numbers.differing for numbers in found] == [("average",)] * 2


@pytest.mark.parametrize(
    ("held", "same"),
    [
        ((0.0, -0.0), False),
        ((math.nan, math.nan), True),
        ((1.0, np.nextafter(1.0, 2.0)), False),
        ((np.float32(1.0), np.float64(1.0)), False),
        (([1.0], 1.0), False),
        ((0.1, 0.1), True),
    ],
    ids=str,
)
def test_replicas_are_compared_bit_for_bit(held, same):
    def replicas(trainer):
        return {"x": np.asarray(held[trainer.rank])}

    found = measured(2, lambda group, rank: Parallel(group, rank, replicas=replicas))
    assert [numbers.differing for numbers in found] == [() if same else ("x",)] * 2


@pytest.mark.parametrize("steps", [1, 5])
def test_the_steps_that_were_asked_for(steps):
    calls = []

    def step(trainer, batch):
        calls.append(trainer.rank)
        return Parallel.step(trainer, batch)

    found = measured(2, lambda group, rank: Parallel(group, rank, step=step), steps=steps)
    assert [numbers.steps for numbers in found] == [steps] * 2
    assert sorted(calls) == [0] * steps + [1] * steps


@pytest.mark.parametrize(("limit", "looked_at"), [(1, 20), (20, 20), (21, 40), (119, 120), (8192, 120)])
def test_no_more_batches_are_drawn_than_there_are_examples_to_look_at(limit, looked_at):
    assert [numbers.examples for numbers in measured(2, healthy, examples=limit)] == [looked_at] * 2


@pytest.mark.parametrize(
    ("train", "common", "surprise"),
    [
        ((range(10), range(10)), 1.0, 3.0),  # 10 pairs less 1 that padding may give, over its own root
        ((range(10), range(5, 15)), 0.5, 2.0),
        ((range(10), range(8)), 1.0, 7**0.5),
        ((range(10), range(10, 20)), 0.0, 0.0),
        ((range(10), range(9, 19)), 0.1, 0.0),  # one example more than once: padding
        (([0, 1, 1, 1], [2, 3, 4, 5]), 0.0, -(3**0.5)),
        (([0, 1, 1, 1], [1, 1, 2, 2]), 0.5, 0.0),  # 6 pairs across less 1, and 3 + 1 + 1 within
    ],
)
def test_examples_in_common(train, common, surprise):
    def make(group, rank):
        chosen = list(train[rank])
        return Parallel(group, rank, splits={"train": (EXAMPLES[0][chosen], EXAMPLES[1][chosen])})

    for numbers in measured(2, make):
        assert (numbers.common, numbers.surprise) == pytest.approx((common, surprise), abs=1e-12)


def dealt(rng, copies, ranks):
    """Examples of which each stands so many times in the data, dealt out to the ranks at random."""
    cards = rng.permutation(np.repeat(np.arange(600), copies))
    return [Counter(map(str, hand)) for hand in np.array_split(cards, ranks)]


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("copies", [1, 2, 5])
def test_copies_that_chance_dealt_out_are_no_surprise(copies, ranks):
    rng = np.random.default_rng(0)
    assert max(_surprise(dealt(rng, copies, ranks)) for _ in range(50)) < Settings().surprise


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("copies", [1, 2])
def test_ranks_that_draw_from_the_same_data_are_one(copies, ranks):
    rng = np.random.default_rng(0)
    cards = np.repeat(np.arange(4000), copies)
    drawn = [Counter(map(str, rng.permutation(cards)[:1000])) for _ in range(ranks)]
    assert _surprise(drawn) > Settings().surprise


def test_the_pair_of_ranks_that_shares_most_counts():
    shards = (range(10), range(10, 20), range(15, 25))

    def make(group, rank):
        chosen = list(shards[rank])
        return Parallel(group, rank, splits={"train": (EXAMPLES[0][chosen], EXAMPLES[1][chosen])})

    assert [numbers.common for numbers in measured(3, make)] == [0.5] * 3


def test_examples_are_known_by_all_of_their_inputs():
    """The same picture under another text is another example."""

    def batches(trainer, split="train"):
        inputs, targets = EXAMPLES
        yield {"picture": inputs[:20], "text": inputs[20 + 20 * trainer.rank :][:20], "scheme": "plain"}, targets[:20]

    def make(group, rank):
        made = Parallel(group, rank, batches=batches)
        healthy_pass = made._forward_backward
        made._forward_backward = lambda batch: healthy_pass((batch[0]["picture"], batch[1]))
        return made

    assert [numbers.common for numbers in measured(2, make)] == [0.0] * 2


@pytest.mark.parametrize(
    ("make", "noisy", "same"),
    [
        (healthy, False, True),
        (same_noise, True, True),
        (noise_of_its_own, True, False),
        (not_averaged, False, True),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_noise(make, noisy, same):
    assert [(numbers.noisy, numbers.same_noise) for numbers in measured(2, make)] == [(noisy, same)] * 2


def test_a_loss_that_is_not_a_number_is_no_noise_in_common():
    def make(group, rank):
        return Dropping(group, rank, seed=0, splits={"train": (math.nan * EXAMPLES[0], EXAMPLES[1])})

    assert "ranks-share-noise" not in {rule for rule, _ in verdict(2, make)}


@pytest.mark.parametrize("make", [TinyTrainer, TracedTrainer, lambda: Parallel(Group(1), 0)])
def test_one_process_is_skipped(make):
    with pytest.raises(Skip, match=r"^the program runs as a single process; start several with torchrun to check"):
        CHECK.measure(Bench(make()), Settings())


@pytest.mark.parametrize("make", [noise_of_its_own, same_noise, not_averaged, not_sharded])
def test_every_rank_is_left_as_it_was_found(make):
    def left(group, rank):
        made = make(group, rank)
        before = made.save(), made.learning_rate, made.regularization_scale
        CHECK.measure(Bench(made), Settings())
        return arrays.differing(before, (made.save(), made.learning_rate, made.regularization_scale))

    assert together(2, left) == [[], []]


@pytest.mark.parametrize("error", [ValueError("the disk is full"), KeyboardInterrupt()], ids=["exception", "Ctrl-C"])
def test_every_rank_is_left_as_it_was_found_after_a_step_that_fails(error):
    def left(group, rank):
        def step(trainer, batch):
            Parallel.step(trainer, batch)
            raise error

        made = Parallel(group, rank, step=step)
        before = made.save()
        with pytest.raises(BaseException, match=r"the disk is full|^$"):
            CHECK.measure(Bench(made), Settings())
        return arrays.differing(before, made.save())

    assert together(2, left) == [[], []]


# Rules


def test_a_healthy_measurement():
    assert judged() == []


def test_ranks_that_diverge():
    (finding,) = judged(differing=("0.weight", "0.bias"))
    assert (finding.rule, str(finding.severity), finding.where) == ("ranks-diverge", "error", "0.weight")
    assert finding.message == (
        "after 2 steps, 2 of 4 parameters and buffers differ between the 2 ranks: 0.weight, 0.bias."
    )
    assert finding.evidence == {"differing": ["0.weight", "0.bias"]}
    (finding,) = judged(differing=tuple("abcde"), replicas=9, ranks=8)
    assert finding.message == (
        "after 2 steps, 5 of 9 parameters and buffers differ between the 8 ranks: a, b, c, d and others."
    )
    (finding,) = judged(differing=tuple("abcd"))
    assert finding.message.endswith(" ranks: a, b, c, d.")


def test_ranks_that_share_data():
    (finding,) = judged(common=0.996, surprise=24.4)
    assert (finding.rule, str(finding.severity), finding.where) == ("ranks-share-data", "error", "")
    assert finding.message == ("100% of a rank's training examples come on another rank too (600 looked at on rank 0).")
    assert finding.suggestion == "Give the loader a DistributedSampler."
    assert finding.evidence == {"common": 0.996, "surprise": 24.4}


def test_ranks_that_share_noise():
    (finding,) = judged(same_noise=True, ranks=4)
    assert (finding.rule, str(finding.severity), finding.where) == ("ranks-share-noise", "error", "")
    assert finding.message == "in training mode all 4 ranks have the same loss of one batch, noise and all."
    assert finding.evidence == {"ranks": 4}


@pytest.mark.parametrize(("noisy", "same_noise", "found"), [(1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 0)])
def test_noise_must_be_there_to_be_shared(noisy, same_noise, found):
    assert len(judged(noisy=bool(noisy), same_noise=bool(same_noise))) == found


@pytest.mark.parametrize("limit", [1.0, 4.0, 9.0])
def test_the_threshold_of_shared_data_is_a_setting(limit):
    for factor, found in ((0.99, []), (1.0, []), (1.01, ["ranks-share-data"])):
        measured = replace(HEALTHY, common=0.5, surprise=limit * factor)
        assert [finding.rule for finding in CHECK.judge(measured, Settings(surprise=limit))] == found


def test_nothing_compared_and_nothing_seen():
    empty = Measurement(
        ranks=2, steps=1, differing=(), replicas=0, examples=0, common=0.0, surprise=0.0, noisy=False, same_noise=True
    )
    assert CHECK.judge(empty, Settings()) == []
    shown = {exhibit.label: exhibit.value for exhibit in CHECK.exhibits(empty, Settings())}
    assert shown["alike after 1 steps"] == "0 of 0 parameters and buffers"


def test_numbers_that_are_none_raise_nothing():
    assert len(list(judged_whatever_the_numbers(NAME, HEALTHY, Settings()))) == 3 * 2


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "its own on each rank"),
        ({"same_noise": True}, "the same on all ranks"),
        ({"noisy": False}, "none"),
        ({"noisy": False, "same_noise": True}, "none"),
    ],
)
def test_what_is_shown(changes, shown):
    exhibits = CHECK.exhibits(replace(HEALTHY, differing=("a",), common=0.5, **changes), Settings())
    assert {exhibit.label: exhibit.value for exhibit in exhibits} == {
        "ranks": "2",
        "alike after 2 steps": "3 of 4 parameters and buffers",
        "training examples on two ranks": "50.0% (600 looked at on rank 0)",
        "noise of training": shown,
    }
