import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # ahead of NumPy and PyTorch: threads that wait make busy machines slow

import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from babysit.__main__ import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins, and passes on, deaf to it


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="every seed of tests that are run at several, and ten times as many examples of each property",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Busy machines take their time; what found an example stays with whoever ran it."""
    full = config.getoption("--full")
    hypothesis.settings.register_profile("babysit", deadline=None, max_examples=300 if full else 30)
    hypothesis.settings.load_profile("babysit")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a test at several seeds, the lowest: the others are for `.ci/full`."""
    if config.getoption("--full"):
        return
    places = [_place(item) for item in items]
    lowest: dict[str, float] = {}
    for place, seed in places:
        lowest[place] = min(seed, lowest.get(place, seed))
    chosen = [seed == lowest[place] for place, seed in places]
    config.hook.pytest_deselected(items=[item for item, kept in zip(items, chosen, strict=True) if not kept])
    items[:] = [item for item, kept in zip(items, chosen, strict=True) if kept]


def _place(item: pytest.Item) -> tuple[str, float]:
    """The test with all of its parameters but the seed, and the seed; 0 where it has none."""
    parameters = dict(getattr(getattr(item, "callspec", None), "params", {}))
    seed = parameters.pop("seed", None)
    return (f"{item.nodeid.split('[')[0]} {parameters!r}", seed) if isinstance(seed, int) else (item.nodeid, 0)


@dataclass(frozen=True)
class Call:
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Standard error as one line, without the panel that Typer draws around it."""
        return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", " ", self.err).split())


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def babysit(here, monkeypatch, capsys) -> Callable[..., Call]:
    """The command, as its entry point runs it, in an empty folder and a terminal too wide to wrap lines."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    known = set(sys.modules)

    def call(*args: object) -> Call:
        monkeypatch.setattr(sys, "argv", ["babysit", *map(str, args)])
        with pytest.raises(SystemExit) as way_out:
            main()
        return Call(int(way_out.value.code or 0), *capsys.readouterr())

    yield call
    for name in set(sys.modules) - known:
        if str(here) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
