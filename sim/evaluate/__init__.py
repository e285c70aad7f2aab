"""Accuracy against savings: real models on the golden model's arithmetic, over a grid of settings.

May import: config, errors, host, host.workload, output, sim.golden, sim.harness, sim.models, sim.models.decoder,
sim.models.gpt, user_text.
"""
