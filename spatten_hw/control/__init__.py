"""What runs the jobs: registers, job queue, descriptor reader and validator, the two stages, the walker that issues
work items, slots and items, fills, performance counters.

May import: config, contract, interface, primitives, shared, softmax, stream, units.
"""
