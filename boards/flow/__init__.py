"""From Verilog to cells, timing and a bitstream, with open tools that pip installs."""
