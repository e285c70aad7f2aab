"""Energy of a DRAM channel from what it has done.

Energies of events are added to a constant background. Nothing is known of the data: constants mean random bits. HBM2's
are those of M. O'Connor et al., "Fine-Grained DRAM", MICRO 2017, which gives a total of 3.92 pJ/bit over its workloads;
DDR's are derived from the supply currents (IDD) in the vendors' data sheets as Micron's power calculators do (TN-41-01,
TN-40-07). What is published and what derived or assumed is said at each constant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spatten_hw.errors import UserError

from .stats import DramStats
from .timing import DramTiming


@dataclass(frozen=True)
class DramEnergy:
    """Constants of one channel, all its devices together."""

    activate_nj: float            # a row opened and closed again
    read_nj: float                # a burst, from the row to the interface
    write_nj: float
    refresh_nj: float             # one REF of the whole channel
    background_w: float           # nJ per ns, rows open, nothing happening
    io_pj_bit: float              # interface, per bit of a burst, either direction


@dataclass(frozen=True)
class Currents:
    """A device's supply: volts, and amperes of IDD0 … IDD5B; names as in data sheets."""

    vdd: float
    idd0: float
    idd2n: float
    idd3n: float
    idd4r: float
    idd4w: float
    idd5b: float


def from_currents(t: DramTiming, c: Currents, devices: int, io_pj_bit: float) -> DramEnergy:
    """The constants that a rank of such devices has; each is what its current exceeds the standby current by."""
    volts, clock = c.vdd * devices, t.clock_ns
    cycle = c.idd0 * t.rc - c.idd3n * t.ras - c.idd2n * (t.rc - t.ras)
    return DramEnergy(activate_nj=volts * cycle * clock, read_nj=volts * (c.idd4r - c.idd3n) * t.bl * clock,
                      write_nj=volts * (c.idd4w - c.idd3n) * t.bl * clock,
                      refresh_nj=volts * (c.idd5b - c.idd3n) * t.rfc * clock, background_w=volts * c.idd3n,
                      io_pj_bit=io_pj_bit)


#: Published (O'Connor, MICRO 2017, HBM2): 909 pJ per activated row of 1 KB; per bit 1.51 pJ from the row's sense
#: amplifiers to the global ones, 1.17 pJ from there to the interface, 0.80 pJ of the interface. Assumed: writes as
#: reads. Derived: a REF opens 64 rows (4 Gb in rows of 1 KB, 8,192 REFs). Assumed: background, 55 mA at 1.2 V per
#: channel, the IDD3N of DRAMsim3's HBM2_4Gb_x128, whose source is not told.
_HBM2 = DramEnergy(activate_nj=0.909, read_nj=0.256 * (1.51 + 1.17), write_nj=0.256 * (1.51 + 1.17),
                   refresh_nj=64 * 0.909, background_w=0.055 * 1.2, io_pj_bit=0.80)

#: Published: IDD of Micron's MT40A1G8-083E (8 Gb, x8, 2400), as DRAMsim3 lists them. Assumed: interface of 3.7 pJ/bit:
#: half of the bits zeros, which draw 1.2 V / (34 + 48) ohm for a bit's time, the termination's side included.
_DDR4_CURRENTS = Currents(vdd=1.2, idd0=0.048, idd2n=0.034, idd3n=0.043, idd4r=0.135, idd4w=0.123, idd5b=0.250)
_DDR4_IO = 0.5 * 1.2**2 / (34 + 48) / 2.4 * 1000

#: Published: IDD of a 4 Gb x8 DDR3L-1600 (Micron MT41K512M8 class). Assumed: interface of 3.0 pJ/bit: half of 1.35 V
#: over 34 + 60 ohm to the middle of the supply.
_DDR3_CURRENTS = Currents(vdd=1.35, idd0=0.055, idd2n=0.032, idd3n=0.038, idd4r=0.157, idd4w=0.125, idd5b=0.235)
_DDR3_IO = (1.35 / 2) ** 2 / (34 + 60) / 1.6 * 1000


def constants(timing: DramTiming) -> DramEnergy:
    """The constants of a timing, by the technology its name begins with. Raises `UserError` for others."""
    if timing.name.startswith("hbm2"):
        return _HBM2
    if timing.name.startswith("ddr4-2400"):
        return from_currents(timing, _DDR4_CURRENTS, 8, _DDR4_IO)
    if timing.name.startswith("ddr3-1600"):
        return from_currents(timing, _DDR3_CURRENTS, 8, _DDR3_IO)
    raise UserError(f"no energies known for memory '{timing.name}': name it hbm2…, ddr4-2400… or ddr3-1600…")


def energy(stats: DramStats | Iterable[DramStats], timing: DramTiming) -> dict[str, float]:
    """Energy in nJ of one channel, or of several together, by cause; "total" is their sum."""
    e = constants(timing)
    result = dict.fromkeys(("activate", "read", "write", "io", "refresh", "background"), 0.0)
    for s in [stats] if isinstance(stats, DramStats) else stats:
        result["activate"] += s.activates * e.activate_nj
        result["read"] += s.reads * e.read_nj
        result["write"] += s.writes * e.write_nj
        result["io"] += (s.reads + s.writes) * timing.burst_bytes * 8 * e.io_pj_bit / 1000
        result["refresh"] += s.refreshes * e.refresh_nj
        result["background"] += s.seconds * 1e9 * e.background_w
    result["total"] = sum(result.values())
    return result
