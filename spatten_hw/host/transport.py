"""What the driver needs from its connection to an accelerator: a simulation, a board, a test double."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """Control port, memory by channel, interrupt, time. All addresses are bytes."""

    def read32(self, address: int, /) -> int:
        """Reads a control register."""

    def write32(self, address: int, value: int, /) -> None:
        """Writes a control register."""

    def mem_write(self, channel: int, address: int, data: bytes, /) -> None:
        """Writes memory of a channel, at its local address."""

    def mem_read(self, channel: int, address: int, size: int, /) -> bytes:
        """Reads memory of a channel, at its local address."""

    def wait_irq(self, max_cycles: int, /) -> bool:
        """Waits for the interrupt, at most `max_cycles`; True if it came."""

    @property
    def cycles(self) -> int:
        """Clock cycles so far (0 where they are not counted)."""
