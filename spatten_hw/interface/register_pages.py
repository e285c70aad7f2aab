"""`registers.md` and `registers.html`: the register map for readers. The HTML page needs no other file."""

from __future__ import annotations

from html import escape

from ..config import SpAttenConfig
from .errors import ErrorCode
from .registers import Register, registers

ACCESS = {"RO": "read only", "RW": "read, write", "W1C": "read, write 1 to clear", "WO": "write only, reads 0"}
INTRO = ("Registers are 32 bits wide, at byte offsets from the base of the AXI4-Lite slave `s_axil`, little endian. "
         "64-bit values are two registers, low half first. Other addresses, and writes to read-only registers, are "
         "answered with SLVERR.")

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: .5em 0 1.5em; width: 100%; }
th, td { border: 1px solid #ccc; padding: .25em .6em; text-align: left; vertical-align: top; }
th { background: #f0f2f5; }
code { font: 13px ui-monospace, monospace; }
.bits { table-layout: fixed; }
.bits td { text-align: center; padding: .25em .1em; overflow: hidden; }
.bits .none { background: #f0f2f5; }
@media (prefers-color-scheme: dark) {
  body { background: #16181c; color: #ddd; }
  th, .bits .none { background: #262a30; }
  th, td { border-color: #444; }
  a { color: #8ab4f8; }
}"""


def bit_ranges(r: Register) -> list[tuple[int, int, str]]:
    """(highest bit, lowest bit, field name or "" for bits that read 0) from bit 31 down, without a gap."""
    fields = sorted(r.fields, key=lambda f: -f.lsb)
    if not fields:
        return [(31, 0, r.name)]
    ranges, at = [], 31
    for f in fields:
        top = f.lsb + f.width - 1
        if at > top:
            ranges.append((at, top + 1, ""))
        ranges.append((top, f.lsb, f.name))
        at = f.lsb - 1
    return [*ranges, (at, 0, "")] if at >= 0 else ranges


def registers_markdown(c: SpAttenConfig) -> str:
    """Content of `registers.md`."""
    table = registers(c)
    out = [f"# Registers of '{_cell(c.name)}' ({c.hash:08x})", "", INTRO, "",
           "| offset | register | access | reset | |", "|---|---|---|---|---|"]
    out += [f"| `0x{r.offset:03x}` | `{r.name}` | {r.access} | `0x{r.reset:x}` | {_cell(r.doc)} |" for r in table]
    out += ["", "Access: " + "; ".join(f"{k} {v}" for k, v in ACCESS.items()) + ".", "", "## Fields"]
    for r in table:
        if r.fields:
            out += ["", f"### {r.name} (`0x{r.offset:03x}`, {r.access})", "", "| bits | field | |", "|---|---|---|"]
            out += [f"| {_bits(f.lsb + f.width - 1, f.lsb)} | `{f.name}` | {_cell(f.doc)} |" for f in r.fields]
    out += ["", "## Error codes", "", "| code | name | |", "|---|---|---|"]
    out += [f"| {int(e)} | `{e.name}` | {_cell(e.text)} |" for e in ErrorCode]
    return "\n".join([*out, ""])


def registers_html(c: SpAttenConfig) -> str:
    """Content of `registers.html`: valid HTML 5, styles inside, nothing fetched."""
    title = f"Registers of '{escape(c.name)}' ({c.hash:08x})"
    out = ["<!DOCTYPE html>", '<html lang="en">', "<head>", '<meta charset="utf-8">', f"<title>{title}</title>",
           f"<style>{STYLE}\n</style>", "</head>", "<body>", f"<h1>{title}</h1>",
           f"<p>{escape(INTRO.replace('`', ''))}</p>",
           "<table>", "<tr><th>offset</th><th>register</th><th>access</th><th>reset</th><th></th></tr>"]
    for r in registers(c):
        name = f'<a href="#{r.name}">{r.name}</a>' if r.fields else r.name
        out.append(f"<tr><td><code>0x{r.offset:03x}</code></td><td><code>{name}</code></td>"
                   f'<td title="{ACCESS[r.access]}">{r.access}</td><td><code>0x{r.reset:x}</code></td>'
                   f"<td>{escape(r.doc)}</td></tr>")
    out.append("</table>")
    for r in registers(c):
        if r.fields:
            out += _html_fields(r)
    out += ["<h2>Error codes</h2>", "<table>", "<tr><th>code</th><th>name</th><th></th></tr>"]
    out += [f"<tr><td>{int(e)}</td><td><code>{e.name}</code></td><td>{escape(e.text)}</td></tr>" for e in ErrorCode]
    return "\n".join([*out, "</table>", "</body>", "</html>", ""])


def _html_fields(r: Register) -> list[str]:
    out = [f'<h2 id="{r.name}">{r.name}</h2>',
           f"<p><code>0x{r.offset:03x}</code>, {ACCESS[r.access]}: {escape(r.doc)}</p>", '<table class="bits"><tr>']
    for high, low, name in bit_ranges(r):
        kind = "" if name else ' class="none"'
        out.append(f'<td colspan="{high - low + 1}"{kind}>{_bits(high, low)}<br><code>{name or "0"}</code></td>')
    out += ["</tr></table>", "<table>", "<tr><th>bits</th><th>field</th><th></th></tr>"]
    out += [f"<tr><td>{_bits(f.lsb + f.width - 1, f.lsb)}</td><td><code>{f.name}</code></td>"
            f"<td>{escape(f.doc)}</td></tr>" for f in r.fields]
    return [*out, "</table>"]


def _bits(high: int, low: int) -> str:
    return str(low) if high == low else f"{high}:{low}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
