"""What a build promises on its memory ports beyond AXI4, for the protocol checkers."""

from __future__ import annotations

from dataclasses import dataclass

from spatten_hw.config import SpAttenConfig


@dataclass(frozen=True)
class DesignRules:
    """0: no promise. (Order of `struct DesignRules` in axi_checker.h.)"""

    longest_read: int = 0    # beats of a burst
    longest_write: int = 0
    read_ids: int = 0        # ids are below
    write_ids: int = 0
    reads_per_id: int = 0    # bursts of a channel with the same id that are open together
    open_writes: int = 0     # bursts of a channel without a response
    write_lead: int = 0      # bursts whose data end before their address is taken


#: AXI4 alone.
NO_RULES = DesignRules()


def rules_of(c: SpAttenConfig) -> DesignRules:
    """The promises of the accelerator of `c`: `bus/`, `fetch/` and `write/` in docs/architecture.md."""
    from spatten_hw.write.bursts import burst_beats
    from spatten_hw.write.writer import ADDRESS_DEPTH, MAX_OUTSTANDING

    # An id is a read in flight, which is two bursts where it crosses a page.
    return DesignRules(
        longest_read=c.most_beats, longest_write=burst_beats(c), read_ids=c.reads, write_ids=2, reads_per_id=2,
        open_writes=MAX_OUTSTANDING, write_lead=ADDRESS_DEPTH)
