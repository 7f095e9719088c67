"""Makes what is made: rules, settings and thresholds from docstrings, the JSON schema, and the README's outputs.

    python docs/make.py           write them
    python docs/make.py --check   exit 1 if any is out of date

In the README, a `console` block is made by running its first line, the one that begins with `$`, in the project's
folder, 80 columns wide. Times and the digits of numbers may differ when it is checked, since they differ from machine
to machine; words and shape may not.
"""

import ast
import dataclasses
import io
import json
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

from babysit.check import Check, Rule
from babysit.checks import find_checks
from babysit.reporting.formats.json import schema

ROOT = Path(__file__).parent.parent
MADE = "<!-- made by docs/make.py from the docstrings; edit those -->\n\n"
UNJUDGED = ("adapters", "lab", "reporting")  # folders that no verdict hangs on
BLOCK = re.compile(r"(```console\n\$ )(.+)\n((?:.*\n)*?)(```)")


def rules() -> str:
    """Every rule's page, by check."""
    parts = [MADE, "# Rules\n\nWhat each check can find. `babysit explain RULE` prints the same pages.\n"]
    for check in find_checks().values():
        parts.append(f"\n## {check.name}\n\n{check.page}\n")
        parts += [_rule(rule) for rule in check.rules.values()]
    return "".join(parts)


def _rule(rule: Rule) -> str:
    sections = "".join(f"\n**{heading}.** {text}\n" for heading, text in rule.page.items())
    return f"\n### {rule.id}\n\n{rule.title}\n{sections}"


def settings() -> str:
    """Every setting with its default, limits and source."""
    parts = [
        MADE,
        "# Settings\n\nKeys of a check's section in `babysit.yaml`, and names for `--set NAME=VALUE`. The last column\n"
        "says what a setting means, in which unit, and where its default comes from.\n",
    ]
    for check in find_checks().values():
        rows = "".join(f"| `{f.name}` | {f.default} | {f.metadata['doc']} |\n" for f in _fields(check))
        parts.append(f"\n## {check.name}\n\n| setting | default | meaning and source |\n| --- | --- | --- |\n{rows}")
    return "".join(parts)


def thresholds() -> str:
    """Every number that a verdict hangs on, with its source: settings by check, and constants by module."""
    parts = [
        MADE,
        "# Thresholds\n\nEvery number that a verdict hangs on, and its source: a published figure, a derivation, "
        "or,\nwhere neither is to be had, a judgement in words. Those of the first tables are settings.\n",
    ]
    for check in find_checks().values():
        judging = [f for f in _fields(check) if isinstance(f.default, float) or not f.metadata["measures"]]
        rows = "".join(f"| `{f.name}` | {f.default} | {f.metadata['doc']} |\n" for f in judging)
        if rows:
            parts.append(f"\n## {check.name}\n\n| setting | value | source |\n| --- | --- | --- |\n{rows}")
    parts.append("\n## Fixed in the code\n\n| constant | value | source |\n| --- | --- | --- |\n")
    for path in sorted((ROOT / "babysit").rglob("*.py")):
        module = path.relative_to(ROOT / "babysit").with_suffix("").parts
        if module[0] not in UNJUDGED:
            parts += [f"| `{'.'.join(module)}.{name}` | {value} | {why} |\n" for name, value, why in _constants(path)]
    return "".join(parts)


def _constants(path: Path) -> Iterator[tuple[str, str, str]]:
    """The numbers that a module names, with the comment beside or above each."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    for node in ast.parse(text).body:
        if not (
            isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper()
        ):
            continue
        value = ast.unparse(node.value)
        above = node.lineno - 1
        while above in comments and lines[above - 1].startswith("#"):
            above -= 1
        why = " ".join(comments[n] for n in (*range(above + 1, node.lineno), node.end_lineno or 0) if n in comments)
        if re.fullmatch(r"[-\d.e*+/() _]+", value) and why:
            yield node.targets[0].id, value, why.replace("|", "\\|")


def _fields(check: Check) -> tuple[dataclasses.Field[object], ...]:
    return dataclasses.fields(check.settings)


def readme() -> str:
    """The README with every console block run again."""
    return BLOCK.sub(lambda block: f"{block[1]}{block[2]}\n{_output(block[2])}{block[4]}", _read("README.md"))


def _output(command: str) -> str:
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # the babysit of this very Python
    environment = os.environ | {"COLUMNS": "80", "PYTHONIOENCODING": "utf-8", "LC_ALL": "C.UTF-8", "PATH": here}
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"


def _read(name: str) -> str:
    path = ROOT / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _masked(text: str) -> str:
    """Words and shape: numbers, times, drawings and the blanks between columns are left out."""
    lines = [line for line in text.splitlines() if not re.search("[\u2800-\u28ff┤│└┊]", line)]
    return re.sub(r"[ \n]+", " ", re.sub(r"-?\d+(\.\d+)?(e[+-]?\d+)?", "#", "\n".join(lines)))


PAGES: dict[str, Callable[[], str]] = {
    "docs/rules.md": rules,
    "docs/settings.md": settings,
    "docs/thresholds.md": thresholds,
    "docs/report.schema.json": lambda: json.dumps(schema(), indent=2) + "\n",
    "README.md": readme,
}


def main() -> int:
    """Write, or check."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name, make in PAGES.items():
        old, new = _read(name), make()
        same = _masked(old) == _masked(new) if name == "README.md" else old == new
        if not same:
            stale.append(name)
        if not check and old != new:
            (ROOT / name).write_text(new, encoding="utf-8")
    for name in stale:
        print(f"{name} {'is out of date: run python docs/make.py' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
