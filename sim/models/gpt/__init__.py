"""A small GPT with a KV cache: corpus, training, the model in numpy, and generation with attention on an engine.

May import: config, errors, host, host.workload, output, sim, sim.golden, sim.harness, sim.models.
"""
