"""LocalTopK: payloads from position or list, widening L → P, full rate."""

import cocotb
import numpy as np
import pytest

from spatten_hw.config import PROB_BITS, SpAttenConfig
from spatten_hw.sim.golden.topk import topk_indices
from spatten_hw.sim.testbench import Bench, unpack
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.stream.job_layouts import job_layout
from spatten_hw.stream.layouts import kept_row, prob_row
from spatten_hw.topk.local import LocalTopK

SMALL = {"multipliers": 16, "min_dim": 4, "max_dim": 16, "max_tokens": 64, "sram_tokens": 16, "topk_lanes": 4,
         "channels": 1, "axi_data_bits": 64, "k_ports": 4, "v_ports": 4, "max_heads": 4, "max_group": 2, "slots": 2}


def _pack(layout, value) -> int:
    return layout.const(value).as_value().value


class _Local:
    """Drives the component: list memory outside, job constant per run."""

    def __init__(self, dut):
        self.dut = dut
        self.c = SpAttenConfig(**params()["config"])
        self.bench = Bench(dut, ["probs"], ["kept"])

    async def run(self, lengths, keep, stall_in=0.0, stall_out=0.0):
        c, bench, dut = self.c, self.bench, self.dut
        rng = bench.rng
        alive = sorted(rng.sample(range(1 << c.token_bits), max(lengths)))
        rows, expected = [], []
        for n in lengths:
            probs = [min(4095, int(rng.expovariate(1) * 200)) for _ in range(n)]
            tag = {"head": rng.randrange(c.max_heads), "query": rng.getrandbits(c.token_bits),
                   "stream_v": rng.getrandbits(1), "half": rng.getrandbits(1)}
            for a in range(0, n, c.lanes):
                part = probs[a:a + c.lanes]
                rows.append(_pack(prob_row(c), {"probs": part + [rng.getrandbits(PROB_BITS)] * (c.lanes - len(part)),
                                                "count": len(part), "last": a + c.lanes >= n, "tag": tag}))
            index = topk_indices(np.array(probs), max(1, keep))
            expected.append(([probs[i] for i in index],
                             [alive[i] if tag["stream_v"] else int(i) for i in index],
                             _pack(prob_row(c)["tag"].shape, tag)))
        dut.job.value = _pack(job_layout(c), {"keep_values": keep})
        source = bench.send("probs", rows, stall_in)
        out = bench.receive("kept", stall_out)
        total = sum(-(-len(e[0]) // c.topk_lanes) for e in expected)
        asked, ends_in, before = 0, {i for i, word in enumerate(rows) if unpack(prob_row(c), word)["last"]}, (0, 0)
        for _ in range(400 * len(rows) + 4000):
            ids = 0
            for j in range(c.lanes):
                at = asked * c.lanes + j
                ids |= (alive[at] if at < len(alive) else 0) << (j * c.token_bits)
            dut.list_ids.value = ids

            def watch():
                nonlocal asked, before
                asked = int(dut.list_row.value)
                came, left = before
                if came > left:
                    assert int(dut.busy.value), f"{came} vectors came, {left} left"
                before = (len(ends_in & set(range(len(source.cycles)))),
                          sum(unpack(kept_row(c), word)["last"] for word in out.items))

            await bench.step(watch)
            if len(out.items) >= total:
                break
        await bench.idle(20)
        assert not int(dut.busy.value)
        got, keys, payloads = [], [], []
        for word in out.items:
            row = unpack(kept_row(c), word)
            assert row["count"] == c.topk_lanes or row["last"]
            keys += row["keys"][:row["count"]]
            payloads += row["payloads"][:row["count"]]
            if row["last"]:
                got.append((keys, payloads, row["tag"]))
                keys, payloads = [], []
        assert got == expected
        return source


@cocotb.test()
async def selects(dut):
    local = _Local(dut)
    top = local.c.max_tokens
    await local.bench.start()
    rng = local.bench.rng
    lengths = [1, top, 2, top - 1] + [rng.randrange(1, top + 1) for _ in range(12)]
    for keep in (1, 5, top, 0):
        await local.run(lengths, keep, 0.3, 0.3)
    await local.run(lengths, 7)
    await local.run(lengths, 7, 0.0, 0.8)


@cocotb.test()
async def full_rate(dut):
    """Where nothing is pruned, L lanes enter every cycle, also from one vector to the next."""
    local = _Local(dut)
    await local.bench.start()
    top = local.c.max_tokens
    source = await local.run([top, 3, 1, 1, top, top - 1, 2] * 4, top)
    assert source.cycles[-1] - source.cycles[0] == len(source.cycles) - 1


@pytest.mark.parametrize("changes", [{}, {"topk_lanes": 8}, {"min_dim": 16, "topk_lanes": 4, "max_tokens": 32}])
def test_local(changes):
    config = SMALL | changes
    run_bench(LocalTopK(SpAttenConfig(**config)), __name__, params={"config": config})
