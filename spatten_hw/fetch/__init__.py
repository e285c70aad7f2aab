"""Reads Q, K and V from memory (the Q-K-V fetcher of Figure 8 with its crossbar): row addresses, bursts, conversion of
elements to operands, rows in order.

May import: bus, config, contract, interface, primitives, shared, stream.
"""
