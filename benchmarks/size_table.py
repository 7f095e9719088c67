"""The page that is made of what `sizes.py` measured, as Markdown."""

import math
from collections.abc import Iterator, Sequence

from size_results import (
    GROWTH,
    MIB,
    NO_VERDICT,
    NOISE,
    OWN_RUN,
    OWN_STEP,
    SHARE,
    SLOW,
    SOON,
    STEPS_LATER,
    STEPS_SOON,
    Bare,
    Row,
    Run,
    Sweep,
    columns,
    growth,
    is_slow,
    memory_limit,
    misses,
    own_limit,
    steps_time,
    time_limit,
)


def number(value: float, form: str = ".1f") -> str:
    """In this form; a dash for NaN."""
    return "-" if math.isnan(value) else format(value, form)


def marked(text: str, missed: bool) -> str:
    """In bold, with a sign that can be searched for, where a limit is missed."""
    return f"**{text} !**" if missed else text


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield line(columns)
    yield line(["---"] * len(columns))
    yield from map(line, rows)
    yield ""


def mib(value: float) -> str:
    return f"{value / MIB:,.0f}"


MAIN = (
    "row", "parameters", "bare step, s", "bare peak, MiB", "peak, MiB", "limit", "seconds", "processor",
    "steps", "steps' time", "limit", "own", "limit", "exit", "findings",
)  # fmt: skip


def main_cells(row: Row) -> list[str]:
    """The row of the first table."""
    if row.bare is None or row.run is None:
        start = [] if row.bare is None else _bare_cells(row.bare)
        said = marked(row.failed, not row.too_large)
        return [f"`{row.name}`", *start, *["-"] * (len(MAIN) - 2 - len(start)), said]
    bare, run, missed = row.bare, row.run, misses(row)
    found = [*run.errors, *(f"({rule})" for rule in run.warnings)]
    slow = is_slow(bare)
    own = _share(run) if slow else f"{number(run.own_cpu)} s"
    return [
        f"`{row.name}`",
        *_bare_cells(bare),
        marked(mib(run.peak), "memory" in missed),
        mib(memory_limit(bare)),
        f"{run.wall:.0f}",
        f"{run.cpu:.0f}",
        f"{run.steps}",
        marked(f"{steps_time(bare, run):,.0f}", "time" in missed),
        f"{time_limit(run):,}",
        marked(own, "own" in missed),
        f"{SHARE:.0%}" if slow else f"{own_limit(bare, run):.1f} s",
        marked(_ending(run), "exit" in missed),
        marked(", ".join(found), "findings" in missed) if found else "none",
    ]


def _bare_cells(bare: Bare) -> list[str]:
    return [f"{bare.parameters / 1e6:,.2f} M", f"{bare.step_cpu:.4f}", mib(bare.peak)]


def _share(run: Run) -> str:
    return f"{number(100 * run.own / (run.own + run.target))} %"


def _ending(run: Run) -> str:
    return f"{run.ended} ({run.code})" if run.ended else str(run.code)


def check_cells(row: Row, names: Sequence[str]) -> list[str]:
    """Of each check, steps made and the training steps' time that it took."""
    assert row.bare
    assert row.run
    known = {check.name: check for check in row.run.checks}
    cells = [f"`{row.name}`"]
    for name in names:
        check = known.get(name)
        if check is None or check.status in ("skipped", *NO_VERDICT):
            cells.append("-" if check is None else marked(check.status, check.status in NO_VERDICT))
        else:
            took = (check.target + check.own) * row.run.running / row.bare.step_cpu
            cells.append(f"{took:,.0f} ({check.steps})")
    return [*cells, "no" if row.run.memorized is None else str(row.run.memorized)]


