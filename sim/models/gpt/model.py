"""The GPT in numpy float32: everything but attention, which the caller supplies, and dense attention to compare with.

GPT-2's architecture (Radford et al. 2019): pre-norm blocks, learned positions, GELU in its tanh form, the output
embedding tied to the input's. One token is one character.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from spatten_hw.errors import UserError
from spatten_hw.output import new_folders, write_all, writing
from spatten_hw.sim.models.decoder.model import OPERANDS

from .architecture import Architecture
from .weights import weights_path

#: Added to variances before the root, here and in training.
NORM_EPS = 1e-5


@dataclass
class Gpt:
    """A model: sizes, `weights` by name (float32, `Architecture.shapes`) and the largest magnitudes of its operands.

    `peaks`: "q", "k", "v" → float64 [layers, heads], of a static quantisation. `info`: how it was trained.
    """

    architecture: Architecture
    weights: dict[str, np.ndarray]
    peaks: dict[str, np.ndarray] = field(default_factory=dict)
    info: dict[str, object] = field(default_factory=dict)
    title: str = "the GPT"
    unit: str = "character"
    folds: dict[str, np.ndarray] | None = None

    def __post_init__(self) -> None:
        a = self.architecture
        self.layers, self.heads, self.dim, self.hidden = a.layers, a.heads, a.dim, a.hidden
        self.context, self.vocabulary = a.context, a.vocabulary
        self.kv_heads = a.heads

    # -- the parts of a pass; leading axes are free ------------------------------------------------------------

    def embed(self, ids: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """[..., hidden] of token ids and positions [...]."""
        return self.weights["tokens"][ids] + self.weights["positions"][positions]

    def project(self, layer: int, x: np.ndarray,
                positions: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q, K and V, each [..., heads, dim], of rows x [..., hidden]; positions are in the rows already."""
        rows = self._norm(x, f"{layer}.before_attention")
        q, k, v = (self._dense(rows, f"{layer}.{name}").reshape(*x.shape[:-1], self.heads, self.dim)
                   for name in OPERANDS)
        return q, k, v

    def finish(self, layer: int, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        """The rest of a block: rows x [..., hidden] it began with, their attention out [..., heads, dim] → new rows."""
        joined = out.reshape(x.shape).astype(np.float32)
        x = x + self._dense(joined, f"{layer}.out")
        inner = gelu(self._dense(self._norm(x, f"{layer}.before_mlp"), f"{layer}.up"))
        return x + self._dense(inner, f"{layer}.down")

    def logits(self, x: np.ndarray) -> np.ndarray:
        """[..., vocabulary] of the last block's rows."""
        return self._norm(x, "last") @ self.weights["tokens"].T

    # -- dense -------------------------------------------------------------------------------------------------

    def forward(self, ids: np.ndarray, peaks: dict[str, np.ndarray] | None = None) -> np.ndarray:
        """Logits [..., tokens, vocabulary] of ids [..., tokens], dense causal attention. `peaks` are raised."""
        ids = np.asarray(ids)
        x = self.embed(ids, np.arange(ids.shape[-1]))
        for layer in range(self.layers):
            operands = self.project(layer, x)
            if peaks is not None:
                for name, rows in zip(OPERANDS, operands, strict=True):
                    seen = np.abs(rows).max(axis=-1).reshape(-1, self.heads).max(axis=0)
                    peaks[name][layer] = np.maximum(peaks[name][layer], seen)
            x = self.finish(layer, x, causal_attention(*operands))
        return self.logits(x)

    def calibrate(self, windows: np.ndarray) -> None:
        """Sets `peaks` to the largest magnitudes over token ids [windows, tokens]."""
        peaks = {name: np.zeros((self.layers, self.heads)) for name in OPERANDS}
        for start in range(0, len(windows), 8):
            self.forward(windows[start:start + 8], peaks)
        self.peaks = peaks

    def _dense(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred ** 2).mean(axis=-1, keepdims=True) + np.float32(NORM_EPS))
        return centred / scale * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def causal_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Dense causal attention of [..., tokens, heads, dim]; row j sees rows 0 … j."""
    q, k, v = (np.swapaxes(x, -2, -3) for x in (q, k, v))
    scores = q @ np.swapaxes(k, -1, -2) / np.float32(np.sqrt(q.shape[-1]))
    tokens = scores.shape[-1]
    scores = np.where(np.tri(tokens, dtype=bool), scores, np.float32(-np.inf))
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.swapaxes(weights / weights.sum(axis=-1, keepdims=True) @ v, -2, -3)


def gelu(x: np.ndarray) -> np.ndarray:
    """x·Φ(x), Φ in GPT-2's approximation by tanh."""
    x = np.asarray(x)
    return 0.5 * x * (1 + np.tanh(x.dtype.type(np.sqrt(2 / np.pi)) * (x + x.dtype.type(0.044715) * x * x * x)))


def random_gpt(seed: int, layers: int = 2, heads: int = 2, dim: int = 32, context: int = 64,
               vocabulary: int = 96) -> Gpt:
    """An untrained model for tests, lively enough that attention matters; peaks from its own pass over random text."""
    rng = np.random.default_rng(seed)
    architecture = Architecture(layers, heads, dim, context, vocabulary)
    weights = {}
    for name, shape in architecture.shapes().items():
        # Matrices keep the variance of rows; norms are near 1.
        spread, mean = (2 / np.sqrt(shape[1]), 0.0) if len(shape) == 2 else (0.1, float(name.endswith("t") * 1.0))
        if name in ("tokens", "positions"):
            spread = 1.0
        weights[name] = (mean + spread * rng.standard_normal(shape)).astype(np.float32)
    model = Gpt(architecture, weights)
    model.calibrate(rng.integers(0, vocabulary, (4, context)))
    return model


def save_gpt(model: Gpt, path: Path) -> None:
    """Writes a model; the file is whole or absent. Raises `UserError`."""
    meta = json.dumps({"architecture": asdict(model.architecture), **model.info})
    arrays = {f"peaks.{name}": model.peaks[name] for name in OPERANDS} | model.weights
    buffer = io.BytesIO()
    np.savez(buffer, meta=np.array(meta), **arrays)  # type: ignore[arg-type]
    with writing(path), new_folders(path.parent):
        write_all([(path, buffer.getvalue())])


def load_gpt(path: Path | None = None) -> Gpt:
    """The model in `path`, by default the one that `make gpt` trains. Raises `UserError` if there is none."""
    at = weights_path() if path is None else Path(path)
    if path is None and not at.exists():
        raise UserError(f"there are no weights of the GPT ({at}): train it with `make gpt` "
                        "(python -m spatten_hw.sim.models.gpt.train, a quarter of an hour)")
    try:
        with np.load(at, allow_pickle=False) as file:
            arrays = dict(file)
        info = json.loads(str(arrays.pop("meta")))
        architecture = Architecture(**info.pop("architecture"))
        peaks = {name: arrays.pop(f"peaks.{name}") for name in OPERANDS}
        if {name: x.shape for name, x in arrays.items()} != architecture.shapes():
            raise ValueError("its arrays are not those of its architecture")
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise UserError(f"{at}: no weights of the GPT ({error}); train it again with `make gpt`") from error
    return Gpt(architecture, arrays, peaks, info)
