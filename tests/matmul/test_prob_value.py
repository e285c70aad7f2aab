"""ProbValueUnit: streamed and buffered vectors under stalls against the golden model, then the rates."""

from dataclasses import dataclass, field

import cocotb
import numpy as np
import pytest

from spatten_hw.matmul.lane_scheduler import WINDOW_ROWS
from spatten_hw.matmul.prob_value import ProbValueUnit, prob_value_latency
from spatten_hw.sim.golden.prob_value import prob_value
from spatten_hw.sim.testbench import Bench
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.stream.job_layouts import job_layout
from spatten_hw.stream.layouts import acc_row, kept_depth, kept_row, operand_row, tag_layout
from tests.matmul.common import CONFIGS, from_params, join, operands, put, rows_of, take, to_params


@dataclass
class Work:
    """Vectors with their data, what must come out, and the cycles each lane needs."""

    kept: list[int] = field(default_factory=list)
    v_rows: list[int] = field(default_factory=list)
    expect: list[dict] = field(default_factory=list)
    lane_load: list[int] = field(default_factory=list)  # per vector, of its fullest lane
    row_loads: list[int] = field(default_factory=list)  # per vector, summed over its rows
    rows: list[int] = field(default_factory=list)


def probabilities(rng, c, n: int) -> np.ndarray:
    """12-bit values whose sum stays within 4096 + max_tokens: a few large ones, zeros, or one dominant."""
    if rng.random() < 0.1:
        p = np.zeros(n, dtype=np.int64)
        p[rng.integers(n)] = 4095
        return p
    p = rng.random(n) ** int(rng.integers(1, 9))
    return np.minimum(4095, np.rint(4096 * p / p.sum())).astype(np.int64)


