"""What all figures have in common: matplotlib behind an extra, colours, direct labels, SVG and PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from spatten_hw.errors import UserError

#: Okabe and Ito's palette, told apart with any colour vision; black is for what is measured against.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000")
#: Shapes repeat what colours say.
MARKERS = "osD^vP*X"
#: Pixels of a PNG per inch.
DPI = 130
#: Gap between stacked labels, in points.
LABEL_HEIGHT = 11
#: Width of a letter of a label, in points, on average.
LETTER = 4.8


def check_installed() -> None:
    """Raises `UserError` if figures cannot be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UserError(f"plots need the package {error.name}; install with: pip install 'spatten-hw[plots]', or give "
                        "--no-plots") from error


def new(width: float = 7.2, height: float = 4.6) -> tuple[Any, Any]:
    """A figure (not on any screen) and its axes."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    # Text stays text: smaller, and searchable. The same bytes every time.
    rcParams["svg.fonttype"] = "none"
    rcParams["svg.hashsalt"] = "spatten-hw"
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def style(i: int) -> dict[str, str]:
    """Colour and marker of the i-th series."""
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[(i + i // len(COLOURS)) % len(MARKERS)]}


def label(axes: Any, figure: Any, places: Sequence[tuple[float, float, str, str]], right: bool = True,
          rise: int = 0) -> None:
    """Writes (x, y, text, colour) beside points, `rise` points above them; moved so that none lies on another."""
    figure.canvas.draw()
    per_point = figure.dpi / 72
    placed: list[tuple[float, float, float]] = []
    for x, y, text, colour in sorted(places, key=lambda p: -axes.transData.transform((p[0], p[1]))[1]):
        at_x, at_y = axes.transData.transform((x, y)) / per_point
        width = LETTER * len(text)
        start = at_x + 7 if right else at_x - 7 - width

        def free(wanted: float, start: float = start, width: float = width) -> bool:
            return all(abs(wanted - y) >= LABEL_HEIGHT or start >= x + w or start + width <= x for x, y, w in placed)

        shift = next(s for s in sorted(range(-400, 401), key=lambda s: abs(s - rise)) if free(at_y + s))
        placed.append((start, at_y + shift, width))
        axes.annotate(text, (x, y), (7 if right else -7, shift), textcoords="offset points", color=colour,
                      fontsize=8.5, va="center", ha="left" if right else "right", annotation_clip=True,
                      bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.7})


def rendered(figure: Any, name: str) -> list[tuple[str, bytes]]:
    """(file name, bytes) of a figure as SVG and PNG."""
    files = []
    for kind, options in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": DPI})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, **options)
        files.append((f"{name}.{kind}", buffer.getvalue()))
    return files
