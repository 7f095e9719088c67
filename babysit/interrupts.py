"""Ctrl-C, put off while something is written: it is heard in those parts alone that can be left at any point."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """Ctrl-C of one piece of work."""

    def __init__(self) -> None:
        self._heard = False
        self._came = False

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
    def heard(self) -> Iterator[None]:
        """Within it, Ctrl-C is heard at once, as is one that came before.

        Raises:
            KeyboardInterrupt: It comes, or came.
        """
        try:
            self._heard = True
            if self._came:
                self._came = False
                raise KeyboardInterrupt
            yield
        finally:
            self._heard = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._heard:
            self._heard = False  # what follows is cleaning up
            raise KeyboardInterrupt
        self._came = True
