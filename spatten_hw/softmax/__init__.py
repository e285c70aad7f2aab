"""Scores to 12-bit probabilities, and the decision whether a row is so flat that its LSBs are read: score slots of
every slice, scaling, exponential, sum, reciprocal, normalisation. Lanes are the slices.

May import: config, contract, primitives, stream.
"""
