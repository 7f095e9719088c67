"""Is `babysit overfit` right, at every seed, and how soon?

    python benchmarks/overfit.py [--seeds 0 1 2] [--workers 2] [--small] [--output docs/overfit.md]

Five healthy programs, in which nothing must be found, and five that can't memorize, each for a reason of its own, in
which something must be; each at twenty seeds. Of a healthy one, `needed` is the first step at which loss and metric are
those of examples that are memorized, in a run that nothing ends early; the verdict must come within 1.2 times as many.
Of a hopeless one, the verdict must come within a third of the steps allowed (and half a window). Beside it stands the
probe that needs no tuning: plain gradients by Rprop.

Ends with 1 where a verdict is wrong or late.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import copy
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from tasks import Reader, cnn_momentum, digits, loader, mlp, mlp_adam, regression_adamw, transformer_adam
from torch import Tensor, nn

from babysit import seeds
from babysit.adapters.pytorch import PyTorchTrainer
from babysit.checks import find_checks, overfit
from babysit.checks.overfit.attempts import affordable, aim_for
from babysit.driving.bench import Bench
from babysit.measuring.reference_optimizers import Rprop
from babysit.report import Severity
from babysit.trainer import Trainer

torch.set_num_threads(1)
LATE, EARLY = 1.2, 1 / 3  # times the steps needed, and of those allowed
STAIR = 25  # steps more, for a loss that falls in stairs: half a window, until the last one is behind it
SMALL = 3  # seeds, for a run that takes a minute


def classifier(seed: int, model: nn.Module, rate: float = 3e-3, images: bool = False) -> PyTorchTrainer:
    """A program that tells digits apart by this model, with Adam."""
    x, y = digits(images=images)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, loader(x, y, 64, seed))


def batch_norm(seed: int) -> Trainer:
    """A network with batch norm in every layer."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    return classifier(seed, model)


def zero_weights(seed: int) -> Trainer:
    """All weights are zero: nothing of the inputs gets through."""
    torch.manual_seed(seed)
    model = mlp(64, 32, 32, 10)
    for p in model.parameters():
        nn.init.zeros_(p)
    return classifier(seed, model)


def softmax_twice(seed: int) -> Trainer:
    """A softmax ahead of the softmax loss: a floor at 1.461."""
    torch.manual_seed(seed)
    return classifier(seed, nn.Sequential(mlp(64, 32, 10), nn.Softmax(dim=1)), rate=1e-2)


def optimizer_of_a_copy(seed: int) -> Trainer:
    """The optimizer holds the parameters of a copy: nothing moves."""
    torch.manual_seed(seed)
    model = mlp(64, 32, 10)
    optimizer = torch.optim.Adam(copy.deepcopy(model).parameters(), lr=3e-3)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, loader(*digits(), 64, seed))


def rate_far_too_high(seed: int) -> Trainer:
    """The loss is thrown up."""
    torch.manual_seed(seed)
    model = mlp(64, 64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=300.0)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, loader(*digits(), 64, seed))


class Deaf(Reader):
    """A reader whose tokens are all taken for the first."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.zeros_like(x))


def deaf_reader(seed: int) -> Trainer:
    """A language model that doesn't see its tokens: the entropy at each place is the best it can do."""
    torch.manual_seed(seed)
    tokens = torch.randint(0, 8, (512, 9), generator=torch.Generator().manual_seed(seed))
    model = Deaf(8, 8, 24)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, loader(tokens[:, :-1], tokens[:, 1:], 32, seed))


HEALTHY = {mlp_adam: 3e-3, cnn_momentum: 0.03, batch_norm: 3e-3, transformer_adam: 3e-3, regression_adamw: 3e-3}
HOPELESS = (zero_weights, softmax_twice, optimizer_of_a_copy, rate_far_too_high, deaf_reader)


@dataclass(frozen=True)
class Verdict:
    """What was said about one program at one seed.

    Args:
        program: Its name.
        right: Whether the check's rules find something just where there is something.
        outcome: What the attempt came to.
        steps: Of the attempt.
        needed: Steps after which the examples are memorized, whatever is said then; NaN where they never are.
        probe: Steps that Rprop needs for a loss below the aim; NaN where it doesn't get there.
    """

    program: str
    right: bool
    outcome: str
    steps: int
    needed: float
    probe: float


