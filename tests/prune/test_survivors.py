"""Survivors: lists of every length and what is said of them: how many are alive, the largest id, who they are."""

import cocotb
import pytest

from spatten_hw.prune.rows import ids_layout, member_row
from spatten_hw.prune.survivors import Survivors
from spatten_hw.sim.testbench import Bench, pack, unpack
from spatten_hw.sim.testbench.runner import params, run_bench

from .builds import tiny


@cocotb.test()
async def lists_of_every_length(dut):
    c = tiny(params()["lanes"])
    bench = Bench(dut, ["members"], [])
    for name in ("restart", "forget", "tokens", "heads"):
        getattr(dut, name).value = 0
    dut.scan_enable.value = 1
    for reader in range(4):
        getattr(dut, f"rows__{reader}").value = 0
    await bench.start()
    for count in [*range(1, c.max_tokens + 1), 3, c.lanes, 1]:
        ids = sorted(bench.rng.sample(range(c.max_tokens), count))
        rows = [ids[at:at + c.lanes] for at in range(0, count, c.lanes)]
        sent = bench.send("members", [pack(member_row(c), {
            "ids": row + [bench.rng.randrange(c.max_tokens) for _ in range(c.lanes - len(row))], "count": len(row),
            "last": int(row is rows[-1]), "heads": 0}) for row in rows], 0.3)
        await bench.run(lambda sent=sent: sent.at == len(sent.items), 1000)
        await bench.idle(1)
        assert (int(dut.alive_tokens.value), int(dut.last_id.value)) == (count, ids[-1])
        for row, want in enumerate(rows):
            dut.rows__0.value = row
            await bench.idle(2)
            assert unpack(ids_layout(c), int(dut.ids__0.value))[:len(want)] == want


@pytest.mark.parametrize("lanes", [1, 4])
def test_survivors(lanes):
    run_bench(Survivors(tiny(lanes)), __name__, params={"lanes": lanes})
