"""Which thread runs a model: one at a time, since the layers of two passes cannot be told apart."""

from __future__ import annotations

import threading
from collections.abc import Callable

from spatten_hw.errors import UserError


class Turn:
    """Notices that a thread runs a model while another does, tells both, and calls `forget`."""

    def __init__(self, forget: Callable[[], None]) -> None:
        self._forget = forget
        self._lock = threading.Lock()
        #: Whose pass it is, from its first layer to its last.
        self._thread: threading.Thread | None = None
        #: Threads whose pass another has broken, and which do not know it yet.
        self._broken: set[threading.Thread] = set()

    def begin(self) -> None:
        """This thread begins a pass. Raises `UserError` if another is in the middle of one."""
        with self._lock:
            self._broken.discard(threading.current_thread())
            self._refuse_two()

    def layer(self) -> None:
        """This thread runs the next layer. Raises `UserError` if another runs a pass, or has broken this one's."""
        with self._lock:
            self._refuse_broken()
            self._refuse_two()
            self._thread = threading.current_thread()

    def ran(self, last: bool) -> None:
        """The layer has run; `last`: of its pass. Raises `UserError` if another thread has broken it meanwhile."""
        with self._lock:
            self._refuse_broken()
            if last:
                self._thread = None

    def failed(self) -> None:
        """The layer has failed: the pass is over, unless it is no longer this thread's."""
        with self._lock:
            if self._thread is threading.current_thread():
                self._thread = None
                self._forget()

    def _refuse_broken(self) -> None:
        if threading.current_thread() in self._broken:
            self._broken.discard(threading.current_thread())
            raise _two()

    def _refuse_two(self) -> None:
        before = self._thread
        # A thread that has ended has left a pass that nobody goes on with.
        if before is not None and before is not threading.current_thread() and before.is_alive():
            self._broken.add(before)
            self._thread = None
            self._forget()
            raise _two()


def _two() -> UserError:
    return UserError("two threads run models inside one SpAttenAttention at the same time; run them one after another")
