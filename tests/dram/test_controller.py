"""Single rules of timing, on the model of one channel without an accelerator."""

import os

import numpy as np
import pytest

from spatten_hw.sim.dram.replay import replay, replay_trace
from spatten_hw.sim.dram.timing import DDR3_1600, DDR4_2400, HBM2

SEED = int(os.environ.get("SEED", "1"))
#: Without refresh and one pseudo-channel's traffic only, so that every gap has one cause.
QUIET = HBM2.replace(refi=0)
#: From a column command to the last data.
DATA = HBM2.cl + HBM2.bl + HBM2.controller


def times(timing, places, **options):
    """Clock of the last data of one burst at each place (arguments of `DramTiming.address`)."""
    addresses = [timing.address(**p) for p in places]
    return replay_trace(timing, addresses, timing.burst_bytes, **options).done.astype(int)


@pytest.mark.parametrize("timing", [HBM2, DDR4_2400, DDR3_1600], ids=lambda t: t.name)
def test_hit_closed_conflict(timing):
    t = timing.replace(refi=0)
    arrivals = np.array([0, 300, 600])
    closed, hit, conflict = times(t, [{"row": 5}, {"row": 5, "column": 9}, {"row": 6}], arrivals=arrivals) - arrivals
    data = t.cl + t.bl + t.controller
    assert (hit, closed, conflict) == (data, t.rcdrd + data, t.rp + t.rcdrd + data)


def test_same_and_other_bank_group():
    warm = [{"row": 1, "bank_group": g} for g in range(2)]
    hits = [{"row": 1, "bank_group": g, "column": c} for g, c in ((0, 1), (0, 2), (1, 3))]
    arrivals = [0, 0, 200, 200, 201]
    done = times(QUIET, warm + hits, arrivals=arrivals)[2:] - 200 - DATA
    assert done.tolist() == [0, QUIET.ccd_l, QUIET.ccd_s]


def test_clocks_lost_to_bank_groups():
    row = [QUIET.address(column=c) for c in range(9)]
    assert replay(QUIET, row, 32).bank_group_waits == 8 * (QUIET.ccd_l - QUIET.ccd_s)
    assert replay(QUIET.replace(ccd_l=QUIET.ccd_s), row, 32).bank_group_waits == 0


def test_pseudo_channels_share_nothing_but_commands():
    done = times(QUIET, [{"row": 1, "pseudo_channel": c} for c in (0, 1, 0, 1)], arrivals=[0, 0, 200, 200])[2:]
    assert done[1] - done[0] == 1  # one column command per clock


