"""A small GPT with a KV cache: corpus, training, the model in numpy, and generation with attention on an engine."""
