"""NanoGuard, a classifier of texts that finds prompt injections, in numpy, read from the files of its package.

May import: errors, sim.models.
"""
