"""The model behind real AXI ports: data, statistics and back-pressure, on a machine that copies blocks."""

import numpy as np
import pytest

from spatten_hw.sim.dram.timing import DDR3_1600, DDR4_2400, HBM2
from spatten_hw.sim.harness.library import HarnessError
from spatten_hw.sim.harness.memory_options import HOSTILE

from ..harness.test_harness import NARROW, WIDE, align, block_bytes, copied, filled, start, toy

CONFIGS = {c.name: c for c in (NARROW, WIDE)}
MEMORIES = {t.name: t for t in (HBM2, DDR4_2400, DDR3_1600)}
BLOCKS = 40
LIMIT = 200_000


def copy(t, blocks=BLOCKS):
    data = filled(t, blocks)
    start(t, blocks, source=align(t.config))
    assert t.wait_irq(LIMIT)
    assert copied(t, blocks) == data
    return data


@pytest.mark.parametrize("hostile", [False, True])
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("name", CONFIGS)
def test_copies_and_counts_as_the_ports_do(name, memory, hostile):
    options = {k: v for k, v in HOSTILE.items() if k != "fill"} if hostile else {}
    with toy(CONFIGS[name], memory=MEMORIES[memory], **options) as t:
        copy(t)
        t.run(4000)  # writes are posted
        for c, stats in enumerate(t.dram_stats()):
            traffic = t.traffic(c)
            assert (stats.bytes_read, stats.bytes_written) == (traffic.bytes_read, traffic.bytes_written)
            assert stats.answered == traffic.read_bursts
            burst = MEMORIES[memory].burst_bytes
            assert (stats.reads + stats.forwarded) * burst >= stats.bytes_read
            assert (stats.writes + stats.merged) * burst >= stats.bytes_written
            assert stats.row_hits + stats.row_closed + stats.row_conflicts == stats.reads + stats.writes
            assert stats.max_latency_ns >= stats.latency_ns >= 13
        t.clear_dram_stats()
        assert all(s.reads == s.clocks == 0 for s in t.dram_stats())


def test_reads_are_recorded():
    with toy(NARROW, memory=HBM2) as t:
        t.record_reads()
        copy(t, 3)
        first, burst = align(NARROW), block_bytes(NARROW) // 2
        want = [[first + i * burst, burst] for i in range(6)]
        assert all(t.reads(c).tolist() == want for c in range(NARROW.channels))
        t.record_reads(False)
        copy(t, 3)
        assert t.reads(0).shape == (0, 2)


def test_first_read_takes_what_a_closed_bank_takes():
    """One burst of 16 B in an accelerator at memory's clock, at its double and at its half."""
    for host_ns, want in ((1.0, 31), (0.5, 31), (2.0, 32)):
        with toy(NARROW, memory=HBM2.replace(host_clock_ns=host_ns)) as t:
            copy(t, 1)
            stats = t.dram_stats()[0]
            assert stats.clocks == pytest.approx(t.cycles * host_ns, abs=12)  # not under reset
            assert stats.latency_ns >= want and stats.latency_ns <= stats.max_latency_ns <= want + 4


def test_a_slow_channel_holds_the_master_back():
    """A controller of one read at a time, and one AXI burst before it: the other of a block waits at the port."""
    cycles = []
    for front, queue in ((8, 32), (1, 1)):
        with toy(WIDE, memory=HBM2.replace(front_queue=front, read_queue=queue)) as t:
            before = t.cycles
            copy(t)
            cycles.append(t.cycles - before)
    assert cycles[1] > cycles[0] + BLOCKS


def test_two_runs_are_alike():
    outcomes = []
    for _ in range(2):
        with toy(WIDE, memory=HBM2) as t:
            copy(t)
            outcomes.append((t.cycles, t.dram_stats()))
    assert outcomes[0] == outcomes[1]


def test_reset_drops_what_waits():
    with toy(WIDE, memory=HBM2) as t:
        filled(t, BLOCKS)
        start(t, BLOCKS, source=align(WIDE))
        t.run(60)
        t.reset()
        copy(t)


def test_injected_errors_arrive():
    with toy(NARROW, memory=HBM2) as t:
        t.inject_read_error(0, beat=5)
        filled(t, 2)
        start(t, 2, source=align(NARROW))
        assert t.wait_irq(LIMIT)
        assert t.read32(0xC) == 1


def test_fixed_latency_has_no_dram_statistics():
    with toy(NARROW) as t, pytest.raises(HarnessError, match="fixed latency"):
        t.dram_stats()
    assert np.all(np.array(HBM2.words) >= 0)
