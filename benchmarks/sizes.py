"""What does `babysit run` take on programs of real size: memory, time and babysit's own share, beside a bare loop?

    python benchmarks/sizes.py [--only ROW ...] [--sweeps] [--threads 1] [--output docs/sizes.md]
    python benchmarks/sizes.py --table
    python benchmarks/sizes.py --small

Each row is a program of `size_programs.py`: a bare loop, then `babysit run`, each in a process of its own. A row is
kept as JSON in benchmarks/sizes/, a sweep too, and the page is made of all that are there: `--only` makes some of them
anew, `--sweeps` the sweeps alone, `--table` none. Without any of these, all are made. `--small` takes a minute: quick
programs of real size, of which nothing is kept.

Ends with 1 where a limit is missed, on any row of the page or, with `--small`, of these.
"""

import argparse
import ast
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import size_results  # nothing here imports a framework: a child's peak is never less than its parent's was at the fork
from size_results import Bare, Check, Point, Row, Run, Sweep
from size_table import page

HERE = Path(__file__).parent
KEPT = HERE / "sizes"
PAGE = HERE.parent / "docs" / "sizes.md"
PROGRAMS = HERE / "size_programs.py"
ROWS = (
    "gpt2", "bert", "resnet18", "vit", "wide_mlp", "unet", "embedding_dense", "embedding_sparse", "table", "lstm",
    "accumulation",
)  # fmt: skip
SMALL = ("small_mlp", "small_vocabulary", "small_embedding", "small_table")
SWEEPS = {"width": (64, 512, 2048, 8192), "vocabulary": (1_000, 10_000, 100_000), "depth": (2, 8, 64)}
TIMEOUT = 25 * 60.0  # seconds of one process
FREE = 0.75  # share of the machine's memory that a process may hold before it is ended
LOOK = 0.1  # seconds between two looks at how much it holds
REPORT = "report.json"


@dataclass(frozen=True)
class Bounds:
    """What a process may take.

    Args:
        threads: That it computes with.
        timeout: Wall-clock seconds.
        memory: Bytes that may be resident.
    """

    threads: int
    timeout: float
    memory: float


@dataclass(frozen=True)
class Ended:
    """A process that has ended.

    Args:
        code: Its exit code; negative where a signal ended it.
        ended: Why it was ended from here; empty where it was not.
        wall: Wall-clock seconds.
        cpu: Seconds of processor time.
        peak: Bytes that were resident at most.
        output: What it wrote to standard output.
        said: The end of what it wrote to stderr.
    """

    code: int
    ended: str
    wall: float
    cpu: float
    peak: int
    output: str
    said: str


def run_process(command: Sequence[str], bounds: Bounds, folder: Path | None = None) -> Ended:
    """Run a Python process; it is ended where it takes too long or too much."""
    threads = {f"{name}_NUM_THREADS": str(bounds.threads) for name in ("OMP", "MKL", "OPENBLAS")}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env={**os.environ, **threads},
            stdin=subprocess.DEVNULL, stdout=output, stderr=said, start_new_session=True,
        )  # fmt: skip
        why = ""
        try:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            while not ended:
                why = _too_much(process.pid, time.perf_counter() - began, bounds)
                if why:
                    break
                time.sleep(LOOK)
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        finally:
            if process.returncode is None and not ended:
                os.killpg(process.pid, signal.SIGKILL)
                _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall, cpu = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
        return Ended(process.returncode, why, wall, cpu, 1024 * usage.ru_maxrss, _text(output), _text(said)[-2000:])


def _too_much(pid: int, wall: float, bounds: Bounds) -> str:
    """Why the process has to end; empty where it may go on."""
    if wall > bounds.timeout:
        return f"took more than {bounds.timeout:.0f} s"
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1] or 0) * os.sysconf("SC_PAGE_SIZE")
    return f"held more than {bounds.memory / 2**30:.1f} GiB" if resident > bounds.memory else ""


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def machine_memory() -> int:
    """Bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def machine(threads: int) -> str:
    """Where this is measured, in a sentence."""
    named = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    chip = named[0].partition(":")[2].strip() if named else platform.machine()
    with_threads = "one thread" if threads == 1 else f"{threads} threads"
    return f"{chip}, {machine_memory() / 2**30:.0f} GiB of memory, {with_threads}."


def says(name: str) -> str:
    """The first line of the program's docstring; read, not imported."""
    tree = ast.parse(PROGRAMS.read_text(encoding="utf-8"))
    found = {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.FunctionDef)}
    return found[name].partition("\n")[0]


