"""A channel reader with the feeds of its slices, and a memory that answers in any order, all as one component."""

from __future__ import annotations

import numpy as np
from amaranth import Array, Cat, Const, Module, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spatten_hw.bus.axi import ar_layout, r_layout
from spatten_hw.bus.channel_reader import ChannelReader
from spatten_hw.config import PAGE_BYTES, SpAttenConfig, clog2
from spatten_hw.contract import contract
from spatten_hw.fetch.slice_feed import SliceFeed
from spatten_hw.stream.fifo import StreamFifo

TINY = SpAttenConfig(multipliers=16, chunk=8, max_dim=24, operand_bits=12, max_tokens=512, sram_tokens=64, max_heads=8,
                     max_group=4, slots=8, topk_lanes=2, channels=1, axi_data_bits=64, axi_addr_bits=16, reads=16,
                     pool_beats=32)
BUILDS = {
    "two slices": TINY,
    "two feeds": TINY.replace(axi_data_bits=128, reads=64, pool_beats=256),
    "one chunk, few ids": TINY.replace(multipliers=8, max_dim=8, operand_bits=8, axi_data_bits=32, reads=2,
                                       pool_beats=32),
    "long pieces": TINY.replace(multipliers=64, chunk=16, max_dim=64, operand_bits=16, axi_data_bits=32, topk_lanes=4,
                                reads=64, pool_beats=128),
}
LANES = 4                                                    # ids with different low bits answer independently
ERRORS = 53                                                  # one beat in so many has an error


def beats_in_memory(c: SpAttenConfig) -> int:
    """Two pages."""
    return 2 * PAGE_BYTES // c.beat_bytes


def contents(c: SpAttenConfig) -> tuple[np.ndarray, np.ndarray]:
    """Bits [beats, beat bits] of the memory, and which beats have errors."""
    rng = np.random.default_rng(c.axi_data_bits)
    n = beats_in_memory(c)
    return rng.integers(0, 2, (n, c.axi_data_bits), dtype=np.uint8), rng.integers(0, ERRORS, n) == 0


class Memory(wiring.Component):
    """Bursts → beats: one queue of bursts per lane of ids; in each cycle, unless it pauses, a lane at random gives a
    beat of its oldest burst. `pause`: probability in 16ths."""

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({"ar": In(stream.Signature(ar_layout(c))), "r": Out(stream.Signature(r_layout(c))),
                          "pause": In(5)})

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        low = clog2(c.beat_bytes)
        bits, errors = contents(c)
        words = [int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little") | int(e) << c.axi_data_bits
                 for row, e in zip(bits, errors, strict=True)]
        m.submodules.words = store = memory.Memory(shape=c.axi_data_bits + 1, depth=len(words), init=words)
        read = store.read_port(domain="comb")
        random = Signal(23, init=1)
        step = random
        for _ in range(8):
            step = Cat(step[22] ^ step[17], step[:22])
        m.d.sync += random.eq(step)
        lane_of = self.ar.payload.id[:2] if c.id_bits > 1 else Cat(self.ar.payload.id, Const(0, 1))
        queues, done = [], []
        for n in range(LANES):
            m.submodules[f"lane{n}"] = queue = StreamFifo(ar_layout(c), 2 * c.reads)
            m.d.comb += [queue.i.payload.eq(self.ar.payload), queue.i.valid.eq(self.ar.valid & (lane_of == n))]
            queues.append(queue)
            done.append(Signal(8, name=f"done{n}"))
        m.d.comb += self.ar.ready.eq(1)
        pick = Signal(2)
        for offset in reversed(range(LANES)):
            lane = (random[:2] + offset)[:2]
            with m.If(Array(q.o.valid for q in queues)[lane]):
                m.d.comb += pick.eq(lane)
        valid = Signal()
        burst = Array(q.o.payload.as_value() for q in queues)[pick]
        burst = ar_layout(c)(burst)
        at = Array(done)[pick]
        last = at == burst.len
        m.d.comb += valid.eq(Array(q.o.valid for q in queues)[pick] & (random[8:12] >= self.pause))
        m.d.comb += [
            read.addr.eq((burst.addr[low:] + at)[:clog2(len(words))]),
            self.r.valid.eq(valid), Cat(self.r.payload.data, self.r.payload.resp[1]).eq(read.data),
            self.r.payload.id.eq(burst.id), self.r.payload.last.eq(last),
            *[q.o.ready.eq(valid & (pick == n) & last) for n, q in enumerate(queues)],
        ]
        with m.If(valid):
            m.d.sync += at.eq(0)
            with m.If(~last):
                m.d.sync += at.eq(at + 1)
        address = self.ar.payload
        contract(m, address.addr % PAGE_BYTES + (address.len + 1) * c.beat_bytes <= PAGE_BYTES,
                 "no burst crosses a page", when=self.ar.valid)
        return m


