"""The evaluation as one HTML page that needs nothing else: style and figures are inside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources

from .evaluation import NOT_HERE
from .markdown import HEADER, cells
from .section import KINDS, NEAR, Row, Section, Table


def page(sections: Sequence[Section], title: str, source: str) -> str:
    """The page, to be written as UTF-8. It loads nothing and runs nothing."""
    style = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    contents = "".join(f'<li><a href="#{s.name}">{escape(s.title)}</a></li>' for s in sections)
    kinds = "".join(f"<li><i>{escape(kind)}</i>: {escape(text)}</li>" for kind, text in KINDS.items())
    missing = "".join(f"<li>{escape(text)}</li>" for text in NOT_HERE)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p>{escape(source)}</p>
<ul>{kinds}</ul>
<p>Ratios within {NEAR[0]:g} and {NEAR[1]:g} of the paper are green.</p>
<ol>{contents}</ol>
{"".join(_section(s) for s in sections)}
<section><h2>What cannot be had here</h2><ul>{missing}</ul></section>
</body>
</html>
"""


def _section(s: Section) -> str:
    rows = _rows(s.rows) if s.rows else ""
    notes = "".join(f"<p>{_code(note)}</p>" for note in s.notes)
    return (f'<section id="{s.name}"><h2>{escape(s.title)}</h2><p>{_code(s.about)}</p>{rows}'
            f"<figure>{_inline(s.figure, s.name)}</figure>{notes}{''.join(_table(t) for t in s.tables)}</section>\n")


def _rows(rows: Sequence[Row]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in HEADER)
    body = []
    for row in rows:
        state = "missing" if row.ratio is None else "near" if row.near else "far"
        body.append(f'<tr class="{state}">' + "".join(f"<td>{_code(cell)}</td>" for cell in cells(row)) + "</tr>")
    return f'<table class="numbers"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'


def _table(t: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in t.cells[0])
    body = "".join("<tr>" + "".join(f"<td>{_code(cell)}</td>" for cell in line) + "</tr>" for line in t.cells[1:])
    return (f"<details open><summary>{_code(t.title)}</summary><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table></details>")


def _code(text: str) -> str:
    """Escaped; what is between back-quotes as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def _inline(svg: str, name: str) -> str:
    """The figure without its XML prologue. Ids are made the figure's own, since a page has several."""
    if not svg:
        return ""
    drawn = svg[svg.index("<svg"):]
    for form in ('id="', 'href="#', "url(#"):
        drawn = drawn.replace(form, f"{form}{name}-")
    return drawn
