"""The two multiplier arrays of Figure 8, cut into slices: Q×K with its K memory and queries, Prob×V with its V memory
and sums; the gather that hands out kept V rows, and the adder tree over the slices.

May import: config, contract, fetch, primitives, shared, stream.
"""
