"""The figures, as SVG; "" without matplotlib."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spatten_hw.sim.evaluate.figures import COLOURS, new, style

from .section import Row


def installed() -> bool:
    """Whether there is matplotlib."""
    return importlib.util.find_spec("matplotlib") is not None


def roofline_svg(op_byte: np.ndarray, tflops: np.ndarray, generates: np.ndarray, roof: float, tera_bytes: float,
                 paper: Sequence[tuple[str, float, float]]) -> str:
    """Points under the roofs: `tera_bytes` per second, `roof` in TFLOPS; `paper`: (name, op/byte, TFLOPS)."""
    if not installed():
        return ""
    figure, axes = new()
    x = np.geomspace(0.3, max(300.0, op_byte.max() * 2), 200)
    axes.loglog(x, np.minimum(roof, x * tera_bytes), color="#000000", linewidth=1.2)
    axes.axhline(1.61, color="#000000", linewidth=0.8, linestyle=":")
    axes.annotate("paper, BERT 1.61", (x[-1], 1.61), ha="right", va="top", fontsize=8)
    for which, i, name in ((~generates, 0, "BERT"), (generates, 1, "GPT-2")):
        axes.plot(op_byte[which], tflops[which], linestyle="none", label=name, **style(i))
    for name, at, value in paper:
        axes.plot([at], [value], linestyle="none", marker="x", color="#000000", label=name)
    axes.set_xlabel("operations per byte of DRAM")
    axes.set_ylabel("TFLOPS done")
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def bars_svg(groups: Sequence[str], series: Mapping[str, Sequence[float | None]], ylabel: str,
             log: bool = False) -> str:
    """Bars side by side, a group per name of `groups`."""
    if not installed():
        return ""
    figure, axes = new()
    width = 0.8 / len(series)
    for i, (name, values) in enumerate(series.items()):
        at = np.arange(len(groups)) + (i - (len(series) - 1) / 2) * width
        axes.bar(at, [np.nan if v is None else v for v in values], width, label=name, color=COLOURS[i])
    axes.set_xticks(np.arange(len(groups)), groups, fontsize=8)
    axes.set_ylabel(ylabel)
    if log:
        axes.set_yscale("log")
    axes.margins(y=0.25)
    axes.legend(frameon=False, fontsize=8, ncols=len(series), loc="upper left")
    return _svg(figure)


def comparison_svg(rows: Mapping[str, Row], ylabel: str, log: bool = False) -> str:
    """The paper's number and ours, side by side, for rows by what they are called."""
    return bars_svg(list(rows), {"the paper": [row.number.value for row in rows.values()],
                                 "ours": [row.ours for row in rows.values()]}, ylabel, log)


def lines_svg(x: Sequence[float], series: Mapping[str, Sequence[float]], xlabel: str, ylabel: str) -> str:
    """Curves over powers of two."""
    if not installed():
        return ""
    figure, axes = new()
    for i, (name, values) in enumerate(series.items()):
        axes.plot(x, values, label=name, **style(i))
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(x), [f"{v:g}" for v in x])
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def _svg(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue().decode()
