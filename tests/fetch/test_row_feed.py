"""RowFeed (buffer, steps, converter): every width, plane and head dimension, at every geometry of chunk and beat."""

from functools import cache

import numpy as np
import pytest
from amaranth import Module, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spatten_hw.bus.row_beat import row_beat
from spatten_hw.config import SpAttenConfig
from spatten_hw.fetch.row_feed import RowFeed, feed_depth
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import Elements
from spatten_hw.stream.read_layouts import operand_chunk, plane_mode
from tests.seeds import numbers

from .row_model import beats_of, cases, chunk_operands, operands, plan

TINY = SpAttenConfig(multipliers=8, chunk=8, max_dim=24, operand_bits=16, max_tokens=64, sram_tokens=16, max_heads=4,
                     max_group=2, slots=2, topk_lanes=1, channels=1, axi_data_bits=32, axi_addr_bits=16, reads=16,
                     pool_beats=64)
#: N × 8 bits equal to a beat; pieces of several beats; several pieces in a beat.
BUILDS = {
    "N 8, 32 bits": TINY,
    "N 32, 256 bits": TINY.replace(multipliers=32, chunk=32, max_dim=128, operand_bits=12, axi_data_bits=256),
    "N 32, 64 bits": TINY.replace(multipliers=32, chunk=32, max_dim=32, operand_bits=12, axi_data_bits=64),
    "N 16, 512 bits": TINY.replace(multipliers=16, chunk=16, max_dim=80, axi_data_bits=512),
    "N 4, 6 bits": TINY.replace(multipliers=4, chunk=4, max_dim=20, operand_bits=6),
    "N 16, 256 bits": TINY.replace(multipliers=16, chunk=16, max_dim=48, operand_bits=14, axi_data_bits=256),
}
ERRORS = 7                                                   # one beat in so many has an error
Kind = tuple[int, bool, bool, int]                           # width, lsb, shift, head dimension


def note_of(c: SpAttenConfig) -> data.StructLayout:
    return data.StructLayout({"mode": plane_mode(c), "tag": unsigned(10)})


