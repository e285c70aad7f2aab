"""Walk of a gang: row by row, which slices multiply a V row for which of the gang's members."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..primitives.widths import wrap
from ..stream.fifo import never_full
from ..stream.layouts import value_entry
from ..stream.skid import SkidBuffer
from .kept_bits import KeptBits
from .value_layouts import freed_items, gang_entry


def gang_job(c: SpAttenConfig) -> data.StructLayout:
    """A gang whose last vector has begun to arrive: items first … first + gang − 1 (modulo `items`)."""
    return data.StructLayout({
        "first": unsigned(c.item_bits), "gang": unsigned(c.max_group.bit_length()), "kv_head": unsigned(c.head_bits),
        "half": 1, "stream": 1,
    })


class GangWalk(wiring.Component):
    """Memory of kept bits, and the walk over its rows.

    i: gangs of which only the newest may still be arriving. The walk follows its rows: what is written in a cycle can
        be read in the next one. Each takes `gang` consecutive sums of the ring as soon as they are free, which go with
        it to the slices and to the output tree (`gangs`). entries[s]: one per row in which slice s keeps a row for a
        member, and one with `last` in the gang's last row. A row leaves for all slices at once, into their skid
        buffers: the walk stalls while one of them is full.
    walked: items of a gang whose last row has got its indexes, in that cycle.
    write …: see `KeptBits`; first, last: the gang of the row that is written, and whether it is its vector's last.
        list_row, list_indexes, half_filled, freed: see `GangGather`.
    Rate: one row per cycle, no gap between gangs. Latency 4 cycles from `i` to the entries of row 0.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "i": In(stream.Signature(gang_job(c))),
            "write": In(1), "item": In(c.item_bits), "row": In(c.row_bits), "bits": In(c.slices), "refetched": In(1),
            "first": In(c.item_bits), "last": In(1),
            "half_filled": In(2),
            "list_row": Out(c.row_bits),
            "list_indexes": In(data.ArrayLayout(unsigned(c.row_bits), c.slices)),
            "entries": Out(stream.Signature(value_entry(c))).array(c.slices),
            "gangs": Out(stream.Signature(gang_entry(c))),
            "freed": In(freed_items(c)), "walked": Out(c.max_group.bit_length()),
            "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.kept = kept = KeptBits(c)
        m.submodules.walked_gangs = walked = never_full(gang_entry(c), c.sums)
        wiring.connect(m, walked.o, wiring.flipped(self.gangs))
        moves = Signal()

        # The gang that is walked and the row whose kept bits and indexes are read.
        active = Signal()
        job = Signal(gang_job(c), reset_less=True)
        row = Signal(c.row_bits, reset_less=True)
        total = Signal(c.sum_bits, reset_less=True)
        next_sum = Signal(c.sum_bits)
        free = Signal(range(c.sums + 1), init=c.sums)
        begin = Signal(name="begins")
        at_last = Signal()

        # The vector that arrives: rows 0 … newest of it are there. Its last row is kept for the walk of its gang.
        arriving = Signal()
        arriving_first = Signal(c.item_bits, reset_less=True)
        newest = Signal(c.row_bits, reset_less=True)
        m.submodules.last_rows = last_rows = Memory(shape=unsigned(c.row_bits), depth=1 << c.item_bits, init=[])
        w, r = last_rows.write_port(), last_rows.read_port(domain="comb")
        incomplete = Signal()
        there = Signal()
        m.d.comb += [
            w.addr.eq(self.first), w.data.eq(self.row), w.en.eq(self.write & self.last), r.addr.eq(job.first),
            incomplete.eq(arriving & (arriving_first == job.first)), there.eq(~incomplete | (row <= newest)),
        ]
        with m.If(self.write):
            m.d.sync += [arriving.eq(~self.last), arriving_first.eq(self.first), newest.eq(self.row)]
        # Compared a cycle ahead: sums that come back in this cycle count from the next one on.
        wanted = self.i.p.gang
        m.d.comb += [
            at_last.eq(~incomplete & (row == r.data)),
            self.i.ready.eq((~active | (moves & at_last)) & (free >= wanted)
                            & (self.i.p.stream | self.half_filled.bit_select(self.i.p.half, 1))),
            begin.eq(self.i.valid & self.i.ready),
            walked.i.valid.eq(begin), walked.i.p.item.eq(self.i.p.first), walked.i.p.sum.eq(next_sum),
            walked.i.p.gang.eq(wanted),
        ]
        m.d.sync += free.eq(free - Mux(begin, wanted, 0) + Mux(self.freed.valid, self.freed.gang, 0))
        with m.If(begin):
            m.d.sync += [active.eq(1), job.eq(self.i.p), row.eq(0), total.eq(next_sum),
                         next_sum.eq(wrap(next_sum + wanted, c.sum_bits))]
        with m.Elif(active & moves & there):
            m.d.sync += [active.eq(~at_last), row.eq(wrap(row + 1, c.row_bits))]

        # The row whose bits and indexes are there.
        read_valid = Signal()
        read_last = Signal(reset_less=True)
        read_job, read_row, read_total = (Signal.like(s, name=f"read_{n}", reset_less=True)
                                          for n, s in (("job", job), ("row", row), ("total", total)))
        with m.If(moves):
            m.d.sync += [read_valid.eq(active & there), read_last.eq(at_last), read_job.eq(job), read_row.eq(row),
                         read_total.eq(total)]
        m.d.comb += [
            kept.write.eq(self.write), kept.item.eq(self.item), kept.row.eq(self.row), kept.bits.eq(self.bits),
            kept.refetched.eq(self.refetched),
            kept.read.eq(moves), kept.first.eq(job.first), kept.read_row.eq(row),
            # The lists have no enable: while the walk stalls they show the same row again.
            self.list_row.eq(Mux(moves, row, read_row)),
            self.walked.eq(Mux(read_valid & read_last & moves, read_job.gang, 0)),
        ]

        # The entries of a row.
        valid = Signal()
        last = Signal(reset_less=True)
        common = Signal(value_entry(c), reset_less=True)
        members = Signal(data.ArrayLayout(unsigned(c.max_group), c.slices), reset_less=True)
        indexes = Signal(data.ArrayLayout(unsigned(c.row_bits), c.slices), reset_less=True)
        in_gang = Cat(read_job.gang > i for i in range(c.max_group))
        with m.If(moves):
            m.d.sync += [
                valid.eq(read_valid), last.eq(read_last), common.item.eq(read_job.first), common.sum.eq(read_total),
                common.refetched.eq(kept.members_refetched & in_gang), common.row.eq(read_row),
                common.kv_head.eq(read_job.kv_head), common.half.eq(read_job.half), common.stream.eq(read_job.stream),
                *(members[s].eq(kept.members[s] & in_gang) for s in range(c.slices)),
                *(indexes[s].eq(index) for s, index in enumerate(self._by_slice(m, read_job.kv_head))),
            ]
        skids = []
        for s in range(c.slices):
            m.submodules[f"entry{s}"] = skid = SkidBuffer(value_entry(c))
            wiring.connect(m, skid.o, wiring.flipped(self.entries[s]))
            m.d.comb += [
                skid.i.valid.eq(valid & moves & (members[s].any() | last)),
                skid.i.payload.eq(common), skid.i.p.members.eq(members[s]), skid.i.p.index.eq(indexes[s]),
                skid.i.p.last.eq(last),
            ]
            skids.append(skid)
        # Registers all: full or not.
        m.d.comb += [
            moves.eq(Cat(skid.i.ready for skid in skids).all()),
            self.busy.eq(active | read_valid | valid | (free != c.sums) | self.gangs.valid | (walked.level != 0)
                         | Cat(skid.o.valid for skid in skids).any()),
        ]
        contract(m, free <= c.sums, "no more sums come back than were given out")
        contract(m, wanted <= c.sums, "a gang has room in the ring of sums", when=self.i.valid)
        return m

    def _by_slice(self, m: Module, kv_head: Signal) -> list[Signal]:
        """`list_indexes` by slice: that of slice s is the one of class (s − kv_head) mod S."""
        c = self.config
        values = [self.list_indexes[s] for s in range(c.slices)]
        for step in range(min(clog2(c.slices), c.head_bits)):
            turned = []
            for s in range(c.slices):
                value = Signal(c.row_bits, name=f"index{step}_{s}")
                m.d.comb += value.eq(Mux(kv_head[step], values[s - (1 << step)], values[s]))
                turned.append(value)
            values = turned
        return values
