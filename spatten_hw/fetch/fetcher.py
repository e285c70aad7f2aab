"""Q-K-V fetcher (SpAtten, Figure 8, block 1): all reads of the accelerator."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..bus.axi import ar_layout, r_layout
from ..bus.channel_reader import ChannelReader
from ..config import SpAttenConfig, clog2
from ..contract import always_taken
from ..primitives.registers import local_copy
from ..shared import Shared
from ..stream.job_layouts import job_layout
from ..stream.layouts import fill_command, key_walk_command, q_command, slice_counts
from ..stream.merge import StreamMerge
from ..stream.read_layouts import aux_command, aux_word, key_note, operand_chunk, read_request, shared_note, value_note
from .fill_dispatch import dispatch_fills
from .fill_walk import filled_layout
from .key_walk import KeyWalk
from .plane import plane_of
from .report import ERROR_CLASSES, report
from .shared import SharedFetch
from .slice_feed import SliceFeed

#: Planes of shared rows, in the order of `ReadKind`.
SHARED_PLANES = ("q", "k_msb", "v_msb", "k_lsb", "v_lsb")


class Fetcher(wiring.Component):
    """Reads of C channels: a `ChannelReader` for each, a `SliceFeed` for each slice, `KeyWalk` and `SharedFetch`.

    K and V rows of generation go to the slice of their channel, in any order; Q rows, the rows of prompts and words
    take the shared path. K and Q are those of `job`, V rows of generation those of `back_job`. `beats_*`: beats
    requested, per class, a few cycles ago. `errors`: sticky bits in the order of `ERROR_CLASSES` until `front_clear`,
    V's until `back_clear`; a row with an error is delivered like any other. `waits`, in the same order: reads are
    outstanding, a few cycles late. `idle`: nothing in flight (a few cycles late); `busy` = ~idle. A job is constant
    from four cycles before its first command until its last row is out.
    """

    #: Layer whose K and Q rows are read, and the V rows of prompts.
    job: data.View
    #: Layer whose V rows of generation are read.
    back_job: data.View
    #: Walks over the K rows of a head: `key_walk_command`.
    k_walk: stream.Interface
    #: Pulse: all rows of a walk have been asked for.
    walked: Signal
    #: Row of the class lists that the walk reads.
    k_list_row: Signal
    #: Its token indexes by class, one cycle later.
    k_list_indexes: data.View
    #: Survivors by class.
    counts: data.View
    #: With `decision_rules`: slot and row (above it) of a walk for LSBs …
    far_row: Signal
    #: … and one cycle later, by slice, which keys are far: not wanted if LSBs come by key.
    far_keys: Signal
    #: Q rows to read: `q_command`.
    q_cmd: stream.Interface
    #: Fills of the SRAMs: `fill_command`.
    fill: stream.Interface
    #: Fills that have ended; always taken.
    filled: stream.Interface
    #: Row of the dense list that the fills read.
    fill_list_row: Signal
    #: Its ids, one cycle later.
    fill_list_ids: data.View
    #: Words of descriptors to read: `aux_command`.
    desc_cmd: stream.Interface
    #: These words, `aux_word`, in order.
    desc_words: stream.Interface
    #: Words of saved state to read: `aux_command`.
    state_cmd: stream.Interface
    #: These words, `aux_word`, in order.
    state_words: stream.Interface
    #: Per slice, V rows to read.
    v_reads: list[stream.Interface]
    #: Per slice, chunks of K rows.
    k_chunks: list[stream.Interface]
    #: Per slice, chunks of V rows.
    v_chunks: list[stream.Interface]
    #: Per slice, chunks of queries and of fills of the K SRAM; always taken.
    k_shared: list[stream.Interface]
    #: Per slice, chunks of fills of the V SRAM (and of queries); always taken.
    v_shared: list[stream.Interface]
    #: All items of the front job have slots: K rows go before V rows. Until then V rows go first, as their items must
    #: leave before others can come; after that the last K rows have the longest way, and V rows fill the time behind.
    k_first: Signal
    #: Read addresses, one AXI4 channel per memory port.
    ar: list[stream.Interface]
    #: Read data, one AXI4 channel per memory port.
    r: list[stream.Interface]
    #: Beats of Q requested, a few cycles ago.
    beats_q: Signal
    #: Beats of descriptors and state requested.
    beats_other: Signal
    #: Beats of K's MSB plane requested, all channels.
    beats_k_msb: Signal
    #: Beats of K's LSB plane requested.
    beats_k_lsb: Signal
    #: Beats of V's MSB plane requested.
    beats_v_msb: Signal
    #: Beats of V's LSB plane requested.
    beats_v_lsb: Signal
    #: AXI errors since the last clear, one sticky bit per class of `ERROR_CLASSES`.
    errors: Signal
    #: Forgets all errors but V's.
    front_clear: Signal
    #: Forgets V's errors.
    back_clear: Signal
    #: One bit per class of `ERROR_CLASSES`: reads are outstanding.
    waits: Signal
    #: Nothing in flight, a few cycles late.
    idle: Signal
    #: ~idle.
    busy: Signal
    #: A slice's K or V rows are outstanding, and none is there.
    stall: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        beats = (c.channels * c.most_beats).bit_length()
        super().__init__({
            "job": In(job_layout(c)), "back_job": In(job_layout(c)),
            "k_walk": In(stream.Signature(key_walk_command(c))), "walked": Out(1),
            "k_list_row": Out(c.row_bits), "k_list_indexes": In(data.ArrayLayout(unsigned(c.row_bits), c.slices)),
            "counts": In(slice_counts(c)),
            "q_cmd": In(stream.Signature(q_command(c))), "fill": In(stream.Signature(fill_command(c))),
            "filled": Out(stream.Signature(filled_layout())),
            "fill_list_row": Out(c.row_bits), "fill_list_ids": In(data.ArrayLayout(unsigned(c.token_bits), c.slices)),
            "desc_cmd": In(stream.Signature(aux_command(c))), "desc_words": Out(stream.Signature(aux_word())),
            "state_cmd": In(stream.Signature(aux_command(c))), "state_words": Out(stream.Signature(aux_word())),
            "v_reads": In(stream.Signature(read_request(c, value_note(c)))).array(c.slices),
            "k_chunks": Out(stream.Signature(operand_chunk(c, key_note(c)))).array(c.slices),
            "v_chunks": Out(stream.Signature(operand_chunk(c, value_note(c)))).array(c.slices),
            "k_shared": Out(stream.Signature(operand_chunk(c, shared_note(c)))).array(c.slices),
            "v_shared": Out(stream.Signature(operand_chunk(c, shared_note(c)))).array(c.slices),
            "ar": Out(stream.Signature(ar_layout(c))).array(c.channels),
            "r": In(stream.Signature(r_layout(c))).array(c.channels),
            "beats_q": Out(beats), "beats_other": Out(beats), "beats_k_msb": Out(beats), "beats_k_lsb": Out(beats),
            "beats_v_msb": Out(beats), "beats_v_lsb": Out(beats),
            "k_first": In(1), "errors": Out(len(ERROR_CLASSES)), "front_clear": In(1), "back_clear": In(1),
            "waits": Out(len(ERROR_CLASSES)), "idle": Out(1), "busy": Out(1), "stall": Out(1),
            **({"far_row": Out(c.slot_bits + c.row_bits), "far_keys": In(c.slices)} if c.decision_rules else {}),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        job = local_copy(m, self.job, "job_here")
        back_job = local_copy(m, self.back_job, "back_job_here")
        planes = {name: plane_of(m, c, job, name, f"front_{name}") for name in SHARED_PLANES}
        back = {name: plane_of(m, c, back_job, name, f"back_{name}") for name in ("v_msb", "v_lsb")}
        m.submodules.keys = keys = KeyWalk(c)
        m.submodules.shared_rows = shared = SharedFetch(c)
        fills = dispatch_fills(m, self, keys, shared)
        self._walks(m, planes, keys, shared)
        if c.chunk_queries:
            m.d.comb += keys.tokens.eq(job.tokens)
        if c.decision_rules:
            m.d.comb += [keys.by_key.eq(job.lsb_by_key), self.far_row.eq(keys.far_row), keys.far_keys.eq(self.far_keys)]
        readers = [Shared(ChannelReader, c) for _ in range(c.channels)]
        feeds = [Shared(SliceFeed, c) for _ in range(c.slices)]
        for n, reader in enumerate(readers):
            m.submodules[f"channel_{n}"] = reader
            self._channel(m, n, reader, feeds[n::c.channels], keys, shared, planes, back)
        for s, feed in enumerate(feeds):
            m.submodules[f"feed_{s}"] = feed
            for name in ("k", "v"):
                chunks, rows, into = (getattr(part, f"{name}_{end}") for part, end in (
                    (feed, "chunks"), (self, "chunks"), (self, "shared")))
                if name not in fills:
                    connect(m, chunks, flipped(rows[s]))
                    m.d.comb += [into[s].payload.eq(shared.chunks.payload), into[s].valid.eq(shared.chunks.valid)]
                    always_taken(m, into[s], f"{name}: fills of slice {s}")
                    continue
                connect(m, chunks, fills[name].feed[s])
                connect(m, fills[name].rows[s], flipped(rows[s]))
                connect(m, fills[name].fills[s], flipped(into[s]))
        report(m, self, readers, feeds, keys, shared)
        return m

    def _walks(self, m: Module, planes: dict, keys: KeyWalk, shared: SharedFetch) -> None:
        """Commands, lists and addresses of the two units that make requests here."""
        connect(m, flipped(self.q_cmd), shared.q_cmd)
        for n, name in enumerate(("desc", "state")):
            connect(m, flipped(getattr(self, f"{name}_cmd")), shared.cmd[n])
            connect(m, shared.words[n], flipped(getattr(self, f"{name}_words")))
        m.d.comb += [
            self.k_list_row.eq(keys.list_row), keys.list_indexes.eq(self.k_list_indexes), keys.counts.eq(self.counts),
            self.walked.eq(keys.ended),
            self.fill_list_row.eq(shared.list_row), shared.list_ids.eq(self.fill_list_ids),
        ]
        for n, name in enumerate(("k_msb", "k_lsb", "v_msb", "v_lsb")):
            m.d.comb += [getattr(keys, f)[n].eq(planes[name][f])
                         for f in ("base", "head_stride", "token_stride", "beats")]
        for kind, name in enumerate(SHARED_PLANES):
            m.d.comb += [*(shared.planes[kind][f].eq(planes[name][f])
                           for f in ("base", "head_stride", "token_stride", "beats")),
                         shared.modes[kind].eq(planes[name].mode)]

    def _channel(self, m: Module, n: int, reader: Shared, feeds: list, keys: KeyWalk, shared: SharedFetch, planes: dict,
                 back: dict) -> None:
        """One memory port: the requests of its slices and of the shared path, and where the rows go."""
        c = self.config
        k_first = Signal(name=f"k_first_{n}", reset_less=True)
        m.d.sync += k_first.eq(self.k_first)
        connect(m, reader.ar, flipped(self.ar[n]))
        connect(m, flipped(self.r[n]), reader.r)
        connect(m, shared.reads[n], reader.shared)
        connect(m, reader.shared_beats, shared.rows[n])
        slices = range(n, c.slices, c.channels)
        local_fills = keys.v_fills if c.slices > 1 else None
        of_v = [port for s in slices for port in (flipped(self.v_reads[s]), *([local_fills[s]] if local_fills else ()))]
        for name, note, sources in (("k", key_note(c), [keys.reads[s] for s in slices]), ("v", value_note(c), of_v)):
            m.submodules[f"{name}_requests_{n}"] = merge = StreamMerge(read_request(c, note), len(sources))
            for source, port in zip(sources, merge.i, strict=True):
                connect(m, source, port)
            connect(m, merge.o, getattr(reader, name))
        m.d.comb += [
            reader.k_room.eq(Cat(feed.k_room for feed in feeds)), reader.v_room.eq(Cat(feed.v_room for feed in feeds)),
            reader.local.ready.eq(1), reader.k_first.eq(k_first),
        ]
        for k, feed in enumerate(feeds):
            m.d.comb += [
                feed.i.valid.eq(reader.local.valid), feed.i.payload.eq(reader.local.payload),
                feed.number.eq(Const(k, max(1, clog2(c.slices_per_channel)))),
                feed.k_begun.eq(reader.k_begun[k]), feed.v_begun.eq(reader.v_begun[k]),
                *(feed.k_planes.modes[lsb].eq(planes[name].mode) for lsb, name in enumerate(("k_msb", "k_lsb"))),
                *(feed.v_planes.modes[lsb].eq(back[name].mode) for lsb, name in enumerate(("v_msb", "v_lsb"))),
                feed.k_planes.beats.eq(planes["k_msb"].beats), feed.v_planes.beats.eq(back["v_msb"].beats),
            ]
