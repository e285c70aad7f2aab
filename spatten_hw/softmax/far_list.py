"""LSBs by key: which keys of a gang are far from the largest of every member."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import always_taken, contract
from ..primitives.pipeline import delay
from ..primitives.widths import wrap
from ..stream.fifo import never_full
from .exponent import Exponent
from .formats import Y_BITS
from .rows import exponent_row, vector_info
from .vector_reader import VectorReader

#: Vectors between the reader of the scores and their exponents, at one per cycle: those under way, and three for the
#: queue itself (one coming in, one inside, one on its way out).
VECTORS = VectorReader.ROWS + Exponent.LATENCY + 3


def far_row(c: SpAttenConfig) -> data.StructLayout:
    """Row of a gang: bit s of `far`: the key of slice s is far for all members; `last` of its rows."""
    return data.StructLayout({"far": unsigned(c.slices), "last": 1})


class FarList(wiring.Component):
    """Keys whose exponent y exceeds `margin` for every member of the gang, row by row.

    `rows`: exponents, with `enable` those of first passes are noted; `info`: their vectors, in order, each before its
    first row. Both are always taken, and the rows behind them change nothing here. The list of a gang lies under its
    first slot: the first member that comes writes it, each other one takes keys off. `LATENCY` cycles after a member's
    last row it is complete for this member. `read[n]` (slot below row) → `found[n]`, `far_row`, one cycle later, until
    another gang begins with that slot; that one needs all slots of this one.
    """

    #: Compared; read; written.
    LATENCY = 3
    READERS = 2

    enable: Signal
    margin: Signal
    rows: stream.Interface
    info: stream.Interface
    read: data.View
    found: data.View

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.address_bits = c.slot_bits + c.row_bits
        super().__init__({
            "enable": In(1), "margin": In(Y_BITS),
            "rows": In(stream.Signature(exponent_row(c))),
            "info": In(stream.Signature(vector_info(c))),
            "read": In(data.ArrayLayout(unsigned(self.address_bits), self.READERS)),
            "found": Out(data.ArrayLayout(far_row(c), self.READERS)),
        })

    def _far(self, row: data.View, s: int) -> Value:
        """The key of slice `s` is far for the member; one that it does not see is so, too."""
        distant = row.y[s] > self.margin
        if self.config.chunk_queries:
            return row.info.there[s] & (~row.info.live[s] | distant)
        return row.info.live[s] & distant

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.infos = infos = never_full(vector_info(c), VECTORS)
        wiring.connect(m, wiring.flipped(self.info), infos.i)
        row, info = self.rows.p, infos.o.p
        m.d.comb += self.rows.ready.eq(1)
        m.d.comb += infos.o.ready.eq(self.rows.valid & row.info.last)

        # Compared.
        valid = Signal()
        far = Signal(c.slices, reset_less=True)
        first = Signal(reset_less=True)
        last = Signal(reset_less=True)
        slot = Signal(c.slot_bits, reset_less=True)
        gang = Signal(c.max_group.bit_length(), reset_less=True)
        m.d.sync += [
            valid.eq(self.rows.valid & self.enable & info.may_refetch), first.eq(row.info.first),
            last.eq(row.info.last), gang.eq(info.tag.gang),
            slot.eq(wrap(info.slot - (info.tag.item - info.tag.first), c.slot_bits)),
            far.eq(Cat(self._far(row, s) for s in range(c.slices))),
        ]

        # Read: the row's place, and how many members have come.
        seen = Array([Signal(c.max_group.bit_length(), name=f"seen_{n}") for n in range(c.slots)])
        number = Signal(c.row_bits)
        place = Signal(c.row_bits)
        m.d.comb += place.eq(Mux(first, 0, number))
        with m.If(valid):
            m.d.sync += number.eq(place + 1)
            with m.If(last):
                m.d.sync += seen[slot].eq(Mux(seen[slot] + 1 == gang, 0, seen[slot] + 1))
        address = Cat(slot, place)

        # Written, with what is left of the list.
        writes = delay(m, valid, 1, "writes", reset=True)
        write_address = delay(m, address, 1, "write_address")
        mine = delay(m, far, 1, "mine")
        fresh = delay(m, seen[slot] == 0, 1, "fresh")
        ends = delay(m, last, 1, "ends")
        so_far = Signal(c.slices)
        written = Signal(far_row(c))
        m.d.comb += [written.far.eq(mine & (so_far | fresh.replicate(c.slices))), written.last.eq(ends)]
        # A row of the member behind may come in the next cycle, before this one can be read.
        same = delay(m, writes & (write_address == address), 1, "same")
        forwarded = delay(m, written.far, 1, "forwarded")
        for name, where in (("own", address), *((f"reader_{n}", self.read[n]) for n in range(self.READERS))):
            memory = Memory(shape=far_row(c), depth=1 << self.address_bits, init=[])
            m.submodules[name] = memory
            write, port = memory.write_port(), memory.read_port(transparent_for=())
            m.d.comb += [write.addr.eq(write_address), write.data.eq(written), write.en.eq(writes),
                         port.addr.eq(where), port.en.eq(1)]
            if name == "own":
                m.d.comb += so_far.eq(Mux(same, forwarded, port.data.far))
            else:
                m.d.comb += self.found[int(name[-1])].eq(port.data)
        contract(m, infos.o.valid, "a row's vector is known", when=self.rows.valid)
        contract(m, place < c.max_rows, "no vector has more rows than max_rows", when=valid)
        always_taken(m, infos.i, "vectors")
        return m