# Rows


def measured(words: Sequence[str], bounds: Bounds) -> tuple[Ended, Mapping[str, Any]]:
    """What `size_measure.py` says of it, and its process."""
    made = run_process([str(HERE / "size_measure.py"), *words, "--threads", str(bounds.threads)], bounds)
    return made, json.loads(made.output.splitlines()[-1]) if made.code == 0 else {}


def failure(what: str, made: Ended) -> str:
    """Why a process has no result, in a line."""
    last = made.said.strip().splitlines()[-1:] or [""]
    return local(f"{what} {made.ended or f'ended with {made.code}'}: {last[0]}".rstrip(": "))


def make_row(name: str, bounds: Bounds, *, timed: bool = True) -> Row:
    """Measure one program.

    Args:
        name: Its factory's.
        bounds: Of each process.
        timed: Whether to know what imports and building take, so that they can be set aside.
    """
    row = Row(name, says(name), machine(bounds.threads))
    made, told = measured(["bare", name], bounds)
    if not told:
        return replace(row, failed=failure("the bare loop", made), too_large=made.ended.startswith("held"))
    row = replace(row, bare=Bare(**{**told, "peak": made.peak}))
    assert row.bare
    wanted = size_results.memory_limit(row.bare)
    if wanted > machine_memory():
        said = f"may take {wanted / 2**30:.0f} GiB, and the machine has {machine_memory() / 2**30:.0f}"
        return replace(row, failed=said, too_large=True)
    loaded = measured(["loading", name], bounds)[0] if timed else None
    if loaded and loaded.code:
        return replace(row, failed=failure("loading", loaded))
    return replace(row, run=make_run(name, loaded.cpu if loaded else 0.0, bounds))


def make_run(name: str, loading: float, bounds: Bounds) -> Run:
    """`babysit run`, as a user would."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, REPORT)
        words = ["-m", "babysit", "run", f"{PROGRAMS}:{name}", "--quiet", "--report", f"json={report}"]
        made = run_process(words, bounds, Path(folder))
        text = report.read_text(encoding="utf-8") if report.exists() else ""
    run = Run(made.code, made.ended, made.wall, made.cpu, loading, made.peak)
    return with_report(run, json.loads(text)) if text else replace(run, said=local(made.said))


def local(text: str) -> str:
    """Without the folder that this stands in, which is another elsewhere."""
    return text.replace(f"{HERE.parent}/", "")


def with_report(run: Run, report: Mapping[str, Any]) -> Run:
    """The run with what its report says."""
    results, found = report["results"], report["findings"]
    checks = tuple(
        Check(r["check"], r["status"], local(r["reason"]), r["steps"], r["seconds"]["target"], r["seconds"]["own"])
        for r in results
    )
    return replace(
        run,
        target=report["seconds"]["target"],
        own=report["seconds"]["own"],
        checks=checks,
        errors=rules(found, "error"),
        warnings=rules(found, "warning"),
        messages=tuple((f["rule"], local(f["message"])) for f in found if f["severity"] != "info"),
        memorized=memorized(results),
    )


def rules(findings: Iterable[Mapping[str, Any]], severity: str) -> tuple[str, ...]:
    """Each once, in the report's order."""
    return tuple(dict.fromkeys(f["rule"] for f in findings if f["severity"] == severity))


def memorized(results: Iterable[Mapping[str, Any]]) -> int | None:
    """Steps that the first attempt of `overfit` took to memorize; None where it did not."""
    measured = next((r["measurement"] for r in results if r["check"] == "overfit"), None)
    attempts = measured["attempts"] if measured else []
    if not attempts or attempts[0]["outcome"] != "memorized":
        return None
    return len(attempts[0]["losses"])


