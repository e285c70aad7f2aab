"""Local value pruning: the largest probabilities of a query (SpAtten, Figure 8, module 8)."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from ..config import PROB_BITS, SpAttenConfig
from ..contract import contract
from ..primitives.pipeline import delay
from ..primitives.registers import local_copy
from ..stream.fifo import StreamFifo, fifo_latency
from ..stream.job_layouts import job_layout
from ..stream.layouts import kept_ratio, kept_row, prob_row, tag_layout
from ..stream.skid import SkidBuffer, connect_cut
from .give_back import GiveBack
from .mass import MassThreshold
from .threshold_filter import ThresholdFilter, masked_row
from .wide_rows import WideRows


class LocalTopK(wiring.Component):
    """Marks the `job.keep_values` (0 counts as 1) largest probabilities of every vector; with `job.mass_share` (a build
    with `decision_rules`) no more than reach this share of their sum.

    `kept`: every row of `probs`, in order, with exactly min(k, n) bits of the vector set in `kept`: of the largest;
    among equal ones first those of lower rows, then those of lower slices. `row` numbers a vector's rows. The engine
    sees the rows joined to P lanes; meanwhile they wait in a memory with room for as many as the engine may hold. One
    row per cycle in and out, no gap between vectors, as long as the engine keeps up (always if k ≥ n).
    `probs.ready` depends on registers of this block only, `kept` comes from registers.

    By mass, a search of its own (`MassThreshold`) finds a second threshold, whatever the engine; the one that keeps
    less counts. It takes its time for each vector and holds up the rows if these come faster. With `job.give_back` the
    ratio of all probability to that of the kept follows each vector (`GiveBack`).
    """

    #: Cycles from a row of `probs` to the wide row at the engine.
    TO_ENGINE = 2 + SkidBuffer.LATENCY

    #: The layer; `keep_values`, `mass_share`, `give_back` are used.
    job: data.View
    #: Probabilities, `prob_row`.
    probs: stream.Interface
    #: The same rows and which of them are kept, `kept_row`; may stall.
    kept: stream.Interface
    #: A row has come whose vector has not left.
    busy: Signal
    #: With `decision_rules`: what a vector's kept values fall short by, `kept_ratio`, in order; only with `give_back`.
    ratio: stream.Interface

    def __init__(self, config: SpAttenConfig):
        c = self.config = config
        #: Rows that make a row of the engine.
        self.wide = c.topk_lanes // c.slices
        self.engine = c.engine.make(PROB_BITS, c.topk_lanes, c.max_tokens, -(-c.max_rows // self.wide))
        #: While a long vector leaves, as many short ones as it has rows may be decided. Not every engine keeps so many.
        self.queues = self.engine.thresholds < c.max_rows
        #: Rows that wait for their threshold; two more, since room is counted a cycle late. The search by mass goes
        #: over the rows three times, and they leave while a fourth vector comes.
        self.depth = max(self.wide * (self.engine.row_depth + self.TO_ENGINE), 4 * c.max_rows * c.decision_rules) + 2
        super().__init__({
            "job": In(job_layout(c)),
            "probs": In(stream.Signature(prob_row(c))),
            "kept": Out(stream.Signature(kept_row(c))),
            "busy": Out(1),
            **({"ratio": Out(stream.Signature(kept_ratio(c)))} if c.decision_rules else {}),
        })

    def latency(self, n: int, rows: int) -> int | None:
        """Cycles from the first row of a vector to its first row at `kept`, alone; None: it depends on the values."""
        found = self.engine.latency(n, -(-rows // self.wide))
        # The engine's rows come as slowly as `wide` narrow ones, the last of them with the vector's last row.
        if found is None:
            return None
        joined = rows - 1 - (-(-rows // self.wide) - 1)
        queued = fifo_latency(self.config.max_rows) if self.queues else 0
        return self.TO_ENGINE + joined + found + queued + SkidBuffer.LATENCY + ThresholdFilter.LATENCY

    def elaborate(self, platform) -> Module:
        m = Module()
        c, row = self.config, self.probs.p
        aside = data.StructLayout({"row": unsigned(c.row_bits), "tag": tag_layout(c)})
        waiting_layout = masked_row(c.slices, PROB_BITS, aside)
        m.submodules.engine = engine = self.engine
        m.submodules.waiting = waiting = StreamFifo(waiting_layout, self.depth)
        m.submodules.wide_rows = wide_rows = WideRows(c)
        m.submodules.filter = row_filter = ThresholdFilter(PROB_BITS, c.slices, engine.count_bits, aside)

        # A row is taken into a register, from there into the memory and the joiner at once, when both have room.
        job = local_copy(m, self.job, "job_here")
        here = Signal(row.shape(), reset_less=True)
        here_valid = Signal()
        number = Signal(c.row_bits)
        room = Signal(init=1)
        moves = Signal()
        passes = Signal()
        mass_room = Signal(init=1)
        m.d.comb += [
            passes.eq(here_valid & room & wide_rows.i.ready & mass_room),
            moves.eq(~here_valid | (room & wide_rows.i.ready & mass_room)), self.probs.ready.eq(moves),
            waiting.i.valid.eq(passes), waiting.i.p.keys.eq(here.probs), waiting.i.p.mask.eq(here.live),
            waiting.i.p.last.eq(here.last), waiting.i.p.aside.row.eq(number), waiting.i.p.aside.tag.eq(here.tag),
            wide_rows.i.valid.eq(here_valid & room & mass_room), wide_rows.i.payload.eq(here),
            wide_rows.k.eq(Mux(job.keep_values == 0, 1, job.keep_values)),
        ]
        m.d.sync += room.eq(waiting.level < self.depth - 2)
        with m.If(moves):
            # Stored whether valid or not: the wide clock enable then does not depend on `probs.valid`.
            m.d.sync += [here_valid.eq(self.probs.valid), here.eq(row)]
        with m.If(passes):
            m.d.sync += number.eq(Mux(here.last, 0, number + 1))

        connect(m, wide_rows.o, engine.i)
        found = engine.o
        if self.queues:
            m.submodules.thresholds = thresholds = StreamFifo(engine.o.p.shape(), c.max_rows)
            connect(m, engine.o, thresholds.i)
            found = thresholds.o
        if c.decision_rules:
            found = self._by_mass(m, job, here, passes, mass_room, found)
            found = self._give_back(m, job, found, row_filter.o)
        connect_cut(m, "threshold", found, row_filter.threshold)
        connect_cut(m, "rows", waiting.o, row_filter.rows)
        out = row_filter.o
        m.d.comb += [
            self.kept.valid.eq(out.valid), out.ready.eq(self.kept.ready),
            self.kept.p.probs.eq(out.p.keys), self.kept.p.kept.eq(out.p.mask), self.kept.p.last.eq(out.p.last),
            self.kept.p.row.eq(out.p.aside.row), self.kept.p.tag.eq(out.p.aside.tag),
        ]

        # Vectors inside: no more than rows in the memory, the registers around it, and the filter.
        most = self.depth + 16
        present = Signal(range(most + 1))
        # Counted a cycle late, while the row waits: that it is taken is on a long path.
        entered = delay(m, self.probs.valid & moves & row.last, 1, "entered", reset=True)
        leaves = self.kept.valid & self.kept.ready & self.kept.p.last
        m.d.sync += present.eq(present + entered - leaves)
        m.d.comb += self.busy.eq((present != 0) | here_valid)
        if not c.chunk_queries:     # else rows of keys that only later queries of a gang see
            contract(m, row.live.any(), "a row has a live lane", when=self.probs.valid)
        contract(m, waiting.i.ready, "the memory of rows is never full", when=passes)
        contract(m, here.last | (number != c.max_rows - 1), "no vector has more rows than max_rows", when=passes)
        contract(m, present != most, "no more vectors are inside than are counted", when=entered & ~leaves)
        contract(m, (present != 0) | entered, "only vectors that came leave", when=leaves)
        return m

    def _by_mass(self, m: Module, job: data.View, here: data.View, passes: Signal, room: Signal,
                 counted: stream.Interface) -> stream.Interface:
        """The thresholds `counted` by the engine, or, of a job with a share, the ones that keep less: theirs or those
        by mass. `room`: for the row that `passes`."""
        m.submodules.mass = mass = MassThreshold(self.config)
        by_mass = Signal()
        joined = stream.Signature(counted.p.shape()).create(path=("joined",))
        count, share = counted.p, mass.o.p
        m.d.sync += by_mass.eq(job.mass_share != 0)
        m.d.comb += [
            room.eq(~by_mass | mass.i.ready), mass.i.valid.eq(passes & by_mass),
            mass.i.p.probs.eq(here.probs), mass.i.p.last.eq(here.last), mass.share.eq(job.mass_share),
            joined.valid.eq(counted.valid & (~by_mass | mass.o.valid)),
            counted.ready.eq(joined.ready & (~by_mass | mass.o.valid)),
            mass.o.ready.eq(joined.ready & counted.valid & by_mass),
            joined.payload.eq(count),
        ]
        fewer = (share.threshold == count.threshold) & (share.keep_equal < count.keep_equal)
        with m.If(by_mass & ((share.threshold > count.threshold) | fewer)):
            m.d.comb += joined.payload.eq(share)
        return joined

    def _give_back(self, m: Module, job: data.View, found: stream.Interface, out: stream.Interface) -> stream.Interface:
        """`ratio` of the rows that leave through `out`, and the thresholds `found` as long as there is room for it."""
        m.submodules.give_back = back = GiveBack(self.config)
        connect(m, back.o, wiring.flipped(self.ratio))
        wanted = Signal()
        goes = Signal()
        counted = stream.Signature(found.p.shape()).create(path=("counted",))
        m.d.sync += wanted.eq(job.give_back)
        m.d.comb += [
            goes.eq(back.room | ~wanted), back.enters.eq(counted.valid & counted.ready & wanted),
            counted.valid.eq(found.valid & goes), found.ready.eq(counted.ready & goes),
            counted.payload.eq(found.payload),
            back.valid.eq(out.valid & out.ready & wanted), back.probs.eq(out.p.keys), back.kept.eq(out.p.mask),
            back.last.eq(out.p.last), back.item.eq(out.p.aside.tag.item),
        ]
        return counted
