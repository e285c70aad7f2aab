"""Eviction: which tokens a K/V head drops for good, and the slots of a cache of fixed size.

May import: config, errors, host, sim, sim.models, sim.models.decoder,
sim.models.llama.
"""
