"""The survivors' lists in the pruner: who reads and who writes them, and when they change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth import Module, Mux, Signal, Value

from ..contract import contract
from .bitmap_walk import BitmapWalk
from .cascade import CascadeControl
from .class_lists import READERS, ClassLists
from .dense_list import DENSE_READERS, DenseList
from .head_set import HeadSet
from .query_tokens import QueryTokens
from .state_load import StateLoad
from .token_importance import TokenImportance
from .token_pruning import TokenPruning

if TYPE_CHECKING:
    from .pruner import Pruner


def connect_survivors(m: Module, pruner: Pruner, control: CascadeControl, lists: ClassLists, head_set: HeadSet,
                      walk: BitmapWalk, dense: DenseList, pruning: TokenPruning, load: StateLoad,
                      importance: TokenImportance, looks: QueryTokens | None) -> None:
    """Lists: who reads and who writes them, and when they change."""
    job = pruner.job
    walks = Signal()
    looked: Value = walks
    spoils = (control.restart | control.forget | control.load_start | control.clear_totals | control.zero | lists.commit
              | (importance.valid & importance.sums))
    of_rows: Value = importance.list_row
    if looks is not None:
        looked = walks | control.queries_start
        # Vectors that leave out some survivors find no threshold among all of them.
        spoils = spoils | ((job.queries > 1) & job.causal)
        of_rows = Mux(looks.busy, looks.row, of_rows)
    m.d.comb += [
        walks.eq(control.build | control.store_ids), walk.start.eq(walks), walk.rows.eq(control.rows),
        walk.indexes.eq(lists.own_indexes), walk.live.eq(lists.own_live), dense.build.eq(control.build),
        dense.identity.eq(lists.identity),
        lists.tokens.eq(job.tokens), lists.restart.eq(control.restart), lists.forget.eq(control.forget),
        lists.open.eq(pruning.open | (control.load_start & control.loading_ids)), lists.look.eq(looked),
        lists.open_candidates.eq(pruning.open_candidates),
        lists.own_candidates.eq(pruning.candidates), lists.renew.eq(pruning.renew | control.loading_ids),
        lists.put.eq(pruning.put | load.put), lists.put_digits.eq(pruning.put_digits),
        lists.commit.eq(pruning.commit | control.commit),
        lists.total.eq(Mux(control.loading_ids, load.total_tokens, control.keep_tokens)),
        head_set.heads.eq(job.heads), head_set.restart.eq(control.restart),
        # A bitmap that is loaded may have fewer words than the set.
        head_set.forget.eq(control.forget | (control.load_start & control.loading_ids)),
        head_set.load.eq(load.load_heads), head_set.load_word.eq(load.head_word),
        head_set.load_bits.eq(load.head_bits), head_set.load_total.eq(control.commit),
        head_set.total.eq(load.total_heads),
        pruning.start.eq(control.tokens_start), pruning.live.eq(lists.own_live),
        pruning.digits.eq(lists.own_digits),
    ]
    # From a layer's start to its end the pruning that follows is prepared, if it is known.
    moving = Signal()
    with m.If(control.op.valid & control.op.ready):
        m.d.sync += moving.eq(~control.op.p.finish)
    following = pruner.next_job
    m.d.comb += [
        pruning.follow.eq(moving & ~control.busy & pruner.next_valid),
        pruning.spoil.eq(spoils),
        pruning.vector.eq(importance.valid & ~importance.sums), pruning.first.eq(importance.row == 0),
        pruning.last.eq(importance.last), pruning.row_live.eq(importance.write),
    ]
    keep_next = Mux(following.keep_tokens == 0, 1, following.keep_tokens)
    for params, source, keep in ((pruning.params, job, control.keep_tokens),
                                 (pruning.next, following, keep_next)):
        m.d.comb += [params.keep.eq(keep), params.tokens.eq(source.tokens),
                     params.protect_first.eq(source.protect_first), params.protect_last.eq(source.protect_last)]
    for b in range(pruner.config.slices):
        m.d.comb += [
            lists.own_rows[b].eq(Mux(walk.busy, walk.places[b],
                                     Mux(pruning.busy, pruning.row, of_rows))),
            lists.put_indexes[b].eq(Mux(control.loading_ids, load.put_index, pruning.put_indexes[b])),
        ]
    for i in range(READERS):
        m.d.comb += [lists.rows[i].eq(pruner.class_row[i]), pruner.class_indexes[i].eq(lists.indexes[i])]
    for i in range(DENSE_READERS):
        m.d.comb += [dense.rows[i].eq(pruner.dense_row[i]), pruner.dense_ids[i].eq(dense.ids[i])]
    contract(m, (pruning.put == 0) | (load.put == 0), "survivors come from pruning or from memory")
