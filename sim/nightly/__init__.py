"""`make nightly`: everything that takes longer than a change can wait for, and one page of what came of it.

May import: sim.harness, source_tree.
"""
