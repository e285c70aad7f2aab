"""The keys of buffered vectors, `wide` rows at a time."""

from __future__ import annotations

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import clog2
from ..contract import contract
from ..primitives.ring import next_in_ring


class KeyGroups(wiring.Component):
    """A ring of `depth` groups of `wide` rows of `lanes` keys; a vector begins with a group of its own.

    In: a row while `valid` and not `full` (a register, a cycle late: it is set as soon as all groups but one are in
    use), `last` ends a vector, keys that do not count must be 0. Row r of a group lies in bank r, so that a group is
    read at once. Out: the current group of the reader, `keys` (row 0 lowest), `live` (which rows the vector has) and
    `group_last`. `step` selects the next group without latency: the memory gets the next address in the same cycle. A
    row is visible two cycles after it came. `step` with `free` also frees the group, `rewind` (never with `step`) goes
    back to the first group not freed.
    """

    #: Cycles from a row at the input to its keys at the output.
    LATENCY = 2
    #: Groups that a ring needs beyond those in use at a time, so that `full` causes no stall.
    SPARE = 2

    valid: Signal
    last: Signal
    row: data.View
    full: Signal
    step: Signal
    free: Signal
    rewind: Signal
    keys: data.View
    live: Signal
    group_last: Signal

    def __init__(self, key_bits: int, lanes: int, wide: int, depth: int):
        self.key_bits = key_bits
        self.lanes = lanes
        self.wide = wide
        self.depth = depth
        super().__init__({
            "valid": In(1), "last": In(1), "row": In(data.ArrayLayout(unsigned(key_bits), lanes)), "full": Out(1),
            "step": In(1), "free": In(1), "rewind": In(1),
            "keys": Out(data.ArrayLayout(unsigned(key_bits), lanes * wide)),
            "live": Out(wide), "group_last": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        address = max(1, clog2(self.depth))

        def after(group: Signal):
            return next_in_ring(group, self.depth)

        # Writing.
        bank = Signal(range(max(2, self.wide)))
        write_group = Signal(address)
        used = Signal(range(self.depth + 1))
        opens = Signal()
        m.d.comb += opens.eq(self.valid & (bank == 0))
        m.d.sync += [used.eq(used + opens - (self.step & self.free)), self.full.eq(used >= self.depth - 1)]
        with m.If(self.valid):
            with m.If(self.last | (bank == self.wide - 1)):
                m.d.sync += [bank.eq(0), write_group.eq(after(write_group))]
            with m.Else():
                m.d.sync += bank.eq(bank + 1)

        # Reading: in every cycle, so that a group appears as soon as it is stored.
        group = Signal(address)
        following = Signal(address, init=1 % self.depth)
        read_group = Signal(address)
        first_used = Signal(address)
        m.d.comb += read_group.eq(group)
        with m.If(self.step):
            m.d.comb += read_group.eq(following)
        with m.Elif(self.rewind):
            m.d.comb += read_group.eq(first_used)
        m.d.sync += [group.eq(read_group), following.eq(after(read_group))]
        with m.If(self.step & self.free):
            m.d.sync += first_used.eq(following)

        # The banks. Rows behind a vector's last one are left over from an earlier vector: `live` excludes them. The
        # `last` bits decide what is read next, so they are in memories of their own, small enough to become fast ones.
        ends = Signal(self.wide)
        shown = Signal(data.ArrayLayout(self.lanes * self.key_bits, self.wide))
        for b in range(self.wide):
            m.d.comb += self.live[b].eq(~ends[:b].any())
            for name, stored, out in ((f"bank_{b}", self.row.as_value(), shown[b]), (f"ends_{b}", self.last, ends[b])):
                memory = Memory(shape=unsigned(len(stored)), depth=self.depth, init=[])
                m.submodules[name] = memory
                write, read = memory.write_port(), memory.read_port(transparent_for=())
                m.d.comb += [
                    write.addr.eq(write_group), write.en.eq(self.valid & (bank == b)), write.data.eq(stored),
                    read.addr.eq(read_group), read.en.eq(1), out.eq(read.data),
                ]
        m.d.comb += [self.keys.as_value().eq(shown.as_value()), self.group_last.eq(ends.any())]
        contract(m, used <= self.depth, "no more groups are used than there are")
        contract(m, used != 0, "only groups in use are stepped over", when=self.step)
        contract(m, ~(self.step & self.rewind), "rewind never comes with step")
        contract(m, (used != self.depth) | (self.step & self.free), "a row that opens a group finds one", when=opens)
        return m
