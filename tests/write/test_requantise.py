"""Requantiser: bit for bit with the golden model, places and channels, exactly-once delivery, a group per cycle."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from spatten_hw.config import OUT_BITS, SpAttenConfig
from spatten_hw.interface.descriptor import GIVE_BACK_SHIFT, STRIDE_BITS
from spatten_hw.sim.golden.give_back import given_back, ratio
from spatten_hw.sim.golden.requantise import head_sum as golden_sum
from spatten_hw.sim.golden.requantise import requantise
from spatten_hw.sim.harness.block import Block
from spatten_hw.write.given_back import GivenBackScale
from spatten_hw.write.requantise import Requantiser, group_elements, latency, sum_stages
from tests.seeds import numbers

TINY = SpAttenConfig(multipliers=16, chunk=4, max_dim=12, max_tokens=16, sram_tokens=16, max_heads=5, max_group=2,
                     slots=2, topk_lanes=4, channels=2, axi_data_bits=64)
#: A chunk in a beat, and two of 3 chunks in one; several beats in a group's chunk; a group that fills a beat; the
#: widest beats, of which a row of one chunk fills an eighth; many elements at once.
CONFIGS = {
    "4 in 64": TINY,
    "4 in 128": TINY.replace(axi_data_bits=128, channels=4),
    "16 in 32": TINY.replace(chunk=16, max_dim=32, axi_data_bits=32, channels=1, operand_bits=16, axi_addr_bits=20),
    "4 in 512": TINY.replace(axi_data_bits=512, channels=1, max_dim=4, max_heads=1, max_group=1, decision_rules=0),
    "32 in 256": TINY.replace(multipliers=64, chunk=32, max_dim=96, axi_data_bits=256),
    "64 in 512": TINY.replace(multipliers=64, chunk=64, max_dim=64, axi_data_bits=512, channels=1),
}


@cache
def requantiser(name: str) -> Block:
    return Block(Requantiser, CONFIGS[name])


@dataclass
class Rows:
    """Rows of a job, and what they must become."""

    job: dict
    scales: dict[str, np.ndarray]
    chunks: dict
    beats: dict[str, list]
    sums: dict[str, list]
    count: int
    groups: int
    ratios: dict | None = None


def edge(rng: np.random.Generator, top: int, mant: int, shift: int) -> int:
    """A sum that becomes exactly a half, or one of the output's limits but for the last bits that are rounded away."""
    value = int(rng.integers(-top, top))
    if mant == 1 and 1 <= shift < 16:
        value = (2 * int(rng.integers(-300, 300)) + 1) << (shift - 1)
    elif mant == 1 << 16 and shift > 16:
        step = 1 << (shift - 16)
        value = int(rng.choice([-32768, 32767])) * step + int(rng.integers(-2 * step, 2 * step))
    return max(-top, min(top - 1, value))


