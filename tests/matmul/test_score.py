"""ScoreUnit: random command mixes under stalls against the golden model, then the rate without stalls."""

from dataclasses import dataclass, field

import cocotb
import numpy as np
import pytest

from spatten_hw.matmul.score import ScoreUnit, score_latency
from spatten_hw.sim.golden.score import scores
from spatten_hw.sim.testbench import Bench
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.stream.job_layouts import job_layout
from spatten_hw.stream.layouts import q_row, qk_command, score_row
from tests.matmul.common import CONFIGS, from_params, join, operands, put, rows_of, take, to_params


@dataclass
class Work:
    """Commands with their data and what must come out."""

    cmds: list[int] = field(default_factory=list)
    k_rows: list[int] = field(default_factory=list)
    q_rows: list[int] = field(default_factory=list)
    #: Score rows that must be out before each q row may be sent: its slot's last ones.
    q_after: list[int] = field(default_factory=list)
    expect: list[dict] = field(default_factory=list)
    q_of: dict[int, np.ndarray] = field(default_factory=dict)
    used: dict[int, int] = field(default_factory=dict)


def add_command(work: Work, c, rng, dim: int, sram: list, slot: int, *, gang: int, keys: int,
                stream: bool, half: int = 0, replay: bool = False) -> None:
    r = c.multipliers // dim
    slots = [(slot + g) % c.slots for g in range(gang)]
    if not replay:
        for s in slots:
            work.q_of[s] = operands(rng, c, dim)
            noise = operands(rng, c, c.max_dim - dim)
            work.q_rows.append(put(q_row(c), row=join([*work.q_of[s], *noise], c.operand_bits), slot=s))
            work.q_after.append(work.used.get(s, 0))
    if stream:
        k = operands(rng, c, (keys, dim))
        work.k_rows += rows_of(c, rng, k, 0, int(rng.integers(2)))
    else:
        k = sram[half][:keys]
    work.cmds.append(put(qk_command(c), slot=slot, gang=gang, keys=keys, stream=stream, half=half,
                         replay=replay))
    exact = scores(np.stack([work.q_of[s] for s in slots]), k)
    for row in range(-(-keys // r)):
        for g, s in enumerate(slots):
            live = exact[g, row * r:(row + 1) * r]
            work.expect.append({"scores": live.tolist(), "count": len(live), "row": row, "slot": s,
                                "replay": int(replay), "last": int((row + 1) * r >= keys)})
    work.used.update(dict.fromkeys(slots, len(work.expect)))


async def play(bench, c, work: Work, stall: float = 0.0) -> None:
    """Runs `work`; a q row is sent as soon as its slot is free, as the sequencer does."""
    bench.send("cmd", work.cmds, stall)
    bench.send("k_rows", work.k_rows, stall)
    q = bench.send("q_rows", [], stall)
    out = bench.receive("o", stall)

    def feed():
        while len(q.items) < len(work.q_rows) and work.q_after[len(q.items)] <= len(out.items):
            q.items.append(work.q_rows[len(q.items)])

    feed()
    await bench.run(lambda: len(out.items) >= len(work.expect), 400 + 20 * len(work.expect), feed)
    check(c, out.items, work.expect)


def check(c, got: list[int], expect: list[dict]) -> None:
    assert len(got) == len(expect)
    for i, (bits, want) in enumerate(zip(got, expect, strict=True)):
        have = take(score_row(c), bits)
        have["scores"] = have["scores"][:have["count"]]
        assert have == want, f"row {i}: {have} instead of {want}"


async def fill_half(bench, c, rng, dim, half, limit=2000):
    """Fills one half without stalls and returns what it holds; asserts the `filled` pulse."""
    keys = min(c.max_tokens, c.sram_rows * (c.multipliers // dim))
    matrix = operands(rng, c, (keys, dim))
    rows = rows_of(c, rng, matrix, 1, half)
    source = bench.send("k_rows", rows)
    seen = []
    await bench.run(lambda: source.at == len(rows) and bool(seen), limit,
                    lambda: seen.append(int(bench.dut.filled_half.value)) if int(bench.dut.filled.value) else None)
    assert seen == [half]
    return matrix


async def begin(dut, dim):
    c = from_params(params())
    bench = Bench(dut, ["cmd", "k_rows", "q_rows"], ["o"])
    dut.job.value = put(job_layout(c), dim_log2=(dim // c.min_dim).bit_length() - 1)
    await bench.start()
    return c, bench, np.random.default_rng(cocotb.RANDOM_SEED + dim)


@cocotb.test()
async def random_mixes(dut):
    for dim in from_params(params()).dims:
        c, bench, rng = await begin(dut, dim)
        sram = [await fill_half(bench, c, rng, dim, h) for h in (0, 1)]
        for stall in (0.0, 0.3, 0.7):
            work, slot = Work(), 0
            for _ in range(25):
                stream = bool(rng.random() < 0.6)
                most = min(c.max_tokens if stream else len(sram[0]), 5 * c.lanes + 3)
                keys = int(rng.integers(1, most + 1))
                if work.q_of and stream and rng.random() < 0.4:
                    add_command(work, c, rng, dim, sram, int(rng.choice(list(work.q_of))), gang=1, keys=keys,
                                stream=True, replay=True)
                    continue
                gang = int(rng.integers(1, c.max_group + 1))
                add_command(work, c, rng, dim, sram, slot, gang=gang, keys=keys, stream=stream,
                            half=int(rng.integers(2)))
                slot = (slot + gang) % c.slots
            await play(bench, c, work, stall)
        taken = len(bench.sinks["o"].items)
        await bench.idle(30)
        assert len(bench.sinks["o"].items) == taken, "stray scores"
        assert not int(dut.busy.value)


@cocotb.test()
async def fills_beside_compute(dut):
    """One half is filled while the other is computed from, with the output stalling, ping and pong."""
    c = from_params(params())
    dim = c.dims[0]
    c, bench, rng = await begin(dut, dim)
    sram = [await fill_half(bench, c, rng, dim, 0), None]
    for turn in range(4):
        half = turn % 2
        work = Work()
        for i in range(c.slots):
            add_command(work, c, rng, dim, sram, i, gang=1, keys=len(sram[half]), stream=False, half=half)
        bench.send("cmd", work.cmds)
        bench.send("q_rows", work.q_rows)
        out = bench.receive("o", stall=0.5)
        sram[1 - half] = await fill_half(bench, c, rng, dim, 1 - half)
        await bench.run(lambda out=out, work=work: len(out.items) >= len(work.expect), limit=3000)
        check(c, out.items, work.expect)


@cocotb.test()
async def one_row_per_cycle(dut):
    """Without stalls: a row group every cycle, over SRAM commands, streamed gangs and replays, also n < R."""
    for dim in from_params(params()).dims:
        c, bench, rng = await begin(dut, dim)
        r = c.multipliers // dim
        sram = [await fill_half(bench, c, rng, dim, h) for h in (0, 1)]
        work, gang, left = Work(), c.max_group, c.slots
        lengths = [1, r, r + 1, 1, 1, 2 * r, 1, 3 * r - 1, 1, 5 * r]
        for i, keys in enumerate(lengths * 2):
            stream = bool(i % 2)
            keys = min(max(1, keys), c.max_tokens if stream else len(sram[0]))
            if left >= gang:
                add_command(work, c, rng, dim, sram, c.slots - left, gang=gang, keys=keys, stream=stream,
                            half=i // 2 % 2)
                left, gang = left - gang, 1
            else:
                add_command(work, c, rng, dim, sram, i % c.slots, gang=1, keys=keys, stream=stream,
                            half=i // 2 % 2, replay=True)
        bench.send("q_rows", work.q_rows)
        await bench.idle(c.slots + 2)
        cmd = bench.send("cmd", work.cmds)
        bench.send("k_rows", work.k_rows)
        out = bench.receive("o")
        stalls = []
        await bench.run(lambda out=out, work=work: len(out.items) >= len(work.expect), 2000,
                        lambda stalls=stalls: stalls.append(int(dut.stall.value)))
        check(c, out.items, work.expect)
        assert out.cycles[-1] - out.cycles[0] == len(work.expect) - 1, "gap between rows"
        assert out.cycles[0] - cmd.cycles[0] == score_latency(c)
        assert not any(stalls)
        await bench.idle(1)
        assert not int(dut.busy.value)


@cocotb.test()
async def q_rows_prefetched(dut):
    """Many commands, each slot's next q sent when its scores are out: no gap as long as the other slots'
    rows cover the way from `o` back to `o`."""
    c, bench, rng = await begin(dut, from_params(params()).max_dim)
    dim = c.max_dim
    sram = [await fill_half(bench, c, rng, dim, h) for h in (0, 1)]
    r = c.multipliers // dim
    work = Work()
    rows = (score_latency(c) + 3) // (c.slots - 1) + 1
    for i in range(24):
        keys = min(c.max_tokens if i % 3 else len(sram[0]), rows * r + i % 3)
        add_command(work, c, rng, dim, sram, i % c.slots, gang=1, keys=keys, stream=bool(i % 3), half=i % 2)
    await play(bench, c, work)
    cycles = bench.sinks["o"].cycles
    assert cycles[-1] - cycles[0] == len(work.expect) - 1


@cocotb.test()
async def waits_for_data(dut):
    """No q, or no K: `stall` and `busy`, nothing comes out; with the data it goes on."""
    c, bench, rng = await begin(dut, from_params(params()).min_dim)
    work = Work()
    add_command(work, c, rng, c.min_dim, [], 0, gang=1, keys=1, stream=True)
    bench.send("cmd", work.cmds)
    await bench.idle(10)
    assert int(dut.stall.value) and int(dut.busy.value) and not int(dut.o__valid.value)
    bench.send("q_rows", work.q_rows)
    await bench.idle(10)
    assert int(dut.stall.value) and int(dut.busy.value) and not int(dut.o__valid.value)
    out = bench.receive("o")
    bench.send("k_rows", work.k_rows)
    await bench.run(lambda: bool(out.items), 50)
    check(c, out.items, work.expect)


@pytest.mark.parametrize("name", CONFIGS)
def test_score(name):
    # The longest vectors of `one_row` are shorter than the way from `o` back to `o`.
    run_bench(ScoreUnit(CONFIGS[name]), __name__, without="q_rows_prefetched" if name == "one_row" else None,
              params=to_params(CONFIGS[name]))


def test_golden_is_exact():
    rng = np.random.default_rng(1)
    q, k = rng.integers(-2048, 2048, (3, 5, 16)), rng.integers(-2048, 2048, (3, 7, 16))
    want = [[[sum(int(a) * int(b) for a, b in zip(x, y, strict=True)) for y in kk] for x in qq]
            for qq, kk in zip(q, k, strict=True)]
    assert scores(q, k).dtype == np.int64
    assert scores(q, k).tolist() == want


def test_golden_refuses_inexact():
    big = np.full((1, 4), 1 << 30)
    with pytest.raises(AssertionError, match="beyond"):
        scores(big, big)
