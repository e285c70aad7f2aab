"""Results to memory: sums to 16-bit outputs, the importance of heads, write bursts.

May import: bus, config, contract, primitives, stream.
"""
