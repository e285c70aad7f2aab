"""Fetches groups of R rows over many row ports: the K side or the V side of the fetcher."""

from __future__ import annotations

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..bus.read_crossbar import request_layout, response_banks, response_layout
from ..config import SpAttenConfig, clog2
from ..shared import Shared
from ..stream.fifo import StreamFifo
from ..stream.layouts import operand_row
from ..stream.skid import connect_cut
from .beat_sum import plane_beats
from .collector import RowCollector
from .row_generator import RowGenerator, group_note, plane_layout, walk_command
from .row_port import RowPort


def port_beats_bits(c: SpAttenConfig, ports: int) -> int:
    """Width of the number of beats `ports` ports can request in one cycle."""
    return (ports * c.granule_beats).bit_length()


class GroupFetcher(wiring.Component):
    """`RowGenerator` → `ports` × `RowPort` → `RowCollector`.

    Ports: `cmd` (`walk_command` with `ids_per_command` ids; with `pair` only if built with `pairs`), `rows`
    (`operand_row`), `list_row`/`list_ids` (survivor list, one cycle), `req`/`rsp` (arrays, crossbar), `dim_log2` and
    `planes` (constant while not `idle`), `modest` (see `ReadPort`), `error` (pulse), `beats_msb`/`beats_lsb` (beats
    requested, some cycles ago), `asking` (rows of a command are still to be requested), `idle` (nothing in flight; a
    few cycles late), `waits` (a port waits for memory; two cycles late). Rows leave in the order of the commands, R per
    cycle while the channels deliver.
    """

    cmd: stream.Interface
    rows: stream.Interface
    req: list[stream.Interface]
    rsp: list[list[stream.Interface]]

    def __init__(self, config: SpAttenConfig, ports: int, ids_per_command: int, pairs: bool = False):
        self.config = c = config
        self.pairs = pairs
        self.ports = ports
        self.ids_per_command = ids_per_command
        bits = port_beats_bits(c, ports)
        super().__init__({
            "cmd": In(stream.Signature(walk_command(c, ids_per_command))),
            "rows": Out(stream.Signature(operand_row(c))),
            "list_row": Out(max(1, clog2(c.max_rows))),
            "list_ids": In(data.ArrayLayout(unsigned(c.token_bits), c.lanes)),
            "req": Out(stream.Signature(request_layout(c))).array(ports),
            "rsp": In(stream.Signature(response_layout(c))).array(ports, response_banks(c)),
            "dim_log2": In(max(1, clog2(len(c.dims)))), "planes": In(data.ArrayLayout(plane_layout(c), 2)),
            "modest": In(1), "error": Out(1), "beats_msb": Out(bits), "beats_lsb": Out(bits),
            "asking": Out(1), "idle": Out(1), "waits": Out(1),
        })

    @property
    def groups_in_flight(self) -> int:
        """Depth of the queue of notes: enough that the ports' bursts and rows are the limit."""
        c = self.config
        sets = max(1, self.ports * c.max_dim // c.multipliers)
        return sets * max(16, c.ids_per_port + 8)

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.generator = generator = RowGenerator(c, self.ports, self.ids_per_command)
        m.submodules.notes = notes = StreamFifo(group_note(c), self.groups_in_flight)
        m.submodules.collector = collector = RowCollector(c, self.ports, self.pairs)
        connect(m, flipped(self.cmd), generator.cmd)
        offered = connect_cut(m, "offered", generator.notes, notes.i)
        note = connect_cut(m, "note", notes.o, collector.notes)
        connect(m, collector.o, flipped(self.rows))
        m.d.comb += [
            generator.dim_log2.eq(self.dim_log2), collector.dim_log2.eq(self.dim_log2),
            generator.planes.eq(self.planes), generator.list_ids.eq(self.list_ids),
            self.asking.eq(~generator.idle | self.cmd.valid),
            self.list_row.eq(generator.list_row), self.error.eq(collector.error),
        ]
        beats, lsb = [], []
        quiet = Signal(self.ports)
        waits = Signal(self.ports)
        for p in range(self.ports):
            m.submodules[f"row_port{p}"] = port = Shared(RowPort, c)
            connect(m, generator.requests[p], port.i)
            connect(m, port.o, collector.lanes[p])
            connect(m, port.req, flipped(self.req[p]))
            for bank, answers in enumerate(self.rsp[p]):
                connect(m, flipped(answers), port.rsp[bank])
            m.d.comb += [port.modest.eq(self.modest), generator.room[p].eq(port.room), quiet[p].eq(port.idle),
                         waits[p].eq(port.waits)]
            beats.append(port.beats)
            lsb.append(port.beats_lsb)
        msb_sum, lsb_sum = plane_beats(m, beats, lsb, "beats")
        m.d.comb += [self.beats_msb.eq(msb_sum), self.beats_lsb.eq(lsb_sum)]
        m.d.sync += self.waits.eq(waits.any())
        m.d.sync += self.idle.eq(generator.idle & ~offered.o.valid & (notes.level == 0) & ~note.o.valid
                                 & collector.idle & quiet.all() & ~self.cmd.valid)
        return m
