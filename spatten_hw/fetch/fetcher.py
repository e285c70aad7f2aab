"""Q-K-V fetcher (SpAtten, Figure 8, block 1): all reads of the accelerator."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..bus.axi import ar_layout, r_layout
from ..bus.read_crossbar import ReadCrossbar
from ..config import LSB_WIDTH, SpAttenConfig, clog2
from ..primitives.registers import local_copy
from ..primitives.widths import narrow
from ..stream.job_layouts import job_layout
from ..stream.layouts import (
    aux_command,
    aux_word,
    k_command,
    kept_row,
    operand_row,
    q_command,
    q_row,
    v_command,
)
from .aligner import max_row_bytes
from .group_fetcher import GroupFetcher, port_beats_bits
from .head_base import HeadBase
from .query_fetcher import QueryFetcher
from .row_generator import plane_layout
from .value_walk import ValueWalk
from .word_reader import WordReader

#: Order of the bits of `errors`.
ERROR_CLASSES = ("q", "k", "v", "desc", "state")


class Fetcher(wiring.Component):
    """Reads Q and K rows of `job`, V rows of `back_job`, and words for two auxiliary clients, over C AXI4 channels.

    * `k_cmd` (`k_command`) → `k_rows` (`operand_row`), ids of the survivor list through `k_list_row`/`k_list_ids` (one
      cycle later).
    * `v_cmd` (`v_command`, fills) and `v_kept` (`kept_row`s of vectors whose V rows are streamed; never others) →
      `v_rows`, in the order of `ValueWalk`, told apart by `fill`; list ports as for K.
    * `q_cmd` (`q_command`) → `q_rows` (`q_row`).
    * `desc_cmd`, `state_cmd` (`aux_command`) → `desc_words`, `state_words` (`aux_word`).

    Rows come in the order of their commands, K and V at R = lanes >> dim_log2 per cycle while the channels deliver.
    K and V rows are live up to `count`. A command with 0 rows gives one empty group with `last`.
    `beats_*`: beats requested, per class, a few cycles ago. `errors`: sticky bits in the order of
    `ERROR_CLASSES` until `front_clear`, V's until `back_clear`; a row with an error is delivered like any other.
    `waits`, in the order of `ERROR_CLASSES`: the next data wanted of that class were requested and have not come; a
    few cycles late. `idle`: nothing in flight (a few cycles late); `busy` = ~idle; `stall`: a consumer is ready
    and its rows are under way, but none is there. A job must be constant from four cycles before its first command
    until its last row is out. `same`: both are one job. If not, V rows are not held back in favour of K rows, since
    `job` waits for the end of `back_job`.
    """

    #: Layer whose K and Q rows are read.
    job: data.View
    #: Layer whose V rows are read.
    back_job: data.View
    #: `job` and `back_job` are one job.
    same: Signal
    #: K rows to read: `k_command`, in order.
    k_cmd: stream.Interface
    #: K rows, `operand_row`, R per cycle, in the order of the commands.
    k_rows: stream.Interface
    #: Row of the survivor list that K's walk reads.
    k_list_row: Signal
    #: Its ids, one cycle later.
    k_list_ids: data.View
    #: V rows to fill the V SRAM with: `v_command`.
    v_cmd: stream.Interface
    #: Kept values whose V rows are to be read: `kept_row`, only of vectors with `stream_v`.
    v_kept: stream.Interface
    #: V rows, `operand_row`; `fill` says which of the two they are for.
    v_rows: stream.Interface
    #: Row of the survivor list that V's walk reads.
    v_list_row: Signal
    #: Its ids, one cycle later.
    v_list_ids: data.View
    #: Q rows to read: `q_command`.
    q_cmd: stream.Interface
    #: Q rows, `q_row`, one per cycle.
    q_rows: stream.Interface
    #: Words of descriptors to read: `aux_command`.
    desc_cmd: stream.Interface
    #: These words, `aux_word`, in order.
    desc_words: stream.Interface
    #: Words of saved state to read: `aux_command`.
    state_cmd: stream.Interface
    #: These words, `aux_word`, in order.
    state_words: stream.Interface
    #: Read addresses, one AXI4 channel per memory port.
    ar: list[stream.Interface]
    #: Read data, one AXI4 channel per memory port.
    r: list[stream.Interface]
    #: Beats of Q requested, a few cycles ago.
    beats_q: Signal
    #: Beats of descriptors and state requested.
    beats_other: Signal
    #: Beats of K's MSB plane requested, all ports.
    beats_k_msb: Signal
    #: Beats of K's LSB plane requested.
    beats_k_lsb: Signal
    #: Beats of V's MSB plane requested.
    beats_v_msb: Signal
    #: Beats of V's LSB plane requested.
    beats_v_lsb: Signal
    #: AXI errors since the last clear, one sticky bit per class of `ERROR_CLASSES`.
    errors: Signal
    #: Forgets all errors but V's.
    front_clear: Signal
    #: Forgets V's errors.
    back_clear: Signal
    #: One bit per class of `ERROR_CLASSES`: the next data wanted were requested and have not come.
    waits: Signal
    #: Nothing in flight, a few cycles late.
    idle: Signal
    #: ~idle.
    busy: Signal
    #: A consumer is ready and its rows are under way, but none is there.
    stall: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        list_row = max(1, clog2(c.max_rows))
        ids = data.ArrayLayout(unsigned(c.token_bits), c.lanes)
        one = c.granule_beats.bit_length()
        super().__init__({
            "job": In(job_layout(c)), "back_job": In(job_layout(c)), "same": In(1),
            "k_cmd": In(stream.Signature(k_command(c))), "k_rows": Out(stream.Signature(operand_row(c))),
            "k_list_row": Out(list_row), "k_list_ids": In(ids),
            "v_cmd": In(stream.Signature(v_command(c))), "v_kept": In(stream.Signature(kept_row(c))),
            "v_rows": Out(stream.Signature(operand_row(c))),
            "v_list_row": Out(list_row), "v_list_ids": In(ids),
            "q_cmd": In(stream.Signature(q_command(c))), "q_rows": Out(stream.Signature(q_row(c))),
            "desc_cmd": In(stream.Signature(aux_command(c))), "desc_words": Out(stream.Signature(aux_word())),
            "state_cmd": In(stream.Signature(aux_command(c))), "state_words": Out(stream.Signature(aux_word())),
            "ar": Out(stream.Signature(ar_layout(c))).array(c.channels),
            "r": In(stream.Signature(r_layout(c))).array(c.channels),
            "beats_q": Out(one), "beats_other": Out(one),
            "beats_k_msb": Out(port_beats_bits(c, c.k_ports)), "beats_k_lsb": Out(port_beats_bits(c, c.k_ports)),
            "beats_v_msb": Out(port_beats_bits(c, c.v_ports)), "beats_v_lsb": Out(port_beats_bits(c, c.v_ports)),
            "errors": Out(len(ERROR_CLASSES)), "front_clear": In(1), "back_clear": In(1),
            "waits": Out(len(ERROR_CLASSES)), "idle": Out(1), "busy": Out(1), "stall": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        # V rows of a query are needed long after its K rows, so they get the bandwidth that K leaves. K cannot starve
        # them: K is requested only with a slot, and only kept values free a slot.
        m.submodules.crossbar = crossbar = ReadCrossbar(c, patient=((1 << c.v_ports) - 1) << c.k_ports)
        # A row of two heads is as long as one of twice the head dimension, so the build needs two dimensions.
        m.submodules.keys = keys = GroupFetcher(c, c.k_ports, 0, pairs=len(c.dims) > 1)
        m.submodules.values = values = GroupFetcher(c, c.v_ports, c.topk_lanes)
        m.submodules.queries = queries = QueryFetcher(c)
        m.submodules.words = words = WordReader(c)

        requesters = [*zip(keys.req, keys.rsp, strict=True), *zip(values.req, values.rsp, strict=True),
                      (queries.req, queries.rsp), (words.req, words.rsp)]
        for n, (req, rsp) in enumerate(requesters):
            connect(m, req, crossbar.req[n])
            for bank, answers in enumerate(rsp):
                connect(m, crossbar.rsp[n][bank], answers)
        for ch in range(c.channels):
            connect(m, crossbar.ar[ch], flipped(self.ar[ch]))
            connect(m, flipped(self.r[ch]), crossbar.r[ch])

        job = local_copy(m, self.job, "job_here")
        back_job = local_copy(m, self.back_job, "back_job_here")
        self._planes(m, job, back_job, keys, values, queries)
        keys_ahead = self._key_walk(m, job, keys)
        keys_first = Signal()
        m.d.sync += keys_first.eq(keys.asking & self.same)
        values_ahead = self._value_walk(m, back_job, values, keys_first)
        # Few V bursts at a time while K is requested: each delays K's next burst on its channel. K rows leave in step,
        # so the most delayed channel would delay all of them.
        m.d.sync += values.modest.eq(keys_first & job.generate)
        connect(m, flipped(self.q_cmd), queries.cmd)
        connect(m, queries.rows, flipped(self.q_rows))
        for k, name in enumerate(("desc", "state")):
            connect(m, flipped(getattr(self, f"{name}_cmd")), words.cmd[k])
            connect(m, words.words[k], flipped(getattr(self, f"{name}_words")))

        now = Signal(len(ERROR_CLASSES))
        clear = Cat(self.back_clear if name == "v" else self.front_clear for name in ERROR_CLASSES)
        m.d.comb += [
            now.eq(Cat(queries.error, keys.error, values.error, words.error)),
            self.beats_q.eq(queries.beats), self.beats_other.eq(words.beats),
            self.beats_k_msb.eq(keys.beats_msb), self.beats_k_lsb.eq(keys.beats_lsb),
            self.beats_v_msb.eq(values.beats_msb), self.beats_v_lsb.eq(values.beats_lsb),
            self.busy.eq(~self.idle),
        ]
        quiet = Signal(4)
        starved = Signal(3)
        waiting = [(keys.idle & keys_ahead, self.k_rows), (values.idle & values_ahead, self.v_rows),
                   (queries.idle, self.q_rows)]
        m.d.sync += [
            self.errors.eq((self.errors & ~clear) | now),
            self.waits.eq(Cat(queries.waits, keys.waits, values.waits, words.waits)),
            # Two register stages: they come from the whole fetcher.
            quiet.eq(Cat(keys.idle & keys_ahead, values.idle & values_ahead, queries.idle, words.idle)),
            starved.eq(Cat(~idle & s.ready & ~s.valid for idle, s in waiting)),
            self.idle.eq(quiet.all()), self.stall.eq(starved.any()),
        ]
        return m

    def _planes(self, m: Module, front: data.View, back: data.View, keys: GroupFetcher, values: GroupFetcher,
                queries: QueryFetcher) -> None:
        """Parameters of each plane from the jobs, as `plane_layout`; registered, since they are constant."""

        def row_bytes(job: data.View, width: Value) -> Value:
            row_bits = (width * self.config.min_dim) << job.dim_log2
            return narrow(row_bits >> 3, max_row_bytes(self.config).bit_length())

        for fetcher, job, x in ((keys, front, "k"), (values, back, "v")):
            msb, lsb = fetcher.planes
            shifted = job[f"{x}_lsb"] != 0
            m.d.comb += fetcher.dim_log2.eq(job.dim_log2)
            planes = Signal(data.ArrayLayout(plane_layout(self.config), 2), name=f"{x}_planes")
            m.d.comb += [msb.eq(planes[0]), lsb.eq(planes[1])]
            m.d.sync += [
                planes[0].stride.eq(job[f"{x}_msb_token_stride"]), planes[0].bytes.eq(row_bytes(job, job[f"{x}_msb"])),
                planes[0].mode.width.eq(job[f"{x}_msb"]), planes[0].mode.shift.eq(shifted),
                planes[1].stride.eq(job[f"{x}_lsb_token_stride"]), planes[1].mode.lsb.eq(1),
                planes[1].mode.width.eq(LSB_WIDTH),
                planes[1].bytes.eq(row_bytes(job, job[f"{x}_lsb"])),
            ]
            if x == "v":
                m.d.sync += planes[0].mode.mid.eq(shifted)
        job = front
        plane = Signal(plane_layout(self.config), name="q_plane")
        m.d.sync += [
            plane.stride.eq(job.q_token_stride), plane.bytes.eq(row_bytes(job, job.q_bits)),
            plane.mode.width.eq(job.q_bits),
        ]
        m.d.comb += [
            queries.plane.eq(plane), queries.base.eq(job.q_base), queries.head_stride.eq(job.q_head_stride),
        ]

    def _key_walk(self, m: Module, job: data.View, keys: GroupFetcher) -> Value:
        """`k_cmd` → head address → K side. Returns whether that path is empty."""
        c = self.config
        rest = data.StructLayout({"rows": unsigned(c.count_bits), "lsb": 1, "fill": 1, "half": 1, "pair": 1})
        m.submodules.key_heads = heads = HeadBase(c, rest)
        cmd, i, o, walk = self.k_cmd, heads.i, heads.o, keys.cmd
        # In a pair of heads side by side, a row of the second begins where the row of the first ends.
        second_base = Signal(c.addr_bits)
        m.d.sync += second_base.eq(job.k_msb_base + keys.planes[0].bytes)
        m.d.comb += i.payload.head.eq(cmd.payload.kv_head)
        with m.If(cmd.payload.lsb):
            m.d.comb += [i.payload.base.eq(job.k_lsb_base), i.payload.stride.eq(job.k_lsb_head_stride)]
        with m.Else():
            m.d.comb += [i.payload.base.eq(job.k_msb_base), i.payload.stride.eq(job.k_msb_head_stride)]
            with m.If(job.pair):
                m.d.comb += i.payload.head.eq(cmd.payload.kv_head >> 1)
                with m.If(cmd.payload.kv_head[0]):
                    m.d.comb += i.payload.base.eq(second_base)
        m.d.comb += [
            i.valid.eq(cmd.valid), cmd.ready.eq(i.ready), i.payload.user.pair.eq(cmd.payload.pair),
            i.payload.user.rows.eq(cmd.payload.rows), i.payload.user.lsb.eq(cmd.payload.lsb),
            i.payload.user.fill.eq(cmd.payload.fill), i.payload.user.half.eq(cmd.payload.half),
            walk.valid.eq(o.valid), o.ready.eq(walk.ready), walk.payload.last.eq(1),
            walk.payload.bases[0].eq(o.payload.base), walk.payload.bases[1].eq(o.payload.base),
            walk.payload.planes.eq(Cat(~o.payload.user.lsb, o.payload.user.lsb)),
            walk.payload.rows.eq(o.payload.user.rows), walk.payload.fill.eq(o.payload.user.fill),
            walk.payload.half.eq(o.payload.user.half), walk.payload.pair.eq(o.payload.user.pair),
            keys.list_ids.eq(self.k_list_ids), self.k_list_row.eq(keys.list_row),
        ]
        connect(m, keys.rows, flipped(self.k_rows))
        return heads.idle & ~cmd.valid

    def _value_walk(self, m: Module, job: data.View, values: GroupFetcher, keys_wanted: Value) -> Value:
        """`v_cmd`, `v_kept` → V side. Returns whether that path is empty."""
        m.submodules.value_walk = walk = ValueWalk(self.config)
        connect(m, flipped(self.v_cmd), walk.fills)
        connect(m, flipped(self.v_kept), walk.kept)
        connect(m, walk.o, values.cmd)
        connect(m, values.rows, flipped(self.v_rows))
        m.d.comb += [
            walk.msb_base.eq(job.v_msb_base), walk.lsb_base.eq(job.v_lsb_base),
            walk.msb_stride.eq(job.v_msb_head_stride), walk.lsb_stride.eq(job.v_lsb_head_stride),
            walk.has_lsb.eq(job.v_lsb != 0), walk.keys_wanted.eq(keys_wanted),
            values.list_ids.eq(self.v_list_ids), self.v_list_row.eq(values.list_row),
        ]
        return walk.idle
