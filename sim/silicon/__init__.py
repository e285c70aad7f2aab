"""The accelerator as a chip: area, timing and power of its mapped netlists under a real run; `spatten-hw bench silicon`.

May import: boards.flow, config, errors, generate, host, output, presets, sim, sim.dram, sim.golden, sim.harness, top,
units, verilog.
"""
