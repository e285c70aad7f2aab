"""Block RAM and SDRAM behind the memory port, alone and shared by two masters."""

import dataclasses

import pytest
from amaranth import Module
from amaranth.lib.wiring import connect

from spatten_hw.boards.shell.block_ram import BlockRamMemory
from spatten_hw.boards.shell.memory_arbiter import MemoryArbiter
from spatten_hw.boards.shell.sdram import SdramMemory
from spatten_hw.boards.shell.sdram_chip import SdramChip, clocks
from spatten_hw.errors import UserError
from spatten_hw.presets import SMALL
from tests.boards.axi_master import AxiMaster, drained, seeded, simulate
from tests.boards.sdram_chip import FILL, ChipModel, Command

SIZE = 4096
WIDTHS = {bits: SMALL.replace(axi_data_bits=bits) for bits in (32, 64, 128)}
#: Small, so that rows, banks and the end of memory are all met; up within a few clocks.
CHIP = SdramChip(row_bits=3, column_bits=6, t_init=1000)
PINS = ("clk_en", "cs", "ras", "cas", "we", "ba", "a", "dqm", "dq_o", "dq_oe")


def phases(*masters: AxiMaster, end: int):
    """Each master in its own part of memory: writes, then both, then reads, over the end of memory too."""
    share = end // len(masters)

    async def bench(ctx):
        for n, master in enumerate(masters):
            master.random(30, master.write, n * share, (n + 1) * share)
        await drained(ctx, *masters)
        for n, master in enumerate(masters):
            middle = n * share + share // 2
            master.random(25, master.read, n * share, middle)
            master.random(25, master.write, middle, (n + 1) * share)
        await drained(ctx, *masters)
        for n, master in enumerate(masters):
            master.random(30, master.read, n * share, (n + 1) * share)
        await drained(ctx, *masters)
        master.write(master.size - master.config.beat_bytes, 3)
        await drained(ctx, *masters)
        master.read(master.size - 2 * master.config.beat_bytes, 4)
        await drained(ctx, *masters)
    return bench


@pytest.mark.parametrize("bits", WIDTHS)
def test_block_ram(bits):
    c = WIDTHS[bits]
    top = BlockRamMemory(c, SIZE)
    master = AxiMaster(top.port, c, SIZE, seeded())
    simulate(top, phases(master, end=SIZE), master)


@pytest.mark.parametrize("kind", ["read", "write"])
def test_block_ram_moves_a_beat_a_clock(kind):
    top = BlockRamMemory(SMALL, SIZE)
    master = AxiMaster(top.port, SMALL, SIZE, seeded(), stall=0)
    took = []

    async def bench(ctx):
        for n in range(12):
            getattr(master, kind)(n * 64, 8)
        while not master.idle:
            took.append(1)
            await ctx.tick()
    simulate(top, bench, master)
    # Twelve bursts of eight beats, latency, and for writes a clock between bursts.
    assert len(took) <= 96 + 8 + (12 if kind == "write" else 0)


def test_two_masters_share_a_memory():
    rng = seeded()
    top = Module()
    top.submodules.arbiter = arbiter = MemoryArbiter(SMALL)
    top.submodules.memory = memory = BlockRamMemory(SMALL, SIZE)
    connect(top, arbiter.memory, memory.port)
    masters = [AxiMaster(port, SMALL, SIZE, rng, stall) for port, stall in (
        (arbiter.accelerator, 0.1), (arbiter.bridge, 0.6))]
    simulate(top, phases(*masters, end=SIZE), *masters)


def sdram(c, chip, clock_hz, pin_clocks=0):
    """An SDRAM with its chip: the component, the model, and what moves the pins."""
    top = SdramMemory(c, chip, clock_hz, pin_clocks)
    model = ChipModel(chip, clock_hz, pin_clocks)

    async def step(ctx):
        while True:
            driven = model.step({name: ctx.get(getattr(top.sdram, name)) for name in PINS})
            # Nobody drives: the pins hold anything.
            ctx.set(top.sdram.dq_i, 0xBAD if driven is None else driven)
            await ctx.tick()
    return top, model, step


@pytest.mark.parametrize("bits, clock_hz, cas, pin_clocks", [
    (64, 25_000_000, 2, 0), (64, 100_000_000, 2, 2), (32, 48_000_000, 3, 0), (128, 80_000_000, 3, 1)])
def test_sdram(bits, clock_hz, cas, pin_clocks):
    c = WIDTHS[bits]
    # Refreshes come four times as often as they must, to meet everything.
    chip = dataclasses.replace(CHIP, cas_latency=cas, t_refi=2000)
    top, model, step = sdram(c, chip, clock_hz, pin_clocks)
    master = AxiMaster(top.port, c, chip.size, seeded(), fill=FILL & 0xFF)
    simulate(top, phases(master, end=chip.size), master, step=step)
    assert model.counts[Command.REFRESH] > 8 + 10 and master.beats > 100


def test_sdram_reads_an_open_row_without_gaps():
    top, model, step = sdram(SMALL, dataclasses.replace(CHIP, column_bits=9), 50_000_000)
    master = AxiMaster(top.port, SMALL, model.chip.size, seeded(), stall=0, fill=FILL & 0xFF)
    marks = []

    async def bench(ctx):
        while not model.ready:
            await ctx.tick()
        master.read(0, 96)
        while not master.idle:
            marks.append(master.beats)
            await ctx.tick()
    simulate(top, bench, master, step=step)
    # Four clocks a beat: all that the chip's pins carry.
    first = next(i for i, n in enumerate(marks) if n)
    refresh = clocks(CHIP.t_rfc, 50_000_000) + 2 * clocks(CHIP.t_rp, 50_000_000) + 10
    assert 4 * 94 <= len(marks) - first <= 4 * 96 + 2 * refresh


def test_sdram_waits_for_power_up_and_refreshes_when_idle():
    chip = dataclasses.replace(CHIP, t_init=3000, t_refi=1000)
    top, model, step = sdram(SMALL, chip, 25_000_000)

    async def bench(ctx):
        await ctx.tick().repeat(3 * 25 + 500)
    simulate(top, bench, step=step)
    # 20 µs at one a microsecond.
    assert 17 <= model.counts[Command.REFRESH] - 8 <= 21


def test_widths_that_the_sdram_cannot():
    with pytest.raises(UserError, match="axi_data_bits = 256"):
        SdramMemory(SMALL.replace(axi_data_bits=256), CHIP, 25_000_000)
    with pytest.raises(ValueError, match="columns of"):
        SdramChip(column_bits=11)
    assert SdramChip().size == 32 << 20
