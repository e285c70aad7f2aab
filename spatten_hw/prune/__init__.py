"""Cascade token and head pruning: importance of tokens and heads added up over queries and layers, who survives, the
lists of survivors (by class, and dense), and state to and from memory as bitmaps.

May import: config, contract, primitives, stream.
"""
