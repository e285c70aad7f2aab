"""The classifier as a package has it: 59 MB of weights and a tokenizer, both used, its code not."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spatten_hw.errors import UserError
from spatten_hw.sim.models.packaged import Foreign, check_shapes, packaged_file

from .checkpoint import read_checkpoint
from .model import Architecture, NanoGuard
from .pickles import DAMAGED
from .tokenizer import Tokenizer, read_tokenizer

#: The package (MIT), and the pip line that fetches it: its requirements, PyTorch among them, are not needed.
PACKAGE, VERSION = "metatronnanoguard", "0.1.0"
PIP = f"pip install --no-deps {PACKAGE}=={VERSION}"


@dataclass
class Loaded:
    """A model with its tokenizer."""

    model: NanoGuard
    tokenizer: Tokenizer


def default_files() -> tuple[Path, Path]:
    """Weights and tokenizer of the installed package. Raises `UserError` if there is none."""
    missing = f"the classifier is not installed: {PIP} (make evaluate does it)"
    model, tokenizer = (packaged_file(PACKAGE, f"nanoguard/assets/{name}", PIP, missing)
                        for name in ("model.pt", "tokenizer.pkl"))
    return model, tokenizer


def load(files: tuple[Path, Path] | None = None) -> Loaded:
    """The model of a checkpoint and the tokenizer of a pickle, by default the installed ones. Raises `UserError`: no
    such file, damaged, or another architecture."""
    weights_file, tokenizer_file = default_files() if files is None else files
    file = weights_file
    try:
        model = _model(read_checkpoint(weights_file))
        file = tokenizer_file
        tokenizer = read_tokenizer(tokenizer_file)
        if max(*tokenizer.ranks.values(), *tokenizer.special.values()) >= model.architecture.vocabulary:
            raise Foreign(f"has more tokens than {weights_file.name}")
    except Foreign as error:
        raise UserError(f"{file}: {error}") from None
    except OSError as error:
        raise UserError(f"{file}: {error.strerror or error}") from None
    except (zipfile.BadZipFile, *DAMAGED) as error:
        raise UserError(f"{file}: no readable model ({' '.join(str(error).split())}); install it again: {PIP}"
                        ) from error
    return Loaded(model, tokenizer)


def _model(checkpoint: dict[str, Any]) -> NanoGuard:
    config, weights = checkpoint["config"], checkpoint["model_state_dict"]
    heads, hidden = int(config["n_head"]), int(config["n_embd"])
    if config["n_kv_head"] != heads or config["num_classes"] != 2 or hidden % heads:
        raise Foreign("a model with grouped queries or with other than two classes, which is not served")
    architecture = Architecture(int(config["n_layer"]), heads, hidden // heads, int(config["sequence_len"]),
                                int(config["vocab_size"]))
    check_shapes(weights, architecture.shapes())
    return NanoGuard(architecture, {name: np.ascontiguousarray(weights[name]) for name in architecture.shapes()})
