"""ScoreMemory: gather and merge of arbitrary ascending ids, at the rate bank conflicts allow."""

from collections import Counter
from functools import partial

import cocotb
import pytest

from spatten_hw.prune.rows import layer_sum_bits, request_row, total_row
from spatten_hw.prune.score_memory import GATHER_CYCLES, MERGE_CYCLES, ScoreMemory
from spatten_hw.sim.testbench import Bench, pack, unpack
from spatten_hw.sim.testbench.runner import params, run_bench

from .builds import tiny


def _rows(c, ids, adds, merge):
    rows = []
    for at in range(0, len(ids), c.lanes):
        part, add = ids[at:at + c.lanes], adds[at:at + c.lanes]
        fill = [0] * (c.lanes - len(part))
        rows.append(pack(request_row(c), {"ids": part + fill, "adds": add + fill, "count": len(part),
                                          "last": int(at + c.lanes >= len(ids)), "merge": merge}))
    return rows


async def _zero(dut, bench, c):
    dut.write.value = 1
    dut.write_lanes.value = (1 << c.lanes) - 1
    dut.write_total.value = 0
    for row in range(c.max_rows):
        dut.write_row.value = row
        await bench.step()
    dut.write.value = 0


def _sent(source):
    return source.at == len(source.items)


def _received(sink, count):
    return len(sink.items) == count


def _idle(dut):
    return int(dut.idle.value) == 1


@cocotb.test()
async def merge_and_gather_under_stalls(dut):
    c = tiny(params()["lanes"])
    bench = Bench(dut, ["requests"], ["totals"])
    dut.write.value = 0
    await bench.start()
    await _zero(dut, bench, c)
    want = [0] * c.max_tokens
    top = (1 << c.token_score_bits) - 1
    for id_ in range(0, c.max_tokens, 3):
        want[id_] = top - bench.rng.randrange(1 << 20)
        dut.write.value = 1
        dut.write_lanes.value = 1 << (id_ % c.lanes)
        dut.write_row.value = id_ // c.lanes
        dut.write_total.value = want[id_]
        await bench.step()
    dut.write.value = 0
    for trial in range(40):
        stall = (trial % 3) * 0.3
        ids = sorted(bench.rng.sample(range(c.max_tokens), bench.rng.randint(1, c.max_tokens)))
        adds = [bench.rng.getrandbits(layer_sum_bits(c)) >> bench.rng.choice([0, 4]) for _ in ids]
        merge = bench.send("requests", _rows(c, ids, adds, 1), stall)
        await bench.run(partial(_sent, merge), limit=1000)
        await bench.run(lambda: _idle(dut), limit=1000)
        for i, a in zip(ids, adds, strict=True):
            want[i] = min(top, want[i] + a)
        ids = sorted(bench.rng.sample(range(c.max_tokens), bench.rng.randint(1, c.max_tokens)))
        rows = _rows(c, ids, [0] * len(ids), 0)
        bench.send("requests", rows, stall)
        out = bench.receive("totals", stall)
        await bench.run(partial(_received, out, len(rows)), limit=1000)
        got = [unpack(total_row(c), x) for x in out.items]
        assert [i for g in got for i in g["ids"][:g["count"]]] == ids
        assert [t for g in got for t in g["totals"][:g["count"]]] == [want[i] for i in ids]
        assert [g["last"] for g in got] == [0] * (len(rows) - 1) + [1]


@cocotb.test()
async def a_row_takes_as_many_cycles_as_its_fullest_bank(dut):
    c = tiny(params()["lanes"])
    bench = Bench(dut, ["requests"], ["totals"])
    dut.write.value = 0
    await bench.start()
    await _zero(dut, bench, c)
    for ids in (list(range(c.max_tokens)), sorted(bench.rng.sample(range(c.max_tokens), c.max_tokens // 2)),
                list(range(0, c.max_tokens, c.lanes))):
        rows = _rows(c, ids, [1] * len(ids), 0)
        cost = [max(Counter(i % c.lanes for i in ids[at:at + c.lanes]).values())
                for at in range(0, len(ids), c.lanes)]
        sent, out = bench.send("requests", rows), bench.receive("totals")
        await bench.run(partial(_received, out, len(rows)), limit=1000)
        assert out.cycles[-1] - sent.cycles[0] == GATHER_CYCLES - 1 + sum(cost)
        sent = bench.send("requests", _rows(c, ids, [1] * len(ids), 1))
        await bench.run(partial(_sent, sent), limit=1000)
        await bench.run(lambda: _idle(dut), limit=1000)
        assert bench.cycle - sent.cycles[0] == MERGE_CYCLES - 1 + sum(cost)


@pytest.mark.parametrize("lanes", [1, 4])
def test_score_memory(lanes):
    run_bench(ScoreMemory(tiny(lanes)), __name__, params={"lanes": lanes})
