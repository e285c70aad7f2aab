"""Text to token ids and back: byte-level BPE of a GGUF file, and the chat template of its kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spatten_hw.errors import UserError

#: Token types of GGUF that stand for themselves in a text and are never made of its characters.
CONTROL, USER_DEFINED = 3, 4
#: Kinds of splitting before BPE (`tokenizer.ggml.pre`) → whether every digit stands alone.
KINDS = {"smollm": True, "gpt-2": False, "default": False}
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
START, END = "<|im_start|>", "<|im_end|>"


class Tokenizer:
    """`encode`, `decode` and `pieces` (the text of each id); `end`: ids that end an answer."""

    def __init__(self, vocabulary: Sequence[str], merges: Sequence[str], types: Sequence[int], kind: str,
                 ends: frozenset[int] = frozenset()):
        from tokenizers import AddedToken, decoders, models, pre_tokenizers
        from tokenizers import Tokenizer as Backend

        if kind not in KINDS:
            raise UserError(f"the tokenizer '{kind}' is not served; served are {', '.join(KINDS)}")
        table = {text: n for n, text in enumerate(vocabulary)}
        pairs = (merge.partition(" ") for merge in merges)
        self.backend = Backend(models.BPE(table, [(left, right) for left, _, right in pairs]))
        split = [pre_tokenizers.Digits(individual_digits=True)] if KINDS[kind] else []
        self.backend.pre_tokenizer = pre_tokenizers.Sequence([*split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
        self.backend.decoder = decoders.ByteLevel()
        special = [text for text, one in zip(vocabulary, types, strict=True) if one in (CONTROL, USER_DEFINED)]
        self.backend.add_special_tokens([AddedToken(text, normalized=False) for text in special])
        self.end = ends | ({table[END]} if END in table else frozenset())
        self.chats = START in table and END in table

    @classmethod
    def of_fields(cls, fields: dict[str, Any]) -> Tokenizer:
        """From the fields of a GGUF file."""
        def get(name: str) -> Any:
            return fields[f"tokenizer.ggml.{name}"]

        if get("model") != "gpt2":
            raise UserError(f"a tokenizer of the kind '{get('model')}'; served is byte-level BPE ('gpt2')")
        return cls(get("tokens"), get("merges"), get("token_type"), str(fields.get("tokenizer.ggml.pre", "default")),
                   frozenset({int(get("eos_token_id"))}))

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of `text`; names of special tokens in it stand for these."""
        return tuple(self.backend.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, without special tokens; bytes that make no character are U+FFFD."""
        return self.backend.decode(list(ids), skip_special_tokens=True)

    def pieces(self, ids: Sequence[int]) -> tuple[str, ...]:
        """The text of each of `ids` by itself, special tokens by name."""
        return tuple(self.backend.decode([n], skip_special_tokens=False) for n in ids)

    def chat(self, turns: Sequence[tuple[str, str]], system: str = SYSTEM) -> tuple[int, ...]:
        """Ids of a conversation: (role, text) in order, roles "user" and "assistant", up to where the answer begins."""
        if not self.chats:
            raise UserError(f"the model has no chat template of {START} and {END}: use --plain")
        text = "".join(f"{START}{role}\n{words}{END}\n" for role, words in (("system", system), *turns))
        return self.encode(f"{text}{START}assistant\n")

    def next_turn(self, words: str) -> tuple[int, ...]:
        """Ids that follow the tokens of an answer: its end, what the user says next, up to where the answer begins."""
        return self.encode(f"{END}\n{START}user\n{words}{END}\n{START}assistant\n")
