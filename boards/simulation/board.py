"""A simulated board on a pseudo-terminal."""

from __future__ import annotations

import ctypes
import os
import pty
import threading
import tty

from spatten_hw.boards.shell.system import System
from spatten_hw.sim.harness import kept
from spatten_hw.sim.harness.build import Progress

from .build import build_system

#: Clocks without a character after which the simulation sleeps until the host speaks again. A host that waits for a
#: job asks all the time, so this only bounds what happens after it has left.
IDLE_CYCLES = 100_000


class SimulatedBoard:
    """`system` runs in a thread; a host opens the serial port `port`, at any baud rate.

    A context manager. `unplug` takes the port away, as a cable pulled out does. Time on the board passes only while
    characters move on the line, and `IDLE_CYCLES` longer.
    """

    def __init__(self, system: System, *, optimize: int = 1, idle_cycles: int = IDLE_CYCLES,
                 progress: Progress | None = None):
        self._lib = _load(build_system(system, optimize=optimize, progress=progress))
        self._board = self._lib.board_create(system.divisor, idle_cycles)
        self._line, self._held = pty.openpty()
        # Held open here, so that the port outlives the hosts that open and close it; bytes pass as they are.
        tty.setraw(self._held)
        os.set_blocking(self._line, False)
        self.port = os.ttyname(self._held)
        self._thread = threading.Thread(target=self._lib.board_serve, args=(self._board, self._line), daemon=True)
        self._thread.start()

    def __enter__(self) -> SimulatedBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def cycles(self) -> int:
        """Clocks so far."""
        return self._lib.board_cycles(self._open())

    @property
    def leds(self) -> int:
        """The lights, a bit each."""
        return self._lib.board_leds(self._open())

    @property
    def characters(self) -> tuple[int, int]:
        """Characters that have gone (to the board, to the host)."""
        return self._lib.board_characters(self._open(), 0), self._lib.board_characters(self._open(), 1)

    def unplug(self) -> None:
        """Stops the board and takes the port away from the host."""
        if self._thread.is_alive():
            self._lib.board_stop(self._open())
            self._thread.join()
        for fd in (self._line, self._held):
            if fd >= 0:
                os.close(fd)
        self._line = self._held = -1

    def close(self) -> None:
        """Unplugs the board and frees it."""
        if self._board is not None:
            self.unplug()
            self._lib.board_destroy(self._board)
            self._board = None

    def _open(self) -> int:
        if self._board is None:
            raise ValueError("the simulated board is closed")
        return self._board


def _load(path) -> ctypes.CDLL:
    lib = kept.load(path)
    handle, word = ctypes.c_void_p, ctypes.c_uint64
    for name, result, *arguments in (
            ("create", handle, word, word), ("destroy", None, handle), ("serve", ctypes.c_int, handle, ctypes.c_int),
            ("stop", None, handle), ("cycles", word, handle), ("leds", ctypes.c_uint, handle),
            ("characters", word, handle, ctypes.c_int)):
        function = getattr(lib, f"board_{name}")
        function.restype, function.argtypes = result, arguments
    return lib
