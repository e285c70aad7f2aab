"""Cycles of the simulated hardware against the bounds of its own size: `spatten-hw bench`."""
