"""The accelerator as a chip: area, timing and power of its netlists under a real run.

May import: boards.flow, commands, config, errors, generate, hierarchy, host, output, presets, sim, sim.bench, sim.dram,
sim.golden, sim.harness, units.
"""
