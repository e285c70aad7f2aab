"""Models of the Llama architecture in numpy, read from GGUF files, with their tokenizer and chat template.

May import: errors, host, sim, sim.models, sim.models.decoder.
"""
