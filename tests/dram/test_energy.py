"""Energy: arithmetic by hand, and known totals."""

import dataclasses

import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.dram.energy import Currents, energy, from_currents
from spatten_hw.sim.dram.replay import replay
from spatten_hw.sim.dram.stats import DramStats, total
from spatten_hw.sim.dram.timing import DDR3_1600, DDR4_2400, HBM2, HBM2_64B
from spatten_hw.sim.dram.validation import random_blocks, sequential

NONE = DramStats(**dict.fromkeys(DramStats.__dataclass_fields__, 0))


def stats(**fields) -> DramStats:
    return dataclasses.replace(NONE, **fields)


def test_each_event_of_hbm2():
    assert set(energy(NONE, HBM2).values()) == {0}
    for event, cause, nj in (({"activates": 10}, "activate", 9.09), ({"refreshes": 1}, "refresh", 58.176),
                             ({"seconds": 1e-6}, "background", 66.0)):
        one = energy(stats(**event), HBM2)
        assert one[cause] == pytest.approx(nj) and one["total"] == one[cause]
    read = energy(stats(reads=1000, bytes_read=8000), HBM2)
    assert read["read"] == pytest.approx(256 * 2.68) and read["io"] == pytest.approx(256 * 0.80)
    assert energy(stats(writes=1000), HBM2)["write"] == read["read"]


def test_currents():
    """One device, one ampere or volt at a time."""
    c = Currents(vdd=2.0, idd0=0.5, idd2n=0.1, idd3n=0.2, idd4r=1.2, idd4w=0.7, idd5b=1.0)
    e = from_currents(DDR3_1600.replace(clock_ns=1.0), c, 1, 3.0)
    t = DDR3_1600
    assert e.activate_nj == pytest.approx(2 * (0.5 * t.rc - 0.2 * t.ras - 0.1 * (t.rc - t.ras)))
    assert (e.read_nj, e.write_nj) == (pytest.approx(2 * 1.0 * t.bl), pytest.approx(2 * 0.5 * t.bl))
    assert (e.refresh_nj, e.background_w) == (pytest.approx(2 * 0.8 * t.rfc), pytest.approx(0.4))


def test_channels_add_up():
    a = stats(reads=5, activates=2, seconds=1e-6, answered=5, latency_ns=10.0, clocks=1000)
    b = stats(writes=3, activates=1, seconds=1e-6, answered=15, latency_ns=30.0, clocks=1000)
    both = energy([a, b], HBM2)
    assert both == pytest.approx({k: energy(a, HBM2)[k] + energy(b, HBM2)[k] for k in both})
    together = total([a, b])
    assert (together.activates, together.clocks, together.latency_ns) == (3, 1000, 25.0)


def pj_per_bit(timing, trace):
    s = replay(timing, trace(timing), timing.burst_bytes)
    parts = energy(s, timing)
    return {k: v * 1000 / (s.bytes_read * 8) for k, v in parts.items()}


def test_energy_per_bit():
    """Without refresh and background HBM2 has the source's 3.48 pJ/bit and a row's 909 pJ over the bits it serves."""
    for trace, row_bytes in ((sequential, 1024), (random_blocks(64), 64)):
        e = pj_per_bit(HBM2, trace)
        assert e["activate"] + e["read"] + e["io"] == pytest.approx(3.48 + 909 / (row_bytes * 8), rel=0.01)
    assert pj_per_bit(HBM2, sequential)["total"] < pj_per_bit(DDR4_2400, sequential)["total"]
    assert pj_per_bit(DDR4_2400, sequential)["total"] < pj_per_bit(DDR3_1600, sequential)["total"]


def test_names():
    assert energy(stats(reads=1), HBM2_64B) == energy(stats(reads=1), HBM2)
    with pytest.raises(UserError, match="no energies known"):
        energy(NONE, HBM2.replace(name="mine"))
