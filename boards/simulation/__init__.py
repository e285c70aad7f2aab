"""A board's system in simulation, its serial line on a pseudo-terminal: what the host does here it does on a board."""

from .board import SimulatedBoard

__all__ = ["SimulatedBoard"]
