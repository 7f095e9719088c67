import io
import sys

import pytest
from rich.console import Console

from babysit.report import Curve, Fact, Table
from babysit.reporting.terminal import live
from babysit.reporting.terminal.live import Display, display

EXHIBITS = [
    Curve("loss", (1.0, 2.0, 3.0), {"training": (3.0, 2.0, 1.0)}),
    Fact("update / weight", "1e-3 [W] to 2e-3"),
    Table("trials", ("a",), (("b",),)),
    Fact("time left", "12 s"),
]


def rendered(shown, width=80, **options):
    file = io.StringIO()
    Console(file=file, width=width, color_system=None, **options).print(shown)
    return file.getvalue()


def made(monkeypatch, names=("overfit", "train")):
    """A display whose clock stands still unless told otherwise."""
    clock = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
    return Display(names, Console(file=io.StringIO())), clock


def test_the_bar_names_the_check_and_its_place(monkeypatch):
    shown, _ = made(monkeypatch)
    shown.progress("train", 3, 10)
    assert rendered(shown).split()[0] == "train"
    assert "2 of 2" in rendered(shown)


def test_exhibits_stand_above_the_bar(monkeypatch):
    shown, _ = made(monkeypatch)
    shown.progress("train", 3, 10)
    shown.show(lambda: EXHIBITS)
    lines = rendered(shown).splitlines()
    assert lines[0].strip() == "loss"
    assert "update / weight 1e-3 [W] to 2e-3" in [line.strip() for line in lines]
    assert [line.strip() for line in lines[-5:-1]] == ["trials", "a", "b", "time left 12 s"]
    assert lines[-1].startswith("train")
    assert len(lines) < 24


def test_two_curves_stand_side_by_side(monkeypatch):
    shown, _ = made(monkeypatch)
    shown.show(lambda: [EXHIBITS[0], Curve("accuracy", (0.0, 1.0), {"training": (0.1, 0.9)})])
    assert rendered(shown).splitlines()[0].split() == ["loss", "accuracy"]


def test_exhibits_are_made_twice_a_second_at_most(monkeypatch):
    shown, clock = made(monkeypatch)
    calls = []
    for moment in (100.0, 100.1, 100.4, 100.5, 100.9, 101.1):
        clock[0] = moment
        shown.show(lambda: calls.append(1) or EXHIBITS)
    assert len(calls) == 3


class Counted:
    drawn = 0

    def __rich__(self):
        self.drawn += 1
        return "drawn"


def test_what_stands_above_the_bar_is_drawn_once_for_a_width(monkeypatch):
    shown, clock = made(monkeypatch)
    part = Counted()
    monkeypatch.setattr(live, "_drawn", lambda exhibits: [part])
    shown.progress("train", 1, 10)
    shown.show(lambda: EXHIBITS)
    shown.progress("train", 2, 10)
    assert [rendered(shown).splitlines()[0].strip() for _ in range(3)] == ["drawn"] * 3
    assert part.drawn == 1
    assert rendered(shown, width=40).splitlines()[0].strip() == "drawn"
    assert part.drawn == 2
    clock[0] += live.EVERY
    shown.show(lambda: EXHIBITS)
    assert rendered(shown, width=40).splitlines()[0].strip() == "drawn"
    assert part.drawn == 3


def test_the_next_check_begins_with_the_bar_alone(monkeypatch):
    shown, _ = made(monkeypatch)
    shown.progress("overfit", 1, 10)
    shown.show(lambda: EXHIBITS)
    shown.progress("overfit", 2, 10)
    assert "time left" in rendered(shown)
    shown.progress("train", 0, 10)
    assert "time left" not in rendered(shown)


@pytest.mark.parametrize("exhibits", [[], [Fact("a", "b")], [Curve("loss", (), {})]])
def test_anything_can_be_shown(monkeypatch, exhibits):
    shown, _ = made(monkeypatch)
    shown.show(lambda: exhibits)
    assert rendered(shown, width=20, legacy_windows=False)


def test_nothing_is_shown_where_there_is_no_terminal():
    with display(["train"], quiet=False) as shown:
        assert shown is None


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("quiet", [True, False])
def test_a_terminal_is_drawn_on_and_left_clean(monkeypatch, quiet):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with display(["train"], quiet=quiet) as shown:
        assert (shown is None) is quiet
        if shown:
            shown.progress("train", 1, 2)
            shown.show(lambda: EXHIBITS)
    assert bool(sys.stderr.getvalue()) is not quiet
