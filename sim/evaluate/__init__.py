"""Accuracy against savings: real models on the golden model's arithmetic, over a grid of settings.

May import: config, errors, host, host.workload, output, presets, sim.golden, sim.harness, sim.models,
sim.models.decoder, sim.models.eviction, sim.models.gpt, sim.models.llama, sim.models.nanoguard, user_text.
"""
