"""Walks token ids and gives every row port the address of its next row."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..interface.descriptor import STRIDE_BITS
from ..primitives.widths import narrow, wrap
from ..stream.job_layouts import dim_case
from .aligner import max_row_bytes, row_mode
from .row_port import QUEUE_MARGIN, port_request


def plane_layout(c: SpAttenConfig) -> data.StructLayout:
    """How rows of one plane are read: token stride and row length in bytes, conversion."""
    return data.StructLayout({
        "stride": unsigned(STRIDE_BITS), "bytes": unsigned(max_row_bytes(c).bit_length()), "mode": row_mode(),
    })


def walk_command(c: SpAttenConfig, ids: int) -> data.StructLayout:
    """Fetch `rows` rows of one head: survivor positions 0 … rows − 1, or, with `kept`, those of `ids`.

    `planes`: bit 0 the MSB, bit 1 the LSB plane; with both, every row is joined from the two. `bases`: address of
    the head in each plane. `last`: the vector ends with these rows. `pair`: every row is twice as long, and its second
    half is the row of another head (only MSB plane, no `kept`).
    """
    return data.StructLayout({
        "bases": data.ArrayLayout(unsigned(c.addr_bits), 2), "planes": unsigned(2),
        "rows": unsigned(c.count_bits), "last": 1, "fill": 1, "half": 1,
        "pair": 1, "kept": 1, "ids": data.ArrayLayout(unsigned(c.token_bits), ids),
    })


def group_note(c: SpAttenConfig) -> data.StructLayout:
    """One group of rows on its way: how many, where they go, and whether they are rows of two heads."""
    return data.StructLayout({"count": unsigned(c.lane_count_bits), "last": 1, "fill": 1, "half": 1, "pair": 1})


class RowGenerator(wiring.Component):
    """`cmd` (`walk_command`, in order) → requests to `ports` row ports, and a note per group for the collector.

    A group is R = lanes >> dim_log2 rows; its row r goes to port (g mod (ports/R))·R + r, g counting all groups
    since reset. One group per cycle and plane, no gap between commands. List ids arrive one cycle after `list_row`;
    from there the pipeline never stops: a group starts only while every port has `room` (`IN_FLIGHT` more
    requests fit), so the ports' `ready` is not looked at. `ids_per_command` = 0: commands never carry ids.
    `planes`: both planes of the job (constant while anything is in flight). First request 5 cycles after
    `cmd`. Token id × 16-bit stride is one multiplier per lane.
    """

    #: Cycles between the decision to start a group and `room` showing its requests.
    IN_FLIGHT = 7

    cmd: stream.Interface
    notes: stream.Interface
    requests: list[stream.Interface]
    room: Signal
    idle: Signal
    list_row: Signal
    list_ids: data.View

    def __init__(self, config: SpAttenConfig, ports: int, ids_per_command: int):
        if self.IN_FLIGHT > QUEUE_MARGIN:
            raise ValueError("the row ports' queue margin is smaller than the pipeline")
        self.config = c = config
        self.ports = ports
        self.ids_per_command = ids_per_command
        super().__init__({
            "dim_log2": In(max(1, clog2(len(c.dims)))), "planes": In(data.ArrayLayout(plane_layout(c), 2)),
            "cmd": In(stream.Signature(walk_command(c, ids_per_command))),
            "list_row": Out(max(1, clog2(c.max_rows))),
            "list_ids": In(data.ArrayLayout(unsigned(c.token_bits), c.lanes)),
            "requests": Out(stream.Signature(port_request(c))).array(ports), "room": In(ports),
            "notes": Out(stream.Signature(group_note(c))), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        lanes, dims = c.lanes, len(c.dims)
        sub_bits = max(1, dims - 1)
        set_bits = max(1, clog2(self.ports * c.max_dim // c.multipliers))
        walk = walk_command(c, self.ids_per_command)

        # The walk: one group (and plane) per cycle.
        cur = Signal(walk, reset_less=True)
        cur_valid = Signal()
        row = Signal(len(self.list_row))       # list row, or block of `lanes` ids of the command
        sub = Signal(sub_bits)                 # group within it
        left = Signal(c.count_bits)
        one_plane = Signal()                   # groups have one plane, not both
        second = Signal()                      # second plane of a group that has both (a cycle ahead, as what follows)
        group = Signal(set_bits)               # g modulo the most port sets there can be
        rows_per_group = Signal(c.lane_count_bits)
        sub_last = Signal(sub_bits)
        # Known a cycle ahead: they are in the clock enable of the next command, which is wide.
        allowed = Signal()                     # every port has room, or a note was offered and not taken: it stays
        done = Signal()                        # the next start completes its group
        closing = Signal()                     # … and the command
        fits = Signal()                        # `left` is one group or less
        may_start = Signal()
        start = Signal()
        live = Signal(c.lane_count_bits)
        m.d.comb += [
            live.eq(narrow(Mux(fits, left, rows_per_group), len(live))),
            may_start.eq(cur_valid & allowed),
            start.eq(may_start & (second | self.notes.ready)),
            self.notes.valid.eq(may_start & ~second),
            self.notes.payload.count.eq(live), self.notes.payload.last.eq(fits & cur.last),
            self.notes.payload.fill.eq(cur.fill), self.notes.payload.half.eq(cur.half),
            self.notes.payload.pair.eq(cur.pair),
            self.list_row.eq(row), self.cmd.ready.eq(~cur_valid | (start & closing)),
        ]
        m.d.sync += [
            rows_per_group.eq(Const(lanes) >> self.dim_log2),
            sub_last.eq(narrow((Const(1, sub_bits + 1) << self.dim_log2) - 1, sub_bits)),
            allowed.eq(self.room.all() | (self.notes.valid & ~self.notes.ready)),
        ]
        with m.If(start):
            m.d.sync += [done.eq(~done | one_plane), second.eq(~done & ~one_plane), closing.eq(fits)]
            with m.If(done):
                fits_next = left <= rows_per_group << 1
                m.d.sync += [group.eq(group + 1), left.eq(left - rows_per_group), sub.eq(sub + 1),
                             fits.eq(fits_next), closing.eq(fits_next & one_plane)]
                with m.If(sub == sub_last):
                    m.d.sync += [sub.eq(0), row.eq(row + 1)]
        new_one_plane, new_fits = self.cmd.payload.planes != 3, self.cmd.payload.rows <= rows_per_group
        with m.If(self.cmd.ready):
            m.d.sync += [
                cur_valid.eq(self.cmd.valid), cur.eq(self.cmd.payload), left.eq(self.cmd.payload.rows),
                row.eq(0), sub.eq(0), one_plane.eq(new_one_plane), done.eq(new_one_plane), second.eq(0),
                fits.eq(new_fits), closing.eq(new_fits & new_one_plane),
            ]
        lsb = Signal()
        m.d.comb += lsb.eq(second | (cur.planes == 2))

        # Stage 1: what to do with the ids that are just arriving from the list.
        s1 = self._stage(m, "arriving")
        s1_sub = Signal(sub_bits, name="arriving_sub")
        s1_kept = Signal(name="arriving_kept")
        s1_ids = Signal(lanes * c.token_bits, name="arriving_ids", reset_less=True)
        plane = Signal(plane_layout(c))
        m.d.comb += plane.eq(Mux(lsb, self.planes[1].as_value(), self.planes[0].as_value()))
        m.d.sync += [
            s1["valid"].eq(start), s1["live"].eq(Cat(live > r for r in range(lanes))), s1["set"].eq(group),
            s1["base"].eq(Mux(lsb, cur.bases[1], cur.bases[0])), s1["stride"].eq(plane.stride),
            s1["bytes"].eq(Mux(cur.pair, plane.bytes << 1, plane.bytes)[:len(plane.bytes)]), s1["mode"].eq(plane.mode),
            s1_sub.eq(sub), s1_kept.eq(cur.kept),
        ]
        with m.If(cur.planes == 3):
            # Both planes: the MSB row waits for its LSBs, and needs no midpoint.
            m.d.sync += [s1["mode"].hold.eq(~lsb), s1["mode"].join.eq(lsb), s1["mode"].mid.eq(0)]
        if self.ids_per_command:
            block_bits = clog2(self.ids_per_command // lanes)
            carried = cur.ids.as_value()
            m.d.sync += s1_ids.eq(carried.word_select(row[:block_bits], lanes * c.token_bits)
                                  if block_bits else carried)

        # Stage 2: the group's ids on lanes 0 … R − 1.
        s2 = self._stage(m, "chosen", s1)
        ids = Signal(lanes * c.token_bits, name="ids")
        s2_ids = Signal(data.ArrayLayout(unsigned(c.token_bits), lanes), name="chosen_ids", reset_less=True)
        source = self.list_ids.as_value()
        m.d.comb += ids.eq(Mux(s1_kept, s1_ids, source) if self.ids_per_command else source)
        with m.Switch(self.dim_log2):
            for d in range(dims):
                with dim_case(m, c, d):
                    width = (lanes >> d) * c.token_bits
                    m.d.sync += s2_ids.as_value().eq(ids.word_select(s1_sub[:d], width) if d else ids)

        # Stages 3 and 4: id × stride, then + base.
        s3 = self._stage(m, "multiplied", s2)
        offsets = [Signal(c.token_bits + STRIDE_BITS, name=f"offset{r}", reset_less=True) for r in range(lanes)]
        s4 = self._stage(m, "added", s3)
        addrs = [Signal(c.addr_bits, name=f"addr{r}", reset_less=True) for r in range(lanes)]
        for r in range(lanes):
            m.d.sync += [offsets[r].eq(s2_ids[r] * s2["stride"]),
                         addrs[r].eq(wrap(s3["base"] + offsets[r], c.addr_bits))]

        self._dispatch(m, s4, addrs)
        m.d.comb += self.idle.eq(~(cur_valid | s1["valid"] | s2["valid"] | s3["valid"] | s4["valid"]))
        for p, port in enumerate(self.requests):
            always_taken(m, port, f"requests of port {p}")
        contract(m, (self.cmd.payload.planes != 0) & (self.cmd.payload.rows <= c.max_tokens),
                 "a command is of a plane, and of no more rows than there are tokens", when=self.cmd.valid)
        contract(m, ~self.cmd.payload.pair | ((self.cmd.payload.planes == 1) & ~self.cmd.payload.kept),
                 "pairs are of the MSB plane and of the list", when=self.cmd.valid)
        contract(m, live <= rows_per_group, "a group has R rows at most", when=start)
        contract(m, row < c.max_rows, "rows of the list are in range", when=start & ~cur.kept)
        return m

    def _stage(self, m: Module, name: str, before: dict | None = None) -> dict:
        """Registers that travel with a group; copies those of the stage before."""
        c = self.config
        set_bits = max(1, clog2(self.ports * c.max_dim // c.multipliers))
        stage = {
            "valid": Signal(name=f"{name}_valid"), "live": Signal(c.lanes, name=f"{name}_live"),
            "set": Signal(set_bits, name=f"{name}_set"),
            "base": Signal(c.addr_bits, name=f"{name}_base", reset_less=True),
            "stride": Signal(STRIDE_BITS, name=f"{name}_stride", reset_less=True),
            "mode": Signal(row_mode(), name=f"{name}_mode", reset_less=True),
            "bytes": Signal(max_row_bytes(c).bit_length(), name=f"{name}_bytes", reset_less=True),
        }
        if before is not None:
            m.d.sync += [Value.cast(stage[k]).eq(Value.cast(before[k])) for k in stage]
        return stage

    def _dispatch(self, m: Module, stage: dict, addrs: list[Signal]) -> None:
        """Port p of the chosen set of R ports gets lane p mod R."""
        c = self.config
        for p in range(self.ports):
            out = self.requests[p]
            m.d.comb += [
                out.payload.bytes.eq(stage["bytes"]), out.payload.user.eq(stage["mode"]),
            ]
            with m.Switch(self.dim_log2):
                for d in range(len(c.dims)):
                    rows = c.lanes >> d
                    set_number, lane = divmod(p, rows)
                    sets = self.ports // rows
                    in_set = stage["set"][:clog2(sets)] == set_number if sets > 1 else Const(1)
                    with dim_case(m, c, d):
                        m.d.comb += [
                            out.valid.eq(stage["valid"] & stage["live"][lane] & in_set),
                            out.payload.addr.eq(addrs[lane]),
                        ]
