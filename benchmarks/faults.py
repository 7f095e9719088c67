"""How many faults does `babysit run` find, does it name them, and is it quiet on programs without one?

    python benchmarks/faults.py FOLDER [FOLDER ...] [--seeds 0 1 2] [--output docs/faults.md]

A folder holds programs in `cases/` and `numpy_cases/`, each a file with the factories `faulty` and `fixed`, and in
`healthy/`, with `fixed` alone. Behind `expect:` in a case's docstring stand the rules that are a right name for its
fault. Each factory is run at each seed, as a user would, in a process of its own.

    found         faulty programs on which some rule reports an error
    named         faulty programs with an expected rule among the errors
    named first   faulty programs whose first error is an expected rule
    false alarms  fixed and healthy programs with an error
    warned        fixed and healthy programs with a warning and no error
    crashes       runs that end otherwise: no report, a check that could not run, too long

Shares come with Wilson's interval of 95 %. The runs of one program at several seeds are no independent draws, so
intervals are over programs: a program counts as found, named or quiet where it is so at every seed, and as an alarm
where it is one at any.
"""

import argparse
import ast
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

FOLDERS = {"cases": ("faulty", "fixed"), "numpy_cases": ("faulty", "fixed"), "healthy": ("fixed",)}
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
Z = 1.96  # two-sided 95 %


@dataclass(frozen=True)
class Run:
    """One run of one factory.

    Args:
        code: The exit code; None where it took too long.
        seconds: Wall time.
        errors: Rules of the errors, in the report's order.
        warnings: Rules of the warnings.
    """

    code: int | None
    seconds: float
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def crashed(self) -> bool:
        """Whether there is no verdict."""
        return self.code not in (0, 1)


@dataclass
class Program:
    """One factory, and its runs by seed."""

    path: Path
    factory: str
    expected: tuple[str, ...]
    runs: list[Run] = field(default_factory=list)

    @property
    def is_faulty(self) -> bool:
        """Whether something is to be found."""
        return self.factory == "faulty"

    def named(self, run: Run) -> bool:
        """Whether an expected rule is among the errors."""
        return run.code == 1 and any(rule in self.expected for rule in run.errors)

    def named_first(self, run: Run) -> bool:
        """Whether the first error is an expected rule."""
        return run.code == 1 and run.errors[:1] != () and run.errors[0] in self.expected

    def mark(self, run: Run) -> str:
        """The run in a word."""
        if run.crashed:
            return "crash"
        if not self.is_faulty:
            return "ALARM" if run.code else "warned" if run.warnings else "quiet"
        return (
            "missed" if run.code == 0 else "first" if self.named_first(run) else "named" if self.named(run) else "found"
        )


def programs(folder: Path) -> Iterator[Program]:
    """Every factory of every program in the folder."""
    for name, factories in FOLDERS.items():
        for path in sorted((folder / name).glob("*.py")):
            doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            line = re.search(r"^expect:(.*(?:\n[ \t]+.*)*)", doc, re.MULTILINE)
            expected = tuple(rule.strip() for rule in line[1].split(",")) if line else ()
            yield from (Program(path, factory, expected) for factory in factories)


def run(program: Program, seed: int, timeout: float) -> Run:
    """Run `babysit run` once."""
    target = f"{program.path.resolve()}:{program.factory}"
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "babysit", "run", target, "--seed", str(seed), "--quiet"]
        began = time.perf_counter()
        try:
            done = subprocess.run(
                [*command, "--report", f"json={report}"], cwd=folder, env={**os.environ, **ONE_THREAD},
                timeout=timeout, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Run(None, time.perf_counter() - began)
        seconds = time.perf_counter() - began
        found = json.loads(report.read_text(encoding="utf-8"))["findings"] if report.exists() else []
    errors, warnings = (
        tuple(dict.fromkeys(f["rule"] for f in found if f["severity"] == severity)) for severity in ("error", "warning")
    )
    return Run(done.returncode, seconds, errors, warnings)


def wilson(hits: int, total: int) -> str:
    """A share with its interval."""
    if not total:
        return "-"
    p, n = hits / total, total
    middle, half = p + Z**2 / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n * n))
    low, high = (max(0.0, (middle - half) / (1 + Z**2 / n)), min(1.0, (middle + half) / (1 + Z**2 / n)))
    return f"{hits} of {total} | {p:.2f} | {low:.2f} to {high:.2f}"


