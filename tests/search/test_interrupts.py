"""Ctrl-C, put off while something is written."""

import contextlib
import signal

import pytest

from babysit.search import interrupts
from babysit.search.interrupts import Interrupts


def press():
    signal.raise_signal(signal.SIGINT)


def test_what_is_written_is_written_to_its_end():
    written, ours = [], Interrupts()

    def write():
        with ours.put_off():
            press()
            written.append("first")
            with ours.heard():
                written.append("second")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert (written, ours.came) == (["first"], True)


def test_where_it_is_heard_it_comes_at_once():
    ours = Interrupts()
    with pytest.raises(KeyboardInterrupt), ours.put_off(), ours.heard():
        press()


def test_a_part_of_what_is_heard_may_write():
    written, ours = [], Interrupts()

    def write():
        with ours.put_off(), ours.heard():
            with ours.heard(really=False):
                press()
                written.append("whole")
            ours.check()

    with pytest.raises(KeyboardInterrupt):
        write()
    assert written == ["whole"]


def test_behind_the_last_part_that_hears_there_is_nothing_to_end():
    ours = Interrupts()
    with ours.put_off():
        press()
    assert ours.came


def test_one_that_is_swallowed_is_not_forgotten():
    """As Python does where an object ends, and programs do in their loops."""
    ours = Interrupts()
    with ours.put_off(), ours.heard(), contextlib.suppress(KeyboardInterrupt):
        press()
    assert ours.came
    with pytest.raises(KeyboardInterrupt):
        ours.check()


def test_a_second_one_is_cleaned_up_after_and_a_late_one_breaks_through(monkeypatch):
    ours, clock = Interrupts(), iter([0.0, 1.0, interrupts.STUCK + 0.1])
    monkeypatch.setattr(interrupts.time, "monotonic", lambda: next(clock))
    with ours.put_off():
        press()
        press()
        assert ours.came
        with pytest.raises(KeyboardInterrupt):
            press()


def test_the_handler_is_the_one_that_was_there():
    for wrong in (KeyboardInterrupt, ValueError):
        with pytest.raises(wrong), Interrupts().put_off():
            raise wrong
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("own", [signal.SIG_IGN, lambda number, frame: None])
def test_a_signal_that_the_caller_handles_is_left_to_it(own):
    ours, before = Interrupts(), signal.signal(signal.SIGINT, own)
    try:
        with ours.put_off(), ours.heard():
            press()
            assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)
    assert not ours.came