class Rig(wiring.Component):
    """The ports of `ChannelReader` with a memory and feeds; `r_seen`, `beat_seen`, `ar_seen`: a beat that comes, one
    that goes to the slices, a burst in this cycle."""

    def __init__(self, name: str):
        self.config = c = BUILDS[name]
        self.reader = ChannelReader(c)
        self.feeds = [SliceFeed(c) for _ in range(c.slices_per_channel)]
        ports = self.reader.signature.members
        seen = Out(stream.Signature(unsigned(8)))
        keep = ("k", "v", "shared", "shared_beats", "waits", "idle")
        planes = self.feeds[0].signature.members
        super().__init__({
            **{key: ports[key] for key in keep}, "pause": In(5),
            **{key: planes[key] for key in ("k_planes", "v_planes")},
            **{f"k_chunks{n}": feed.signature.members["k_chunks"] for n, feed in enumerate(self.feeds)},
            **{f"v_chunks{n}": feed.signature.members["v_chunks"] for n, feed in enumerate(self.feeds)},
            "r_seen": seen, "beat_seen": seen, "ar_seen": seen, "feeds_idle": Out(1),
            "asked": Out(stream.Signature(data.StructLayout({"beats": ports["asked"].shape,
                                                             "kind": ports["asked_class"].shape}))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.reader = reader = self.reader
        m.submodules.memory = store = Memory(c)
        for key in ("k", "v", "shared", "shared_beats"):
            connect(m, flipped(getattr(self, key)), getattr(reader, key))
        connect(m, reader.ar, store.ar)
        connect(m, store.r, reader.r)
        m.d.comb += [
            store.pause.eq(self.pause), reader.local.ready.eq(1), self.idle.eq(reader.idle),
            self.waits.eq(reader.waits),
            reader.k_first.eq(1), self.r_seen.valid.eq(store.r.valid), self.beat_seen.valid.eq(reader.local.valid),
            self.ar_seen.valid.eq(reader.ar.valid), self.ar_seen.payload.eq(reader.ar.payload.len),
            self.asked.valid.eq(reader.asked != 0), self.asked.payload.beats.eq(reader.asked),
            self.asked.payload.kind.eq(reader.asked_class), self.feeds_idle.eq(Cat(f.idle for f in self.feeds).all()),
        ]
        for n, feed in enumerate(self.feeds):
            m.submodules[f"feed{n}"] = feed
            connect(m, feed.k_chunks, flipped(getattr(self, f"k_chunks{n}")))
            connect(m, feed.v_chunks, flipped(getattr(self, f"v_chunks{n}")))
            m.d.comb += [
                feed.number.eq(n), feed.k_planes.eq(self.k_planes), feed.v_planes.eq(self.v_planes),
                feed.i.payload.eq(reader.local.payload),
                feed.i.valid.eq(reader.local.valid), feed.k_begun.eq(reader.k_begun[n]),
                feed.v_begun.eq(reader.v_begun[n]), reader.k_room[n].eq(feed.k_room), reader.v_room[n].eq(feed.v_room),
            ]
        return m
