"""Q, K and V out of memory (the Q-K-V fetcher of Figure 8 with its crossbar): which rows are read, bursts to read them
by, bits to operands, rows back in order.

May import: bus, config, contract, interface, primitives, shared, stream.
"""
