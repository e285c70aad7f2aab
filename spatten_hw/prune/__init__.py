"""Cascade token and head pruning: importance of tokens and heads added up over queries and layers, who survives, and
the lists of survivors; state to and from memory.

May import: config, contract, primitives, stream.
"""
