"""What `sizes.py` measures in processes of its own: the last line of standard output is the result, as JSON.

python benchmarks/size_measure.py bare gpt2
python benchmarks/size_measure.py loading gpt2
python benchmarks/size_measure.py sweep width 4096
"""

import argparse
import functools
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import torch
from size_programs import PROGRAMS, SWEEPS, Program
from size_results import Bare, Point, as_json

if TYPE_CHECKING:
    from babysit.report import Report

HERE = Path(__file__).parent
WARM, FEWEST, MOST, ENOUGH = 2, 5, 40, 20.0  # steps ahead of the clock, timed ones at least and most, and seconds
DRIVEN, REPEATS = 40, 2  # steps driven in a sweep, and runs of which the quicker counts
CHECKS = ("overfit", "lr-scan", "train")  # those that step, and take nearly all of a run's steps
P, R = ParamSpec("P"), TypeVar("R")


def endless(batches: Iterable[Any]) -> Iterator[Any]:
    """The batches, pass after pass."""
    while True:
        yield from batches


def held(program: Program) -> int:
    """Bytes of parameters, buffers and optimizer states."""
    tensors = [*program.model.parameters(), *program.model.buffers()]
    for optimizer in (program.optimizer, *program.stateful):
        states = getattr(optimizer, "state", {}).values()
        tensors += [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def bare(name: str) -> Bare:
    """A plain loop of the program, seeded as the runner does it, and one pass over its validation split."""
    torch.manual_seed(0)
    program = PROGRAMS[name]()
    batches = endless(program.train)
    walls: list[float] = []
    processor = 0.0
    while len(walls) < WARM + MOST and (len(walls) < WARM + FEWEST or sum(walls[WARM:]) < ENOUGH):
        began, ran = time.perf_counter(), time.process_time()
        for batch in itertools.islice(batches, program.accumulated):
            program.step(batch).item()  # as loops do that print the loss
        processor += time.process_time() - ran if len(walls) >= WARM else 0.0
        walls.append(time.perf_counter() - began)
    ran = time.process_time()
    program.model.eval()
    with torch.no_grad():
        for batch in program.val:
            program.loss_of(batch).item()
    return Bare(
        parameters=sum(p.numel() for p in program.model.parameters() if p.requires_grad),
        held=held(program),
        accumulated=program.accumulated,
        steps=len(walls) - WARM,
        step=statistics.median(walls[WARM:]),
        step_cpu=processor / (len(walls) - WARM),
        evaluation_cpu=time.process_time() - ran,
        peak=0,  # known to who started this process
    )


def loading(name: str) -> None:
    """All that a run does ahead of its first check."""
    from babysit.commands.plan import plan  # noqa: F401  # imports count
    from babysit.driving.target import build

    build(f"{HERE / 'size_programs.py'}:{name}", 0)


# Sweeps


class Stopwatch:
    """Processor time in the program's own parts; what one of them calls of the others is counted once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.inside = False

    def timed(self, call: Callable[P, R]) -> Callable[P, R]:
        """The same call, timed."""

        @functools.wraps(call)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            if self.inside:
                return call(*args, **kwargs)
            self.inside, began = True, time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds += time.process_time() - began
                self.inside = False

        return timed

    @contextmanager
    def on(self, program: Program) -> Iterator[None]:
        """Times the program's forward pass, loss, backward pass and optimizer."""
        places: list[tuple[Any, str]] = [(program.model, "forward"), (torch.autograd, "backward")]
        places += [(program.optimizer, "step"), (program.optimizer, "zero_grad")]
        plain = [(owner, name, getattr(owner, name)) for owner, name in places]
        for owner, name, call in plain:
            setattr(owner, name, self.timed(call))
        if program.loss is not None:
            program.loss = self.timed(program.loss)
        try:
            yield
        finally:
            for owner, name, call in plain:
                setattr(owner, name, call)


def plain_step(program: Program) -> float:
    """Median seconds of processor time of a bare step."""
    times = []
    for batch in itertools.islice(endless(program.train), DRIVEN):
        began = time.process_time()
        program.step(batch)
        times.append(time.process_time() - began)
    return statistics.median(times)


def driven_step(program: Program) -> float:
    """Median seconds of processor time of a step through babysit, without the program's own parts."""
    from babysit.driving.guard import Driven

    watch = Stopwatch()
    times = []
    with watch.on(program):
        trainer = Driven(program.trainer())
        for batch in itertools.islice(endless(trainer.batches()), DRIVEN):
            began, parts = time.process_time(), watch.seconds
            trainer.step(batch)
            times.append(time.process_time() - began - (watch.seconds - parts))
    return statistics.median(times)


def own_steps(program: Program) -> dict[str, float]:
    """By check, the seconds that its report calls babysit's own over its steps, all of them processor time."""
    time.perf_counter = time.process_time  # babysit's clock; this process has one purpose, and neighbors can't be seen
    from babysit import runner
    from babysit.checks import find_checks
    from babysit.commands.plan import plan
    from babysit.config.file import Config

    checks = find_checks()
    settings = {name: check.settings() for name, check in checks.items()}
    asked = plan(Config(select=CHECKS, settings=settings), checks)
    reports = [runner.run(program.trainer(), asked, target="sweep") for _ in range(REPEATS)]
    return {name: min(_own(report, name) for report in reports) for name in CHECKS}


def _own(report: "Report", name: str) -> float:
    result = next(result for result in report.results if result.check == name)
    if not result.steps:
        raise SystemExit(f"{name} made no step: {result.status} {result.reason}")
    return result.seconds.own / result.steps


def point(kind: str, size: int) -> Point:
    """One size of a sweep, each part on a program of its own."""
    torch.manual_seed(0)
    plain, driven, checked = (SWEEPS[kind](size) for _ in range(3))
    return Point(size, plain_step(plain), driven_step(driven), own_steps(checked))


def main() -> None:
    """Measure one thing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["bare", "loading", "sweep"])
    parser.add_argument("name")
    parser.add_argument("size", nargs="?", type=int)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.what == "loading":
        loading(arguments.name)
        print(json.dumps({}))
    else:
        print(as_json(bare(arguments.name) if arguments.what == "bare" else point(arguments.name, arguments.size)))


if __name__ == "__main__":
    sys.exit(main())
