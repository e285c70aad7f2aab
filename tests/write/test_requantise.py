"""Requantiser: bit for bit with the golden model, addresses, exactly-once delivery, one beat per cycle."""

import random
from types import SimpleNamespace

import cocotb
import numpy as np
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.interface.descriptor import STRIDE_BITS
from spatten_hw.sim.golden.requantise import head_sum as golden_sum
from spatten_hw.sim.golden.requantise import requantise
from spatten_hw.sim.testbench import Bench, pack, unpack
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.stream.job_layouts import job_layout, scale_layout
from spatten_hw.stream.layouts import acc_row, head_sum, out_beat, tag_layout
from spatten_hw.write.requantise import Requantiser, beat_elements, latency, sum_stages

TINY = SpAttenConfig(multipliers=16, min_dim=4, max_dim=16, max_tokens=16, sram_tokens=16, max_heads=5,
                     max_group=2, slots=2, topk_lanes=4, channels=2, axi_data_bits=64, interleave_bytes=32,
                     k_ports=4, v_ports=4)
CONFIGS = {
    "64": TINY,
    "32": TINY.replace(axi_data_bits=32, channels=1, operand_bits=16, axi_addr_bits=20),
    "wide": TINY.replace(axi_data_bits=512, interleave_bytes=64),
    "two dims": TINY.replace(max_dim=8, axi_data_bits=256),
    "one-dim": TINY.replace(min_dim=8, max_dim=8, multipliers=8, axi_data_bits=128, max_heads=1, max_group=1),
}


def edge(rng: random.Random, top: int, out_mant: int, out_shift: int) -> int:
    """A sum that becomes exactly a half, or one of the output's limits but for the last bits that are rounded away."""
    if out_mant == 1 and 1 <= out_shift < 16:
        value = (2 * rng.randrange(-300, 300) + 1) << (out_shift - 1)
    elif out_mant == 1 << 16 and out_shift > 16:
        step = 1 << (out_shift - 16)
        value = rng.choice([-32768, 32767]) * step + rng.randrange(-2 * step, 2 * step)
    else:
        value = rng.randrange(-top, top)
    return max(-top, min(top - 1, value))


