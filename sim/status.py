"""What a long command is doing, on stderr, so that stdout holds results alone."""

from __future__ import annotations

import sys
import time


class Status:
    """What is going on: one line on stderr, overwritten on a terminal, a line per step elsewhere."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.tty = sys.stderr.isatty()
        self.width = 0

    def show(self, text: str) -> None:
        """Tells what begins now."""
        line = f"[{time.monotonic() - self.start:5.1f} s] {text}"
        if self.tty:
            print("\r" + line.ljust(self.width), end="", file=sys.stderr, flush=True)
            self.width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Takes the line off the terminal, to make room for output."""
        if self.tty and self.width:
            print("\r" + " " * self.width + "\r", end="", file=sys.stderr, flush=True)
            self.width = 0

    def __enter__(self) -> Status:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