def random_job(rng: np.random.Generator, c: SpAttenConfig) -> dict[str, int]:
    """Addresses of all widths, but within the space: half of it for heads, a quarter for tokens, the rest to begin in.
    """
    space = 1 << c.axi_addr_bits

    def beats_below(most: int) -> int:
        return int(rng.integers(1 << rng.integers(1, most.bit_length()))) // c.beat_bytes * c.beat_bytes
    return {"out_base": beats_below(space // 8), "out_head_stride": beats_below(space // 2 // c.max_heads),
            "out_token_stride": beats_below(min(1 << STRIDE_BITS, space // 4 // c.max_tokens))}


def random_scales(rng: np.random.Generator, c: SpAttenConfig) -> dict[str, np.ndarray]:
    """Anything; and for one head each a scale with which halves, and the limits of the output, can be met exactly."""
    heads = c.max_heads
    mant = np.array([rng.choice([0, 1, 65536, 131071, rng.integers(1 << 17)]) for _ in range(heads)])
    shift = np.array([rng.choice([0, 1, 16, 17, 63, rng.integers(8, 30), rng.integers(64)]) for _ in range(heads)])
    for value, low, high in ((1, 1, 16), (1 << 16, 18, 22)):
        head = rng.integers(heads)
        mant[head], shift[head] = value, rng.integers(low, high)
    return {"out_mant": mant, "out_shift": shift}


def random_sums(rng: np.random.Generator) -> tuple[int, int]:
    """Σp of a vector, and of those kept."""
    total = int(rng.choice([0, 4095, 4096, 4099, rng.integers(1, 8192)]))
    kept = int(rng.choice([total, 1, total // 2, total * 9 // 10, rng.integers(0, total + 1)]))
    return total, max(1, kept) if total else 0


def random_rows(rng: np.random.Generator, c: SpAttenConfig, dim: int, count: int, back: bool = False) -> Rows:
    """`back`: of a job that gives back."""
    job, scales = random_job(rng, c), random_scales(rng, c)
    ratios = {name: [] for name in ("item", "r", "same")}
    if back:
        job["give_back"] = 1
        scales["out_shift"] = np.maximum(GIVE_BACK_SHIFT, scales["out_shift"])
    per_beat, size, top = c.axi_data_bits // OUT_BITS, group_elements(c), 1 << (c.acc_bits - 1)
    beats = {name: [] for name in ("data", "strobe", "addr", "channel", "kind", "last")}
    sums = {"kv_head": [], "sum": []}
    accs, tags, kv_heads = [], [], rng.integers(0, c.max_heads, count)
    for kv_head in kv_heads:
        head, query = int(rng.integers(c.max_heads)), int(rng.integers(c.max_tokens))
        mant, shift = (int(scales[name][head]) for name in ("out_mant", "out_shift"))
        acc = [int(rng.choice([0, 1, -1, top - 1, -top, rng.integers(-top, top), rng.integers(-300, 300),
                               edge(rng, top, mant, shift)])) for _ in range(dim)]
        accs.append(acc)
        tags.append((head, query))
        if back:
            total, kept = random_sums(rng)
            mant, shift = (int(x) for x in given_back(mant, shift, total, kept))
            ratios["item"].append(len(ratios["item"]) % c.items)
            ratios["r"].append(int(ratio(total, kept)) if total != kept else int(rng.integers(1 << 18)))
            ratios["same"].append(int(total == kept))
        out = requantise(acc, mant, shift)
        at = job["out_base"] + head * job["out_head_stride"] + query // c.channels * job["out_token_stride"]
        for first in range(0, dim, per_beat):
            part = out[first:first + per_beat].astype("<i2").tobytes()
            beats["data"].append(part)
            beats["strobe"].append((1 << len(part)) - 1)
            beats["addr"].append(at + first // per_beat * c.beat_bytes)
            beats["channel"].append((head + query) % c.channels)
            beats["kind"].append(0)
            beats["last"].append(int(first + per_beat >= dim))
        for first in range(0, dim, size):
            sums["kv_head"].append(int(kv_head))
            sums["sum"].append(int(golden_sum(out[first:first + size])))
    chunks = dim // c.chunk
    rows = {name: np.repeat([t[n] for t in tags], chunks) for n, name in enumerate(("head", "query"))}
    rows["item"] = np.repeat(np.arange(count) % c.items, chunks)
    payload = {"acc": np.array(accs).reshape(count * chunks, c.chunk), "chunk": np.tile(np.arange(chunks), count),
               "last": np.tile(np.arange(chunks) == chunks - 1, count).astype(int),
               "tag": rows | {"kv_head": np.repeat(kv_heads, chunks)}}
    return Rows(job, scales, payload, beats, sums, count, count * dim // size, ratios if back else None)


def run(block: Block, rng: np.random.Generator, rows: Rows, feed=0.0, take=0.0, add=0.0, at=None) -> None:
    block.set(job=rows.job)
    block.lookup("scale_head", "scale", rows.scales)
    block.idle(3)               # the job holds still from two cycles before the first row
    if rows.ratios:
        block.send("ratio", rows.ratios, stall=feed, seed=int(rng.integers(1, 1000)))
    block.high("items")
    block.receive("o", stall=take, seed=int(rng.integers(1, 1000)))
    block.receive("head_sums", stall=add, seed=int(rng.integers(1, 1000)))
    block.send("i", rows.chunks, stall=feed, seed=int(rng.integers(1, 1000)))
    block.run(60 * rows.groups + 400 + (200 * rows.count if rows.ratios else 0),
              o=len(rows.beats["addr"]), head_sums=rows.groups)
    block.idle(20)
    beats, sums = block.taken("o").columns(), block.taken("head_sums").columns()
    for name in ("strobe", "addr", "channel", "kind", "last"):
        if name in beats:
            assert [int(v) for v in beats[name]] == rows.beats[name], name
    for got, want in zip(beats["data"], rows.beats["data"], strict=True):
        # Bytes without a strobe mean nothing.
        assert int(got).to_bytes(64, "little")[:len(want)] == want
    assert {name: sums[name].tolist() for name in rows.sums} == rows.sums
    assert block.high("items") == rows.count


@pytest.mark.parametrize("name", CONFIGS)
def test_equals_golden_under_stalls(name):
    rng, block, c = numbers("requantise", name), requantiser(name), CONFIGS[name]
    for feed, take, add in [(0.5, 0.0, 0.0), (0.0, 0.6, 0.1), (0.1, 0.1, 0.7), (0.3, 0.4, 0.4), (0.0, 0.95, 0.0)]:
        for dim in c.dims:
            run(block, rng, random_rows(rng, c, dim, 30), feed, take, add)


@pytest.mark.parametrize("name", [name for name, c in CONFIGS.items() if c.decision_rules][:2])
def test_given_back(name):
    """Each row by the ratio of its item, whichever comes first; `CYCLES` more per row."""
    rng, block, c = numbers("requantise back", name), requantiser(name), CONFIGS[name]
    for feed, take, add in [(0.5, 0.0, 0.0), (0.0, 0.6, 0.1), (0.9, 0.1, 0.2), (0.0, 0.0, 0.0)]:
        for dim in c.dims:
            run(block, rng, random_rows(rng, c, dim, 60, back=True), feed, take, add)
            groups = dim // group_elements(c)
            if not feed + take + add:
                ends = block.taken("i").cycles[dim // c.chunk - 1::dim // c.chunk]
                assert np.all(np.diff(ends)[4:] == groups + GivenBackScale.CYCLES)
            run(block, rng, random_rows(rng, c, dim, 5), feed, take, add)


@pytest.mark.parametrize("name", CONFIGS)
def test_one_group_per_cycle(name):
    """No idle cycle between chunks and rows; the first beat after `latency`, every group's sum `sum_stages` behind."""
    rng, block, c = numbers("requantise rate", name), requantiser(name), CONFIGS[name]
    groups, per_beat = c.chunk // group_elements(c), c.axi_data_bits // OUT_BITS
    for dim in c.dims:
        rows = random_rows(rng, c, dim, 30)
        run(block, rng, rows)
        chunks, beats, sums = (block.taken(name).cycles for name in ("i", "o", "head_sums"))
        assert np.array_equal(chunks, chunks[0] + groups * np.arange(len(chunks)))
        assert np.array_equal(sums, sums[0] + np.arange(rows.groups))
        # Group n of a row completes a beat if it is the beat's last, or the row's.
        of_row = dim // group_elements(c)
        ends = [r * of_row + n for r in range(rows.count) for n in range(of_row)
                if n == of_row - 1 or (n + 1) * group_elements(c) % per_beat == 0]
        if per_beat >= c.chunk and dim == c.chunk:
            assert beats[0] - chunks[0] == latency(c)
        assert np.array_equal(beats, chunks[0] + latency(c) - _first_beat(c) + ends)
        assert sums[0] - chunks[0] == latency(c) - _first_beat(c) + sum_stages(c) - 1


def _first_beat(c: SpAttenConfig) -> int:
    """The group that completes the beat that `latency` speaks of."""
    return min(c.chunk, c.axi_data_bits // OUT_BITS) // group_elements(c) - 1


def test_golden_rounds_half_to_even_and_saturates():
    assert requantise([1, 3, 5, -1, -3], 1, 1).tolist() == [0, 2, 2, 0, -2]
    assert requantise([65534, 65535, -65536, -65537, -65538], 1, 1).tolist() == [32767, 32767, -32768, -32768, -32768]
    assert requantise([1 << 32, -(1 << 32)], 131071, 63).tolist() == [0, 0]
    assert golden_sum(np.array([[1, -2, 3], [-32768, 0, 0]])).tolist() == [6, 32768]
