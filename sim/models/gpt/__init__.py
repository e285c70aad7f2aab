"""A small GPT with a KV cache: corpus, training, and the model in numpy (`sim.models.decoder` generates).

May import: config, errors, host, host.workload, output, sim, sim.golden, sim.harness, sim.models, sim.models.decoder.
"""
