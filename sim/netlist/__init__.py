"""The accelerator after synthesis: its mapped netlist as Verilog that the simulation takes in place of the RTL.

May import: boards.flow, config, errors, host.workload, presets, sim, sim.harness, top, verilog.
"""
