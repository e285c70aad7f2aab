"""A Hugging Face model with its attention as the accelerator computes it, pruned from layer to layer.

    python examples/hugging_face.py              # random weights; needs the extra `huggingface`
"""

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from spatten_hw.host import FixedRatios
from spatten_hw.sim.models.huggingface import SpAttenAttention

torch.manual_seed(0)
config = LlamaConfig(vocab_size=100, hidden_size=128, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4,
                     num_key_value_heads=2, pad_token_id=0)
schedule = FixedRatios(keep_tokens=(1.0, 0.75, 0.5), keep_values=0.5)
with SpAttenAttention("small", schedule=schedule, protect_first=1) as attention:
    # Weights of yours: AutoModelForCausalLM.from_pretrained(folder, attn_implementation="spatten")
    model = AutoModelForCausalLM.from_config(config, attn_implementation="spatten").eval()
    tokens = model.generate(torch.randint(1, 100, (1, 40)), max_new_tokens=4, do_sample=False)

report = attention.report
print(f"{tokens.shape[1]} tokens; {sum(report.bytes.values())} bytes, {report.dense_bytes} dense in 12 bits")
