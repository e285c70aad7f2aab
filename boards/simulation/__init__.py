"""A board's system in simulation, its serial line on a pseudo-terminal: what the host does here it does on a board.

May import: boards.shell, commands, config, errors, shared, sim, sim.harness, source_tree, verilog.
"""

from .board import SimulatedBoard

__all__ = ["SimulatedBoard"]
