"""RowSteps and ChunkConverter together: every width, plane and head dimension, at every geometry of chunk and beat."""

from functools import cache

import numpy as np
import pytest
from amaranth import Cat, Module
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spatten_hw.bus.row_step import read_note, row_step, step_control
from spatten_hw.bus.row_steps import RowSteps, row_start
from spatten_hw.config import SpAttenConfig, clog2
from spatten_hw.fetch.converter import ChunkConverter
from spatten_hw.sim.harness.block import Block
from spatten_hw.stream.read_layouts import operand_chunk
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


def contents(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Beats [ids, beats, bits] of the rows, and their errors [ids, beats]."""
    c = BUILDS[name]
    rng = np.random.default_rng(len(name))
    shape = (c.reads, 1 << clog2(c.most_beats))
    bits = rng.integers(0, 2, (*shape, c.axi_data_bits), dtype=np.uint8)
    bits[:2] = np.array([0, 1], dtype=np.uint8)[:, None, None]
    return bits, (rng.integers(0, ERRORS, shape) == 0).astype(np.uint8)


class Rig(wiring.Component):
    """Row starts → operand chunks; beats from a memory without latency. `steps` shows every step."""

    def __init__(self, name: str):
        self.name = name
        self.config = c = BUILDS[name]
        super().__init__({"i": In(stream.Signature(row_start(c))),
                          "steps": Out(stream.Signature(row_step(c, read_note(c)))),
                          "o": Out(stream.Signature(operand_chunk(c, read_note(c))))})

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.steps = steps = RowSteps(c)
        m.submodules.converter = converter = ChunkConverter(c, read_note(c))
        bits, errors = contents(self.name)
        words = [int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little") | int(e) << c.axi_data_bits
                 for row, e in zip(bits.reshape(-1, c.axi_data_bits), errors.ravel(), strict=True)]
        m.submodules.rows = rows = memory.Memory(shape=c.axi_data_bits + 1, depth=len(words), init=words)
        read = rows.read_port(domain="comb")
        step, command = self.steps.payload, steps.o.payload
        beat = command.beat[:clog2(c.most_beats)]
        connect(m, flipped(self.i), steps.i)
        connect(m, converter.o, flipped(self.o))
        m.d.comb += [
            read.addr.eq(Cat(beat, command.id)), Cat(step.data, step.error).eq(read.data),
            *[getattr(step, key).eq(getattr(command, key)) for key in step_control(c)], step.note.eq(command.note),
            self.steps.valid.eq(steps.o.valid), steps.o.ready.eq(self.steps.ready),
            converter.i.valid.eq(self.steps.valid & self.steps.ready & ~command.note.bits[0]),
            converter.i.payload.eq(step),
        ]
        return m


@cache
def block_of(name: str) -> Block:
    return Block(Rig, name)


def run(name: str, rows: list[tuple[int, int, bool, bool, int]], stall: float, limit: int):
    """`rows`: (id, width, lsb, shift, dim), checked. Returns the transfers of rows, steps and chunks."""
    c = BUILDS[name]
    bits, errors = contents(name)
    block = block_of(name)
    ids, width, lsb, shift, dim = (np.array(column) for column in zip(*rows, strict=True))
    chunks = dim // c.chunk
    block.receive("steps", stall=stall, seed=len(rows))
    block.receive("o")
    block.send("i", {"id": ids, "beats": np.array([beats_of(c, w, d) for w, d in zip(width, dim, strict=True)]),
                     "mode": {"width": width, "lsb": lsb, "shift": shift, "chunks": chunks},
                     "note": {"origin": np.arange(len(rows)) % 3}}, stall=stall, seed=3)
    block.run(limit, o=int(chunks.sum()))
    out = block.taken("o").columns()
    got = chunk_operands(c, out["data"])
    at = 0
    for row, (i, w, is_lsb, shifted, d) in enumerate(rows):
        n = d // c.chunk
        want = operands(c, bits[i].ravel(), w, d, is_lsb, shifted) & ((1 << c.operand_bits) - 1)
        assert (got[at:at + n] == want.reshape(n, c.chunk)).all(), (row, w, is_lsb, shifted, d)
        assert out["chunk"][at:at + n].tolist() == list(range(n))
        assert out["last"][at:at + n].tolist() == [0] * (n - 1) + [1]
        assert out["error"][at + n - 1] == errors[i, :beats_of(c, w, d)].any()
        assert (np.diff(out["error"][at:at + n]) >= 0).all()
        assert (out["note"]["origin"][at:at + n] == row % 3).all()
        at += n
    return block.taken("i"), block.taken("steps"), block.taken("o")


@pytest.mark.parametrize("name", BUILDS)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_rows_of_every_kind(name, stall):
    c = BUILDS[name]
    rng = numbers("rows", name, stall)
    kinds = [(*kind, d) for kind in cases(c) for d in c.dims]
    order = rng.permutation(np.repeat(np.arange(len(kinds)), 6))
    rows = [(int(rng.integers(c.reads)), *kinds[k]) for k in order]
    total = sum(plan(c, w, d) for _, w, _, _, d in rows)
    sent, steps, out = run(name, rows, stall, 6 * total + 200)
    if stall == 0:
        # Steps as few as planned, back to back, one cycle behind the row; chunks two cycles behind their steps.
        assert steps.fired == total and steps.bubbles == 0
        assert steps.cycles[0] == sent.cycles[0] + 1
        emits = steps.cycles[steps.columns()["emit"] == 1]
        assert (out.cycles == emits + ChunkConverter.LATENCY).all()


@pytest.mark.parametrize(("name", "width", "dim", "steps"), [
    ("N 32, 256 bits", 8, 128, 4), ("N 32, 256 bits", 12, 64, 3), ("N 32, 256 bits", 12, 128, 6),
    ("N 32, 256 bits", 4, 128, 4), ("N 32, 256 bits", 10, 128, 5), ("N 32, 64 bits", 12, 32, 6),
    ("N 32, 64 bits", 6, 32, 3), ("N 8, 32 bits", 16, 24, 12), ("N 8, 32 bits", 14, 24, 11),
])
def test_steps_of_a_row(name, width, dim, steps):
    """As many as beats or chunks, whichever is more."""
    c = BUILDS[name]
    assert plan(c, width, dim) == steps == max(beats_of(c, width, dim), dim // c.chunk)


def test_words_pass_in_order():
    """Rows of words: every beat in order, one per step."""
    name = "N 8, 32 bits"
    c = BUILDS[name]
    rng = numbers("words")
    beats = rng.integers(1, c.most_beats + 1, 40)
    ids = rng.integers(0, c.reads, 40)
    block = block_of(name)
    block.receive("steps", stall=0.3)
    block.send("i", {"id": ids, "raw": 1, "beats": beats, "note": {"bits": 1}})
    block.run(2000, steps=int(beats.sum()))
    out = block.taken("steps").columns()
    bits, errors = contents(name)
    want = np.concatenate([bits[i, :n] for i, n in zip(ids, beats, strict=True)]).astype(np.int64)
    assert (out["data"] == want @ (1 << np.arange(c.axi_data_bits))).all()
    assert (out["error"] == np.concatenate([errors[i, :n] for i, n in zip(ids, beats, strict=True)])).all()
    assert (out["loads"] != 0).all() and (out["emit"] == 1).all()
    assert (np.flatnonzero(out["last"]) == np.cumsum(beats) - 1).all()
    assert (np.flatnonzero(out["first"]) == np.cumsum(beats) - beats).all()
