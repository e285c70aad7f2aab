"""What the fetcher tells of itself: beats asked for, errors, what is outstanding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth import Cat, Module, Signal

from ..bus.read_issue import AskedClass
from ..primitives.adder_tree import adder_tree
from .key_walk import KeyWalk
from .shared import SharedFetch

if TYPE_CHECKING:
    from .fetcher import Fetcher

#: Order of the bits of `errors` and `waits`.
ERROR_CLASSES = ("q", "k", "v", "desc", "state")


def report(m: Module, fetcher: Fetcher, readers: list, feeds: list, keys: KeyWalk, shared: SharedFetch) -> None:
    """Counters, errors and whether anything is in flight; registered more than once, as they come from all over."""
    c = fetcher.config
    for kind, name in ((AskedClass.Q, "q"), (AskedClass.K_MSB, "k_msb"), (AskedClass.K_LSB, "k_lsb"),
                       (AskedClass.V_MSB, "v_msb"), (AskedClass.V_LSB, "v_lsb"), (AskedClass.OTHER, "other")):
        asked = []
        for n, reader in enumerate(readers):
            beats = Signal(c.beats_bits, name=f"{name}_{n}")
            m.d.sync += beats.eq(reader.asked & (reader.asked_class == kind).replicate(c.beats_bits))
            asked.append(beats)
        m.d.comb += getattr(fetcher, f"beats_{name}").eq(adder_tree(m, asked, f"beats_{name}", reset=True))
    failed = {name: Signal(c.slices, name=f"{name}_failed") for name in ("k", "v")}
    starved = Signal(c.slices)
    for s, feed in enumerate(feeds):
        for name, flags in failed.items():
            port = getattr(feed, f"{name}_chunks")
            m.d.sync += flags[s].eq(port.valid & port.ready & port.payload.last & port.payload.error)
        waits = readers[s % c.channels].waits
        m.d.sync += starved[s].eq((waits.k & ~feed.k_chunks.valid & feed.k_chunks.ready)
                                  | (waits.v & ~feed.v_chunks.valid & feed.v_chunks.ready))
    error = shared.error
    now = Signal(len(ERROR_CLASSES))
    clear = Cat(fetcher.back_clear if name == "v" else fetcher.front_clear for name in ERROR_CLASSES)
    waits = Signal(len(ERROR_CLASSES))
    idles = Cat(*(reader.idle for reader in readers), *(feed.idle for feed in feeds), keys.idle, shared.idle)
    quiet = Signal(len(idles))
    m.d.comb += now.eq(Cat(error.q, error.k | failed["k"].any(), error.v | failed["v"].any(), error.desc,
                           error.state))
    m.d.sync += [
        fetcher.errors.eq((fetcher.errors & ~clear) | now),
        waits.eq(Cat(shared.waits.q, shared.waits.k | Cat(reader.waits.k for reader in readers).any(),
                     shared.waits.v | Cat(reader.waits.v for reader in readers).any(), shared.waits.desc,
                     shared.waits.state)),
        fetcher.waits.eq(waits), quiet.eq(idles),
        fetcher.idle.eq(quiet.all() & ~fetcher.k_walk.valid & ~fetcher.q_cmd.valid & ~fetcher.fill.valid),
        fetcher.stall.eq(starved.any()),
    ]
    m.d.comb += fetcher.busy.eq(~fetcher.idle)
