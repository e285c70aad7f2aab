"""The two multiplier arrays of Figure 8: Q×K with its K memory, and Prob×V with its V memory and adder trees.

May import: config, contract, primitives, stream.
"""
