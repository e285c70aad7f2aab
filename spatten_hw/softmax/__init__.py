"""Scores to 12-bit probabilities, and the decision whether a row is so flat that its LSBs are fetched: scaling,
exponential, sum, reciprocal, normalisation, and the slots in which vectors wait.

May import: config, contract, primitives, stream.
"""
