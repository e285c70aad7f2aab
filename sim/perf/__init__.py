"""A cycle model of the sliced machine, a slice per memory channel: how long a layer takes, and what its queues need.

May import: nothing.
"""