def test_four_activate_window():
    t = QUIET.replace(rrd_s=2, rrd_l=2, faw=40)
    banks = [{"bank_group": b % 4, "bank": b // 4} for b in range(9)]
    done = times(t, banks) - t.rcdrd - DATA
    assert done.tolist() == [0, 2, 4, 6, 40, 42, 44, 46, 80]


def test_activates_of_a_group_and_of_others():
    t = QUIET.replace(rrd_s=4, rrd_l=9, faw=0)
    done = times(t, [{"bank": 0}, {"bank": 1}, {"bank_group": 1}]) - t.rcdrd - DATA
    assert done.tolist() == [0, 9, 4]


def test_row_cycle():
    """Two rows of one bank in turn: an activate every RC, here above RAS + RP and above the way of a read to PRE."""
    t = QUIET.replace(rc=70)
    done = times(t, [{"row": r} for r in (1, 2, 3)])
    assert np.diff(done).tolist() == [70, 70]
    done = times(QUIET.replace(rc=0, ras=60), [{"row": r} for r in (1, 2, 3)])
    assert np.diff(done).tolist() == [60 + t.rp] * 2


def test_refresh_closes_rows_and_takes_rfc():
    t = HBM2.replace(refi=1000)
    arrivals = np.array([0, 1001])
    done = times(t, [{"row": 1}, {"row": 1}], arrivals=arrivals)
    # Precharged at 1000; refreshed RP later; the row is opened again RFC after that.
    assert done[1] == 1000 + t.rp + t.rfc + t.rcdrd + DATA
    stats = replay_trace(t, [0, 0], 32, arrivals=[0, 10_500]).stats
    assert stats.refreshes == 10


def test_write_to_read():
    places = [{"row": 1}, {"row": 1, "column": 1}, {"row": 1, "column": 2}]
    t = QUIET
    done = times(t, places, arrivals=[0, 200, 202], writes=[0, 1, 0])
    write_at = 200  # no read waits
    assert done[2] == write_at + t.cwl + t.bl + t.wtr_l + DATA
    other = [places[0], {"row": 1, "bank_group": 1}, places[1], {"row": 1, "bank_group": 1, "column": 1}]
    done = times(t, other, arrivals=[0, 0, 200, 202], writes=[0, 0, 1, 0])
    assert done[3] == write_at + t.cwl + t.bl + t.wtr_s + DATA


def test_write_recovery():
    """A row is not closed before RTP has passed since a read, and WR since the end of written data."""
    t = QUIET
    places = [{"row": 1}, {"row": 1, "column": 1}, {"row": 1, "column": 2}, {"row": 2}]
    done = times(t, places, arrivals=[0, 200, 200, 201], writes=[0, 0, 1, 0])
    # The read of the other row goes before the write.
    assert done[3] == 201 + max(t.rtp - 1, 0) + t.rp + t.rcdrd + DATA
    done = times(t, places[:1] + places[2:], arrivals=[0, 200, 201], writes=[0, 1, 0])
    assert done[2] == 200 + t.cwl + t.bl + t.wr + t.rp + t.rcdrd + DATA


def test_read_to_write():
    """A write waits RTW behind a read of another group; a read behind it tells when it was."""
    t = QUIET
    here, there = {"row": 1}, {"row": 1, "bank_group": 1}
    places = [here, there, here | {"column": 1}, there | {"column": 1}]
    arrivals = [0, 0, 200, 200, 200 + t.rtw + 1]
    done = times(t, [*places, {"row": 1, "column": 2}], arrivals=arrivals, writes=[0, 0, 0, 1, 0])
    assert done[4] == 200 + t.rtw + t.cwl + t.bl + t.wtr_s + DATA


def test_a_row_opened_for_a_write_serves_reads():
    places = [QUIET.address(row=1), QUIET.address(row=1, column=1)]
    stats = replay_trace(QUIET.replace(write_high=1, write_low=0), places, 32, writes=[1, 0]).stats
    assert (stats.activates, stats.row_closed, stats.row_hits) == (1, 1, 1)


def test_reads_overtake_writes_until_the_high_mark():
    t = QUIET.replace(write_high=4, write_low=1)
    reads = [{"row": 1, "column": c} for c in range(20)]
    for count in (3, 4):
        writes = [{"row": 1, "bank_group": 1, "column": c} for c in range(count)]
        done = times(t, writes + reads, writes=[1] * count + [0] * len(reads))[count:]
        at_once = t.rcdrd + DATA
        assert np.diff(done).tolist() == [t.ccd_l] * 19
        assert done[0] == at_once if count < t.write_high else done[0] > at_once + t.cwl


def test_read_of_a_waiting_write():
    """All bytes asked for wait to be written: answered at once. Only some of them: memory is read."""
    addresses = [HBM2.address(row=r) for r in range(3)]
    for size, forwarded in ((8, 1), (16, 0)):
        busy = [a + 4 * HBM2.address(bank=1) for a in addresses]
        result = replay_trace(QUIET, [*busy, addresses[0], addresses[0]], [32, 32, 32, 8, size], writes=[0, 0, 0, 1, 0])
        assert result.stats.forwarded == forwarded
        assert (result.done[4] <= 3) == bool(forwarded)
        assert result.stats.reads == 4 - forwarded


def test_writes_to_one_burst_are_joined():
    stats = replay_trace(QUIET, [0, 8, 16, 32], 8, writes=1).stats
    assert (stats.writes, stats.merged, stats.bytes_written) == (2, 2, 32)


def test_starvation_is_bounded():
    """Endless hits on a row, and one request for another row of the same bank among them."""
    count = 20_000
    addresses = np.array([HBM2.address(row=1, column=c % 32) for c in range(count)], dtype=np.uint64)
    addresses[50] = HBM2.address(row=2)
    waited = []
    for limit in (200, 1000):
        t = QUIET.replace(age_limit=limit)
        arrivals = np.arange(count) * 4  # as fast as one bank answers
        result = replay_trace(t, addresses, 32, arrivals=arrivals)
        waited.append(int(result.done[50]) - 200)
    assert 200 < waited[0] < 200 + 100 and 1000 < waited[1] < 1000 + 100
    everlasting = replay_trace(QUIET.replace(age_limit=10**9), addresses, 32, arrivals=np.arange(count) * 4)
    assert everlasting.done[50] > 70_000


@pytest.mark.parametrize("bank_xor", [False, True])
@pytest.mark.parametrize("timing", [HBM2, DDR4_2400, DDR3_1600], ids=lambda t: t.name)
def test_random_mix_is_conserved(timing, bank_xor):
    """Whatever comes, every request is answered, once, and the counts add up; a second run is the same."""
    print(f"SEED={SEED}")
    rng = np.random.default_rng(SEED)
    t = timing.replace(bank_xor=bank_xor, read_queue=int(rng.integers(1, 40)))
    count = 3000
    sizes = rng.integers(1, 200, size=count)
    addresses = rng.integers(0, 1 << 18, size=count)
    writes = rng.random(count) < 0.3
    arrivals = np.sort(rng.integers(0, 8000, size=count))
    runs = [replay_trace(t, addresses, sizes, writes=writes, arrivals=arrivals) for _ in range(2)]
    assert runs[0].stats == runs[1].stats and np.array_equal(runs[0].done, runs[1].done)
    stats, done = runs[0].stats, runs[0].done.astype(int)
    bursts = (addresses + sizes - 1) // t.burst_bytes - addresses // t.burst_bytes + 1
    assert stats.reads + stats.forwarded == bursts[~writes].sum()
    assert stats.writes + stats.merged == bursts[writes].sum()
    assert stats.bytes_read == sizes[~writes].sum() and stats.bytes_written == sizes[writes].sum()
    assert stats.row_hits + stats.row_closed + stats.row_conflicts == stats.reads + stats.writes
    assert stats.row_closed + stats.row_conflicts == stats.activates
    assert 0 <= stats.activates - stats.precharges <= t.pseudo_channels * t.bank_groups * t.banks
    assert stats.answered == (~writes).sum()
    assert np.all(done[~writes] > arrivals[~writes]) and np.all(done >= arrivals)


def test_mapping_and_its_inverse():
    """Rows of a trace that differ in one field of the mapping behave as that field says: all hits, or all else."""
    for bank_xor in (False, True):
        t = HBM2.replace(bank_xor=bank_xor, refi=0)
        seen = {t.address(pseudo_channel=p, bank_group=g, bank=b, row=r, column=c)
                for p in range(2) for g in range(4) for b in range(4) for r in range(3) for c in range(32)}
        assert seen == set(range(0, 3 << 15, 32))
        hits = replay(t, [t.address(row=7, column=c) for c in range(32)], 32)
        assert (hits.row_hits, hits.activates) == (31, 1)
        rows = replay(t, [t.address(row=r) for r in range(32)], 32)
        assert (rows.row_hits, rows.activates) == (0, 32)
        assert rows.precharges == 31  # all in one bank
