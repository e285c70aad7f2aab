"""Loader: one K and one V fill per alive head, in order, halves alternating, never into a half still in use."""

import cocotb
import pytest

from spatten_hw.control.loader import Loader
from spatten_hw.sim.testbench import Bench, unpack
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.stream import layouts

from .test_walker import CONFIGS, tiny


@cocotb.test()
async def fills_every_head_into_free_halves(dut):
    c = tiny(params()["name"])
    bench = Bench(dut, [], ["k_cmd", "v_cmd"])
    await bench.start()
    rng = bench.rng
    for _ in range(8):
        heads = sorted(rng.sample(range(c.max_heads), rng.randint(1, c.max_heads)))
        rows = rng.randint(1, c.max_tokens)
        stall = rng.choice([0.0, 0.5])
        k, v = bench.receive("k_cmd", stall), bench.receive("v_cmd", stall)
        dut.heads.value = sum(1 << h for h in heads)
        dut.rows.value = rows
        dut.start.value = 1
        await bench.step()
        dut.start.value = 0
        filled = {"k": 0, "v": 0}
        waited = 0
        for head in range(len(heads)):
            half = head % 2
            while int(dut.ready.value) >> half & 1 == 0:
                waited += 1
                assert waited < 5000
                for side, sink in (("k", k), ("v", v)):
                    # A fill may not be asked for before the head two before it has left.
                    assert len(sink.items) <= head + 2
                    done = filled[side] < len(sink.items) and rng.random() < 0.3
                    getattr(dut, f"{side}_filled").value = int(done)
                    getattr(dut, f"{side}_filled_half").value = filled[side] % 2
                    filled[side] += done
                await bench.step()
                dut.k_filled.value = dut.v_filled.value = 0
            dut.done.value = 1 << half
            await bench.step()
            dut.done.value = 0
            await bench.step()
            assert int(dut.ready.value) >> half & 1 == 0, "ready after its last item"
            for _ in range(rng.randint(0, 5)):
                await bench.step()
            dut.retire.value = 1 << half
            await bench.step()
            dut.retire.value = 0
        await bench.idle(20)
        want = [{"kv_head": h, "rows": rows, "half": n % 2} for n, h in enumerate(heads)]
        assert [unpack(layouts.v_command(c), x) for x in v.items] == want
        fill = {"lsb": 0, "fill": 1, "pair": 0}
        assert [unpack(layouts.k_command(c), x) for x in k.items] == [w | fill for w in want]


@pytest.mark.parametrize("name", CONFIGS)
def test_loader(name):
    run_bench(Loader(tiny(name)), __name__, params={"name": name})
