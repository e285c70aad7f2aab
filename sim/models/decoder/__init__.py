"""Generation of text with a KV cache, for any decoder: jobs of prompt and steps, the cache in the accelerator's memory,
engines of attention, sampling, policies, and what a run tells.

May import: config, errors, host, host.workload, interface, sim, sim.golden, sim.models.
"""
