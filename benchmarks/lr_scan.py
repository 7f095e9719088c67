"""Is the learning rate that `babysit lr-scan` suggests a good one, and does it answer "none" where none works?

    python benchmarks/lr_scan.py [--seeds 0 1 2] [--workers 2] [--small] [--output docs/lr-scan.md]

Regret: the training loss after 200 updates at the suggested rate, over the least that any rate of a grid reaches, as
log10 of the ratio; 0 is perfect, and a suggestion between two rates of the grid may lie a little below. Beside babysit
stand the field's finders, each at its own defaults and with as many steps as babysit took. A suggestion fails where the
loss then ends above 1.0 (none of these tasks needs to), and so does none. Spread is the standard deviation of the log10
of a task's suggestions over seeds. Thresholds and constants were chosen on the tuned tasks alone.

Then the programs on which nothing can be learned, where the one right answer is "none", and those that look hopeless
and aren't, where "none" is wrong.

Ends with 1 where babysit's regret over the reported tasks exceeds 0.20, its steps 130 on average, its spread 0.2
decades, where one of its suggestions fails or it answers wrongly about whether there is a rate.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import torch
from finders import FINDERS, suggest, sweep
from learnable import LEARNABLE
from tasks import REPORTED, TUNED, Task
from unlearnable import UNLEARNABLE

from babysit import seeds
from babysit.checks import lr_scan
from babysit.checks.lr_scan.usable_rates import suggestion, usable_range
from babysit.driving.bench import Bench
from babysit.trainer import Batch, Trainer

torch.set_num_threads(1)
UPDATES, FAILED = 200, 1.0
GRID = [10 ** (-5 + k / 4) for k in range(25)]  # 1e-5 to 10, four a decade
OURS = "babysit lr-scan"
MOST_REGRET, MOST_STEPS, MOST_SPREAD = 0.20, 130.0, 0.2
SMALL = 2  # tasks and seeds, and every sixth program, for a run that takes a minute or two


@dataclass(frozen=True)
class Answer:
    """What one finder said about one task at one seed.

    Args:
        finder: Its name.
        task: The task's.
        rate: The suggestion; NaN where there is none.
        steps: Updates it took.
        loss: What training at that rate ended at.
        regret: Log10 of that over the best of the grid.
    """

    finder: str
    task: str
    rate: float
    steps: int
    loss: float
    regret: float

    @property
    def failed(self) -> bool:
        """Whether training at the suggestion comes to nothing."""
        return not self.loss <= FAILED


def scan(make: Callable[[int], Trainer], seed: int) -> tuple[float, int, bool]:
    """Babysit's suggestion, the steps it took, and whether it has any; in its own surroundings, as in a run."""
    seeds.seed_everything(seed)
    bench, settings = Bench(make(seed)), lr_scan.Settings()
    measured = lr_scan.measure(bench, settings)
    return suggestion(measured, settings), bench.trainer.steps, usable_range(measured, settings) is not None


def others(make: Callable[[int], Trainer], seed: int, steps: int | None) -> Iterator[tuple[str, float, int]]:
    """Each peer's suggestion and its steps; a test is run once for all rules that read it."""
    seeds.seed_everything(seed)
    bench = Bench(make(seed))
    curves = {}
    for finder in FINDERS:
        key = id(finder.test)
        if key not in curves:
            with bench.borrowed() as trainer:
                curves[key] = sweep(trainer, bench.stream(), finder.test, steps)
        yield finder.name, suggest(finder, curves[key]), len(curves[key].losses)


def trained(bench: Bench, batches: Sequence[Batch], compared: Sequence[Batch], rate: float) -> float:
    """Mean training loss after so many updates at this rate; infinite where it ceased to be finite."""
    with bench.borrowed(learning_rate=rate) as trainer:
        for batch in islice(cycle(batches), UPDATES):
            if not math.isfinite(trainer.step(batch).loss):
                return math.inf
        return statistics.fmean(trainer.evaluate(batch, training=True).loss for batch in compared)


