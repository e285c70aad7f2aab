"""Addresses of the V rows that a slice reads from memory."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..primitives.pipeline import Pipeline
from ..primitives.products import STRIDE_STAGES, stride_product
from ..primitives.widths import wrap
from ..stream.job_layouts import STRIDE_BITS, head_stride_bits
from ..stream.layouts import value_entry
from ..stream.read_layouts import read_request, value_note
from ..stream.skid import SkidBuffer
from .value_layouts import planes

#: Cycles from an entry to its request: inputs of the products, the products, their sum, the skid buffer.
VALUE_READS_LATENCY = STRIDE_STAGES + 3


def value_read(c: SpAttenConfig) -> data.StructLayout:
    """One V row to be read: that of `entry` for its members, MSB or LSB plane."""
    return data.StructLayout({"entry": value_entry(c), "lsb": 1})


class ValueReads(wiring.Component):
    """Requests of V rows in the order of `i`, one per cycle, latency `VALUE_READS_LATENCY`.

    Slice `number` has tokens of class b = (number − kv_head) mod S: token index·S + b is row index·(S/C) + b div C of
    its channel's part of the plane. `i.ready` is a register: the enable of all stages.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "number": In(c.slice_bits),
            "base": In(planes(c.axi_addr_bits)),
            "head_stride": In(planes(head_stride_bits(c))),
            "token_stride": In(planes(STRIDE_BITS)),
            "beats": In(planes(c.beats_bits)),
            "i": In(stream.Signature(value_read(c))),
            "o": Out(stream.Signature(read_request(c, value_note(c)))),
            "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.skid = skid = SkidBuffer(read_request(c, value_note(c)))
        wiring.connect(m, skid.o, wiring.flipped(self.o))
        moves = skid.i.ready
        stages = Pipeline(m, moves)
        entry = self.i.p.entry

        # Channel-local row: S/C classes of a channel lie between each other.
        token_class = wrap(self.number - entry.kv_head, clog2(c.slices))
        token, head, lsb = stages.stage([
            Cat(token_class[clog2(c.channels):], entry.index), entry.kv_head, self.i.p.lsb], "input")
        assert len(token) == clog2(c.slices_per_channel) + c.row_bits
        token_offset = stride_product(m, token, self.token_stride[lsb], c.axi_addr_bits, "token_offset", moves)
        head_offset = stride_product(m, head, self.head_stride[lsb], c.axi_addr_bits, "head_offset", moves)
        base, beats = (stages.delay(values[lsb], STRIDE_STAGES, name)
                       for name, values in (("base", self.base), ("beats", self.beats)))
        address = Signal(c.axi_addr_bits, reset_less=True)
        with m.If(moves):
            m.d.sync += address.eq(wrap(base + head_offset + token_offset, c.axi_addr_bits))

        note = Signal(value_note(c))
        m.d.comb += [
            note.slice.eq(self.number[clog2(c.channels):clog2(c.slices)]),
            note.item.eq(entry.item), note.sum.eq(entry.sum), note.row.eq(entry.row),
            note.lsb.eq(self.i.p.lsb), note.refetched.eq(entry.refetched),
            # Only who uses LSBs multiplies them.
            note.members.eq(entry.members & (entry.refetched | ~self.i.p.lsb.replicate(c.max_group))),
        ]
        depth = VALUE_READS_LATENCY - 1
        valid = Signal(depth)
        with m.If(moves):
            m.d.sync += valid.eq(Cat(self.i.valid, valid[:-1]))
        m.d.comb += [
            self.i.ready.eq(moves),
            skid.i.valid.eq(valid[-1]), skid.i.p.addr.eq(address), skid.i.p.beats.eq(stages.delay(beats, 1, "late")),
            skid.i.p.note.eq(stages.delay(note, depth, "note")),
            self.busy.eq(valid.any() | self.o.valid),
        ]
        return m
