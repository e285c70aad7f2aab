"""Reads Q, K and V from memory (the Q-K-V fetcher of Figure 8): walks over surviving tokens, addresses of rows,
conversion of elements to operands, the queues of every slice, and the path of rows that are for all slices.

May import: bus, config, contract, interface, primitives, shared, stream.
"""
