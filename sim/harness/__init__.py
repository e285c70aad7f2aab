"""The Verilog compiled by Verilator into a shared library, with memories, checkers and probes in C++ around it, and
Python that drives it; for single blocks as well.

May import: config, errors, hierarchy, host, interface, output, probe, shared, sim.dram, sim.verify, source_tree, top,
verilog, write.
"""
