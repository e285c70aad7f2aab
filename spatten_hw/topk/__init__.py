"""Top-k engines, which find the threshold that keeps the k largest: quick-select with its zero eliminator (Figures 9
and 10) and the line-rate engine, both behind one interface; and local value pruning with one of them.

May import: config, contract, primitives, stream.
"""
