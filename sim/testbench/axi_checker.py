"""The rules of `sim/harness/axi_checker.h`, same order and messages, for ports under cocotb.

`AxiChecker` reads signals by the names of AXI (`arvalid`, `wlast`, …) through any function, once per cycle;
`axi_watch.py` attaches it to ports.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable

from spatten_hw.config import clog2
from spatten_hw.sim.harness.rules import NO_RULES, DesignRules

#: Cycles after which missing write data, or their missing address, will not come.
PATIENCE = 1000

_FIELDS = {
    "ar": ("arid", "araddr", "arlen", "arsize", "arburst", "arcache", "arprot"),
    "aw": ("awid", "awaddr", "awlen", "awsize", "awburst", "awcache", "awprot"),
    "w": ("wdata", "wstrb", "wlast"),
    "r": ("rdata", "rid", "rresp", "rlast"),
    "b": ("bid", "bresp"),
}

Read = Callable[[str], int]


class AxiError(AssertionError):
    """A rule was broken: cycle, port and rule."""


class AxiChecker:
    """Watches one port of `beat_bytes` per beat. `channels`: those there are."""

    def __init__(self, name: str, beat_bytes: int, rules: DesignRules = NO_RULES,
                 channels: Iterable[str] = tuple(_FIELDS)):
        self.name, self.beat_bytes, self.rules = name, beat_bytes, rules
        self.channels = tuple(channels)
        self.cycle = 0
        self.bursts = 0                 # addresses taken: a checker that saw none has checked nothing
        self.reset()

    def reset(self) -> None:
        """Forgets everything in flight."""
        self._held: dict[str, tuple[int, ...] | None] = dict.fromkeys(_FIELDS)
        self._reads: dict[int, deque[int]] = defaultdict(deque)    # beats left of each burst, by id
        self._answers: dict[int, int] = defaultdict(int)           # complete writes without a response, by id
        self._writes: deque[tuple[int, int, int]] = deque()        # (id, addr, beats) whose data are not complete
        self._early: deque[int] = deque()                          # last flags of beats whose address is unknown
        self._beats = self._open_writes = self._no_address = self._no_data = 0

    def _fail(self, what: str) -> None:
        raise AxiError(f"cycle {self.cycle}, {self.name}: {what}")

    def sample_reset(self, read: Read, channels: Iterable[str] | None = None) -> None:
        """A cycle of reset: nothing is valid, on these channels (default: all)."""
        for channel in self.channels if channels is None else channels:
            if read(f"{channel}valid"):
                self._fail("valid is high in reset")

    def sample(self, read: Read) -> None:
        """A cycle outside reset, settled."""
        seen = {channel: self._see(channel, read) for channel in self.channels}
        r, b = self._r(seen.get("r")), self._b(seen.get("b"))
        self._ar(seen.get("ar"))
        self._aw(seen.get("aw"))
        if "w" in seen:
            self._w(seen["w"], "aw" in seen and bool(read("awvalid")), bool(read("wvalid")))
        if r is not None:
            self._end_read_beat(r)
        if b is not None:
            self._answers[b] -= 1
            self._open_writes -= 1
        self.cycle += 1

    def _see(self, channel: str, read: Read) -> tuple[bool, dict[str, int]] | None:
        """(taken, fields) of what a channel offers, which must be what it offered before if that was not taken."""
        held, valid = self._held[channel], read(f"{channel}valid")
        if not valid:
            if held is not None:
                self._fail(f"{channel.upper()}: valid dropped before ready")
            return None
        taken = bool(read(f"{channel}ready"))
        fields = {name: read(name) for name in _FIELDS[channel]}
        if held is not None and held != tuple(fields.values()):
            self._fail(f"{channel.upper()}: payload changed while waiting")
        self._held[channel] = None if taken else tuple(fields.values())
        return taken, fields

    def _address(self, kind: str, fields: dict[str, int], longest: int, ids: int) -> tuple[int, int, int]:
        """Id, address and beats of a burst, which is legal."""
        size, burst, cache = (fields[f"{kind}{n}"] for n in ("size", "burst", "cache"))
        id_, addr, beats = fields[f"{kind}id"], fields[f"{kind}addr"], fields[f"{kind}len"] + 1
        last = addr + beats * self.beat_bytes - 1
        self.bursts += 1
        for wrong, what in (
            (size != clog2(self.beat_bytes), f"size {size} is not the full width"),
            (burst != 1, f"burst type {burst} is not INCR"),
            (addr % self.beat_bytes, "not a multiple of the data width"),
            (addr // 4096 != last // 4096, "burst crosses a 4 KB boundary"),
            (cache & 12 and not cache & 2, f"cache {cache} is reserved"),
            (longest and beats > longest, f"{beats} beats, this build needs at most {longest}"),
            (ids and id_ >= ids, f"id {id_} is not below {ids}"),
        ):
            if wrong:
                self._fail(f"{kind.upper()} at {addr:#x}: {what}")
        return id_, addr, beats

    def _ar(self, seen: tuple[bool, dict[str, int]] | None) -> None:
        if seen is None or not seen[0]:
            return
        id_, addr, beats = self._address("ar", seen[1], self.rules.longest_read, self.rules.read_ids)
        if 0 < self.rules.reads_per_id <= len(self._reads[id_]):
            self._fail(f"AR at {addr:#x}: id {id_} is still in use")
        self._reads[id_].append(beats)

    def _aw(self, seen: tuple[bool, dict[str, int]] | None) -> None:
        if seen is None or not seen[0]:
            return
        burst = self._address("aw", seen[1], self.rules.longest_write, self.rules.write_ids)
        self._writes.append(burst)
        self._open_writes += 1
        if 0 < self.rules.open_writes < self._open_writes:
            self._fail(f"AW at {burst[1]:#x}: {self._open_writes} bursts are unanswered")

    def _w(self, seen: tuple[bool, dict[str, int]] | None, address_offered: bool, data_offered: bool) -> None:
        if seen is not None and seen[0]:
            self._early.append(seen[1]["wlast"])
        while self._early and self._writes:
            self._match()
        lead = sum(self._early)
        if 0 < self.rules.write_lead < lead:
            self._fail(f"W: data of {lead} bursts before their addresses")
        self._no_address = 0 if not self._early or address_offered else self._no_address + 1
        if self._no_address > PATIENCE:
            self._fail("W: data without an address")
        self._no_data = 0 if not self._writes or data_offered else self._no_data + 1
        if self._no_data > PATIENCE:
            self._fail(f"AW at {self._writes[0][1]:#x}: address without data")

    def _match(self) -> None:
        """Gives the oldest write beat to the oldest write address."""
        id_, addr, beats = self._writes[0]
        self._beats += 1
        done = self._beats == beats
        if bool(self._early.popleft()) != done:
            self._fail(f"W: wlast in the wrong beat of the burst at {addr:#x}")
        if done:
            self._answers[id_] += 1
            self._beats = 0
            self._writes.popleft()

    def _r(self, seen: tuple[bool, dict[str, int]] | None) -> int | None:
        """Id of the read beat that is taken now."""
        if seen is None:
            return None
        taken, fields = seen
        id_ = fields["rid"]
        if fields["rresp"] == 1:
            self._fail(f"R: EXOKAY for id {id_}")
        if not self._reads[id_]:
            self._fail(f"R: no read of id {id_} is open")
        if bool(fields["rlast"]) != (self._reads[id_][0] == 1):
            self._fail(f"R: rlast in the wrong beat of id {id_}")
        return id_ if taken else None

    def _end_read_beat(self, id_: int) -> None:
        left = self._reads[id_]
        left[0] -= 1
        if not left[0]:
            left.popleft()

    def _b(self, seen: tuple[bool, dict[str, int]] | None) -> int | None:
        """Id of the response that is taken now."""
        if seen is None:
            return None
        taken, fields = seen
        id_ = fields["bid"]
        if fields["bresp"] == 1:
            self._fail(f"B: EXOKAY for id {id_}")
        if not self._answers[id_]:
            self._fail(f"B: no write of id {id_} is complete")
        return id_ if taken else None
