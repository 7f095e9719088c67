"""Do the processes of a distributed program train one network, each on data and noise of its own?

Started by `torchrun` or its like, a program runs once for each device. The copies must hold the same parameters after
every step, and must not see the same examples or drop out the same units: or the devices do one device's work.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from babysit.check import certain, rule, setting
from babysit.driving.budget import EVALUATION, Needs
from babysit.errors import Skip
from babysit.report import Exhibit, Fact, Finding

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.trainer import Batch

ORDER = 5
BLOCKED_BY = ("state-not-restored", "step-changes-nothing")
TOGETHER = True


@dataclass(frozen=True)
class Settings:
    """Settings of `check-parallel`."""

    steps: int = setting(2, "updates behind which the ranks are compared", least=1, measures=True)
    examples: int = setting(
        8192, "training examples of each rank that are looked at, to find one on two ranks", least=1, measures=True
    )
    surprise: float = setting(
        4.0,
        "standard errors by which equal examples on two ranks outnumber equal ones on one rank, from where the data is "
        "shared; a normal variable is as far off by chance once in 30,000 times",
        above=0.0,
    )


def needs(settings: Settings, batch: int) -> Needs:
    """The updates, and an evaluation or two on each rank."""
    return Needs(*(settings.steps + 6 * EVALUATION,) * 2)


@dataclass(frozen=True)
class Measurement:
    """What the ranks hold, see and draw.

    Args:
        ranks: How many there are.
        steps: Updates behind which they were compared.
        differing: Names of the parameters and buffers that are not the same on all ranks.
        replicas: How many parameters and buffers were compared.
        examples: Training examples that rank 0 looked at.
        common: Share of a rank's distinct examples that another rank has too; the largest over pairs of ranks.
        surprise: By how many standard errors pairs of equal examples across ranks outnumber those within ranks.
        noisy: Whether training adds noise to the loss of one batch: dropout, or the like.
        same_noise: Whether all ranks draw the same noise.
    """

    ranks: int
    steps: int
    differing: tuple[str, ...]
    replicas: int
    examples: int
    common: float
    surprise: float
    noisy: bool
    same_noise: bool


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Step on every rank's own data and compare; look through the loaders; evaluate one batch on all."""
    from babysit import arrays

    ranks = bench.trainer.ranks
    if ranks.size == 1:
        raise Skip("the program runs as a single process; start several with torchrun to check them")
    pool = bench.pool()
    with bench.borrowed() as trainer:
        for batch in itertools.islice(bench.stream(), settings.steps):
            trainer.step(batch)
        digests = {name: arrays.digest(x) for name, x in trainer.replicas().items()}
    held = ranks.gather(digests)
    names = dict.fromkeys(name for other in held for name in other)
    differing = tuple(name for name in names if len({other.get(name) for other in held}) > 1)
    seen = ranks.gather(_seen(bench, settings.examples))
    some = arrays.take(pool[0], range(max(1, arrays.count(pool[0]) // ranks.size)))  # as much as a rank steps on
    noise = ranks.gather(_noise(bench, some))
    return Measurement(
        ranks=ranks.size,
        steps=settings.steps,
        differing=differing,
        replicas=len(names),
        examples=len(seen[0]),
        common=max(_common(a, b) for a, b in itertools.combinations(seen, 2)),
        surprise=_surprise([Counter(own) for own in seen]),
        noisy=any(loss != quiet for loss, quiet in noise),
        same_noise=len({loss for loss, _ in noise}) == 1,
    )


def _common(a: list[str], b: list[str]) -> float:
    return len(set(a) & set(b)) / min(len(set(a)), len(set(b)))


def _surprise(seen: list[Counter[str]]) -> float:
    """How much more often two ranks have the same example than one rank has it twice, in standard errors.

    Where examples were dealt out at random, copies of one are as likely to end on two ranks as on one: with R ranks of
    n examples there are (R - 1) n / (n - 1) times as many pairs across as within. Pairs are counted as Poisson's law
    has them scatter. Samplers pad the last batch with at most one example for each rank.
    """
    across = sum(a[k] * b[k] for a, b in itertools.combinations(seen, 2) for k in a.keys() & b.keys())
    within = sum(n * (n - 1) / 2 for own in seen for n in own.values())
    expected = max(0.0, across / (len(seen) - 1) - 1)
    return (expected - within) / math.sqrt(expected + within) if expected + within > 0 else 0.0


def _seen(bench: "Bench", examples: int) -> list[str]:
    """A digest of the inputs of each of this rank's training examples, in the order in which they come."""
    from babysit import arrays

    digests: list[str] = []
    with bench.borrowed() as trainer:
        for inputs, _ in trainer.batches():
            for k in range(arrays.count(inputs)):
                example = arrays.leaves(arrays.take(inputs, [k]))
                digests.append("".join(arrays.digest(x) for _, x in example if hasattr(x, "shape")))
            if len(digests) >= examples:
                break
    return digests


def _noise(bench: "Bench", batch: "Batch") -> tuple[float, float]:
    """The rank's own loss of the batch in training mode as the program has it, and with regularization off."""
    with bench.borrowed() as trainer:
        noisy = trainer.alone(batch)
    with bench.borrowed(scale=0.0) as trainer:
        quiet = trainer.alone(batch)
    return noisy, quiet


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """What the ranks have in common."""
    alike = measured.replicas - len(measured.differing)
    yield Fact("ranks", str(measured.ranks))
    yield Fact(f"alike after {measured.steps} steps", f"{alike} of {measured.replicas} parameters and buffers")
    yield Fact("training examples on two ranks", f"{measured.common:.1%} ({measured.examples} looked at on rank 0)")
    noise = ("the same on all ranks" if measured.same_noise else "its own on each rank") if measured.noisy else "none"
    yield Fact("noise of training", noise)


@certain
@rule
def ranks_diverge(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The ranks hold different networks after a step.

    What it finds: parameters or buffers that differ between ranks, bit for bit, behind a few updates.

    Why it matters: data-parallel training is right only while every copy makes the same update from the mean of all
    gradients. Copies that differ are separate networks; the one that is saved has seen a part of the data.

    What to try: step through the wrapper (DistributedDataParallel), not the module inside; no parameters outside of it;
    SyncBatchNorm, or buffers synchronized ahead of each pass, for running
    statistics; the same initialization on all ranks.

    When it is wrong: where ranks hold different parts of the network on purpose (sharded or pipelined models).

    References: S. Li et al., "PyTorch Distributed: experiences on accelerating data parallel training", VLDB 2020.
    """
    if measured.differing:
        names = ", ".join(measured.differing[:4]) + (" and others" if len(measured.differing) > 4 else "")
        yield ranks_diverge.error(
            f"after {measured.steps} steps, {len(measured.differing)} of {measured.replicas} parameters and buffers "
            f"differ between the {measured.ranks} ranks: {names}.",
            where=measured.differing[0],
            suggestion="Step through DistributedDataParallel, with every parameter inside it.",
            differing=list(measured.differing),
        )


@certain
@rule
def ranks_share_data(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The ranks train on the same examples.

    What it finds: examples that come on two ranks within one pass, more often than one rank has an example twice.

    Why it matters: each epoch then goes through the data once for every device: no faster than one device, at many
    times the price, and what is reported as an epoch is several.

    What to try: `DistributedSampler(dataset)` as the loader's sampler, and `set_epoch` at each epoch; with a stream,
    split it by rank.

    When it is wrong: where examples are drawn with replacement on purpose, or where the data repeats itself across
    shards but not within one. Where augmentation makes every example new, or the data is so large that the examples
    looked at hardly meet, nothing can be seen.

    References: PyTorch documentation, `torch.utils.data.distributed.DistributedSampler`.
    """
    if measured.surprise > settings.surprise:
        yield ranks_share_data.error(
            f"{measured.common:.0%} of a rank's training examples come on another rank too ({measured.examples} looked "
            "at on rank 0).",
            suggestion="Give the loader a DistributedSampler.",
            common=measured.common,
            surprise=measured.surprise,
        )


@certain
@rule
def ranks_share_noise(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """Dropout drops the same units on every rank.

    What it finds: one batch has the same loss on all ranks in training mode, though training adds noise to it.

    Why it matters: masks that are equal on all ranks don't average out over them: the noise of the update is that of
    one device, and augmentation drawn from the same generators repeats itself too.

    What to try: seed with the rank added (`torch.manual_seed(seed + rank)`), behind the initialization where all ranks
    must begin alike.

    When it is wrong: where equal noise is wanted, to make ranks comparable.

    References: N. Srivastava et al., "Dropout", JMLR 2014: a new mask for every case.
    """
    if measured.noisy and measured.same_noise:
        yield ranks_share_noise.error(
            f"in training mode all {measured.ranks} ranks have the same loss of one batch, noise and all.",
            suggestion="Seed each rank with its own number: torch.manual_seed(seed + rank).",
            ranks=measured.ranks,
        )
