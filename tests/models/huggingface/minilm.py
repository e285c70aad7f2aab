"""Prints what `docs/huggingface.md` says of a trained model: sentence vectors of MiniLM on the golden engine, loaded by
transformers from the weights of `spatten-hw demo`, against `eager`."""

from __future__ import annotations

import time

import torch
import transformers as hf

from spatten_hw.host import PaperSchedule
from spatten_hw.sim.models.huggingface import SpAttenAttention, register
from spatten_hw.sim.models.minilm import model_path

SENTENCES = [
    "Token pruning removes the words that matter least, layer after layer, and never fetches them again.",
    "The museum opens at nine, but the queue at the gate starts to form long before sunrise.",
    "If the pump fails during the night, close the valve by hand and call the control room at once.",
    "She planted two rows of beans behind the house and a pear tree next to the old stone wall.",
]
PAPER = PaperSchedule(prune_tokens=(0.0, 0.4), prune_values=0.4, prune_heads=(0.0, 0.1))
ROWS = (("12 bits", {}), ("8 bits", {"q_bits": 8, "k_bits": 8, "v_bits": 8}),
        ("8 bits, pruned", {"q_bits": 8, "k_bits": 8, "v_bits": 8, "schedule": PAPER, "protect_first": 1,
                            "protect_last": 1}))


def main() -> None:
    """The table: least cosine over the sentences, memory traffic, processor time."""
    path = str(model_path())
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_file=f"{path}/tokenizer.json", pad_token="[PAD]")
    batch = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    mask = batch["attention_mask"]

    def vectors(model: hf.BertModel, context: SpAttenAttention | None = None) -> torch.Tensor:
        """Unit vectors: means over the tokens that are left."""
        rows = model(input_ids=batch["input_ids"], attention_mask=mask)[0]
        left = mask if context is None else torch.from_numpy(context.survivors).to(rows.dtype)
        return torch.nn.functional.normalize((rows * left[..., None]).sum(1), dim=1)

    print("| setting | least cosine to eager | bytes of dense 12-bit | seconds |\n|---|---|---|---|")
    with torch.no_grad():
        register()
        want = vectors(hf.BertModel.from_pretrained(path, attn_implementation="eager").eval())
        ours = hf.BertModel.from_pretrained(path, attn_implementation="spatten").eval()
        for name, settings in ROWS:
            start = time.process_time()
            with SpAttenAttention("small", **settings) as attention:
                got = vectors(ours, attention)
            report = attention.report
            part = sum((report.bytes or {}).values()) / report.dense_bytes
            least, seconds = float((want * got).sum(1).min()), time.process_time() - start
            print(f"| {name} | {least:.5f} | {part:.0%} | {seconds:.1f} |")
    print(f"\n{int(mask.sum())} tokens in {len(mask)} sentences")


if __name__ == "__main__":
    main()
