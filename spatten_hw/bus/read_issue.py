"""Which reads of a memory channel go out, and when: priority, AXI ids, room for their beats, bursts within pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from ..config import PAGE_BYTES, SpAttenConfig, clog2
from ..contract import contract
from ..primitives.widths import narrow, resize, wrap
from ..stream.fifo import StreamFifo
from ..stream.read_layouts import ReadKind, key_note, read_request, shared_note, value_note
from ..stream.skid import SkidBuffer
from .axi import LEN_BITS, ar_layout
from .row_beat import ReadClass, read_lsb, read_note

if TYPE_CHECKING:
    import enum  # the same with types
else:
    from amaranth.lib import enum


class AskedClass(enum.Enum, shape=3):
    """What a read is counted as."""

    Q = 0
    K_MSB = 1
    K_LSB = 2
    V_MSB = 3
    V_LSB = 4
    OTHER = 5


def issued_read(c: SpAttenConfig) -> data.StructLayout:
    """A read that goes out in this cycle, if `valid`: `beats` beats under `id`, for `note`."""
    return data.StructLayout({
        "valid": 1, "id": unsigned(c.id_bits), "beats": unsigned(c.beats_bits), "asked": AskedClass,
        "note": read_note(c),
    })


class ReadIssue(wiring.Component):
    """Read requests of three classes → AXI bursts.

    A request goes out when an id is free and all its beats have room, so that the R channel never waits. `shared` has
    priority, then `k` and `v`, `k` before `v` while `k_first`, but behind the other class of which there is enough; and
    one id and room for the longest read are only for `shared`: K rows that wait for their query cannot keep it from
    being read. A request across a page boundary becomes two bursts with the same id. Latency 2 cycles from a request
    to `ar`; one request per cycle, two cycles where it crosses. `start` ends the start-up, in which every place has
    been `released` once.
    """

    #: rows of K and V of generation, and everything else; `ready` from registers and the valid bits of the others
    k: stream.Interface
    v: stream.Interface
    shared: stream.Interface
    #: K rows go before V rows, else V rows before K rows
    k_first: Signal
    #: so many K (V) rows wait for their slices that the other class goes first
    k_enough: Signal
    v_enough: Signal
    #: AXI read addresses; all from registers
    ar: stream.Interface
    #: a place in the pool has become free (one per cycle)
    released: Signal
    #: an id has become free; always taken
    freed: stream.Interface
    #: the pool's memories are ready
    start: Signal
    #: the read that goes out (its first burst)
    issued: data.View
    #: no read has an id, none waits
    idle: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "k": In(stream.Signature(read_request(c, key_note(c)))),
            "v": In(stream.Signature(read_request(c, value_note(c)))),
            "shared": In(stream.Signature(read_request(c, shared_note(c)))),
            "ar": Out(stream.Signature(ar_layout(c))), "released": In(1), "k_first": In(1),
            "k_enough": In(1), "v_enough": In(1),
            "freed": In(stream.Signature(unsigned(c.id_bits))), "start": In(1), "issued": Out(issued_read(c)),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        second = Signal()                                   # the second burst of the request goes next
        request, valid, taken = self._choose(m, second)
        m.submodules.out = out = SkidBuffer(ar_layout(c))
        connect(m, out.o, wiring.flipped(self.ar))
        ids, ids_free = self._ids(m)

        room = Signal(range(c.pool_beats + 1))              # places that no read in flight needs
        goes = Signal()                                     # a new read goes out
        local = request.note.origin != ReadClass.SHARED
        wanted = request.beats + Mux(local, c.most_beats, 0)
        fits = (wanted <= room) & ids.o.valid & (~local | (ids_free > 1)) & self.start
        m.d.comb += [
            goes.eq(valid & ~second & fits & out.i.ready),
            ids.o.ready.eq(goes),
        ]
        m.d.sync += room.eq(room + self.released - Mux(goes, request.beats, 0))
        contract(m, room + self.released <= c.pool_beats, "no more places are free than there are")
        contract(m, ~goes | (request.beats <= room), "there is room for every beat asked for")
        contract(m, (request.beats != 0) & (request.beats <= c.most_beats), "a read has 1 to most_beats beats",
                 when=valid)

        # AXI: no burst crosses a page.
        page_beats = PAGE_BYTES // c.beat_bytes
        low, page = clog2(c.beat_bytes), clog2(PAGE_BYTES)
        until_page = page_beats - request.addr[low:page]
        crosses = request.beats > until_page
        current = Signal(c.id_bits, reset_less=True)
        length = Mux(second, request.beats - until_page, Mux(crosses, until_page, request.beats)) - 1
        next_page = wrap(request.addr[page:] + 1, c.axi_addr_bits - page)
        m.d.comb += [
            out.i.valid.eq(valid & (second | fits)),
            out.i.payload.addr.eq(Mux(second, Cat(Const(0, page), next_page), request.addr)),
            out.i.payload.len.eq(narrow(length, LEN_BITS)),  # at most most_beats - 1
            out.i.payload.id.eq(Mux(second, current, ids.o.payload)),
            taken.eq(out.i.ready & (second | (fits & ~crosses))),
        ]
        with m.If(out.i.valid & out.i.ready):
            m.d.sync += second.eq(~second & crosses)
        with m.If(goes):
            m.d.sync += current.eq(ids.o.payload)
        contract(m, request.addr[:low] == 0, "a read begins on a whole beat", when=valid)
        issued = self.issued
        m.d.comb += [
            issued.valid.eq(goes), issued.id.eq(ids.o.payload), issued.beats.eq(request.beats),
            issued.note.eq(request.note), issued.asked.eq(self._asked(request.note)),
            self.idle.eq((ids_free == c.reads) & ~valid & ~self.k.valid & ~self.v.valid & ~self.shared.valid),
        ]
        m.d.sync += ids_free.eq(ids_free + (ids.i.valid & ids.i.ready) - goes)
        return m

    def _choose(self, m: Module, second: Signal) -> tuple[data.View, Value, Signal]:
        """The request to go next, whether there is one, and what takes it. A shared one has a register of its own: it
        must pass a K or V row that does not fit yet. Until its second burst has gone, the choice stays."""
        c = self.config
        shape = read_request(c, read_note(c))
        m.submodules.next_shared = shared = SkidBuffer(shape)
        m.submodules.next_local = local = SkidBuffer(shape)
        self._note(m, shared.i, self.shared, ReadClass.SHARED)
        of_key = Signal()
        k_first = Mux(self.k_enough ^ self.v_enough, self.v_enough, self.k_first)
        m.d.comb += of_key.eq(self.k.valid & (k_first | ~self.v.valid))
        with m.If(of_key):
            self._note(m, local.i, self.k, ReadClass.KEY)
        with m.Else():
            self._note(m, local.i, self.v, ReadClass.VALUE)
        m.d.comb += [
            shared.i.valid.eq(self.shared.valid), self.shared.ready.eq(shared.i.ready),
            local.i.valid.eq(self.k.valid | self.v.valid), self.k.ready.eq(local.i.ready & of_key),
            self.v.ready.eq(local.i.ready & ~of_key),
        ]
        taken = Signal()
        second_local = Signal(reset_less=True)              # whose second burst goes next
        takes_local = Mux(second, second_local, ~shared.o.valid)
        with m.If(~second):
            m.d.sync += second_local.eq(takes_local)
        m.d.comb += [local.o.ready.eq(taken & takes_local), shared.o.ready.eq(taken & ~takes_local)]
        request = Signal(shape, name="request")
        m.d.comb += request.eq(Mux(takes_local, local.o.payload, shared.o.payload))
        return request, shared.o.valid | local.o.valid, taken

    def _note(self, m: Module, into: stream.Interface, source: stream.Interface, origin: ReadClass) -> None:
        """The request of `source`, with its note widened to that of any class."""
        request = into.payload
        m.d.comb += [
            request.addr.eq(source.payload.addr), request.beats.eq(source.payload.beats),
            request.note.origin.eq(origin),
            request.note.bits.eq(resize(Value.cast(source.payload.note), unsigned(len(request.note.bits)))),
        ]

    def _ids(self, m: Module) -> tuple[StreamFifo, Signal]:
        """The queue of free ids, filled once after a reset, and how many there are."""
        c = self.config
        m.submodules.ids = ids = StreamFifo(unsigned(c.id_bits), c.reads)
        fresh = Signal(range(c.reads + 1))                  # ids never used yet begin here
        filling = fresh != c.reads
        m.d.comb += [
            ids.i.valid.eq(filling | self.freed.valid), self.freed.ready.eq(~filling),
            ids.i.payload.eq(Mux(filling, narrow(fresh, c.id_bits), self.freed.payload)),
        ]
        with m.If(filling):
            m.d.sync += fresh.eq(fresh + 1)
        contract(m, ids.i.ready & ~filling, "a free id is always taken back", when=self.freed.valid)
        ids_free = Signal(range(c.reads + 1))
        contract(m, ids_free <= c.reads, "no more ids are free than there are")
        return ids, ids_free

    def _asked(self, note: data.View) -> Value:
        """What a read of `note` is counted as."""
        c = self.config
        kind = shared_note(c)(note.bits[:shared_note(c).size]).kind
        lsb = read_lsb(c, note)
        shared = {ReadKind.QUERY: AskedClass.Q, ReadKind.KEY: AskedClass.K_MSB, ReadKind.KEY_LSB: AskedClass.K_LSB,
                  ReadKind.VALUE: AskedClass.V_MSB, ReadKind.VALUE_LSB: AskedClass.V_LSB}
        value: Value = Mux(kind == kind, AskedClass.OTHER.value, 0)
        for k, asked in shared.items():
            value = Mux(kind == k, asked.value, value)
        value = Mux(note.origin == ReadClass.VALUE,
                    Mux(lsb, AskedClass.V_LSB.value, AskedClass.V_MSB.value), value)
        value = Mux(note.origin == ReadClass.KEY, Mux(lsb, AskedClass.K_LSB.value, AskedClass.K_MSB.value), value)
        return narrow(value, 3)
