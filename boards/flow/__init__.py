"""From Verilog to cells, timing and a bitstream, with open tools that pip installs.

May import: config, errors, generate, output, top, units, verilog.
"""
