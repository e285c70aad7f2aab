"""Timing parameters of one DRAM channel, and presets.

Times are clocks of the memory's command clock (`clock_ns`), rounded up as the standards do. Meaning of the names: JEDEC
(JESD235A for HBM2, JESD79-4 for DDR4, JESD79-3 for DDR3), without the n or t in front. What a controller does with
them: `sim/harness/dram_controller.h`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from spatten_hw.errors import UserError

#: Fields of an address, by number as in `DramPlace::Field` (dram_timing.h).
FIELDS = ("pseudo_channel", "bank_group", "bank", "column")
#: Most fields of a mapping (`DramTiming::SEGMENTS`).
SEGMENTS = 8


@dataclass(frozen=True)
class DramTiming:
    """One channel: organisation, timing, controller. Integers in memory clocks unless said; see module docstring.

    `mapping` says what a channel-local byte address means, from the burst offset upwards: (field, bits), lowest first;
    a field may occur twice. What is left is the row.
    """

    name: str
    clock_ns: float               # period of the command clock
    burst_bytes: int              # bytes that one RD or WR moves
    pseudo_channels: int          # each with its own data bus and banks; DDR: 1
    bank_groups: int              # of a pseudo-channel
    banks: int                    # of a bank group
    row_bytes: int                # of a bank's open row
    bl: int                       # burst, on the data bus
    cl: int                       # RD to first data
    cwl: int                      # WR to first data
    rcdrd: int                    # ACT to RD
    rcdwr: int                    # ACT to WR
    rp: int                       # PRE to ACT
    ras: int                      # ACT to PRE
    rc: int                       # ACT to ACT of one bank
    ccd_s: int                    # RD to RD, WR to WR: other bank group
    ccd_l: int                    # same bank group
    rrd_s: int                    # ACT to ACT: other bank group
    rrd_l: int                    # same bank group
    faw: int                      # ACT to the fourth ACT after it
    rfc: int                      # REF to ACT
    refi: int                     # time between refreshes of all banks; 0: none
    wtr_s: int                    # end of written data to RD: other bank group
    wtr_l: int                    # same bank group
    rtw: int                      # RD to WR
    wr: int                       # end of written data to PRE
    rtp: int                      # RD to PRE
    mapping: tuple[tuple[str, int], ...]
    host_clock_ns: float = 1.0    # period of the accelerator's clock
    controller: int = 1           # latency of controller and PHY added to every read
    command_buses: int = 1        # 1: one command per clock; 2: a row and a column command (HBM)
    act_clocks: int = 1           # clocks for which an ACT keeps its command bus
    read_queue: int = 32          # bursts; 0: no limit
    write_queue: int = 32         # bursts
    write_high: int = 24          # waiting writes at which draining starts even if reads wait
    write_low: int = 8            # and ends
    age_limit: int = 1000         # a request that waits longer stops younger ones to its bank
    front_queue: int = 8          # AXI read bursts accepted before the controller has room for them
    bank_xor: bool = False        # bank and bank-group number exclusive-or lowest row bits

    def __post_init__(self) -> None:
        def need(good: bool, what: str) -> None:
            if not good:
                raise UserError(f"DRAM timing '{self.name}': {what}")

        for field in ("burst_bytes", "pseudo_channels", "bank_groups", "banks", "row_bytes"):
            value = getattr(self, field)
            need(value > 0 and value & (value - 1) == 0, f"{field} = {value} must be a power of two")
        need(self.burst_bytes <= 64, f"burst_bytes = {self.burst_bytes} must be at most 64")
        need(self.row_bytes >= self.burst_bytes, f"row_bytes = {self.row_bytes} must be at least burst_bytes")
        need(self.pseudo_channels * self.bank_groups * self.banks <= 64, "more than 64 banks in a channel")
        need(self.clock_ns > 0 and self.host_clock_ns > 0, "clock_ns and host_clock_ns must be positive")
        need(self.command_buses in (1, 2), f"command_buses = {self.command_buses} must be 1 or 2")
        need(0 <= self.write_low < self.write_high <= self.write_queue, "need write_low < write_high <= write_queue")
        need(self.front_queue >= 1, f"front_queue = {self.front_queue} must be at least 1")
        for field in _CLOCKS:
            need(getattr(self, field) >= 0, f"{field} = {getattr(self, field)} must not be negative")
        need(self.ccd_l >= self.ccd_s >= self.bl, "need ccd_l >= ccd_s >= bl, or bursts would overlap")
        need(len(self.mapping) <= SEGMENTS, f"mapping has more than {SEGMENTS} fields")
        bits = dict.fromkeys(FIELDS, 0)
        for field, count in self.mapping:
            need(field in bits and count >= 0, f"mapping: no field '{field}' of {count} bits; fields are {FIELDS}")
            bits[field] += count
        for field, size in (("pseudo_channel", self.pseudo_channels), ("bank_group", self.bank_groups),
                            ("bank", self.banks), ("column", self.row_bytes // self.burst_bytes)):
            need(1 << bits[field] == size, f"mapping gives {field} {bits[field]} bits, but there are {size} of them")

    def replace(self, **changes: Any) -> DramTiming:
        """A copy with some fields changed."""
        return replace(self, **changes)

    @property
    def peak_gb_s(self) -> float:
        """Bandwidth of the data buses, 10^9 bytes per second."""
        return self.pseudo_channels * self.burst_bytes / (self.ccd_s * self.clock_ns)

    @property
    def words(self) -> list[int]:
        """What `struct DramTiming` holds, in its order; periods as picoseconds."""
        values = [round(self.clock_ns * 1000), round(self.host_clock_ns * 1000), *(getattr(self, f) for f in _CLOCKS)]
        for field, bits in (*self.mapping, *([("column", 0)] * (SEGMENTS - len(self.mapping)))):
            values += [FIELDS.index(field), bits]
        return [int(v) for v in values]

    def address(self, *, pseudo_channel: int = 0, bank_group: int = 0, bank: int = 0, row: int = 0,
                column: int = 0) -> int:
        """The channel-local byte address of a burst, the inverse of the mapping."""
        if self.bank_xor:
            bank ^= row % self.banks
            bank_group ^= row // self.banks % self.bank_groups
        left = {"pseudo_channel": pseudo_channel, "bank_group": bank_group, "bank": bank, "column": column}
        number = shift = 0
        for field, bits in self.mapping:
            number |= (left[field] & (1 << bits) - 1) << shift
            left[field] >>= bits
            shift += bits
        return (number | row << shift) * self.burst_bytes


#: Fields of `struct DramTiming` after the periods, before the mapping; row_bytes is in the mapping.
_CLOCKS = ("burst_bytes", "pseudo_channels", "bank_groups", "banks", "bl", "cl", "cwl", "rcdrd", "rcdwr", "rp", "ras",
           "rc", "ccd_s", "ccd_l", "rrd_s", "rrd_l", "faw", "rfc", "refi", "wtr_s", "wtr_l", "rtw", "wr", "rtp",
           "controller", "command_buses", "act_clocks", "read_queue", "write_queue", "write_high", "write_low",
           "age_limit", "front_queue", "bank_xor")

#: HBM2, 2 Gb/s per pin, 4 Gb per channel: 128 bit as two pseudo-channels, 32 GB/s. Timing: the HBM2_4Gb / HBM2_2000Mbps
#: preset of Ramulator 2.1 (CMU-SAFARI). RTW = CL + BL + 2 - CWL. Row commands have a bus of their own, shared by both
#: pseudo-channels, on which an ACT takes two clocks (JESD235A).
HBM2 = DramTiming(
    name="hbm2", clock_ns=1.0, burst_bytes=32, pseudo_channels=2, bank_groups=4, banks=4, row_bytes=1024,
    bl=2, cl=14, cwl=5, rcdrd=14, rcdwr=12, rp=14, ras=34, rc=48, ccd_s=2, ccd_l=4, rrd_s=4, rrd_l=4, faw=15,
    rfc=260, refi=3900, wtr_s=6, wtr_l=8, rtw=13, wr=16, rtp=5, command_buses=2, act_clocks=2,
    mapping=(("pseudo_channel", 1), ("bank_group", 2), ("column", 5), ("bank", 2)))

#: The same with 64 bytes of a row side by side: random pieces of 64 bytes open one row instead of two.
HBM2_64B = HBM2.replace(name="hbm2-64b", mapping=(
    ("column", 1), ("pseudo_channel", 1), ("bank_group", 2), ("column", 4), ("bank", 2)))

#: DDR4-2400R (16-16-16), one rank of eight 8 Gb x8 devices: 64 bit, 19.2 GB/s, rows of 8 KB. JESD79-4 speed bin 2400R
#: and its times for 1 KB pages: RAS 32 ns, FAW 21 ns, RRD_S 3.3 ns, RRD_L 4.9 ns, RFC1 350 ns, REFI 7.8 us, WR 15 ns.
DDR4_2400 = DramTiming(
    name="ddr4-2400", clock_ns=1 / 1.2, burst_bytes=64, pseudo_channels=1, bank_groups=4, banks=4, row_bytes=8192,
    bl=4, cl=16, cwl=12, rcdrd=16, rcdwr=16, rp=16, ras=39, rc=55, ccd_s=4, ccd_l=6, rrd_s=4, rrd_l=6, faw=26,
    rfc=420, refi=9360, wtr_s=3, wtr_l=9, rtw=10, wr=18, rtp=9,
    mapping=(("bank_group", 2), ("column", 7), ("bank", 2)))

#: DDR3-1600K (11-11-11), one rank of eight 4 Gb x8 devices: 64 bit, 12.8 GB/s, rows of 8 KB, no bank groups. JESD79-3
#: speed bin 1600K and its times for 1 KB pages: RAS 35 ns, FAW 30 ns, RRD 6 ns, RFC 260 ns, REFI 7.8 us, WR 15 ns.
DDR3_1600 = DramTiming(
    name="ddr3-1600", clock_ns=1.25, burst_bytes=64, pseudo_channels=1, bank_groups=1, banks=8, row_bytes=8192,
    bl=4, cl=11, cwl=8, rcdrd=11, rcdwr=11, rp=11, ras=28, rc=39, ccd_s=4, ccd_l=4, rrd_s=5, rrd_l=5, faw=24,
    rfc=208, refi=6240, wtr_s=6, wtr_l=6, rtw=9, wr=12, rtp=6,
    mapping=(("column", 7), ("bank", 3)))

#: By name; "perfect" is the fixed latency of `MemoryOptions` at full bandwidth.
PRESETS: dict[str, DramTiming | None] = {**{t.name: t for t in (HBM2, HBM2_64B, DDR4_2400, DDR3_1600)},
                                         "perfect": None}


def preset(name: str) -> DramTiming | None:
    """The preset of a name. Raises `UserError` if there is none."""
    if name not in PRESETS:
        raise UserError(f"memory '{name}': must be one of {', '.join(PRESETS)}")
    return PRESETS[name]
