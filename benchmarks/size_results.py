"""What `sizes.py` measured, and the limits that it is held to. Computes; drives nothing."""

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

MIB = 2**20
ROOM = 512 * MIB  # what a run may hold beside the bare loop and two copies of the state
SOON = 150  # steps in which 20 examples are memorized where the shorter limit of time holds
STEPS_SOON, STEPS_LATER = 650, 1200  # training steps' time that a whole run may take
SLOW = 0.020  # seconds of a bare step from where on a share of the run's time is the limit of babysit's own
SHARE = 0.10
OWN_STEP, OWN_RUN = 0.002, 1.0  # seconds a step and a run that are babysit's own at most where steps are faster
GROWTH, NOISE = 2.0, 0.0005  # times the smallest size's own seconds a step, and seconds more, that are growth
NO_VERDICT = ("crashed", "blocked")  # a skipped check has said what the program lacks, which is for a reader to judge

T = TypeVar("T")


@dataclass(frozen=True)
class Bare:
    """The plain loop.

    Args:
        parameters: Numbers in trainable parameters.
        held: Bytes of parameters, buffers and optimizer state after some steps.
        accumulated: Batches in one step.
        steps: Steps that were timed.
        step: Median wall-clock seconds of a step, all its batches together.
        step_cpu: Mean seconds of processor time.
        evaluation_cpu: Seconds of processor time of one pass over the validation split.
        peak: Bytes of memory that the process held at most.
    """

    parameters: int
    held: int
    accumulated: int
    steps: int
    step: float
    step_cpu: float
    evaluation_cpu: float
    peak: int


@dataclass(frozen=True)
class Check:
    """One check of a run, as its report has it."""

    name: str
    status: str
    reason: str
    steps: int
    target: float
    own: float


