"""Cascade token and head pruning with everything it owns: survivors, importance, state in memory."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..stream.job_layouts import job_layout
from ..stream.layouts import head_sum, out_beat, prob_row, slice_counts
from ..stream.read_layouts import aux_command, aux_word
from ..stream.skid import SkidBuffer
from .bitmap_walk import BitmapWalk
from .cascade import CascadeControl
from .class_lists import READERS, ClassLists
from .dense_list import DENSE_READERS, DenseList
from .head_importance import HeadImportance
from .head_pruning import HeadPruning
from .head_set import HeadSet
from .query_tokens import QueryTokens
from .rows import class_row, ids_row
from .serial_totals import SerialTotals
from .state_load import StateLoad
from .state_store import StateStore
from .survivor_ports import connect_survivors
from .token_importance import TokenImportance
from .token_pruning import TokenPruning
from .token_totals import TokenTotals
from .total_accesses import connect_totals


class Pruner(wiring.Component):
    """Cascade pruning (paper sections III-A, III-B; Figure 8, 6–8 and the importance accumulators).

    * `op` {finish}: 0 PREPARE before a layer's data moves, 1 FINISH after all `probs` have been accepted here;
      `drained`: all `head_sums` of the layers whose `probs` have arrived were accepted too; that may be after the next
      PREPARE. `done` {error} once per op. `job` is constant from PREPARE to the `done` of FINISH. `busy`
      from the cycle after an op is taken until its `done` is.
    * `probs`, `head_sums`: one row, one sum per cycle, always ready between PREPARE and FINISH (rows of
      probabilities not while totals are zeroed, ceil(tokens/S) cycles from PREPARE on); sums also later, until
      all have `drained`. `idle`: none is still on its way to a memory (FINISH waits for it by itself).
    * `alive_tokens`, `alive_heads`, `heads_alive`; the lists of the classes (token id mod S): `class_row[i]` →
      `class_indexes[i]` (id div S, ascending) one cycle later, `class_counts` entries each; the dense list, of all
      surviving ids: `dense_row[i]` → `dense_ids[i]` one cycle later (only in prompts). All constant while data moves.
    * `state_cmd` / `state_words`: saved state in; `state`: saved state out (`kind` = 1, `last` per section).

    PREPARE takes in order: clear_scores or load_scores, then restart, load_ids or continue, then token
    pruning, then head pruning, on the totals of all layers before. Loading scores replaces all totals: those
    of ids ≥ tokens and heads ≥ job.heads become 0. A keep count of 0 counts as 1. On an error nothing is alive
    and every later op fails until a restart or a good load_ids. After reset all totals are 0, nothing is alive.

    Cycles without stalls, from op to done: PREPARE `cascade.PREPARE_CYCLES`, with loads or token pruning ceil(tokens /
    S) more when it is the first to need totals that must be zeroed; token pruning: see `TokenPruning`; head pruning:
    see `HeadPruning`; a prompt after any of these (or a load) builds the dense list, one cycle per survivor, at least
    two per ceil(tokens / S). FINISH `cascade.FINISH_CYCLES`; in a prompt one cycle per survivor and
    `serial_totals.ROW_CYCLES` per S of them more. Loads of importance take one word per cycle, bitmaps one per 64 / S
    cycles.
    """

    #: The layer; constant from PREPARE to the `done` of FINISH.
    job: data.View
    #: The job that will follow, with `next_valid`; a hint, never wrong results.
    next_job: data.View
    #: `next_job` is known.
    next_valid: Signal
    #: {finish}: 0 PREPARE before the layer's data moves, 1 FINISH after all `probs`.
    op: stream.Interface
    #: All `head_sums` of the layers whose probabilities have arrived were accepted.
    drained: Signal
    #: {error}, once per `op`.
    done: stream.Interface
    #: From the cycle after an `op` is taken until its `done` is.
    busy: Signal
    #: Probabilities, `prob_row`, one row per cycle.
    probs: stream.Interface
    #: Σ |out| of a head's beat, `head_sum`, one per cycle.
    head_sums: stream.Interface
    #: No row and no sum is on its way to a memory.
    idle: Signal
    #: Number of surviving tokens; constant while data moves, like the outputs below.
    alive_tokens: Signal
    #: Number of surviving heads.
    alive_heads: Signal
    #: Bitmap of the surviving heads.
    heads_alive: Signal
    #: Surviving tokens of every class.
    class_counts: data.View
    #: Rows of the class lists wanted: by the walk over K rows, by the gang's walk.
    class_row: list[Signal]
    #: Their entries, one cycle later.
    class_indexes: list[data.View]
    #: Rows of the dense list wanted: by fills, by queries.
    dense_row: list[Signal]
    #: Their ids, one cycle later.
    dense_ids: list[data.View]
    #: Words of saved state to read: `aux_command`.
    state_cmd: stream.Interface
    #: These words.
    state_words: stream.Interface
    #: State to store, `out_beat`, kind 1, `last` per section.
    state: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "job": In(job_layout(c)), "next_job": In(job_layout(c)), "next_valid": In(1),
            "op": In(stream.Signature(data.StructLayout({"finish": 1}))), "drained": In(1),
            "done": Out(stream.Signature(data.StructLayout({"error": 1}))),
            "busy": Out(1),
            "probs": In(stream.Signature(prob_row(c))),
            "head_sums": In(stream.Signature(head_sum(c))),
            "idle": Out(1),
            "alive_tokens": Out(c.count_bits), "alive_heads": Out(c.max_heads.bit_length()),
            "heads_alive": Out(c.max_heads),
            "class_counts": Out(slice_counts(c)),
            "class_row": In(c.row_bits).array(READERS), "class_indexes": Out(class_row(c)).array(READERS),
            "dense_row": In(c.row_bits).array(DENSE_READERS), "dense_ids": Out(ids_row(c)).array(DENSE_READERS),
            "state_cmd": Out(stream.Signature(aux_command(c))),
            "state_words": In(stream.Signature(aux_word())),
            "state": Out(stream.Signature(out_beat(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c, job = self.config, self.job
        m.submodules.control = control = CascadeControl(c)
        m.submodules.lists = lists = ClassLists(c)
        m.submodules.head_set = head_set = HeadSet(c)
        m.submodules.walk = walk = BitmapWalk(c)
        m.submodules.dense = dense = DenseList(c)
        m.submodules.token_importance = importance = TokenImportance(c)
        m.submodules.token_totals = totals = TokenTotals(c)
        m.submodules.serial = serial = SerialTotals(c)
        m.submodules.selector = pruning = TokenPruning(c)
        m.submodules.head_importance = heads = HeadImportance(c)
        m.submodules.head_pruning = head_pruning = HeadPruning(c)
        m.submodules.load = load = StateLoad(c)
        m.submodules.store = store = StateStore(c)
        for name in ("op", "done"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(control, name))
        m.d.comb += [
            importance.probs.payload.eq(self.probs.payload),
            importance.probs.valid.eq(self.probs.valid & ~control.zeroing),
            self.probs.ready.eq(importance.probs.ready & ~control.zeroing),
        ]
        for port, inner in ((self.head_sums, heads.head_sums),
                            (self.state_cmd, load.state_cmd), (self.state_words, load.state_words),
                            (self.state, store.state)):
            wiring.connect(m, wiring.flipped(port), inner)
        m.d.comb += [
            self.busy.eq(control.busy), self.idle.eq(importance.idle & totals.idle & heads.idle),
            self.alive_tokens.eq(lists.alive_tokens), self.class_counts.eq(lists.counts),
            self.alive_heads.eq(head_set.count), self.heads_alive.eq(head_set.alive),
            control.job.eq(job), control.alive_tokens.eq(lists.alive_tokens), control.alive_heads.eq(head_set.count),
            control.tokens_fit.eq(lists.fits), control.heads_fit.eq(head_set.fits),
            control.identity.eq(lists.identity), control.used.eq(importance.used),
            control.load_done.eq(load.done), control.load_error.eq(load.error), control.store_done.eq(store.done),
            control.tokens_done.eq(pruning.done), control.heads_done.eq(head_pruning.done),
            control.dense_done.eq(dense.done), control.serial_busy.eq(serial.busy),
            control.sums_idle.eq(importance.idle & totals.idle), control.totals_idle.eq(totals.idle),
            control.heads_idle.eq(heads.idle), control.drained.eq(self.drained),
        ]
        looks = QueryTokens(c) if c.chunk_queries else None
        if looks is not None:
            m.submodules.query_tokens = looks
        connect_survivors(m, self, control, lists, head_set, walk, dense, pruning, load, importance, looks)
        connect_totals(m, c, job, control, lists, dense, pruning, load, store, importance, totals, serial)
        if looks is not None:
            self._queries(m, control, lists, looks)
        self._heads(m, control, head_set, heads, head_pruning, load, store)
        m.d.sync += load.start.eq(control.load_start)   # the control stays in the state that loads
        m.d.comb += [
            load.ids.eq(control.loading_ids), load.addr.eq(Mux(control.loading_ids, job.ids_in, job.scores_in)),
            load.tokens.eq(job.tokens), load.heads.eq(job.heads), load.below.eq(lists.below),
            load.head_range.eq(head_set.range),
            store.start.eq(control.store_start), store.ids.eq(control.store_ids),
            store.addr.eq(Mux(control.store_ids, job.ids_out, job.scores_out)),
            store.alive_tokens.eq(lists.alive_tokens), store.alive_heads.eq(head_set.count),
            store.heads.eq(job.heads), store.heads_alive.eq(head_set.alive),
            # The bitmap goes to memory or becomes the dense list.
            store.bitmap.payload.eq(walk.bitmap.payload), dense.bitmap.payload.eq(walk.bitmap.payload),
            store.bitmap.valid.eq(walk.bitmap.valid & control.storing),
            dense.bitmap.valid.eq(walk.bitmap.valid & ~control.storing),
            walk.bitmap.ready.eq(Mux(control.storing, store.bitmap.ready, dense.bitmap.ready)),
        ]
        return m

    def _queries(self, m: Module, control, lists, look) -> None:
        """Whether the tokens that are queries survive."""
        m.d.comb += [
            look.start.eq(control.queries_start), control.queries_done.eq(look.done),
            control.queries_good.eq(look.good), look.tokens.eq(self.job.tokens), look.queries.eq(self.job.queries),
            look.counts.eq(lists.counts), look.live.eq(lists.own_live), look.indexes.eq(lists.own_indexes),
        ]

    def _heads(self, m: Module, control, head_set, heads, head_pruning, load, store) -> None:
        """Totals of heads go to memory or are compared."""
        m.submodules.stored_heads_skid = skid = SkidBuffer(heads.totals.payload.shape())
        wiring.connect(m, skid.o, store.head_totals)
        m.d.comb += [
            heads.clear.eq(control.clear_totals), heads.start.eq(control.store_scores | head_pruning.scan),
            heads.mask.eq(Mux(control.store_scores, head_set.range, head_set.alive)),
            heads.write.eq(load.write_head), heads.write_head.eq(load.head), heads.write_total.eq(load.head_total),
            skid.i.payload.eq(heads.totals.payload), head_pruning.totals.payload.eq(heads.totals.payload),
            skid.i.valid.eq(heads.totals.valid & control.storing),
            head_pruning.totals.valid.eq(heads.totals.valid & ~control.storing),
            heads.totals.ready.eq(Mux(control.storing, skid.i.ready, 1)),
            head_pruning.start.eq(control.heads_start), head_pruning.keep.eq(control.keep_heads),
            head_pruning.count.eq(head_set.count), head_pruning.scanning.eq(heads.scanning),
            head_set.drop.eq(head_pruning.drop), head_set.dropped.eq(head_pruning.dropped),
        ]