def told(row: Row) -> str:
    """A row in a line, for who waits."""
    missed = ", ".join(size_results.misses(row)) or "all limits kept"
    if row.bare is None or row.run is None:
        return f"{row.name}: {row.failed}"
    limit = size_results.memory_limit(row.bare)
    return (
        f"{row.name}: bare {row.bare.step_cpu:.4f} s, {row.bare.peak >> 20} MiB; run {row.run.wall:.0f} s, "
        f"{row.run.cpu:.0f} s of processor time, {row.run.peak >> 20} of {limit >> 20} MiB, "
        f"{size_results.steps_time(row.bare, row.run):.0f} of {size_results.time_limit(row.run)} steps' time, "
        f"own {row.run.own_cpu:.1f} of {size_results.own_limit(row.bare, row.run):.1f} s, exit {row.run.code}, "
        f"{', '.join((*row.run.errors, *row.run.warnings)) or 'no findings'}: {missed}"
    )


# Sweeps


def make_sweep(name: str, bounds: Bounds) -> Sweep:
    """One size after the other.

    Raises:
        SystemExit: One of them can't be measured.
    """
    points = []
    for size in SWEEPS[name]:
        made, found = measured(["sweep", name, str(size)], bounds)
        if not found:
            raise SystemExit(f"{failure(f'{name} {size}', made)}\n{made.said}")
        points.append(Point(**found))
        print(f"{name} {size}: {points[-1]}", flush=True)
    return Sweep(name, says(f"of_{name}"), machine(bounds.threads), tuple(points))


# The page


def kept(folder: Path) -> tuple[list[Row], list[Sweep]]:
    """The rows and sweeps in the folder, in the table's order."""

    def texts(names: Iterable[str]) -> Iterable[str]:
        paths = (folder / f"{name}.json" for name in names)
        return (path.read_text(encoding="utf-8") for path in paths if path.exists())

    rows = [size_results.read_row(text) for text in texts(ROWS)]
    return rows, [size_results.read_sweep(text) for text in texts(f"sweep_{name}" for name in SWEEPS)]


def make(names: Iterable[str], bounds: Bounds, folder: Path) -> None:
    """Measure these rows and sweeps, and keep each as soon as it is there."""
    for name in names:
        if name in SWEEPS:
            size_results.write(folder / f"sweep_{name}.json", make_sweep(name, bounds))
        else:
            row = make_row(name, bounds)
            size_results.write(folder / f"{name}.json", row)
            print(told(row), flush=True)


def assemble(folder: Path, output: Path) -> int:
    """Make the page of what is kept; 1 where something is missed or missing."""
    rows, sweeps = kept(folder)
    output.write_text(page(rows, sweeps), encoding="utf-8")
    missed = size_results.verdict(rows, sweeps)
    there = {row.name for row in rows} | {sweep.name for sweep in sweeps}
    missed += [f"{name}: not measured yet" for name in (*ROWS, *SWEEPS) if name not in there]
    print(*missed or ["all limits kept"], f"wrote {output}", sep="\n")
    return int(bool(missed))


def small(names: Iterable[str], bounds: Bounds) -> int:
    """The gate: 1 where one of the small programs misses a limit of memory, has a finding, or ends otherwise."""
    missed = []
    for name in names:
        row = make_row(name, bounds, timed=False)
        print(told(row), flush=True)
        if row.run and not row.run.checks:
            print(row.run.said)
        missed += [f"{name}: {miss}" for miss in size_results.misses(row) if miss not in ("time", "own")]
    print(*missed or ["all limits kept"], sep="\n")
    return int(bool(missed))


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is asked for, and make the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--only", nargs="+", choices=(*ROWS, *SWEEPS), metavar="ROW", help="rows and sweeps to make anew"
    )
    which.add_argument("--sweeps", action="store_true", help="make the sweeps anew")
    which.add_argument("--table", action="store_true", help="make the page of what is kept")
    which.add_argument(
        "--small", nargs="*", choices=SMALL, metavar="ROW", help="the small programs, or some of them, for CI"
    )
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds of each process")
    parser.add_argument("--memory", type=float, default=FREE * machine_memory() / 2**30, help="GiB of each process")
    parser.add_argument("--kept", type=Path, default=KEPT, help="the folder of the rows")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page")
    asked = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that children are ended, too
    bounds = Bounds(asked.threads, asked.timeout, asked.memory * 2**30)
    if asked.small is not None:
        return small(asked.small or SMALL, bounds)
    names = () if asked.table else SWEEPS if asked.sweeps else asked.only or (*ROWS, *SWEEPS)
    make(names, bounds, asked.kept)
    return assemble(asked.kept, asked.output)


if __name__ == "__main__":
    sys.exit(main())