def totals(found: Sequence[Program]) -> Iterator[str]:
    """The table of shares, and the times."""
    faulty, healthy = [p for p in found if p.is_faulty], [p for p in found if not p.is_faulty]

    def every(group: Sequence[Program], holds: Callable[[Program, Run], bool]) -> str:
        return wilson(sum(all(holds(p, r) for r in p.runs) for p in group), len(group))

    def some(group: Sequence[Program], holds: Callable[[Program, Run], bool]) -> str:
        return wilson(sum(any(holds(p, r) for r in p.runs) for p in group), len(group))

    yield "| at every seed | programs | share | 95 % |"
    yield "| --- | --- | --- | --- |"
    yield f"| found | {every(faulty, lambda p, r: r.code == 1)} |"
    yield f"| named | {every(faulty, lambda p, r: p.named(r))} |"
    yield f"| named first | {every(faulty, lambda p, r: p.named_first(r))} |"
    yield f"| the same exit code | {wilson(sum(len({r.code for r in p.runs}) == 1 for p in found), len(found))} |"
    yield "| **at any seed** | | | |"
    yield f"| false alarms | {some(healthy, lambda p, r: r.code == 1)} |"
    yield f"| warned | {some(healthy, lambda p, r: r.code == 0 and bool(r.warnings))} |"
    yield f"| crashes | {some(found, lambda p, r: r.crashed)} |"
    times = [r.seconds for p in found for r in p.runs]
    slowest = max(found, key=lambda p: max(r.seconds for r in p.runs))
    yield ""
    yield (
        f"One run takes {statistics.median(times):.1f} s (median), the slowest {max(times):.0f} s "
        f"(`{slowest.path.stem}:{slowest.factory}`)."
    )


def lines(found: Sequence[Program]) -> Iterator[str]:
    """Every faulty program, and every other that was not quiet."""
    yield "| program | verdict by seed | errors at the first seed, the root first |"
    yield "| --- | --- | --- |"
    for p in found:
        marks = [p.mark(r) for r in p.runs]
        if p.is_faulty or set(marks) != {"quiet"}:
            told = p.runs[0].errors or tuple(f"({rule})" for rule in p.runs[0].warnings)
            yield f"| `{p.path.stem}:{p.factory}` | {_counted(marks)} | {', '.join(told[:4])} |"


def _counted(marks: Sequence[str]) -> str:
    counts = Counter(marks)
    return marks[0] if len(counts) == 1 else ", ".join(f"{mark} {n}" for mark, n in counts.items())


def score(folder: Path, arguments: argparse.Namespace) -> list[Program]:
    """Run every program of the folder at every seed."""
    found = [p for p in programs(folder) if not arguments.only or p.path.stem in arguments.only]
    jobs = [(p, seed) for p in found for seed in arguments.seeds]
    with ThreadPoolExecutor(arguments.workers) as pool:
        for (p, seed), done in zip(jobs, pool.map(lambda job: run(*job, arguments.timeout), jobs), strict=True):
            p.runs.append(done)
            rules = f"{', '.join(done.errors)} ({', '.join(done.warnings)})"
            name = f"{p.path.stem}:{p.factory}"
            print(f"{p.mark(done):7} {done.seconds:6.1f} s  seed {seed}  {name}  {rules}", flush=True)
    return found


def main() -> int:
    """Run all, print the tables, write them where wanted; 1 where an alarm or a crash was seen, 2 without programs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path(__file__).parent.parent / "tests" / "programs"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for a run")
    parser.add_argument("--only", nargs="+", default=(), help="names of programs")
    parser.add_argument("--output", type=Path, help="a Markdown file for the tables")
    arguments = parser.parse_args()
    seeds = ", ".join(map(str, arguments.seeds))
    parts = ["# The score\n\n<!-- made by benchmarks/faults.py -->\n"]
    parts.append(f"`babysit run` at the seeds {seeds}; runs at a time: {arguments.workers}, one thread each.\n")
    bad = False
    for folder in arguments.folders:
        found = score(folder, arguments)
        if not found:
            print(f"no programs in {folder}", file=sys.stderr)
            return 2
        bad |= any(r.crashed or (r.code == 1 and not p.is_faulty) for p in found for r in p.runs)
        parts += [f"\n## {folder.resolve().name}\n", *totals(found), "", *lines(found)]
    text = "\n".join(parts) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
