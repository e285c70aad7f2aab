"""How well the tests guard the generator: mutants of the design that they must kill, and coverage.

May import: config, errors, rtlil, sim, sim.harness, sim.report, source_tree, top, verilog.
"""