def random_rows(rng: random.Random, c: SpAttenConfig, count: int, **job):
    """Job, scale table and rows with their expected beats and sums."""
    # Addresses of all widths, but within the space: half of it for heads, a quarter for tokens, the rest to begin in.
    space = 1 << c.addr_bits

    def beats_below(most: int) -> int:
        return rng.randrange(1 << rng.randrange(1, most.bit_length())) // c.beat_bytes * c.beat_bytes
    job = {"dim_log2": rng.randrange(len(c.dims)), "out_base": beats_below(space // 8),
           "out_head_stride": beats_below(space // 2 // c.max_heads),
           "out_token_stride": beats_below(min(1 << STRIDE_BITS, space // 4 // c.max_tokens))} | job
    dim = c.dims[job["dim_log2"]]
    table = [{"out_mant": rng.choice([0, 1, 65536, 131071, rng.getrandbits(17)]),
              "out_shift": rng.choice([0, 1, 16, 17, 63, rng.randrange(8, 30), rng.randrange(64)])}
             for _ in range(c.max_heads)]
    # Scales with which halves, and the limits of the output, can be met exactly.
    table[rng.randrange(c.max_heads)] = {"out_mant": 1, "out_shift": rng.randrange(1, 16)}
    table[rng.randrange(c.max_heads)] = {"out_mant": 1 << 16, "out_shift": rng.randrange(18, 22)}
    rows, beats, sums = [], [], []
    per_beat = min(beat_elements(c), dim)
    top = 1 << (c.acc_bits - 1)
    layout, tags = acc_row(c), tag_layout(c)
    for _ in range(count):
        tag = {"head": rng.randrange(c.max_heads), "kv_head": rng.randrange(c.max_heads),
               "query": rng.randrange(c.max_tokens)}
        acc = [rng.choice([0, 1, -1, top - 1, -top, rng.randrange(-top, top), rng.randrange(-300, 300),
                           edge(rng, top, **table[tag["head"]])]) for _ in range(c.max_dim)]
        bits = pack(tags, tag) << layout["tag"].offset
        for n, a in enumerate(acc):
            bits |= (a & ((1 << c.acc_bits) - 1)) << (n * c.acc_bits)
        rows.append(bits)
        scale = table[tag["head"]]
        out = requantise(acc[:dim], scale["out_mant"], scale["out_shift"])
        start = job["out_base"] + tag["head"] * job["out_head_stride"] + tag["query"] * job["out_token_stride"]
        for b in range(dim // per_beat):
            part = out[b * per_beat:(b + 1) * per_beat]
            data = int.from_bytes(part.astype("<i2").tobytes(), "little")
            beats.append({"data": data, "strobe": (1 << 2 * per_beat) - 1, "addr": start + b * c.beat_bytes,
                          "kind": 0, "last": int(b == dim // per_beat - 1)})
            sums.append({"kv_head": tag["kv_head"], "sum": int(golden_sum(part))})
    return SimpleNamespace(job=job, table=table, rows=rows, beats=beats, sums=sums, dim=dim)


class Rig:
    """The bench of one simulation: sets a case's job, answers the scale table one cycle later, counts `items`."""

    def __init__(self, dut, c):
        self.dut, self.c = dut, c
        self.bench = Bench(dut, ["i"], ["o", "head_sums"])
        self.table: list[int] = []
        self.items = 0
        self.answer = 0

    def watch(self):
        self.items += int(self.dut.items.value)
        self.answer = self.table[min(int(self.dut.scale_head.value), len(self.table) - 1)]

    async def begin(self):
        self.dut.job.value = 0
        self.dut.scale.value = 0
        await self.bench.start()

    async def run(self, case, feed=0.0, take=0.0, add=0.0):
        """Sends a case and checks beats, sums and item pulses; returns source and both sinks."""
        self.dut.job.value = pack(job_layout(self.c), case.job)
        self.table = [pack(scale_layout(), s) for s in case.table]
        self.items = 0
        await self.bench.step()  # the job holds still from two cycles before the first row
        await self.bench.step()
        source = self.bench.send("i", case.rows, feed)
        out, sums = self.bench.receive("o", take), self.bench.receive("head_sums", add)
        limit = 60 * len(case.beats) + 400
        spent = 0
        while len(out.items) < len(case.beats) or len(sums.items) < len(case.sums) or spent < 10:
            self.dut.scale.value = self.answer
            await self.bench.step(self.watch)
            limit -= 1
            spent += len(out.items) == len(case.beats)
            assert limit, self.bench.state()
        assert [unpack(out_beat(self.c), b) for b in out.items] == case.beats
        assert [unpack(head_sum(self.c), s) for s in sums.items] == case.sums
        assert self.items == len(case.rows)
        return source, out, sums


@cocotb.test()
async def golden_under_stalls(dut):
    c = CONFIGS[params()["config"]]
    rng = random.Random(cocotb.RANDOM_SEED)
    rig = Rig(dut, c)
    await rig.begin()
    for k, (feed, take, add) in enumerate([(0.5, 0.0, 0.0), (0.0, 0.6, 0.1), (0.1, 0.1, 0.7), (0.3, 0.4, 0.4)] * 2):
        await rig.run(random_rows(rng, c, 40, dim_log2=k % len(c.dims)), feed, take, add)


@cocotb.test()
async def one_beat_per_cycle(dut):
    c = CONFIGS[params()["config"]]
    rng = random.Random(cocotb.RANDOM_SEED + 1)
    rig = Rig(dut, c)
    await rig.begin()
    for e in range(len(c.dims)):
        case = random_rows(rng, c, 30, dim_log2=e)
        source, out, sums = await rig.run(case)
        assert out.cycles[0] - source.cycles[0] == latency(c)
        assert out.cycles[-1] - out.cycles[0] == len(case.beats) - 1
        assert sums.cycles == [cycle + sum_stages(c) for cycle in out.cycles]


@pytest.mark.parametrize("name", CONFIGS)
def test_requantiser(name):
    run_bench(Requantiser(CONFIGS[name]), __name__, params={"config": name})


def test_golden_rounds_half_to_even_and_saturates():
    assert requantise([1, 3, 5, -1, -3], 1, 1).tolist() == [0, 2, 2, 0, -2]
    assert requantise([65534, 65535, -65536, -65537, -65538], 1, 1).tolist() == [32767, 32767, -32768, -32768, -32768]
    assert requantise([1 << 32, -(1 << 32)], 131071, 63).tolist() == [0, 0]
    assert golden_sum(np.array([[1, -2, 3], [-32768, 0, 0]])).tolist() == [6, 32768]
