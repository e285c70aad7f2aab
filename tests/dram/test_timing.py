"""Timing parameters: what is refused, and how words and names come out."""

import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.dram.timing import HBM2, PRESETS, preset


@pytest.mark.parametrize("changes, text", [
    ({"banks": 3}, "banks = 3 must be a power of two"), ({"burst_bytes": 128}, "at most 64"),
    ({"banks": 16}, "more than 64 banks"), ({"row_bytes": 2048}, "column 5 bits, but there are 64"),
    ({"mapping": (("rank", 1),)}, "no field 'rank'"), ({"mapping": (("column", 1),) * 9}, "more than 8 fields"),
    ({"write_low": 24}, "write_low < write_high"), ({"ccd_s": 1}, "bursts would overlap"),
    ({"rp": -1}, "rp = -1 must not be negative"), ({"clock_ns": 0}, "must be positive"),
    ({"command_buses": 3}, "must be 1 or 2"), ({"front_queue": 0}, "at least 1")])
def test_refusals(changes, text):
    with pytest.raises(UserError, match=text) as error:
        HBM2.replace(**changes)
    assert "\n" not in str(error.value)


def test_presets():
    peak = {name: t.peak_gb_s for name, t in PRESETS.items() if t}
    assert peak == pytest.approx({"hbm2": 32, "hbm2-64b": 32, "ddr4-2400": 19.2, "ddr3-1600": 12.8})
    assert preset("perfect") is None and preset("hbm2") is HBM2
    with pytest.raises(UserError, match="'gddr6'"):
        preset("gddr6")


def test_words():
    words = HBM2.replace(clock_ns=0.8333, host_clock_ns=2.5, bank_xor=True).words
    assert words[:6] == [833, 2500, 32, 2, 4, 4] and all(isinstance(w, int) for w in words)