@dataclass(frozen=True)
class Run:
    """`babysit run` in a process of its own.

    Args:
        code: The exit code; negative where a signal ended it.
        ended: Why it was ended from outside; empty where it was not.
        wall: Wall-clock seconds of the whole process.
        cpu: Its processor time.
        loading_cpu: Processor time of a process that only imports and builds the same trainer.
        peak: Bytes of memory that it held at most.
        target: Seconds in the program's code, by the report; NaN without one.
        own: Seconds of babysit's own, by the report.
        checks: In the order in which they ran.
        errors: Rules of the errors.
        warnings: Rules of the warnings.
        messages: Of each of these, its rule and its message.
        memorized: Steps in which `overfit` memorized its examples; None where it did not, or did not run.
        said: The end of what it wrote to stderr where it left no report.
    """

    code: int
    ended: str
    wall: float
    cpu: float
    loading_cpu: float
    peak: int
    target: float = math.nan
    own: float = math.nan
    checks: tuple[Check, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    messages: tuple[tuple[str, str], ...] = ()
    memorized: int | None = None
    said: str = ""

    @property
    def steps(self) -> int:
        """Steps of all checks, a batch each."""
        return sum(check.steps for check in self.checks)

    @property
    def running(self) -> float:
        """Processor time over wall-clock time: less than 1 where neighbors had the processor, too."""
        return self.cpu / self.wall

    @property
    def own_cpu(self) -> float:
        """Processor time that is babysit's own; its threads do not add up."""
        return self.own * min(1.0, self.running)


@dataclass(frozen=True)
class Row:
    """One program.

    Args:
        name: Its factory's.
        what: What it is.
        machine: Where it was measured.
        bare: The plain loop; None where that failed.
        run: The run; None where there was none.
        failed: Why there is no bare loop or no run.
        too_large: Whether that is since the machine has too little memory for what a run may take.
    """

    name: str
    what: str
    machine: str
    bare: Bare | None = None
    run: Run | None = None
    failed: str = ""
    too_large: bool = False


@dataclass(frozen=True)
class Point:
    """One size of a sweep; seconds are babysit's own, a step.

    Args:
        size: The size.
        bare: Processor time of a bare step.
        driven: Of a driven step, without the program's own parts.
        checks: By check, all that is babysit's own of a run of it, over its steps.
    """

    size: int
    bare: float
    driven: float
    checks: dict[str, float]


@dataclass(frozen=True)
class Sweep:
    """Babysit's own time a step, as one size grows."""

    name: str
    what: str
    machine: str
    points: tuple[Point, ...]


def write(path: Path, kept: Row | Sweep) -> None:
    """Keep it as JSON."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(dataclasses.asdict(kept), indent=1) + "\n", encoding="utf-8")


def read_row(text: str) -> Row:
    """The row that `write` kept."""
    made = json.loads(text)
    bare, run = made["bare"], made["run"]
    if run is not None:
        run = Run(**{**run, "checks": tuple(Check(**check) for check in run["checks"])})
        messages = tuple((rule, message) for rule, message in run.messages)
        run = dataclasses.replace(run, errors=tuple(run.errors), warnings=tuple(run.warnings), messages=messages)
    return Row(**{**made, "bare": None if bare is None else Bare(**bare), "run": run})


def read_sweep(text: str) -> Sweep:
    """The sweep that `write` kept."""
    made = json.loads(text)
    return Sweep(**{**made, "points": tuple(Point(**point) for point in made["points"])})


# Limits


def memory_limit(bare: Bare) -> int:
    """Bytes that a run may hold at most."""
    return bare.peak + 2 * bare.held + ROOM


def time_limit(run: Run) -> int:
    """Training steps' time that a run may take."""
    return STEPS_SOON if run.memorized is not None and run.memorized <= SOON else STEPS_LATER


def steps_time(bare: Bare, run: Run) -> float:
    """Processor time, imports and building aside, in bare steps."""
    return (run.cpu - run.loading_cpu) / bare.step_cpu


def is_slow(bare: Bare) -> bool:
    """Whether a batch takes the plain loop so long that babysit's own time is held to a share."""
    return bare.step_cpu / bare.accumulated >= SLOW


def own_limit(bare: Bare, run: Run) -> float:
    """Seconds of processor time of a run that may be babysit's own."""
    if is_slow(bare):
        return SHARE * (run.own + run.target) * min(1.0, run.running)
    return OWN_STEP * run.steps + OWN_RUN


def misses(row: Row) -> list[str]:
    """The limits that the row misses, in the order of the table."""
    if row.too_large:
        return []
    if row.bare is None or row.run is None:
        return ["failed"]
    bare, run = row.bare, row.run
    missed = {
        "memory": run.peak > memory_limit(bare),
        "time": not steps_time(bare, run) <= time_limit(run),
        "own": not run.own_cpu <= own_limit(bare, run),
        "exit": run.code != 0 or bool(run.ended),
        "findings": bool(run.errors or run.warnings),
        "checks": not run.checks or any(check.status in NO_VERDICT for check in run.checks),
    }
    return [name for name, holds in missed.items() if holds]


def growth(first: float, now: float) -> bool:
    """Whether own time a step has grown since the smallest size."""
    return not (now <= GROWTH * first or now - first <= NOISE)


def sweep_misses(sweep: Sweep) -> list[str]:
    """The sizes and columns at which own time has grown."""
    first = sweep.points[0]
    return [
        f"{column} at {point.size:,}"
        for point in sweep.points
        for column, start, now in columns(first, point)
        if growth(start, now)
    ]


def columns(first: Point, point: Point) -> Iterator[tuple[str, float, float]]:
    """What is babysit's own, at the smallest size and here."""
    yield "driven step", first.driven, point.driven
    for name in first.checks:
        yield name, first.checks[name], point.checks.get(name, math.nan)


def verdict(rows: Sequence[Row], sweeps: Sequence[Sweep]) -> list[str]:
    """All that is missed, a line each."""
    found = [f"{row.name}: {name}" for row in rows for name in misses(row)]
    found += [f"{sweep.name}: {name}" for sweep in sweeps for name in sweep_misses(sweep)]
    large = [row.name for row in rows if row.too_large]
    if len(large) > 1:
        found.append(f"{', '.join(large)}: more than one row needs more memory than the machine has")
    return found


def as_json(made: Any) -> str:
    """A dataclass on one line, for a process to hand to another."""
    return json.dumps(dataclasses.asdict(made))
