"""An SDRAM chip that complains: data, and every time between commands in nanoseconds."""

from __future__ import annotations

from collections import defaultdict

from spatten_hw.boards.shell.sdram_chip import ALL_BANKS, START_REFRESHES, Command, SdramChip

#: What a word holds that was never written.
FILL = 0xA5A5


class ChipModel:
    """Call `step` once per clock with the pins; it returns what the chip drives (None: nothing). Its clock is the
    controller's inverted: a command on the pins in clock n with CAS latency 2 shows its first word in clock n + 1.
    """

    def __init__(self, chip: SdramChip, clock_hz: int, pin_clocks: int = 0):
        self.chip, self.period = chip, 1e9 / clock_hz
        self.words: dict[tuple[int, int, int], int] = defaultdict(lambda: FILL)
        self.now = -1
        self.burst = 0
        self.refreshes = 0
        self.ready = False
        self.row: list[int | None] = [None] * 4
        self.activated = [-1e9] * 4
        self.precharged = [-1e9] * 4
        self.refreshed = self.moded = -1e9
        self.last_refresh: float | None = None
        self.read: tuple[int, int, int] | None = None       # bank, column, first clock of the burst
        self.write: tuple[int, int, int] | None = None
        self.written = -1e9                                 # clock of the last word written
        self.output: dict[int, int] = {}
        self.counts: dict[Command, int] = defaultdict(int)
        self.extra = pin_clocks

    def since(self, clock: float) -> float:
        return (self.now - clock) * self.period + 1e-6

    def step(self, pins: dict[str, int]) -> int | None:
        self.now += 1
        chip = self.chip
        assert pins["clk_en"] and pins["cs"]
        command = Command(pins["ras"] | pins["cas"] << 1 | pins["we"] << 2)
        self.counts[command] += 1
        if command != Command.NOP:
            assert self.now * self.period >= chip.t_init - self.period, "command before the chip is up"
            assert self.since(self.refreshed) >= chip.t_rfc, "tRFC"
            assert self.now - self.moded >= chip.mrd_clocks, "tMRD"
            getattr(self, f"_{command.name.lower()}")(pins)
        if self.write is not None:
            bank, column, start = self.write
            assert pins["dq_oe"], "a word of a write is not driven"
            self._put(bank, column + self.now - start, pins)
            if self.now - start == self.burst - 1:
                self.write = None
        else:
            assert not pins["dq_oe"], "driven outside a write"
        driven = self.output.pop(self.now, None)
        assert driven is None or not pins["dq_oe"], "both drive"
        if self.last_refresh is not None:
            # Eight may be postponed; none here.
            assert self.since(self.last_refresh) <= 2 * chip.t_refi, "refresh late"
        return driven

    def _put(self, bank: int, column: int, pins: dict[str, int]) -> None:
        key = bank, self.row[bank] or 0, column
        mask = sum(0xFF << 8 * i for i in range(2) if not pins["dqm"] >> i & 1)
        self.words[key] = self.words[key] & ~mask | pins["dq_o"] & mask
        self.written = self.now

    def _activate(self, pins) -> None:
        bank = pins["ba"]
        assert self.ready and self.row[bank] is None, "activate of an open bank"
        assert self.since(self.precharged[bank]) >= self.chip.t_rp, "tRP"
        assert pins["a"] < 1 << self.chip.row_bits
        self.row[bank], self.activated[bank] = pins["a"], self.now

    def _access(self, pins) -> tuple[int, int, int]:
        bank = pins["ba"]
        assert self.row[bank] is not None, "access to a closed bank"
        assert self.since(self.activated[bank]) >= self.chip.t_rcd, "tRCD"
        assert self.write is None, "cuts a write short"
        assert self.read is None or self.now - self.read[2] >= self.burst, "cuts a read short"
        assert pins["a"] < 1 << self.chip.column_bits and pins["a"] % self.burst == 0
        return bank, pins["a"], self.now

    def _read(self, pins) -> None:
        bank, column, _ = self.read = self._access(pins)
        assert pins["dqm"] == 0
        for n in range(self.burst):
            self.output[self.now + self.chip.cas_latency - 1 + n + self.extra] = self.words[
                bank, self.row[bank] or 0, column + n]

    def _write(self, pins) -> None:
        self.write = self._access(pins)

    def _precharge(self, pins) -> None:
        assert pins["a"] & ALL_BANKS
        assert self.write is None, "precharge cuts a write short"
        assert self.read is None or self.now - self.read[2] >= self.burst, "precharge cuts a read short"
        assert self.since(self.written) >= self.chip.t_wr, "tWR"
        for bank in range(4):
            if self.row[bank] is not None:
                assert self.since(self.activated[bank]) >= self.chip.t_ras, "tRAS"
            self.row[bank], self.precharged[bank] = None, self.now

    def _refresh(self, pins) -> None:
        assert self.row == [None] * 4 and self.since(self.precharged[0]) >= self.chip.t_rp, "refresh of an open bank"
        self.refreshed = self.now
        self.refreshes += 1
        if self.ready:
            self.last_refresh = self.now

    def _mode(self, pins) -> None:
        assert self.refreshes >= START_REFRESHES and self.row == [None] * 4
        assert pins["a"] >> 3 == self.chip.cas_latency << 1, "sequential bursts, CAS latency"
        self.burst, self.moded, self.ready = 1 << (pins["a"] & 7), self.now, True
        self.last_refresh = self.now
