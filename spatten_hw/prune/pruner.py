"""Cascade token and head pruning with everything it owns: survivors, importance, state in memory."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..stream.job_layouts import job_layout
from ..stream.layouts import aux_command, aux_word, head_sum, out_beat, prob_row
from ..stream.skid import SkidBuffer
from .cascade import CascadeControl
from .head_importance import HeadImportance
from .list_scan import ListScan
from .rows import ids_layout, row_bits
from .score_memory import ScoreMemory
from .state_load import StateLoad
from .state_store import StateStore
from .survivor_selector import SurvivorSelector
from .survivors import SCAN, Survivors
from .token_importance import TokenImportance

#: External readers of the survivor list: K fetch, V fetch, Q fetch, kept rows of P×V.
LISTS = ("k", "v", "q", "p")


class Pruner(wiring.Component):
    """Cascade pruning (paper sections III-A, III-B; Figure 8, 6–8 and the importance accumulators).

    * `op` {finish}: 0 PREPARE before a layer's data moves, 1 FINISH after all `probs` have been accepted here;
      `drained`: all `head_sums` of the layers whose `probs` have arrived were accepted too; that may be after the next
      PREPARE. `done` {error} once per op. `job` is constant from PREPARE to the `done` of FINISH. `busy`
      from the cycle after an op is taken until its `done` is.
    * `probs`, `head_sums`: one row, one sum per cycle, always ready between PREPARE and FINISH; sums also later, until
      all have `drained`. `idle`: none is still on its way to a memory (FINISH waits for it by itself).
    * `alive_tokens`, `alive_heads`, `heads_alive`, and the list through four readers
      `{k,v,q,p}_list_row` → `…_list_ids`, one cycle later; all constant while data moves.
    * `state_cmd` / `state_words`: saved state in; `state`: saved state out (`kind` = 1, `last` per section).

    PREPARE takes in order: clear_scores or load_scores, then restart, load_ids or continue, then token
    pruning, then head pruning, on the totals of all layers before. Loading scores replaces all totals: those
    of ids ≥ tokens and heads ≥ job.heads become 0. A keep count of 0 counts as 1. On an error nothing is alive
    and every later op fails until a restart or a good load_ids. After reset all totals are 0, nothing is alive.

    Cycles without stalls, from op to done: FINISH without stores `cascade.FINISH_CYCLES` + r; r: rows of the survivor
    list (ids of a row that share a bank of the score memory take a cycle each); PREPARE `cascade.PREPARE_CYCLES`.
    Either takes ceil(tokens / L) more when it is the first to need totals that must be zeroed. Token pruning adds r,
    the engine's time and ceil(keep / L); head pruning the highest alive head number and the engine's time. Loads and
    stores move one word per cycle.
    """

    #: The layer; constant from PREPARE to the `done` of FINISH.
    job: data.View
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
    #: Row of the survivor list that the K fetch wants.
    k_list_row: Signal
    #: Its ids, one cycle later.
    k_list_ids: data.View
    #: Row that the V fetch wants.
    v_list_row: Signal
    #: Its ids, one cycle later.
    v_list_ids: data.View
    #: Row that the sequencer wants.
    q_list_row: Signal
    #: Its ids, one cycle later.
    q_list_ids: data.View
    #: Row that local value pruning wants.
    p_list_row: Signal
    #: Its ids, one cycle later.
    p_list_ids: data.View
    #: Words of saved state to read: `aux_command`.
    state_cmd: stream.Interface
    #: These words.
    state_words: stream.Interface
    #: State to store, `out_beat`, kind 1, `last` per section.
    state: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        lists: dict[str, wiring.Member] = {}
        for name in LISTS:
            lists[f"{name}_list_row"] = In(row_bits(c))
            lists[f"{name}_list_ids"] = Out(ids_layout(c))
        super().__init__({
            "job": In(job_layout(c)),
            "op": In(stream.Signature(data.StructLayout({"finish": 1}))), "drained": In(1),
            "done": Out(stream.Signature(data.StructLayout({"error": 1}))),
            "busy": Out(1),
            "probs": In(stream.Signature(prob_row(c))),
            "head_sums": In(stream.Signature(head_sum(c))),
            "idle": Out(1),
            "alive_tokens": Out(c.count_bits), "alive_heads": Out(c.max_heads.bit_length()),
            "heads_alive": Out(c.max_heads),
            **lists,
            "state_cmd": Out(stream.Signature(aux_command(c))),
            "state_words": In(stream.Signature(aux_word())),
            "state": Out(stream.Signature(out_beat(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c, job = self.config, self.job
        m.submodules.control = control = CascadeControl(c)
        m.submodules.survivors = alive = Survivors(c)
        m.submodules.token_importance = sums = TokenImportance(c)
        m.submodules.head_importance = heads = HeadImportance(c)
        m.submodules.scores = scores = ScoreMemory(c)
        m.submodules.scan = scan = ListScan(c)
        m.submodules.selector = select = SurvivorSelector(c)
        m.submodules.load = load = StateLoad(c)
        m.submodules.store = store = StateStore(c)

        for name in ("op", "done"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(control, name))
        for port, inner in ((self.probs, sums.probs), (self.head_sums, heads.head_sums),
                            (self.state_cmd, load.state_cmd), (self.state_words, load.state_words),
                            (self.state, store.state), ):
            wiring.connect(m, wiring.flipped(port), inner)
        wiring.connect(m, scan.requests, scores.requests)

        for i, name in enumerate(LISTS):
            m.d.comb += [alive.rows[i].eq(getattr(self, f"{name}_list_row")),
                         getattr(self, f"{name}_list_ids").eq(alive.ids[i])]
        m.d.comb += [
            self.busy.eq(control.busy), self.idle.eq(sums.idle & heads.idle),
            self.alive_tokens.eq(alive.alive_tokens), self.alive_heads.eq(alive.alive_heads),
            self.heads_alive.eq(alive.heads_alive),
            control.job.eq(job), control.alive_tokens.eq(alive.alive_tokens), control.last_id.eq(alive.last_id),
            control.alive_heads.eq(alive.alive_heads), control.heads_alive.eq(alive.heads_alive),
            control.load_done.eq(load.done), control.load_error.eq(load.error),
            control.store_done.eq(store.done), control.sums_idle.eq(sums.idle), control.heads_idle.eq(heads.idle),
            control.drained.eq(self.drained),
            control.scan_busy.eq(scan.busy), control.scores_idle.eq(scores.idle),
            control.members_end.eq(select.members.valid & select.members.p.last),
            alive.restart.eq(control.restart), alive.forget.eq(control.forget),
            alive.tokens.eq(job.tokens), alive.heads.eq(job.heads),
            # The list and the layer's sums are read in step.
            alive.rows[SCAN].eq(scan.read_row), alive.scan_enable.eq(scan.read_enable),
            scan.ids.eq(alive.ids[SCAN]), scan.sums.eq(sums.sums),
            sums.scan.eq(control.merging), sums.read_enable.eq(scan.read_enable), sums.read_row.eq(scan.read_row),
            sums.clear.eq(control.clear_sums),
            scan.start.eq(control.scan_start), scan.count.eq(control.scan_count),
            scan.every.eq(control.scan_every), scan.merge.eq(control.merging),
            heads.clear.eq(control.clear_heads), heads.start.eq(control.head_start),
            heads.mask.eq(control.head_mask),
            heads.write.eq(load.write_head), heads.write_head.eq(load.head),
            heads.write_total.eq(load.head_total),
        ]
        # Zeroing writes whole rows, loading single lanes.
        m.d.sync += load.start.eq(control.load_start)   # the control stays in the state that loads
        m.d.comb += [
            scores.write.eq(control.zero | load.write_token),
            scores.write_row.eq(Mux(control.zero, control.zero_row, load.write_row)),
            scores.write_lanes.eq(Mux(control.zero, ~0, load.write_lanes)),
            scores.write_total.eq(Mux(control.zero, 0, load.token_total)),
            load.ids.eq(control.load_ids),
            load.addr.eq(Mux(control.load_ids, job.ids_in, job.scores_in)),
            load.tokens.eq(job.tokens), load.heads.eq(job.heads),
            store.start.eq(control.store_start), store.ids.eq(control.store_ids),
            store.addr.eq(Mux(control.store_ids, job.ids_out, job.scores_out)),
            store.alive_tokens.eq(alive.alive_tokens), store.alive_heads.eq(alive.alive_heads),
            select.heads.eq(control.select_heads), select.keep.eq(control.keep),
            select.tokens.eq(job.tokens), select.protect_first.eq(job.protect_first),
            select.protect_last.eq(job.protect_last),
        ]
        # Totals go to the engine or to memory; a new list comes from the engine or from memory.
        # Stores wait for the writer. Skid buffers keep its back-pressure off the score memory's clock enables.
        for name, source, keys, words in (("tokens", scores.totals, select.token_totals, store.token_totals),
                                          ("heads", heads.totals, select.head_totals, store.head_totals)):
            m.submodules[f"stored_{name}_skid"] = skid = SkidBuffer(words.payload.shape())
            wiring.connect(m, skid.o, words)
            m.d.comb += [
                keys.payload.eq(source.payload), skid.i.payload.eq(source.payload),
                keys.valid.eq(source.valid & ~control.storing), skid.i.valid.eq(source.valid & control.storing),
                source.ready.eq(Mux(control.storing, skid.i.ready, keys.ready)),
            ]
        m.d.comb += [
            alive.members.valid.eq(load.members.valid | select.members.valid),
            alive.members.payload.eq(Mux(load.members.valid, load.members.payload, select.members.payload)),
            load.members.ready.eq(1), select.members.ready.eq(1),
        ]
        contract(m, ~(load.members.valid & select.members.valid), "a new list comes from memory or from the engine")
        contract(m, ~(control.zero & load.write_token), "totals are zeroed or loaded")
        return m
