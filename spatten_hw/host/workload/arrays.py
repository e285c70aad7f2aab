"""The arrays of a workload, each checked by itself and q, k, v against each other (`docs/workloads.md`).

Each check raises `WorkloadError` with the file (`source`), the array, the rule it breaks, and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .options import Shape, WorkloadError

ARRAYS = ("q", "k", "v")


def check_array(name: str, x: np.ndarray, source: str) -> np.ndarray:
    """q, k or v: four dimensions, none of them empty, finite floats or signed integers."""
    def bad(rule: str, remedy: str) -> WorkloadError:
        return WorkloadError(source, name, rule, remedy)

    if x.ndim != 4:
        raise bad(f"has shape {list(x.shape)}", "give four dimensions [layers, heads, tokens, dim]")
    if x.dtype.kind not in "fi":
        raise bad(f"has type {x.dtype}", "use floats or signed integers")
    if x.size == 0:
        raise bad(f"is empty, shape {list(x.shape)}", "every dimension must be at least 1")
    _check_finite(name, x, source)
    return x


def _check_finite(name: str, x: np.ndarray, source: str) -> None:
    if x.dtype.kind == "f":
        broken = np.argwhere(~np.isfinite(x.astype(np.float64)))
        if len(broken):
            raise WorkloadError(source, name, f"is NaN or infinite at {broken[0].tolist()} "
                                f"({len(broken)} such value{'s' * (len(broken) > 1)})", "give finite numbers")


def check_vector(name: str, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...], source: str,
                  positive: bool) -> np.ndarray | None:
    """An optional float array of an exact shape; all ≥ 0, or > 0."""
    if name not in arrays:
        return None
    x = arrays[name]
    if x.shape != shape:
        raise WorkloadError(source, name, f"has shape {list(x.shape)}", f"give shape {list(shape)}")
    if x.dtype.kind not in "fiu":
        raise WorkloadError(source, name, f"has type {x.dtype}", "use floats")
    _check_finite(name, x, source)
    x = x.astype(np.float64)
    if np.any(x < 0) or (positive and np.any(x == 0)):
        kind = "not positive" if positive else "negative"
        raise WorkloadError(source, name, f"has a value that is {kind}", "correct it")
    return x


def check_texts(arrays: Mapping[str, np.ndarray], tokens: int, source: str) -> tuple[str, ...] | None:
    """The optional texts of the tokens."""
    if "tokens" not in arrays:
        return None
    x = np.asarray(arrays["tokens"])
    if x.dtype.kind != "U":
        raise WorkloadError(source, "tokens", f"has type {x.dtype}", "give texts (numpy.array of str)")
    if x.shape != (tokens,):
        raise WorkloadError(source, "tokens", f"has shape {list(x.shape)}", f"give shape [{tokens}], a text per token")
    return tuple(x.tolist())


def shape_of(a: Mapping[str, np.ndarray], source: str) -> Shape:
    q, k, v = (a[n] for n in ARRAYS)
    if k.shape != v.shape:
        raise WorkloadError(source, "v", f"has shape {list(v.shape)}, k {list(k.shape)}", "make them equal")
    for axis, what in ((0, "layers"), (3, "dim")):
        if q.shape[axis] != k.shape[axis]:
            raise WorkloadError(source, "k", f"has {k.shape[axis]} {what}, q has {q.shape[axis]}",
                                "make them equal")
    if q.shape[1] % k.shape[1]:
        raise WorkloadError(source, "q", f"has {q.shape[1]} query heads for {k.shape[1]} K/V heads",
                            "query heads must be a multiple of K/V heads")
    return Shape(q.shape[0], q.shape[1], k.shape[1], q.shape[2], k.shape[2], q.shape[3])
