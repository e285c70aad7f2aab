"""HeadBase: first bytes of heads in order, one per cycle; `idle` says exactly whether anything is inside."""

import cocotb

from spatten_hw.fetch.head_base import HeadBase, head_answer, head_query, stride_bits
from spatten_hw.sim.testbench import Bench, pack, unpack
from spatten_hw.sim.testbench.runner import run_bench

from .rows import TINY

USER = 9


async def exchange(dut, source, sink):
    bench = Bench(dut, ["i"], ["o"])
    await bench.start()
    asked = [{"head": bench.rng.randrange(TINY.max_heads), "base": bench.rng.getrandbits(TINY.addr_bits),
              "stride": bench.rng.getrandbits(stride_bits(TINY)), "user": bench.rng.getrandbits(USER)}
             for _ in range(200)]
    sent = bench.send("i", [pack(head_query(TINY, USER), q) for q in asked], stall=source)
    out = bench.receive("o", stall=sink)

    before = [0]                                             # inside since the last edge

    def looks():
        assert int(dut.idle.value) == (before[0] == 0), f"{before[0]} inside"
        before[0] = len(sent.cycles) - len(out.items)

    await bench.run(lambda: len(out.items) == len(asked), 4000, looks)
    assert [unpack(head_answer(TINY, USER), word) for word in out.items] == [
        {"base": (q["base"] + q["head"] * q["stride"]) % (1 << TINY.addr_bits), "user": q["user"]} for q in asked]
    return sent, out


@cocotb.test()
async def under_stalls(dut):
    await exchange(dut, 0.4, 0.4)
    await exchange(dut, 0.8, 0.0)


@cocotb.test()
async def one_per_cycle(dut):
    sent, out = await exchange(dut, 0.0, 0.0)
    assert [c + HeadBase.LATENCY for c in sent.cycles] == out.cycles
    assert sent.cycles[-1] - sent.cycles[0] == len(sent.cycles) - 1


def test_head_base():
    run_bench(HeadBase(TINY, USER), __name__)