def add_vector(work: Work, c, rng, dim: int, sram: list, *, stream: bool, k: int, half: int = 0,
               positions=None) -> None:
    r = c.multipliers // dim
    p = probabilities(rng, c, k)
    if stream:
        v = operands(rng, c, (k, dim))
        work.v_rows += rows_of(c, rng, v, 0, int(rng.integers(2)))
        payloads = np.sort(rng.choice(c.max_tokens, k, replace=False))
        lanes = np.arange(k) % r
        kept, full = np.ones(k, dtype=bool), p
    else:
        v = sram[half]
        payloads = np.sort(rng.choice(len(v), k, replace=False)) if positions is None else np.asarray(positions)
        lanes = payloads % r
        kept, full = np.zeros(len(v), dtype=bool), np.zeros(len(v), dtype=np.int64)
        kept[payloads], full[payloads] = True, p
    tag = {"head": int(rng.integers(c.max_heads)), "kv_head": int(rng.integers(c.max_heads)),
           "query": int(rng.integers(c.max_tokens)), "half": half, "stream_v": int(stream),
           "refetched": int(rng.integers(2))}
    width = c.topk_lanes
    for i in range(0, k, width):
        noise = [int(x) for x in rng.integers(0, c.max_tokens, width)]
        work.kept.append(put(kept_row(c), keys=join([*p[i:i + width], *noise][:width], 12),
                             payloads=join([*payloads[i:i + width], *noise][:width], c.token_bits),
                             count=min(width, k - i), last=i + width >= k, k=int(rng.integers(4)),
                             tag=put(tag_layout(c), **tag)))
    acc = prob_value(full[None], kept[None], v)[0].tolist()
    work.expect.append({"acc": acc + [0] * (c.max_dim - dim), "tag": tag})
    work.lane_load.append(int(np.bincount(lanes).max()))
    work.row_loads.append(sum(int(np.bincount(lanes[i:i + width]).max()) for i in range(0, k, width)))
    work.rows.append(-(-k // width))


def check(c, got: list[int], expect: list[dict]) -> None:
    assert len(got) == len(expect)
    for i, (bits, want) in enumerate(zip(got, expect, strict=True)):
        assert take(acc_row(c), bits) == want, f"vector {i}"


async def begin(dut, dim):
    c = from_params(params())
    bench = Bench(dut, ["kept", "v_rows"], ["o"])
    dut.job.value = put(job_layout(c), dim_log2=(dim // c.min_dim).bit_length() - 1)
    await bench.start()
    return c, bench, np.random.default_rng(cocotb.RANDOM_SEED + dim)


def random_half(c, rng, dim):
    return operands(rng, c, (min(c.max_tokens, c.sram_rows * (c.multipliers // dim)), dim))


async def fill_both(bench, c, rng, dim):
    sram = [random_half(c, rng, dim) for _ in (0, 1)]
    rows = [row for h in (0, 1) for row in rows_of(c, rng, sram[h], 1, h)]
    source = bench.send("v_rows", rows)
    seen = []
    await bench.run(lambda: len(seen) == 2, len(rows) + 10, lambda: watch_filled(bench.dut, seen))
    assert seen == [0, 1] and source.cycles[-1] - source.cycles[0] == len(rows) - 1, "one fill row per cycle"
    return sram


def watch_filled(dut, seen: list) -> None:
    if int(dut.filled.value):
        seen.append(int(dut.filled_half.value))


async def play(bench, c, work: Work, stall: float = 0.0, limit: int = 0):
    bench.send("kept", work.kept, stall)
    bench.send("v_rows", work.v_rows, stall)
    out = bench.receive("o", stall)
    cycles = sum(work.row_loads) + len(work.expect)
    await bench.run(lambda: len(out.items) >= len(work.expect), limit or 400 + 20 * cycles)
    check(c, out.items, work.expect)
    return out


@cocotb.test()
async def random_mixes(dut):
    """Streamed and buffered vectors in any order; the V stream also fills the half that is not in use."""
    for dim in from_params(params()).dims:
        c, bench, rng = await begin(dut, dim)
        sram = await fill_both(bench, c, rng, dim)
        for turn, stall in enumerate((0.0, 0.2, 0.5, 0.8)):
            half = turn % 2
            work = Work()
            for _ in range(25):
                stream = bool(rng.random() < 0.5)
                most = c.max_tokens if stream else len(sram[half])
                k = int(rng.integers(1, most + 1)) if rng.random() < 0.3 else int(rng.integers(1, min(most, 6) + 1))
                add_vector(work, c, rng, dim, sram, stream=stream, k=k, half=half)
            # The other half's fill comes somewhere between two streamed vectors: after a group with `last`.
            fresh = random_half(c, rng, dim)
            gaps = [0, *(i + 1 for i, row in enumerate(work.v_rows) if is_last(c, row))]
            at = int(rng.choice(gaps))
            work.v_rows[at:at] = rows_of(c, rng, fresh, 1, 1 - half)
            await play(bench, c, work, stall)
            await bench.run(lambda source=bench.sources["v_rows"]: source.at == len(source.items), 1000)
            sram[1 - half] = fresh
        taken = len(bench.sinks["o"].items)
        await bench.idle(40)
        assert len(bench.sinks["o"].items) == taken, "stray sums"
        assert not int(dut.busy.value)


def is_last(c, row: int) -> bool:
    return bool(take(operand_row(c), row)["last"])


@cocotb.test()
async def streamed_rate(dut):
    """Streamed vectors of mixed lengths back to back: ceil(k/R) cycles each, at least two, no gap."""
    for dim in from_params(params()).dims:
        c, bench, rng = await begin(dut, dim)
        r = c.multipliers // dim
        work = Work()
        lengths = [1, 1, r, r + 1, 1, 2 * r, c.max_tokens, 1, 3 * r - 1, 1, 1, 1, c.topk_lanes, c.topk_lanes + 1]
        lengths = [min(max(k, 1), c.max_tokens) for k in lengths]
        for k in lengths * 2:
            add_vector(work, c, rng, dim, [], stream=True, k=k)
        out = await play(bench, c, work)
        for i, k in enumerate((lengths * 2)[1:], start=1):
            assert out.cycles[i] - out.cycles[i - 1] == max(2, -(-k // r)), f"vector {i} of {k}"


@cocotb.test()
async def buffered_rate(dut):
    """Buffered vectors back to back: ceil(k/R) or two if positions are consecutive, else the conflict bound."""
    for dim in from_params(params()).dims:
        c, bench, rng = await begin(dut, dim)
        r = c.multipliers // dim
        sram = await fill_both(bench, c, rng, dim)
        n = len(sram[0])
        work = Work()
        lengths = [min(max(1, k), n) for k in (1, 1, n, r, r + 1, 1, 2 * r, n, 1, 3 * r - 1, 1, 1, 1, n - 1)]
        for i, k in enumerate(lengths * 2):
            first = int(rng.integers(0, n - k + 1)) // r * r
            add_vector(work, c, rng, dim, sram, stream=False, k=k, half=i % 2,
                       positions=range(first, first + k))
        out = await play(bench, c, work)
        for i, k in enumerate((lengths * 2)[1:], start=1):
            assert out.cycles[i] - out.cycles[i - 1] == max(2, -(-k // r)), f"vector {i} of {k}"

        work = Work()
        for i in range(40):
            add_vector(work, c, rng, dim, sram, stream=False, k=int(rng.integers(1, n + 1)), half=i % 2)
        for i in range(10):  # everything in one lane
            lane = int(rng.integers(r))
            add_vector(work, c, rng, dim, sram, stream=False, k=len(range(lane, n, r)), half=i % 2,
                       positions=range(lane, n, r))
        out = await play(bench, c, work)
        spare = 2  # cycles in which rows that left are not yet replaced
        for i in range(1, len(work.expect)):
            took = out.cycles[i] - out.cycles[i - 1]
            fits = work.rows[i] <= WINDOW_ROWS
            bound = min(work.row_loads[i], work.lane_load[i]) if fits else work.row_loads[i]
            assert work.lane_load[i] <= took <= bound + spare, f"vector {i}: {took}, bound {bound}"
        total = out.cycles[-1] - out.cycles[0]
        dut._log.info("D = %d, random positions: %d cycles, fullest lanes %d, rows' fullest lanes %d", dim, total,
                      sum(work.lane_load[1:]), sum(work.row_loads[1:]))


@cocotb.test()
async def latency_and_waiting(dut):
    """One vector through the idle unit; then a streamed one without V: `stall`, earlier sums come out, a fill
    behind the missing row is not lost, fills pass while sums are not taken."""
    c, bench, rng = await begin(dut, from_params(params()).max_dim)
    dim = c.max_dim
    sram = await fill_both(bench, c, rng, dim)
    one = Work()
    add_vector(one, c, rng, dim, sram, stream=False, k=1)
    kept = bench.send("kept", one.kept)
    out = bench.receive("o")
    await bench.run(lambda: bool(out.items), 40)
    check(c, out.items, one.expect)
    assert out.cycles[0] - kept.cycles[0] == prob_value_latency(c)
    assert not int(dut.stall.value)

    # Vectors out of the memory wait for nothing, however many there are.
    buffered, stalls = Work(), []
    for _ in range(12):
        add_vector(buffered, c, rng, dim, sram, stream=False, k=1)
    bench.send("kept", buffered.kept)
    out = bench.receive("o")
    await bench.run(lambda: len(out.items) == 12, 100, lambda: stalls.append(int(dut.stall.value)))
    check(c, out.items, buffered.expect)
    assert not any(stalls)

    two = Work()
    add_vector(two, c, rng, dim, sram, stream=False, k=1)
    add_vector(two, c, rng, dim, sram, stream=True, k=1)
    bench.send("kept", two.kept)
    out = bench.receive("o")
    await bench.idle(40)
    assert len(out.items) == 1 and int(dut.stall.value) and int(dut.busy.value)
    bench.send("v_rows", two.v_rows)
    await bench.run(lambda: len(out.items) == 2, 40)
    check(c, out.items, two.expect)

    many = Work()
    for _ in range(12):
        add_vector(many, c, rng, dim, sram, stream=False, k=1, half=0)
    bench.send("kept", many.kept)
    out = bench.receive("o", stall=1.0)
    fresh = random_half(c, rng, dim)
    bench.send("v_rows", rows_of(c, rng, fresh, 1, 1))
    seen = []
    await bench.run(lambda: bool(seen), len(fresh) + 20, lambda: watch_filled(dut, seen))
    assert seen == [1] and not out.items
    out.stall = 0.0
    await bench.run(lambda: len(out.items) == 12, 100)
    check(c, out.items, many.expect)


@cocotb.test()
async def kept_rows_queue(dut):
    """`kept_depth` rows are taken while no V row has come."""
    c, bench, rng = await begin(dut, from_params(params()).min_dim)
    work = Work()
    for _ in range(kept_depth(c)):
        add_vector(work, c, rng, c.min_dim, [], stream=True, k=1)
    kept = bench.send("kept", work.kept)
    await bench.run(lambda: kept.at == len(work.kept), kept_depth(c) + 4)
    out = bench.receive("o")
    bench.send("v_rows", work.v_rows)
    await bench.run(lambda: len(out.items) == len(work.expect), 200 + 4 * kept_depth(c))
    check(c, out.items, work.expect)
    await bench.idle(20)
    assert not int(dut.busy.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_prob_value(name):
    run_bench(ProbValueUnit(CONFIGS[name]), __name__, params=to_params(CONFIGS[name]))


def test_golden_is_exact():
    rng = np.random.default_rng(2)
    p, kept = rng.integers(0, 4096, (2, 3, 9)), rng.random((2, 3, 9)) < 0.5
    v = rng.integers(-2048, 2048, (2, 9, 4))
    got = prob_value(p, kept, v)
    want = [[[sum(int(p[b, q, n]) * int(v[b, n, d]) for n in range(9) if kept[b, q, n]) for d in range(4)]
             for q in range(3)] for b in range(2)]
    assert got.dtype == np.int64 and got.tolist() == want