class Rig(wiring.Component):
    """A feed whose rows say themselves how they become operands."""

    def __init__(self, name: str):
        self.config = c = BUILDS[name]
        super().__init__({"i": In(stream.Signature(row_beat(c, note_of(c)))),
                          "o": Out(stream.Signature(operand_chunk(c, note_of(c)))), "ended": Out(1), "idle": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.feed = feed = RowFeed(self.config, note_of(self.config))
        connect(m, flipped(self.i), feed.i)
        connect(m, feed.o, flipped(self.o))
        m.d.comb += [feed.mode.eq(feed.ahead.mode), self.ended.eq(feed.ended), self.idle.eq(feed.idle)]
        return m


@cache
def block_of(name: str) -> Block:
    return Block(Rig, name)


def send(block: Block, c: SpAttenConfig, kinds: list[Kind], rng: np.random.Generator, **how) -> list:
    """Sends a row of each kind; returns what should come of it: (operands [chunks, N], error)."""
    columns = {key: [] for key in ("error", "first", "last", "beats", "tag", "width", "lsb", "shift", "chunks")}
    beats, wanted = [], []
    for number, (width, lsb, shift, dim) in enumerate(kinds):
        n = beats_of(c, width, dim)
        bits = rng.integers(0, 2, (n, c.axi_data_bits), dtype=np.uint8) if number > 1 else \
            np.full((n, c.axi_data_bits), number, dtype=np.uint8)
        errors = rng.integers(0, ERRORS, n) == 0
        beats.append(bits)
        said = {"error": errors, "first": np.arange(n) == 0, "last": np.arange(n) == n - 1, "beats": n, "tag": number,
                "width": width, "lsb": lsb, "shift": shift, "chunks": dim // c.chunk}
        for key, value in said.items():
            columns[key].append(np.broadcast_to(value, n).astype(int))
        values = operands(c, bits.ravel(), width, dim, lsb, shift) & ((1 << c.operand_bits) - 1)
        wanted.append((values.reshape(-1, c.chunk), bool(errors.any())))
    column = {key: np.concatenate(parts) for key, parts in columns.items()}
    block.send("i", {"data": Elements(np.packbits(np.concatenate(beats), axis=1, bitorder="little").astype(int), 8),
                     **{key: column[key] for key in ("error", "first", "last", "beats")},
                     "note": {"tag": column["tag"],
                              "mode": {key: column[key] for key in ("width", "lsb", "shift", "chunks")}}}, **how)
    return wanted


def check(c: SpAttenConfig, out: dict, wanted: list) -> None:
    """Rows in order, each whole."""
    got = chunk_operands(c, out["data"])
    at = 0
    for row, (values, error) in enumerate(wanted):
        n = len(values)
        assert (got[at:at + n] == values).all(), row
        assert out["chunk"][at:at + n].tolist() == list(range(n))
        assert out["last"][at:at + n].tolist() == [0] * (n - 1) + [1]
        assert out["error"][at + n - 1] == error and (np.diff(out["error"][at:at + n]) >= 0).all()
        assert (out["note"]["tag"][at:at + n] == row).all()
        at += n
    assert at == len(got)


def every_kind(c: SpAttenConfig) -> list[Kind]:
    return [(*kind, d) for kind in cases(c) for d in c.dims]


@pytest.mark.parametrize("name", BUILDS)
@pytest.mark.parametrize(("slow_in", "slow_out"), [(0.0, 0.0), (0.4, 0.0), (0.0, 0.4), (0.5, 0.5), (0.0, 0.9)])
def test_rows_of_every_kind(name, slow_in, slow_out):
    """Every kind of row behind every other, whoever is slow."""
    c, block = BUILDS[name], block_of(name)
    rng = numbers("rows", name, slow_in, slow_out)
    kinds = [k for k in every_kind(c) for _ in range(6 if slow_out < 0.8 else 1)]
    kinds = [kinds[n] for n in rng.permutation(len(kinds))]
    block.receive("o", stall=slow_out, seed=len(kinds))
    block.high("ended")
    wanted = send(block, c, kinds, rng, stall=slow_in, seed=3)
    chunks = sum(len(values) for values, _ in wanted)
    block.run(200 + 40 * sum(plan(c, w, d) for w, _, _, d in kinds), o=chunks)
    check(c, block.taken("o").columns(), wanted)
    assert block.high("ended") == len(kinds)
    block.idle(4)
    assert block.get("idle")


@pytest.mark.parametrize("name", BUILDS)
def test_rate(name):
    """A row every so many cycles as it has steps: one per chunk or per beat, whichever are more."""
    c, block = BUILDS[name], block_of(name)
    rng = numbers("rate", name)
    for width, lsb, shift, dim in every_kind(c):
        steps, rows = plan(c, width, dim), 40
        block.receive("o")
        wanted = send(block, c, [(width, lsb, shift, dim)] * rows, rng)
        block.run(300 + rows * steps, o=rows * dim // c.chunk)
        out = block.taken("o")
        check(c, out.columns(), wanted)
        # The second row, the first one to wait, is a cycle later. While the buffer fills, none comes faster.
        apart = np.diff(out.cycles[out.columns()["last"] == 1])
        assert (apart[1:] == steps).all() and apart[0] in (steps, steps + 1), (width, dim)
        block.idle(4)


@pytest.mark.parametrize("name", BUILDS)
def test_latency(name):
    """Of a lone row: its first chunk leaves `LATENCY` cycles behind the beat that completes it, if that is the one that
    its step needs last."""
    c, block = BUILDS[name], block_of(name)
    rng = numbers("latency", name)
    width = next(w for w in (8, 4) if w <= c.operand_bits)
    n = beats_of(c, width, c.chunk)
    block.receive("o")
    send(block, c, [(width, False, False, c.chunk)] * 8, rng, at=block.cycle + np.repeat(np.arange(8) * 60, n))
    block.run(800, o=8)
    assert set(block.taken("o").cycles - block.taken("i").cycles[n - 1::n]) == {RowFeed.LATENCY}
    block.idle(4)


@pytest.mark.parametrize("name", BUILDS)
def test_room(name):
    """While nothing is taken, as many beats go in as there is room for, and rows of some beats in the pipeline."""
    c, block = BUILDS[name], block_of(name)
    rng = numbers("room", name)
    n = beats_of(c, c.operand_bits, c.max_dim)
    rows = 3 * feed_depth(c) // n + 3
    block.receive("o", stall=0.99999)
    wanted = send(block, c, [(c.operand_bits, False, False, c.max_dim)] * rows, rng)
    block.idle(6 * feed_depth(c))
    # Chunks of two rows may have left the buffer beside those taken at first; a row keeps its room until its end.
    left = block.taken("o").fired // (c.max_dim // c.chunk) + 2
    assert feed_depth(c) <= block.taken("i").fired <= feed_depth(c) + left * n
    taken = block.taken("o").fired
    block.receive("o")
    block.run(300 + rows * plan(c, c.operand_bits, c.max_dim), o=sum(len(v) for v, _ in wanted) - taken)
    block.idle(4)


@pytest.mark.parametrize(("name", "width", "dim", "steps"), [
    ("N 32, 256 bits", 8, 128, 4), ("N 32, 256 bits", 12, 64, 3), ("N 32, 256 bits", 12, 128, 6),
    ("N 32, 256 bits", 4, 128, 4), ("N 32, 256 bits", 10, 128, 5), ("N 32, 64 bits", 12, 32, 6),
    ("N 32, 64 bits", 6, 32, 3), ("N 8, 32 bits", 16, 24, 12), ("N 8, 32 bits", 14, 24, 11),
])
def test_steps_of_a_row(name, width, dim, steps):
    """As many as beats or chunks, whichever is more."""
    c = BUILDS[name]
    assert plan(c, width, dim) == steps == max(beats_of(c, width, dim), dim // c.chunk)
