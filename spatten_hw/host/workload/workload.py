"""Workload files: an .npz with q, k, v and a job, read and checked as a whole (`docs/workloads.md`)."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ...config import SpAttenConfig
from ..quantise import MIN_MAGNITUDE, quantise
from ..shape import shortfalls
from .arrays import ARRAYS, check_array, check_texts, check_vector, shape_of
from .options import JobOptions, Shape, WorkloadError
from .read_options import load_json, load_toml, parse_options

OPTIONAL = ("job", "token_scores", "head_scores", "q_scale", "k_scale", "v_scale", "tokens", "out_unit")
#: Real value of one unit of a token's score in hardware: probabilities have 12 fraction bits.
TOKEN_SCORE_UNIT = 1 / 4096
#: Larger real values could overflow a product.
MAX_MAGNITUDE = 1e30


@dataclass(frozen=True)
class Workload:
    """Checked arrays and job. q, k, v are real values (float64); `codes` the integers the hardware gets.

    q: [layers, query_heads, queries, dim]; k, v: [layers, kv_heads, tokens, dim]; scales: [layers, heads],
    real = code × scale. `token_scores` [tokens] and `head_scores` [kv_heads]: importance to start from. `tokens`:
    the text of every token, for people to read. `given_out_unit`: the unit of outputs, where the file chooses it.
    """

    source: str
    shape: Shape
    options: JobOptions
    real: dict[str, np.ndarray]
    codes: dict[str, np.ndarray]
    scales: dict[str, np.ndarray]
    token_scores: np.ndarray | None = None
    head_scores: np.ndarray | None = None
    tokens: tuple[str, ...] | None = None
    given_out_unit: float | None = None

    @property
    def steps(self) -> int:
        """Passes through all layers: generation steps, or 1."""
        return self.shape.steps(self.options.per_job) if self.options.generate else 1

    def rows(self, step: int) -> slice:
        """The query rows of this step, out of all."""
        return self.shape.rows(step, self.options.per_job) if self.options.generate else slice(0, self.tokens_at(step))

    def tokens_at(self, step: int) -> int:
        """Tokens that exist in this step (padding is not a token)."""
        o = self.options
        return self.shape.length(step, o.generate, o.real_tokens, o.per_job)

    @cached_property
    def out_unit(self) -> float:
        """Real value of one unit of an output integer: the same for all layers and heads, so that the
        importance of heads can be compared."""
        if self.given_out_unit is not None:
            return self.given_out_unit
        peak = float(np.max(np.abs(self.real["v"])))
        return peak / 32767 if peak > MIN_MAGNITUDE else 1.0


def make_workload(arrays: Mapping[str, np.ndarray], job: Mapping[str, object] | None = None,
                  source: str = "workload") -> Workload:
    """A checked workload from arrays (keys as in the file, without `job`). Raises `WorkloadError`."""
    unknown = sorted(set(arrays) - set(ARRAYS) - set(OPTIONAL) | (set(arrays) & {"job"}))
    if unknown:
        raise WorkloadError(source, unknown[0], "is not a key of a workload",
                            f"use only {', '.join(ARRAYS + OPTIONAL)}")
    for name in ARRAYS:
        if name not in arrays:
            raise WorkloadError(source, name, "is missing", "a workload needs q, k and v")
    a = {n: check_array(n, np.asarray(arrays[n]), source) for n in ARRAYS}
    shape = shape_of(a, source)
    kinds = {n: a[n].dtype.kind for n in ARRAYS}
    for name in ARRAYS[1:]:
        if kinds[name] != kinds["q"]:
            raise WorkloadError(source, name, f"has type {a[name].dtype}, q has {a['q'].dtype}",
                                "make q, k and v all floats or all signed integers")
    options = parse_options(job or {}, shape, source)
    given = {n: check_vector(f"{n}_scale", arrays, a[n].shape[:2], source, positive=True) for n in ARRAYS}
    bits = {"q": options.q_bits, "k": sum(options.k_bits), "v": sum(options.v_bits)}
    real, codes, scales = {}, {}, {}
    for name in ARRAYS:
        scale = given[name]
        if kinds[name] == "i":
            lo, hi = -(1 << (bits[name] - 1)), (1 << (bits[name] - 1)) - 1
            if a[name].min() < lo or a[name].max() > hi:
                raise WorkloadError(source, name, f"has integers beyond {bits[name]} bits ({lo} … {hi})",
                                    f"raise job.{name}_bits or requantise")
            scales[name] = np.ones(a[name].shape[:2]) if scale is None else scale
            codes[name] = a[name].astype(np.int64)
            real[name] = codes[name] * scales[name][..., None, None]
        else:
            if scale is not None:
                raise WorkloadError(source, f"{name}_scale", "is given with float arrays",
                                    "remove it: the host chooses the scales of floats")
            real[name] = a[name].astype(np.float64)
            codes[name], scales[name] = quantise(real[name], bits[name])
        if np.max(np.abs(real[name])) > MAX_MAGNITUDE:
            raise WorkloadError(source, name, f"has real values beyond {MAX_MAGNITUDE:g}", "scale them down")
    unit = check_vector("out_unit", arrays, (), source, positive=True)
    w = Workload(
        source, shape, options, real, codes, scales,
        token_scores=check_vector("token_scores", arrays, (shape.tokens,), source, positive=False),
        head_scores=check_vector("head_scores", arrays, (shape.kv_heads,), source, positive=False),
        tokens=check_texts(arrays, shape.tokens, source),
        given_out_unit=None if unit is None else float(unit))
    _check_protection(w)
    return w


def _check_protection(w: Workload) -> None:
    """Protected tokens must fit into what is kept, wherever tokens are pruned."""
    o = w.options
    for step, layers in enumerate(o.keep_tokens):
        tokens = w.tokens_at(step)
        protected = min(o.protect_first, tokens) + min(o.protect_last, tokens)
        for layer, keep in enumerate(layers):
            if keep is not None and protected > keep < tokens:
                raise WorkloadError(w.source, "job.keep_tokens", f"is {keep} at layer {layer}, but "
                                    f"protect_first and protect_last protect {protected} tokens",
                                    "keep more or protect fewer")


def read_workload(path: str | Path, job: str | Path | None = None) -> Workload:
    """The checked workload of an .npz file; a TOML file `job` replaces the job in it."""
    path = Path(path)
    source = str(path)

    def unreadable(why: str) -> WorkloadError:
        return WorkloadError(source, "file", why, "give an .npz made by numpy.savez")

    try:
        with path.open("rb") as f:
            if f.read(4) != b"PK\x03\x04":
                raise unreadable("is not an .npz archive")
        arrays = {}
        with np.load(path, allow_pickle=False) as archive:
            for name in archive.files:
                arrays[name] = archive[name]
    except OSError as e:
        raise unreadable(f"cannot be read ({e.strerror or e})") from None
    # What numpy and zipfile raise for a damaged archive; zipfile's NotImplementedError is for a compression, encryption
    # or version that the archive names and it does not know.
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, SyntaxError,
            MemoryError) as e:
        raise unreadable(f"cannot be read ({e})") from None
    raw: dict[str, object] = {}
    text = arrays.pop("job", None)
    if text is not None and job is None:
        if text.ndim != 0 or text.dtype.kind not in "US":
            raise WorkloadError(source, "job", f"has shape {list(text.shape)} and type {text.dtype}",
                                "store the JSON text as a 0-d string")
        item = text.item()
        try:
            raw = load_json(item if isinstance(item, str) else item.decode(), source)
        except UnicodeDecodeError:
            raise WorkloadError(source, "job", "is not UTF-8", "store the JSON text as a string") from None
    if job is not None:
        raw = load_toml(Path(job))
    return make_workload(arrays, raw, source)


def check_build(w: Workload, c: SpAttenConfig) -> None:
    """What this build cannot do, with the field of the configuration that would have to change."""
    s, o = w.shape, w.options
    name, bits = max(zip("qkv", o.precision.whole, strict=True), key=lambda width: width[1])
    for lack in shortfalls(c, s.layer, o.precision, tokens=s.tokens, prompt=0 if o.generate else o.real_tokens,
                           chunks=o.queries is not None):
        most = f"preset {c.name!r} takes at most {lack.field} = {lack.has}"
        key, rule, remedy = {
            "dims": ("q", f"has dim = {s.dim}", f"preset {c.name!r} takes {', '.join(map(str, c.dims))}"),
            "max_tokens": ("k", f"has {s.tokens} tokens", most),
            "sram_tokens": ("k", f"has {o.real_tokens} tokens to summarise",
                            f"the K and V memories of preset {c.name!r} hold {lack.has} of dim {s.dim}: raise "
                            "sram_tokens"),
            "max_heads": ("q", f"has {s.query_heads} query heads", most),
            "max_group": ("q", f"has {s.group} query heads per K/V head", most),
            "operand_bits": (f"job.{name}_bits", f"is {bits} bits", most),
            "decision_rules": ("job", "has lsb_margin, keep_mass or give_back",
                               f"preset {c.name!r} is built without: use one with decision_rules = 1"),
            "chunk_queries": ("job.queries", "is given",
                              f"preset {c.name!r} is built without: leave it out, or use one with chunk_queries = 1"),
        }[lack.field]
        raise WorkloadError(w.source, key, rule, remedy)
