"""The walker's states in generation where a job may have several queries: gangs of blocks of them."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Module, Signal, Value
from amaranth.lib import stream

from ..contract import contract
from ..primitives.widths import wrap
from .blocks import Blocks
from .item_issue import ItemIssue
from .replays import Replays, members_of


@dataclass
class GangPlace:
    """Where the walk is: registers of `Walker`; `next_position` is what `position` becomes. `seen`: the next query sees
    tokens below it; `left`: queries of the block."""

    kv_head: Signal
    first_slot: Signal
    first_item: Signal
    member: Signal
    last_member: Signal
    position: Signal
    next_position: Signal
    seen: Signal
    left: Signal


def walk_blocks(m: Module, blocks: Blocks, issue: ItemIssue, replays: Replays, walk: stream.Interface, take: Signal,
                at: GangPlace) -> None:
    """States BEGIN, GANG, STREAM, inside the walker's FSM: block after block of a head, in each query after query, of
    each the query heads of the group; then the walk over the keys of the block. One work item per cycle."""
    block, place, seen, left = blocks.current, issue.place, at.seen, at.left
    m.d.comb += [place.seen.eq(seen), place.scored.eq(block.limit), place.gang.eq(block.gang)]
    with m.State("BEGIN"):
        m.d.comb += [replays.opens.eq(blocks.ready), at.next_position.eq(block.first)]
        m.d.sync += [seen.eq(block.start), left.eq(block.positions), at.member.eq(0)]
        with m.If(blocks.ready):
            m.next = "GANG"
    with m.State("GANG"), m.If(issue.ready):
        m.d.comb += take.eq(1)
        m.d.sync += at.member.eq(at.member + 1)
        with m.If(at.last_member):
            m.d.comb += at.next_position.eq(at.position + 1)
            m.d.sync += [at.member.eq(0), left.eq(left - 1), seen.eq(wrap(seen + block.step, len(seen)))]
            with m.If(left == 1):
                m.next = "STREAM"
    with m.State("STREAM"), m.If(walk.ready & ~replays.walk.valid):
        m.d.comb += [
            walk.valid.eq(1), walk.payload.kv_head.eq(at.kv_head), walk.payload.slot.eq(at.first_slot),
            walk.payload.members.eq(members_of(blocks.config, block.gang)), walk.payload.limit.eq(block.limit),
            walk.payload.final_row.eq(block.final_row), blocks.following.eq(1), at.next_position.eq(0),
        ]
        # The numbers behind the gang's are the first ones of the next.
        m.d.sync += [at.first_slot.eq(issue.slot), at.first_item.eq(issue.item)]
        m.next = "BEGIN"
        with m.If(block.last):
            m.next = "HEAD"


def walk_contracts(m: Module, blocks: Blocks, at: GangPlace, take: Value) -> None:
    """What a generation job's work item that is issued (`take`) must be."""
    contract(m, at.left != 0, "a query that is issued is the block's", when=take)
    contract(m, at.seen <= blocks.current.limit, "no query of a block sees more than its last one", when=take)
