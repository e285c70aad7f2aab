"""Accelerators and processors on one yardstick: attention layers as arrays, the 30 benchmarks of the paper, and models
of those that it is compared with (dense arrays, A3, MNNFast, the CPU at hand), each with its assumptions
(`docs/rivals.md`).

May import: config, errors, presets, sim.bench, sim.dram, sim.estimate.
"""
