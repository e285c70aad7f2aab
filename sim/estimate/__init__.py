"""A closed model of the accelerator: cycles, bytes and energy of thousands of layers a second, for any configuration,
workload and memory. Described in docs/model.md.

May import: config, errors, host, host.workload, interface, output, presets, sim, sim.bench, sim.dram, sim.golden,
sim.harness, sim.silicon.
"""

from .model import Estimates, estimate
from .queued import sequence
from .work import Work

__all__ = ["Estimates", "Work", "estimate", "sequence"]
