"""From Verilog to cells, timing and a bitstream, with open tools that pip installs.

May import: config, control, errors, fetch, generate, matmul, output, prune, shared, softmax, top, topk, verilog,
write.
"""