def answers(job: tuple[Task, int]) -> list[Answer]:
    """All finders on one task at one seed, and what training comes to at what they suggest."""
    make, seed = job
    rate, steps, _ = scan(make, seed)
    found = [(OURS, rate, steps)]
    found += [(f"{name}, own defaults", *rest) for name, *rest in others(make, seed, None)]
    found += [(f"{name}, equal steps", *rest) for name, *rest in others(make, seed, steps)]
    seeds.seed_everything(1000 + seed)  # other batches than those that were scanned
    bench = Bench(make(seed))
    compared = list(bench.trainer.batches())
    batches = [batch for _ in range(1 + UPDATES // len(compared)) for batch in bench.trainer.batches()]
    untrained = trained(bench, batches, compared, 0.0)
    best = min(trained(bench, batches, compared, rate) for rate in GRID)
    told = []
    for name, rate, steps in found:
        loss = trained(bench, batches, compared, rate) if math.isfinite(rate) else untrained
        bounded = min(max(loss, 0.0), 10 * untrained) if not math.isnan(loss) else 10 * untrained
        told.append(Answer(name, make.__name__, rate, steps, loss, math.log10(bounded / best)))
    print(
        f"{make.__name__:26} seed {seed}: {told[0].rate:.2g} in {told[0].steps} steps, {told[0].regret:.2f}", flush=True
    )
    return told


def spreads(found: Sequence[Answer]) -> dict[str, float]:
    """By task, the standard deviation of the log10 of one finder's suggestions."""
    rates: dict[str, list[float]] = {}
    for answer in found:
        rates.setdefault(answer.task, []).append(math.log10(answer.rate) if answer.rate > 0 else math.nan)
    return {task: statistics.stdev(logs) if len(logs) > 1 else 0.0 for task, logs in rates.items()}


def table(found: Sequence[Answer]) -> Iterator[str]:
    """All finders over some tasks, the least regret first."""
    yield "| finder | regret | its largest | failed | steps | most steps | spread, decades |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    names = dict.fromkeys(answer.finder for answer in found)
    rows = []
    for name in names:
        own = [a for a in found if a.finder == name]
        known = [s for s in spreads([a for a in own if a.rate > 0]).values() if not math.isnan(s)]
        mean, largest = statistics.fmean(a.regret for a in own), max(a.regret for a in own)
        failed, steps = sum(a.failed for a in own), [a.steps for a in own]
        wide = f"{statistics.fmean(known):.2f}" if known else "-"
        rows.append(
            (mean, f"| {name} | {mean:.2f} | {largest:.2f} | {failed} of {len(own)} | {statistics.fmean(steps):.0f} | "
            f"{max(steps)} | {wide} |")
        )  # fmt: skip
    yield from (row for _, row in sorted(rows))


def by_task(found: Sequence[Answer]) -> Iterator[str]:
    """What babysit said about each task."""
    yield "| task | regret | its largest | suggestions | spread, decades | steps |"
    yield "| --- | --- | --- | --- | --- | --- |"
    ours = [a for a in found if a.finder == OURS]
    for task, wide in spreads(ours).items():
        own = [a for a in ours if a.task == task]
        rates, regrets = [a.rate for a in own], [a.regret for a in own]
        steps, mean = statistics.fmean(a.steps for a in own), statistics.fmean(regrets)
        span = f"{min(rates):.2g} to {max(rates):.2g}"
        yield f"| `{task}` | {mean:.2f} | {max(regrets):.2f} | {span} | {wide:.2f} | {steps:.0f} |"


def none_or_not(job: tuple[Callable[[int], Trainer], int]) -> tuple[str, dict[str, bool]]:
    """By finder, whether it suggests a rate for the program."""
    make, seed = job
    _, steps, usable = scan(make, seed)
    said = {OURS: usable} | {name: math.isfinite(rate) for name, rate, _ in others(make, seed, None)}
    print(f"{make.__name__:40} seed {seed}: {'a rate' if usable else 'none'} in {steps} steps", flush=True)
    return make.__name__, said


def shares(found: Sequence[tuple[str, dict[str, bool]]], right: bool) -> Iterator[str]:
    """How often each finder says what is right, and on which programs babysit doesn't."""
    yield f"| finder | {'a rate' if right else '*none*'} |"
    yield "| --- | --- |"
    for name in found[0][1]:
        yield f"| {name} | {sum(said[name] is right for _, said in found)} of {len(found)} |"
    wrong = sorted({program for program, said in found if said[OURS] is not right})
    if wrong:
        yield f"\nWrong about {', '.join(f'`{program}`' for program in wrong)}."


def faults(reported: Sequence[Answer], unlearnable: Sequence[tuple], learnable: Sequence[tuple]) -> Iterator[str]:
    """What is not as it is stated to be."""
    ours = [a for a in reported if a.finder == OURS]
    regret, steps = statistics.fmean(a.regret for a in ours), statistics.fmean(a.steps for a in ours)
    if regret > MOST_REGRET:
        yield f"mean regret {regret:.2f} exceeds {MOST_REGRET}"
    if steps > MOST_STEPS:
        yield f"{steps:.0f} steps exceed {MOST_STEPS:.0f}"
    yield from (f"{a.task}: fails at {a.rate:.2g}, loss {a.loss:.2g}" for a in ours if a.failed)
    wide = statistics.fmean(spreads(ours).values())
    if not wide <= MOST_SPREAD:
        yield f"suggestions spread over {wide:.2f} decades"
    yield from (f"a rate for {program}, which can't learn" for program, said in unlearnable if said[OURS])
    yield from (f"no rate for {program}, which learns" for program, said in learnable if not said[OURS])


def main() -> int:
    """Run all, print the tables, write them where wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(10)))
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--small", action="store_true", help="a few tasks, programs and seeds, for CI")
    parser.add_argument("--output", type=Path, help="a Markdown file for the tables")
    arguments = parser.parse_args()
    few = SMALL if arguments.small else None
    chosen = arguments.seeds[:few]
    with ProcessPoolExecutor(arguments.workers) as pool:

        def each(function: Callable, programs: Sequence[Callable], seeds_: Sequence[int]) -> list:
            return list(pool.map(function, [(make, seed) for make in programs for seed in seeds_]))

        reported = [a for found in each(answers, REPORTED[:few], chosen) for a in found]
        tuned = [a for found in each(answers, TUNED[:few], chosen[:3]) for a in found]
        unlearnable = each(none_or_not, UNLEARNABLE[:: 6 if few else 1], chosen[:3])
        learnable = each(none_or_not, LEARNABLE[:: 6 if few else 1], chosen[:3])
    named = f"Seeds {', '.join(map(str, chosen))}; for all but the reported tasks the first three of them."
    parts = ["# Learning rates\n\n<!-- made by benchmarks/lr_scan.py -->\n", named]
    for title, found in (("reported", reported), ("tuned", tuned)):
        parts += [f"\n## The {title} tasks\n", *table(found), "", *by_task(found)]
    parts += ["\n## Programs that can't learn\n", *shares(unlearnable, right=False)]
    parts += ["\n## Programs that look as if they couldn't\n", *shares(learnable, right=True)]
    text = "\n".join(parts) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    bad = list(faults(reported, unlearnable, learnable))
    print(*bad, sep="\n", file=sys.stderr)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
