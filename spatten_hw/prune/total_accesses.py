"""The tokens' totals in the pruner: one memory, one access per cycle, and who makes it."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data

from ..config import SpAttenConfig
from ..contract import at_most_one, contract
from ..primitives.one_hot import one_hot_mux
from ..primitives.widths import wrap
from .cascade import CascadeControl
from .class_lists import ClassLists
from .dense_list import OWN, DenseList
from .rows import class_bits, id_parts
from .serial_totals import SerialTotals
from .state_load import StateLoad
from .state_store import StateStore
from .token_importance import TokenImportance
from .token_pruning import TokenPruning
from .token_totals import TokenTotals


def connect_totals(m: Module, c: SpAttenConfig, job: data.View, control: CascadeControl, lists: ClassLists,
                   dense: DenseList, pruning: TokenPruning, load: StateLoad, store: StateStore,
                   importance: TokenImportance, totals: TokenTotals, serial: SerialTotals) -> None:
    """Accesses of the totals: probabilities, pruning, zeroing, loading, and one by one for merging and storing."""
    one = serial.o.p
    merge = Signal()
    merged = Signal(c.token_bits)
    part, index = id_parts(c, merged)
    sources = [importance.valid, control.zero, load.write_token, serial.access, merge]
    m.d.comb += [
        merge.eq(serial.o.valid & control.merging), dense.rows[OWN].eq(one.row),
        merged.eq(Array([dense.ids[OWN][b] for b in range(c.slices)])[one.lane]),
        totals.valid.eq(Cat(*sources, pruning.access).any()), totals.indexes.eq(lists.own_indexes),
        totals.direct.eq(~pruning.access & ~(importance.valid & ~importance.sums)),
        totals.index.eq(one_hot_mux(sources, [importance.row, control.zero_row, load.token_index, serial.row,
                                              index])),
        totals.sums.eq((importance.valid & importance.sums) | (serial.access & control.merging)),
        totals.write.eq(one_hot_mux(
            [importance.valid, control.zero, load.write_token, merge],
            [importance.write, Const(-1, c.slices), load.token_class,
             wrap(Const(1, c.slices) << part, c.slices) if class_bits(c) else Const(1, 1)])),
        totals.fresh.eq((importance.valid & importance.fresh) | control.zero | load.write_token),
        totals.forward.eq(importance.valid), totals.row.eq(importance.row), totals.probs.eq(importance.lanes),
        totals.word.eq(one_hot_mux([load.write_token, merge], [load.token_total, one.total])),
        importance.clear.eq(control.clear_sums),
        pruning.totals.eq(totals.after), pruning.indexes.eq(totals.after_indexes),
        pruning.accessed.eq(totals.accessed),
        serial.start.eq(control.merge_start | control.store_scores), serial.totals.eq(totals.totals),
        serial.count.eq(Mux(control.merging, lists.alive_tokens, job.tokens)),
        serial.rows.eq(Mux(control.merging, importance.used, control.rows)),
        store.token_totals.payload.eq(one), store.token_totals.valid.eq(serial.o.valid & ~control.merging),
        serial.o.ready.eq(control.merging | store.token_totals.ready),
    ]
    contract(m, at_most_one(Cat(*sources, pruning.access)), "one access of the totals at a time")
