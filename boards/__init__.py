"""One file per board, and what builds a bitstream for it. Imported as `spatten_hw.boards`.

May import: boards.flow, boards.shell, commands, config, errors, generate, output, sim, sim.harness, verilog,
verilog_text.
"""
