"""Walker and SlotRing: every work item once, in order, with its slot; replays; gangs; causal lengths."""

import cocotb
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.walker import Walker
from spatten_hw.sim.testbench import Bench, pack, unpack
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.stream import layouts
from spatten_hw.stream.job_layouts import job_layout

CONFIGS = {
    "one_lane": {"multipliers": 8, "min_dim": 8, "max_dim": 8, "slots": 2, "max_group": 2, "max_heads": 3},
    "four_lanes": {"multipliers": 32, "min_dim": 8, "max_dim": 16, "slots": 8, "max_group": 4, "max_heads": 8},
}
OUTPUTS = ["q_cmd", "k_cmd", "qk_cmd", "meta"]


def tiny(name: str) -> SpAttenConfig:
    base = {"name": name, "max_tokens": 32, "sram_tokens": 16, "topk_lanes": 4, "channels": 1,
            "axi_data_bits": 64, "interleave_bytes": 64, "k_ports": 4, "v_ports": 4}
    return SpAttenConfig(**(base | CONFIGS[name]))


async def walk(bench, c, job, ids, heads, flat_every, stall):
    """Runs one layer, playing the softmax; returns the four command streams, unpacked, and the flat count."""
    dut = bench.dut
    dut.job.value = pack(job_layout(c), dict.fromkeys(job_layout(c).members, 0) | job)
    dut.heads.value = sum(1 << h for h in heads)
    dut.alive.value = len(ids)
    dut.half_ready.value = 3
    sinks = {n: bench.receive(n, 0 if n == "meta" else stall) for n in OUTPUTS}
    free, flat = bench.send("free", []), bench.send("flat", [])
    rows = [ids[i:i + c.lanes] for i in range(0, len(ids), c.lanes)]
    held: set[int] = set()
    waiting: list[tuple[int, int]] = []
    seen_meta = seen_qk = flats = quiet = list_row = 0
    box = {}

    def watch():
        box["row"], box["all"] = int(dut.list_row.value), int(dut.issued_all.value)

    dut.start.value = 1
    await bench.step()
    dut.start.value = 0
    first = bench.cycle
    while quiet < 30:
        assert bench.cycle - first < 20000
        row = rows[list_row] if list_row < len(rows) else []
        dut.list_ids.value = sum(v << (c.token_bits * i) for i, v in enumerate(row))
        await bench.step(watch)
        list_row = box["row"]
        for item in sinks["meta"].items[seen_meta:]:
            slot = unpack(layouts.slot_meta(c), item)["slot"]
            assert slot not in held, "slot handed out twice"
            held.add(slot)
        seen_meta = len(sinks["meta"].items)
        for item in sinks["qk_cmd"].items[seen_qk:]:
            command = unpack(layouts.qk_command(c), item)
            waiting += [((command["slot"] + j) % c.slots, command["replay"]) for j in range(command["gang"])]
        seen_qk = len(sinks["qk_cmd"].items)
        # A scored vector is freed, or, now and then, only after a replay.
        if waiting and flat.at == len(flat.items) and free.at == len(free.items) and bench.rng.random() < 0.5:
            slot, replay = waiting.pop(bench.rng.randrange(len(waiting)))
            if not replay and flat_every and bench.rng.random() < 1 / flat_every:
                flat = bench.send("flat", [slot])
                flats += 1
            else:
                free = bench.send("free", [slot])
                held.discard(slot)
        quiet = quiet + 1 if box["all"] and not held and not waiting else 0
    names = {"q_cmd": layouts.q_command, "k_cmd": layouts.k_command, "qk_cmd": layouts.qk_command,
             "meta": layouts.slot_meta}
    return *([unpack(names[n](c), x) for x in sinks[n].items] for n in OUTPUTS), flats


@cocotb.test()
async def every_item_once_in_order(dut):
    c = tiny(params()["name"])
    bench = Bench(dut, ["flat", "free"], OUTPUTS)
    await bench.start()
    rng = bench.rng
    for trial in range(12):
        generate = rng.random() < 0.5
        group = rng.randint(1, c.max_group)
        total = max(1, c.max_heads // group)
        heads = sorted(rng.sample(range(total), rng.randint(1, total)))
        ids = sorted(rng.sample(range(c.max_tokens), rng.randint(1, 12)))
        causal = not generate and rng.random() < 0.5
        flat_every = rng.choice([0, 3])
        pair = int(group == 1 and c.max_group > 1 and rng.random() < 0.5)
        job = {"generate": generate, "group": group, "causal": causal, "k_lsb": 4 if flat_every else 0, "pair": pair}
        q, k, qk, meta, flats = await walk(bench, c, job, ids, heads, flat_every, rng.choice([0.0, 0.5]))
        want = [(h * group + g, h, 0 if generate else t, j + 1 if causal else len(ids))
                for h in heads for j, t in enumerate(ids[:1] if generate else ids) for g in range(group)]
        got = [(x["tag"]["head"], x["tag"]["kv_head"], x["tag"]["query"], x["keys"]) for x in meta]
        assert got == want, trial
        assert [(x["head"], x["token"], x["slot"]) for x in q] == [
            (x["tag"]["head"], x["tag"]["query"], x["slot"]) for x in meta]
        assert all(x["tag"]["stream_v"] == generate and x["progressive"] == bool(flat_every) for x in meta)
        slots = [(x["slot"] + j) % c.slots for x in qk if not x["replay"] for j in range(x["gang"])]
        assert slots == [x["slot"] for x in meta]
        assert sum(x["replay"] for x in qk) == flats
        # Heads side by side that are both alive share a stream, in generation.
        streams = [(x["kv_head"], x["pair"]) for x in k if not x["lsb"]]
        both = {h for h in heads if pair and generate and h % 2 == 0 and h + 1 in heads}
        assert streams == ([(h, int(h in both)) for h in heads if h - 1 not in both] if generate else [])
        assert [(x["gang"], x["pair"]) for x in qk if x["stream"] and not x["replay"]] == [
            (2 if p else group, p) for _, p in streams]
        # K streams in the order of the commands that use them.
        assert [(x["keys"], x["replay"]) for x in qk if x["stream"]] == [(x["rows"], x["lsb"]) for x in k]


@cocotb.test()
async def one_item_per_cycle(dut):
    """With slots free and nothing stalling, summarisation items are issued back to back."""
    c = tiny(params()["name"])
    bench = Bench(dut, ["flat", "free"], OUTPUTS)
    await bench.start()
    dut.job.value = pack(job_layout(c), dict.fromkeys(job_layout(c).members, 0) | {"group": 1})
    dut.heads.value = 1
    dut.alive.value = c.slots
    dut.half_ready.value = 3
    dut.list_ids.value = 0
    meta = bench.receive("meta")
    dut.start.value = 1
    await bench.step()
    dut.start.value = 0
    await bench.run(lambda: len(meta.items) == c.slots, limit=100)
    assert meta.cycles[-1] - meta.cycles[0] == c.slots - 1


@pytest.mark.parametrize("name", CONFIGS)
def test_walker(name):
    run_bench(Walker(tiny(name)), __name__, params={"name": name})
