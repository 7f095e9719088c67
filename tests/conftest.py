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
hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")


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
