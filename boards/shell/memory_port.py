"""The accelerator's memory port as one interface."""

from __future__ import annotations

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.bus.axi import ar_layout, aw_layout, b_layout, r_layout, w_layout
from spatten_hw.config import SpAttenConfig

#: AXI responses.
OKAY, SLVERR, DECERR = 0, 2, 3


def memory_port(config: SpAttenConfig) -> wiring.Signature:
    """The AXI4 channels of one memory port as streams, directions of a master (`spatten_hw/bus/axi.py`)."""
    return wiring.Signature({
        "ar": Out(stream.Signature(ar_layout(config))), "r": In(stream.Signature(r_layout(config))),
        "aw": Out(stream.Signature(aw_layout(config))), "w": Out(stream.Signature(w_layout(config))),
        "b": In(stream.Signature(b_layout(config))),
    })
