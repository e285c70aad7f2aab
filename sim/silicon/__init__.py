"""The accelerator as a chip: area, timing and power of its netlists under a real run.

What an event costs, for models that count events: `spatten_hw.sim.silicon.events.energy_per_event`.

May import: boards.flow, commands, config, errors, generate, hierarchy, host, output, presets, sim, sim.bench, sim.dram,
sim.golden, sim.harness, units.
"""
