"""Cycles of the simulated hardware against the bounds of its own size: `spatten-hw bench`.

May import: boards, boards.flow, commands, config, digest, engines, errors, generate, host, matmul, output, presets,
prune, shared, sim, sim.dram, sim.golden, sim.harness, softmax, source_tree, stream, top, topk, units, user_text,
verilog, write.
"""
