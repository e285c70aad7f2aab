"""Pass 1: the score slots of all slices, and which vectors are complete."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.compare_tree import max_tree
from ..primitives.pipeline import delay
from ..primitives.tree import tree_stages
from ..stream.arbiter import RoundRobin
from ..stream.fifo import never_full, never_full_latency
from ..stream.layouts import score_write, slice_counts
from .rows import ready_vector
from .slice_scores import SliceScores
from .untouched import far_score


def given_slot(c: SpAttenConfig) -> data.StructLayout:
    """Keys of every slice in the vector that comes to `slot`; with `chunk_queries`, of how many its query sees."""
    return data.StructLayout({"slot": unsigned(c.slot_bits), "keys": slice_counts(c),
                              **({"seen": slice_counts(c)} if c.chunk_queries else {})})


class ScoreSlots(wiring.Component):
    """`slots` vectors of exact scores, each slice's in a memory of its own (`SliceScores`).

    `i[s]`: scores of slice s, always accepted. `far[s]` (only with `decision_rules`): keys of a flat vector to whose
    scores nothing is added, taken when no score comes. `given` (once per vector, at the latest a cycle before its first
    score): slot and keys of every slice, at least one. `ready`: a vector, as soon as every slice has as many scores as
    said, with its maximum, `latency` cycles after its last score; again after as many `replay` scores. Of vectors that
    are complete in the same cycle, one goes on per cycle, slots in turn; at most `slots` wait: the queue is never full.
    `read_row` → `read_scores`: row of all slices, one cycle later, any time once `ready` (what a slice does not have is
    noise). `active`: scores or complete vectors under way.
    """

    i: list[stream.Interface]
    given: stream.Interface
    ready: stream.Interface
    read_row: Signal
    read_scores: data.View
    active: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        #: Taken from `missing`, found complete, chosen; maxima masked, their tree; the queue.
        self.latency = SliceScores.LATENCY + 3 + 1 + tree_stages(c.slices) + never_full_latency(c.slots)
        super().__init__({
            "i": In(stream.Signature(score_write(c))).array(c.slices),
            "given": In(stream.Signature(given_slot(c), always_ready=True)),
            "ready": Out(stream.Signature(ready_vector(c))),
            "read_row": In(c.slot_bits + c.row_bits),
            "read_scores": Out(data.ArrayLayout(signed(c.score_bits), c.slices)),
            "active": Out(1),
            **({"far": In(stream.Signature(far_score(c))).array(c.slices)} if c.decision_rules else {}),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        slices = [SliceScores(c) for _ in range(c.slices)]
        has_keys = Signal(c.slices)
        chosen = Signal(c.slot_bits, reset_less=True)
        given = self.given
        for s, part in enumerate(slices):
            m.submodules[f"slice_{s}"] = part
            if c.decision_rules:
                self._score(m, s, part)
            else:
                wiring.connect(m, wiring.flipped(self.i[s]), part.i)
            m.d.comb += [
                part.keys_valid.eq(given.valid), part.keys_slot.eq(given.p.slot), part.keys.eq(given.p["keys"][s]),
                has_keys[s].eq(given.p["keys"][s] != 0), part.top_slot.eq(chosen),
                part.read_row.eq(self.read_row), self.read_scores[s].eq(part.read_score),
            ]
            if c.chunk_queries:
                m.d.comb += part.seen.eq(given.p.seen[s])

        # Per slot the slices that are not complete. A vector that goes on is awaited again at once: after a flat
        # decision its scores come once more, else its slot is given anew.
        m.submodules.occupied = occupied = Memory(shape=unsigned(c.slices), depth=c.slots, init=[])
        occupied_write, occupied_read = occupied.write_port(), occupied.read_port(domain="comb")
        m.d.comb += [
            occupied_write.addr.eq(given.p.slot), occupied_write.data.eq(has_keys), occupied_write.en.eq(given.valid),
            occupied_read.addr.eq(chosen),
        ]
        m.submodules.turn = turn = RoundRobin(c.slots)
        goes = Signal()
        complete = Signal(c.slots)
        again = Array([Signal(name=f"again_{n}", reset_less=True) for n in range(c.slots)])
        m.d.comb += [turn.requests.eq(complete), turn.advance.eq(1)]
        m.d.sync += [goes.eq(turn.any), chosen.eq(turn.index)]
        for n in range(c.slots):
            missing = Signal(c.slices, name=f"missing_{n}", init=(1 << c.slices) - 1)
            renewed = Signal(name=f"renewed_{n}")
            finished = Signal(c.slices, name=f"finished_{n}")
            m.d.comb += [
                renewed.eq(goes & (chosen == n)),
                finished.eq(Cat(part.finished & (part.finished_slot == n) for part in slices)),
            ]
            with m.If(given.valid & (given.p.slot == n)):
                m.d.sync += [missing.eq(has_keys), again[n].eq(0)]
            with m.Elif(renewed):
                m.d.sync += [missing.eq(occupied_read.data), again[n].eq(1)]
            with m.Else():
                m.d.sync += missing.eq(missing & ~finished)
            m.d.sync += complete[n].eq(~missing.any() & ~turn.grant[n] & ~renewed)
            contract(m, (finished & ~missing) == 0, "a slice finishes what it has to")

        # The largest of the slices' maxima; those without keys do not count.
        least = -(1 << (c.score_bits - 1))
        tops: list[Value] = []
        for s, part in enumerate(slices):
            masked = Signal(signed(c.score_bits), name=f"masked_{s}", reset_less=True)
            m.d.sync += masked.eq(Mux(occupied_read.data[s], part.top, least))
            tops.append(masked)
        stages = 1 + tree_stages(c.slices)
        going = Signal(stages)
        # A slice's last score becomes `complete` two cycles after it has left the slice.
        late = delay(m, Cat(part.finished for part in slices).any(), 1, "late", reset=True)
        m.submodules.queue = queue = never_full(ready_vector(c), c.slots)
        m.d.sync += going.eq(Cat(goes, going[:-1]))
        m.d.comb += [
            queue.i.valid.eq(going[-1]), queue.i.p.top.eq(max_tree(m, tops, "top")),
            queue.i.p.slot.eq(delay(m, chosen, stages, "chosen")),
            queue.i.p.replay.eq(delay(m, again[chosen], stages, "replayed")),
            self.ready.valid.eq(queue.o.valid), self.ready.payload.eq(queue.o.payload),
            queue.o.ready.eq(self.ready.ready),
            self.active.eq(Cat(part.active for part in slices).any() | late | complete.any() | goes | going.any()
                           | queue.o.valid),
        ]
        contract(m, has_keys.any(), "a vector has keys", when=given.valid)
        contract(m, given.p.slot < c.slots, "slots are in range", when=given.valid)
        return m

    def _score(self, m: Module, s: int, part: SliceScores) -> None:
        """A score of slice `s`, else a far key of a flat vector: nothing is added to its score."""
        score, far = self.i[s], self.far[s]
        m.d.comb += [
            score.ready.eq(1), far.ready.eq(~score.valid), part.i.valid.eq(score.valid | far.valid),
            part.i.payload.eq(score.payload),
        ]
        with m.If(~score.valid):
            m.d.comb += [part.i.p.score.eq(0), part.i.p.slot.eq(far.p.slot), part.i.p.row.eq(far.p.row),
                         part.i.p.replay.eq(1)]
