"""What babysit adds to the target's own time: a driven step beside a bare one, and its share of a whole run.

    python benchmarks/overhead.py

Ratios are medians over alternating repeats in one process, one thread.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import importlib.util
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from babysit import runner, seeds
from babysit.checks import find_checks
from babysit.commands import plan as planning
from babysit.config.file import Config
from babysit.driving.bench import Bench
from babysit.lab import demo
from babysit.trainer import Trainer

REPEATS, STEPS = 21, 100


def digits() -> Trainer:
    path = Path(__file__).parent.parent / "examples" / "numpy_digits.py"
    spec = importlib.util.spec_from_file_location("numpy_digits", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.trainer()


def seconds(step: Callable[[object], object], batches: list[object]) -> float:
    began = time.perf_counter()
    for batch in itertools.islice(itertools.cycle(batches), STEPS):
        step(batch)
    return time.perf_counter() - began


def ratio(trainer: Trainer) -> tuple[float, float]:
    """Milliseconds of a bare step, and how many times as long a driven one takes."""
    bench = Bench(trainer)
    batches = bench.pool()
    state = trainer.save()
    bare, driven = [], []
    for _ in range(REPEATS):
        for step, times in ((trainer.step, bare), (bench.trainer.step, driven)):
            trainer.load(state)
            times.append(seconds(step, batches))
    ratios = [d / b for d, b in zip(driven, bare, strict=True)]
    return 1000 * statistics.median(bare) / STEPS, statistics.median(ratios)


def main() -> None:
    checks = find_checks()
    plan = planning.plan(Config(settings={name: check.settings() for name, check in checks.items()}), checks)
    print("target      bare step   driven / bare   run     babysit's own share")
    for name, make in (("lab demo", demo.trainer), ("digits", digits)):
        seeds.seed_everything(0)
        step, times = ratio(make())
        runs = [runner.run(make(), plan, target=name).seconds for _ in range(5)]
        total = statistics.median(s.total for s in runs)
        share = statistics.median(s.own / s.total for s in runs)
        print(f"{name:10} {step:7.3f} ms   {times:13.3f}   {total:.2f} s  {share:17.1%}")


if __name__ == "__main__":
    main()
