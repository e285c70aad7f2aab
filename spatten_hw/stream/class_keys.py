"""How many keys a query sees in every class, where a generation job has several queries (`chunk_queries`).

A query of such a job sees the survivors with ids below a limit, its own id + 1. The new tokens all survive, so of every
class (id mod S) that is the ids below the limit less the dead ones of the class, whose number is the same for all
queries of a job.
"""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..primitives.widths import narrow
from .layouts import slice_counts


def ids_below(c: SpAttenConfig, limit: Value, lane: int) -> Value:
    """Ids below `limit` (≤ max_tokens) in class `lane`, 0 … max_rows."""
    low = clog2(c.slices)
    whole = narrow(limit[low:], c.max_rows.bit_length())
    # No remainder is above the last class.
    return whole if lane == c.slices - 1 else narrow(whole + (limit[:low] > lane), len(whole))


def dead_tokens(m: Module, c: SpAttenConfig, tokens: Value, counts: data.View, name: str) -> Signal:
    """Tokens of every class that do not survive, of `tokens`, `counts` of which do; a cycle late."""
    dead = Signal(slice_counts(c), name=name, reset_less=True)
    for lane in range(c.slices):
        m.d.sync += dead[lane].eq((ids_below(c, tokens, lane) - counts[lane])[:c.max_rows.bit_length()])
    return dead


def keys_below(c: SpAttenConfig, limit: Value, dead: data.View) -> list[Value]:
    """Survivors below `limit` of every class: combinational, an adder each. The survivors that are not below it must be
    all tokens from there on."""
    return [(ids_below(c, limit, lane) - dead[lane])[:c.max_rows.bit_length()] for lane in range(c.slices)]


def keys_contract(m: Module, c: SpAttenConfig, keys: list[Value], counts: data.View, when: Value) -> None:
    """What `keys_below` gives is no more than there are."""
    for lane in range(c.slices):
        contract(m, keys[lane] <= counts[lane], f"queries see survivors of class {lane}", when=when)


def block_layout(c: SpAttenConfig) -> data.StructLayout:
    """A block of the positions of a job of several queries, whose vectors are a gang.

    `first`: number of its first query; `positions`: how many; `gang`: vectors. `start`, `limit`: ids that its first and
    its last query see are below these, `step` more for every further query; `final_row` of the keys of the last one.
    `last`: no block follows.
    """
    return data.StructLayout({
        "first": unsigned(c.count_bits), "positions": unsigned(c.max_group.bit_length()),
        "gang": unsigned(c.max_group.bit_length()), "start": unsigned(c.count_bits), "limit": unsigned(c.count_bits),
        "step": 1, "final_row": unsigned(c.row_bits), "last": 1,
    })


def positions_of(c: SpAttenConfig, group: Value) -> Value:
    """`SpAttenConfig.chunk_positions` of a group, 1 … max_group."""
    positions: Value = Const(1, c.max_group.bit_length())
    for n in range(1, c.max_group + 1):
        positions = Mux(group == n, c.chunk_positions(n), positions)
    return positions
