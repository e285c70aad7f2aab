"""Model of DRAM behind the accelerator's memory ports: timing parameters, statistics, energy, replays.

May import: errors, sim.harness.
"""
