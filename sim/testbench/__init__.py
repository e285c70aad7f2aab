"""cocotb test benches: building a component, driving and watching its streams."""

from .streams import Bench, Sink, Source, pack, unpack

__all__ = ["Bench", "Sink", "Source", "pack", "unpack"]