def judged(job: tuple[Callable[[int], Trainer], int]) -> Verdict:
    """The check's own attempt, a run that nothing ends, and the probe."""
    make, seed = job
    seeds.seed_everything(seed)
    trainer, settings = make(seed), overfit.Settings(treatment=False)
    trainer.learning_rate = HEALTHY.get(make, trainer.learning_rate)
    bench = Bench(trainer)
    measured = overfit.measure(bench, settings)
    own, found = measured.own, find_checks()["overfit"].judge(measured, settings)
    examples = affordable(bench, settings.examples)
    batch = bench.subset(examples, most=examples)
    aim = aim_for(bench.task, batch, settings.memorized)

    def reached(step: Callable, allowed: int) -> float:
        for k in range(1, allowed + 1):
            output = step(batch)
            if not math.isfinite(output.loss):
                return math.nan
            if output.loss <= aim.loss:
                scores = bench.trainer.evaluate(batch, training=True).scores if output.scores is None else output.scores
                if not bench.task.score(scores, batch[1]) < aim.score:
                    return k
        return math.nan

    with bench.borrowed(scale=0.0) as trainer:
        needed = reached(trainer.step, settings.steps)
    with bench.borrowed(scale=0.0) as trainer:
        probe = reached(Rprop(trainer).step, 150)
    right = any(f.severity is not Severity.INFO for f in found) is (make not in HEALTHY)
    return Verdict(make.__name__, right, str(own.outcome), len(own.losses), needed, probe)


def rows(found: Sequence[Verdict]) -> Iterator[str]:
    """A line for each program."""
    yield "| program | right | called | after steps | needed | Rprop |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for program in dict.fromkeys(v.program for v in found):
        own = [v for v in found if v.program == program]
        called = ", ".join(dict.fromkeys(v.outcome for v in own))
        counts = [span([getattr(v, field) for v in own]) for field in ("steps", "needed", "probe")]
        yield f"| `{program}` | {sum(v.right for v in own)} of {len(own)} | {called} | {' | '.join(counts)} |"


def span(values: Sequence[float]) -> str:
    """From the least to the most; how often there is one at all."""
    known = [v for v in values if not math.isnan(v)]
    if not known:
        return "never"
    never = f", {len(values) - len(known)} never" if len(known) < len(values) else ""
    return f"{min(known):.0f} to {max(known):.0f}{never}"


def wrong(found: Sequence[Verdict], allowed: int) -> Iterator[str]:
    """What is not as it is stated to be."""
    names = {make.__name__ for make in HEALTHY}
    for v in found:
        if not v.right:
            yield f"{v.program} is judged wrongly, {v.outcome}"
        elif v.program in names and v.steps > LATE * v.needed:  # never true of one that is good enough, yet not done
            yield f"{v.program} takes {v.steps} steps, and needs {v.needed:.0f}"
        elif v.program not in names and v.steps > EARLY * allowed + STAIR:
            yield f"{v.program} is called after {v.steps} of {allowed} steps"


def main() -> int:
    """Run all, print the table, write it where wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(20)))
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--small", action="store_true", help="a few seeds, for CI")
    parser.add_argument("--output", type=Path, help="a Markdown file for the table")
    arguments = parser.parse_args()
    chosen = arguments.seeds[:SMALL] if arguments.small else arguments.seeds
    with ProcessPoolExecutor(arguments.workers) as pool:
        found = list(pool.map(judged, [(make, seed) for make in (*HEALTHY, *HOPELESS) for seed in chosen]))
    bad = list(wrong(found, overfit.Settings().steps))
    late = [v.steps / v.needed for v in found if v.right and not math.isnan(v.needed)]
    parts = ["# Memorizing\n\n<!-- made by benchmarks/overfit.py -->\n", f"Seeds {', '.join(map(str, chosen))}.\n"]
    parts += [*rows(found), "", f"Wrong verdicts: {sum(not v.right for v in found)} of {len(found)}."]
    parts += [f"Healthy programs are called at {statistics.median(late):.2f} times the steps needed (median)."]
    text = "\n".join(parts) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    print(*bad, sep="\n", file=sys.stderr)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
