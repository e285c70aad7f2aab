"""The page of a night, as Markdown and as HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from .steps import Step

_STYLE = ("body{font:15px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}table{border-collapse:collapse}"
          "td,th{border:1px solid #bbb;padding:.3em .6em;text-align:left;vertical-align:top}"
          ".no{background:#fdd}code{white-space:pre-wrap}")


def duration(seconds: float) -> str:
    """In words: 75 s, 12 min, 3 h 5 min."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _rows(targets: Sequence[str], steps: dict[str, Step]) -> Iterable[tuple[str, str, str, tuple[str, ...]]]:
    for target in targets:
        step = steps.get(target)
        if step is None:
            yield target, "not run", "", ()
        else:
            yield (target, "passed" if step.passed else f"FAILED (exit {step.code})", duration(step.seconds),
                   step.result)


def markdown(targets: Sequence[str], steps: dict[str, Step], digest: str) -> str:
    """The page as Markdown."""
    lines = ["# Nightly", "", f"Sources {digest}.", "", "| step | result | time | figures | log |",
             "|---|---|---|---|---|"]
    for target, result, took, figures in _rows(targets, steps):
        text = "<br>".join(line.replace("|", "\\|") for line in figures)
        log = f"[{target}.log]({target}.log)" if target in steps else ""
        lines.append(f"| `make {target}` | {result} | {took} | {text} | {log} |")
    return "\n".join([*lines, ""])


def page(targets: Sequence[str], steps: dict[str, Step], digest: str) -> str:
    """The page as HTML."""
    rows = []
    for target, result, took, figures in _rows(targets, steps):
        text = "<br>".join(html.escape(line) for line in figures)
        log = f'<a href="{target}.log">log</a>' if target in steps else ""
        kind = "" if result == "passed" else ' class="no"'
        rows.append(f"<tr{kind}><td>make {target}</td><td>{result}</td><td>{took}</td><td><code>{text}</code></td>"
                    f"<td>{log}</td></tr>")
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Nightly</title><style>{_STYLE}</style>'
            f"<h1>Nightly</h1><p>Sources {digest}.</p><table><tr><th>step<th>result<th>time<th>figures<th>log</tr>"
            f"{''.join(rows)}</table></html>\n")
