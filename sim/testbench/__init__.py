"""cocotb test benches: building a component, driving and watching its streams.

May import: bus, config, contract, host, sim.harness, source_tree.
"""

from .streams import Bench, Sink, Source, pack, unpack

__all__ = ["Bench", "Sink", "Source", "pack", "unpack"]
