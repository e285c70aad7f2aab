"""Key walk: the K reads of a generation query, one request per surviving token, into the request queue of its slice."""

from __future__ import annotations

from functools import reduce
from operator import and_

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..interface.descriptor import STRIDE_BITS
from ..primitives.compare_tree import max_tree
from ..primitives.pipeline import Pipeline, delay
from ..primitives.products import STRIDE_STAGES, stride_product, times_few
from ..primitives.rotate import rotated
from ..primitives.tree import tree_stages
from ..primitives.widths import wrap
from ..stream.class_keys import dead_tokens, keys_below, keys_contract
from ..stream.fifo import StreamFifo, fifo_latency
from ..stream.job_layouts import head_stride_bits
from ..stream.layouts import key_walk_command, slice_counts
from ..stream.read_layouts import key_note, read_request, value_note

#: Payloads that a slice may be ahead of the slowest one.
QUEUE_DEPTH = 64
#: Cycles from a row's address to the class lists until its entries are written into the queues: the lists, rotation,
#: product, sum.
ROW_STAGES = 4
#: Rows still under way when a queue is seen to be full: those in the stages, that of the present cycle, and that of the
#: cycle in which room is found out.
QUEUE_MARGIN = ROW_STAGES + 2


class KeyWalk(wiring.Component):
    """`cmd` (`key_walk_command`) → `reads` (one `read_request` of a `key_note` stream per slice).

    A command reads rows r = 0, 1, … of the class lists until every class has ended. Slice s has class
    b = (s − kv_head) mod S; its r-th token index·S + b lies at base + kv_head·head_stride +
    (index·(S/C) + b div C)·token_stride of channel s mod C. One row per cycle, commands without a gap; all slices wait
    while the queue of one of them holds `depth` requests. A command without any token ends after one cycle.

    With `by_key` (a build with `decision_rules`) a walk for LSBs asks for those rows alone whose key is not `far` for
    all members.

    With `chunk_queries` a command is for the tokens below its `limit` alone, `tokens` are there in all.

    Latency from a command to its first requests: `latency` cycles. Addresses and strides are multiples of a beat. All
    plain inputs are constant from a command's cycle until `idle`.
    """

    #: Commands of a gang, one walk each.
    cmd: stream.Interface
    #: Per slice, its requests, in order of rows.
    reads: list[stream.Interface]
    #: Per slice, requests of V rows that fill the SRAM.
    v_fills: list[stream.Interface]
    #: First byte of the planes (index: lsb + 2·value), channel-local.
    base: Signal
    #: Bytes from a K/V head to the next one.
    head_stride: Signal
    #: Bytes from a token to the next one of its channel.
    token_stride: Signal
    #: Beats of a row.
    beats: Signal
    #: Row of the class lists that is wanted …
    list_row: Signal
    #: … and its token indexes, by class, a cycle later.
    list_indexes: Signal
    #: Survivors of every class.
    counts: Signal
    #: LSBs come by key.
    by_key: Signal
    #: Slot and row (above it) of the walk, a cycle after `list_row` …
    far_row: Signal
    #: … and one cycle later, by slice, which keys are far.
    far_keys: Signal
    #: Pulse: the last row of a walk for scores was asked for (a cycle late).
    ended: Signal
    #: Nothing inside (a cycle late).
    idle: Signal

    def __init__(self, config: SpAttenConfig, depth: int = QUEUE_DEPTH):
        self.config = c = config
        self.depth = depth

        def planes(width: int) -> In:
            return In(data.ArrayLayout(unsigned(width), 4))
        super().__init__({
            "cmd": In(stream.Signature(key_walk_command(c))),
            "reads": Out(stream.Signature(read_request(c, key_note(c)))).array(c.slices),
            "v_fills": Out(stream.Signature(read_request(c, value_note(c)))).array(c.slices),
            "base": planes(c.axi_addr_bits), "head_stride": planes(head_stride_bits(c)),
            "token_stride": planes(STRIDE_BITS), "beats": planes(c.beats_bits),
            "list_row": Out(c.row_bits), "list_indexes": In(data.ArrayLayout(unsigned(c.row_bits), c.slices)),
            "counts": In(slice_counts(c)), "ended": Out(1), "idle": Out(1),
            **({"tokens": In(c.count_bits)} if c.chunk_queries else {}),
            **({"by_key": In(1), "far_row": Out(c.slot_bits + c.row_bits), "far_keys": In(c.slices)}
               if c.decision_rules else {}),
        })

    @property
    def prepare_stages(self) -> int:
        """Stages of a command before its first row: long enough for the number of rows to be known, and whether the
        first row is the last one."""
        return max(2 + STRIDE_STAGES, tree_stages(self.config.slices) + 2)

    @property
    def latency(self) -> int:
        """Cycles from a command to the first requests if nothing is in front of it."""
        return self.prepare_stages + ROW_STAGES + fifo_latency(self.depth + QUEUE_MARGIN)

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        beat = clog2(c.beat_bytes)
        addr_bits = c.axi_addr_bits - beat               # addresses count beats
        spread = clog2(c.slices)
        room = Signal()
        counts: list[Value] = list(self.counts)
        if not c.chunk_queries:
            rows = max_tree(m, counts, "rows")
            final_row = Signal(c.row_bits, reset_less=True)
            any_rows = Signal(reset_less=True)
            m.d.sync += [any_rows.eq(rows != 0), final_row.eq(Mux(rows == 0, 0, wrap(rows - 1, c.row_bits)))]

        # Preparation: command, strides of its plane, product, sum; then the stage whose rows are walked.
        move = Signal()
        prepare = Pipeline(m, move)
        plane = Cat(self.cmd.payload.lsb, self.cmd.payload.value)
        command = Signal(key_walk_command(c), reset_less=True)
        plane_base = Signal(addr_bits, reset_less=True)
        head_stride = Signal(head_stride_bits(c) - beat, reset_less=True)
        with m.If(move):
            m.d.sync += [
                command.eq(self.cmd.payload), plane_base.eq(self.base[plane][beat:]),
                head_stride.eq(self.head_stride[plane][beat:]),
            ]
        product = stride_product(m, command.kv_head, head_stride, addr_bits, "head_offset", move)
        head_sum = Signal(addr_bits, reset_less=True)
        plane_base = prepare.delay(plane_base, STRIDE_STAGES, "plane_base")
        with m.If(move):
            m.d.sync += head_sum.eq(wrap(plane_base + product, addr_bits))
        more = self.prepare_stages - 2 - STRIDE_STAGES
        head_sum = prepare.delay(head_sum, more, "head_sum")
        before = command
        if c.chunk_queries:
            before = prepare.delay(command, STRIDE_STAGES + more, "command_before")
            command = prepare.delay(before, 1, "command")
            counts = self._seen(m, before, move)
            # What is below the limit has a last row of its own: known with the command.
            final_row, any_rows = command.final_row, Const(1, 1)
            rows = final_row + 1
        else:
            command = prepare.delay(command, STRIDE_STAGES + 1 + more, "command")
        waiting = [prepare.flag(self.cmd.valid, 1, "command_valid")]
        for n in range(self.prepare_stages - 1):
            waiting.append(prepare.flag(waiting[-1], 1, f"command_valid_{n}"))
        active = waiting[-1]

        # Walk: a row per cycle while every queue has room.
        row = Signal(c.row_bits)
        step = Signal()
        last = Signal(reset_less=True)
        following = Signal(c.row_bits)
        if c.chunk_queries:
            m.d.sync += last.eq(Mux(move, before.final_row == 0, Mux(step, following, row) == final_row))
        else:
            m.d.sync += last.eq(Mux(step, Mux(last, final_row == 0, following == final_row), row == final_row))
        m.d.comb += [
            following.eq(wrap(row + 1, c.row_bits)), step.eq(active & room & any_rows),
            move.eq(~active | (room & last)), self.cmd.ready.eq(move), self.list_row.eq(row),
        ]
        m.d.sync += self.ended.eq(active & move & ~command.fill)
        with m.If(step):
            m.d.sync += row.eq(Mux(last, 0, following))
        contract(m, (row < rows) | (row == 0), "the row exists", when=active)
        if c.chunk_queries:
            keys_contract(m, c, counts, self.counts, active)
            contract(m, Cat(n <= rows for n in counts).all() & Cat(n == rows for n in counts).any(),
                     "the final row is that of the longest class", when=active)
        contract(m, last == ((rows <= 1) | (row + 1 == rows)), "the last row is known a cycle ahead", when=active)

        # Behind the lists: these stages move in every cycle, since the queues have room for all of them.
        head = delay(m, head_sum, ROW_STAGES - 1, "row_head")
        note = Signal(key_note(c))
        m.d.comb += [
            note.slot.eq(command.slot), note.members.eq(command.members), note.lsb.eq(command.lsb), note.row.eq(row),
            note.fill.eq(command.fill), note.half.eq(command.half),
        ]
        value = delay(m, command.value, ROW_STAGES, "row_value")
        note = delay(m, note, ROW_STAGES, "row_note")
        shift = delay(m, command.kv_head[:spread], 1, "shift")
        stride = delay(m, self.token_stride[Cat(command.lsb, command.value)][beat:], 2, "token_stride")
        live = [delay(m, step & (row < count), 1, f"live_{b}", reset=True) for b, count in enumerate(counts)]
        indexes = rotated([Cat(live[b], self.list_indexes[b]) for b in range(c.slices)], shift)
        # Far keys are known two cycles behind the lists, registered here.
        near: list[Value] = [Const(1, 1)] * c.slices
        if c.decision_rules:
            masked = delay(m, command.lsb & ~command.fill & self.by_key, 3, "masked")
            far = delay(m, self.far_keys, 1, "far_here")
            m.d.sync += self.far_row.eq(Cat(command.slot, row))
            near = [~(masked & far[s]) for s in range(c.slices)]
        levels = []
        for s, lane in enumerate(indexes):
            group = wrap(Const(s, spread) - shift, spread)[clog2(c.channels):] if spread else Const(0, 0)
            place = delay(m, Cat(group, lane[1:]), 1, f"place_{s}")
            offset = delay(m, times_few(stride, place), 1, f"offset_{s}")
            addr = delay(m, wrap(head + offset, addr_bits), 1, f"addr_{s}")
            listed = delay(m, lane[0], ROW_STAGES - 2, f"listed_{s}", reset=True)
            valid = delay(m, listed & near[s], 1, f"valid_{s}", reset=True)
            levels.append(self._queue(m, s, valid, addr, note, value))
        m.d.sync += [
            room.eq(reduce(and_, [level < self.depth for level in levels])),
            self.idle.eq(~(self.cmd.valid | Cat(waiting).any() | self._moving(m, step)
                           | Cat(level != 0 for level in levels).any())),
        ]
        return m

    def _seen(self, m: Module, command: data.View, move: Value) -> list[Value]:
        """Keys of every class that a command is for, beside it in the stage that follows."""
        c = self.config
        dead = dead_tokens(m, c, self.tokens, self.counts, "dead")
        seen = Signal(slice_counts(c), reset_less=True)
        with m.If(move):
            m.d.sync += [seen[b].eq(keys) for b, keys in enumerate(keys_below(c, command.limit, dead))]
        return list(seen)

    def _moving(self, m: Module, step: Value) -> Value:
        """A row is between its address and the queues."""
        stages = [step]
        for n in range(ROW_STAGES):
            stages.append(delay(m, stages[-1], 1, f"moving_{n}", reset=True))
        return Cat(stages).any()

    def _queue(self, m: Module, s: int, valid: Value, addr: Value, note: data.View, value: Value) -> Value:
        """The queue of slice `s` between `valid`, `addr`, `note` and its requests; returns its level."""
        c = self.config
        shape = data.StructLayout({"addr": unsigned(len(addr)), "slot": unsigned(c.slot_bits),
                                   "members": unsigned(c.max_group), "row": unsigned(c.row_bits), "lsb": 1, "fill": 1,
                                   "half": 1, "value": 1})
        queue = StreamFifo(shape, self.depth + QUEUE_MARGIN, never_full=True)
        m.submodules[f"queue_{s}"] = queue
        entry, read = queue.o.payload, self.reads[s].payload
        m.d.comb += [queue.i.valid.eq(valid), queue.i.payload.addr.eq(addr), queue.i.payload.value.eq(value)]
        m.d.comb += [queue.i.payload[name].eq(note[name]) for name in ("slot", "members", "row", "lsb", "fill", "half")]
        m.d.comb += [read.note[name].eq(entry[name]) for name in ("slot", "members", "row", "lsb", "fill", "half")]
        fill = self.v_fills[s].payload
        m.d.comb += [fill.note[name].eq(entry[name]) for name in ("row", "lsb", "fill", "half")]
        m.d.comb += [
            self.reads[s].valid.eq(queue.o.valid & ~entry.value), self.v_fills[s].valid.eq(queue.o.valid & entry.value),
            queue.o.ready.eq(Mux(entry.value, self.v_fills[s].ready, self.reads[s].ready)),
        ]
        for request in (read, fill):
            m.d.comb += [
                request.addr.eq(Cat(Const(0, clog2(c.beat_bytes)), entry.addr)),
                request.beats.eq(self.beats[Cat(entry.lsb, entry.value)]), request.note.slice.eq(s // c.channels),
            ]
        always_taken(m, queue.i, f"queue {s}")
        return queue.level
