"""Real models: a sentence encoder, a classifier, a GPT, Hugging Face models, with their attention on an engine.

May import: config, errors, host, host.workload, sim, sim.golden.
"""