def verdicts(rows: Sequence[Row]) -> Iterator[str]:
    """Which check took how long, and which gave no verdict."""
    ran = [row for row in rows if row.bare and row.run and row.run.checks]
    names = list(dict.fromkeys(check.name for row in ran for check in row.run.checks if row.run))
    yield "## Checks\n"
    yield "Training steps' time of each check, by the report's seconds, and in parentheses the updates that it made."
    yield "`memorized` is the step at which `overfit` had memorized its examples.\n"
    yield from table(["row", *names, "memorized"], [check_cells(row, names) for row in ran])
    without = [
        [f"`{row.name}`", check.name, marked(check.status, check.status in NO_VERDICT), _flat(check.reason)]
        for row in ran
        for check in (row.run.checks if row.run else ())
        if check.status in ("skipped", *NO_VERDICT)
    ]
    messages = [[f"`{row.name}`", *map(_flat, pair)] for row in ran for pair in (row.run.messages if row.run else ())]
    if messages:
        yield "Errors and warnings:\n"
        yield from table(["row", "rule", "message"], messages)
    yield "Checks without a verdict, and the reason that they give:\n"
    yield from table(["row", "check", "status", "reason"], without)
    for row in rows:
        if row.run and not row.run.checks and row.run.said:
            yield f"`{row.name}` left no report. The end of its stderr:\n\n```\n{row.run.said}\n```\n"


def _flat(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())[:300]


def sweep_lines(sweep: Sweep) -> Iterator[str]:
    """One sweep's table, in milliseconds."""
    first = sweep.points[0]
    yield f"### {sweep.name}: {sweep.what}\n"
    rows = []
    for point in sweep.points:
        own = [marked(f"{1000 * now:.2f}", growth(start, now)) for _, start, now in columns(first, point)]
        rows.append([f"{point.size:,}", f"{1000 * point.bare:.1f}", *own])
    yield from table([sweep.name, "bare step", "driven step", *first.checks], rows)


LEGEND = f"""\
Each program of `benchmarks/size_programs.py` is run twice, in processes of their own: in a plain loop (some warm-up,
then steps, then one pass over the validation split), and by `babysit run`. A mark `!` is a missed limit; all programs
are healthy, so any finding (warnings in parentheses) is one.

- **bare step**: seconds of processor time of a step of the plain loop (mean); where gradients are accumulated, of all
  batches of an update.
- **peak**: resident memory at most. Its limit is the bare peak + 2 x (weights + buffers + optimizer state) + 512 MiB.
- **seconds, processor**: wall-clock seconds and processor time of the whole process of `babysit run`, imports included.
- **steps**: calls of the trainer's `step`, by the report.
- **steps' time**: processor time, less that of a process that only imports and builds the same trainer, over the mean
  of a bare step. At most {STEPS_SOON} where 20 examples are memorized within {SOON} steps, else {STEPS_LATER:,}.
- **own**: by the report, what is babysit's own; where a batch takes the plain loop {1000 * SLOW:.0f} ms or more at most
  {SHARE:.0%} of its seconds, else {1000 * OWN_STEP:.0f} ms a step and {OWN_RUN:.0f} s. Wall-clock seconds of the report
  count for less where the process had less than a processor.
"""

SWEEPING = f"""\
Milliseconds that are babysit's own, a step, measured alone. **driven step**: the processor time of a step through
babysit, less what the program's own forward pass, loss, backward pass and optimizer took within it (median). The
checks: a run of the check, what its report calls babysit's own over its steps, as processor time; what is done once a
run is shared out among them. A mark `!` is growth: more than {GROWTH:g} times the smallest size's and {1000 * NOISE:g}
ms more.
"""


def page(rows: Sequence[Row], sweeps: Sequence[Sweep]) -> str:
    """All of it, as Markdown."""
    machines = list(dict.fromkeys(part.machine for part in (*rows, *sweeps)))
    parts = ["# Sizes", "", "<!-- made by benchmarks/sizes.py -->", "", *machines, "", LEGEND]
    parts += table(MAIN, [main_cells(row) for row in rows])
    parts += [f"- `{row.name}`: {row.what}" for row in rows] + [""]
    parts += verdicts(rows)
    if sweeps:
        parts += ["## Sweeps", "", SWEEPING]
        for sweep in sweeps:
            parts += sweep_lines(sweep)
    return "\n".join(parts).rstrip() + "\n"
