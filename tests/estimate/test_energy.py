"""Energy and modelled memory: events counted as they are known elsewhere."""

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.presets import PRESETS
from spatten_hw.sim.dram.energy import energy
from spatten_hw.sim.dram.replay import replay
from spatten_hw.sim.dram.timing import DDR4_2400, HBM2, HBM2_64B
from spatten_hw.sim.estimate import Work, estimate
from spatten_hw.sim.estimate.energy_measured import measured_table
from spatten_hw.sim.estimate.energy_table import PUBLISHED_45NM, add, multiply
from spatten_hw.sim.estimate.memory import measured

FULL = PRESETS["full"]


def test_multiply_accumulates():
    """A dense layer of generation: every key and every value once."""
    work = Work.expected(tokens=1000, heads=12, dim=64)
    found = estimate(work, FULL)
    assert found.operations["done"] == found.operations["dense"] == 2 * 12 * 1000 * 64
    assert found.energy["Q×K"][0] == pytest.approx(12 * 1000 * 64 * PUBLISHED_45NM.multiply_accumulate / 1000)
    table = PUBLISHED_45NM.replace(multiply_accumulate=0.0)
    assert estimate(work, FULL, table=table).energy["Q×K"][0] == 0


def test_published_points():
    assert multiply(8) == 0.2 and multiply(32) == pytest.approx(3.1, rel=0.05)
    assert add(8) == pytest.approx(0.03) and add(32) == pytest.approx(0.1)


@pytest.mark.parametrize("timing", [HBM2, HBM2_64B, DDR4_2400], ids=lambda t: t.name)
def test_dram_energy_is_that_of_a_replay(timing):
    """All rows of 64 bytes in turn: what the model charges per byte is what the channel's own counts say."""
    rows = np.arange(3000) * 64
    stats = replay(timing, rows, 64)
    said = energy(stats, timing)
    ns, bursts, activates = measured(timing, 64, 16)
    assert activates * stats.bytes_read == pytest.approx(stats.activates)
    assert bursts * stats.bytes_read == pytest.approx(stats.reads)
    assert said["activate"] > 0 and ns * stats.bytes_read == pytest.approx(stats.seconds * 1e9)


def test_memory_slows_what_memory_binds():
    work = Work.expected(tokens=1000, heads=48, dim=64, k_bits=8, keep_tokens=[1.0, 0.3], keep_values=0.2)
    perfect, hbm = estimate(work, FULL), estimate(work, FULL, HBM2)
    assert np.all(hbm.cycles > perfect.cycles)
    # Survivors apart from each other open more rows for each byte.
    assert hbm.cycles[1] / perfect.cycles[1] > hbm.cycles[0] / perfect.cycles[0]
    assert hbm.energy["dram activate"][1] / hbm.total_bytes[1] > hbm.energy["dram activate"][0] / hbm.total_bytes[0]
    assert "dram read" not in perfect.energy and hbm.total_energy[0] > perfect.total_energy[0]


@pytest.mark.parametrize("preset,counted,said", [
    ("eighth", (1.38, 1.21), (1.09, 0.94)), ("full", (5.02, 4.49), (3.76, 3.39))])
def test_measured_energies_come_near_what_the_chip_takes(preset, counted, said):
    """W of the two runs of docs/silicon.md, without DRAM, as docs/model.md has them: what is missing are needless
    reads."""
    work = Work.expected(tokens=[384, 1000], heads=[1, 12], dim=64, generate=[0, 1], k_bits=[12, 8],
                         keep_values=[0.5, 0.2])
    config = PRESETS[preset]
    found = estimate(work, config, table=measured_table(config, preset))
    watts = found.total_energy / found.cycles
    assert watts == pytest.approx(said, rel=0.02)
    assert np.all(watts < counted) and np.all(watts > 0.7 * np.array(counted))
    # At half the clock a cycle has twice the leakage.
    slow = measured_table(config, preset, ghz=0.5).idle_cycle - measured_table(config, preset).idle_cycle
    assert slow > 0
    with pytest.raises(UserError, match="no energies of 'small'"):
        measured_table(PRESETS["small"], "small")
