"""Ctrl-C, put off while something is written: it is heard in those parts alone that can be left at any point."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

STUCK = 5.0  # seconds after a first Ctrl-C, from which the next is heard wherever it comes: what is written is a line


class Interrupts:
    """Ctrl-C of one piece of work."""

    def __init__(self) -> None:
        self._heard = False
        self._since = math.inf

    @property
    def came(self) -> bool:
        """Whether there was one."""
        return self._since < math.inf

    def check(self) -> None:
        """Hear one that came; for a moment between two things that are written.

        Raises:
            KeyboardInterrupt: It came.
        """
        if self.came:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def put_off(self) -> Iterator[None]:
        """Within it, Ctrl-C waits for the next part that is `heard`; behind the last of them there is nothing to end.

        A signal that the caller ignores or handles is left to it.
        """
        ours = threading.current_thread() is threading.main_thread()
        if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return
        signal.signal(signal.SIGINT, self._on_signal)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextlib.contextmanager
    def heard(self, *, really: bool = True) -> Iterator[None]:
        """Within it, Ctrl-C is heard at once, as is one that came before.

        Args:
            really: False for a part of such a part in which something is written after all.

        Raises:
            KeyboardInterrupt: It comes, or came.
        """
        before = self._heard
        try:
            self._heard = really
            self.check()
            yield
        finally:
            self._heard = before

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        now = time.monotonic()
        is_stuck = now - self._since > STUCK
        self._since = min(self._since, now)
        if self._heard or is_stuck:
            self._heard = False  # what follows is cleaning up
            raise KeyboardInterrupt
