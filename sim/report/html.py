"""The page of a record: one file that needs nothing else, and says so to the browser."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from spatten_hw.sim.page import document

from . import charts, data, heatmap, levels, text, totals, words
from .limits import Selection, Shown, select
from .record import RunRecord


def render(record: RunRecord) -> str:
    """The HTML of a report, complete, to be written as UTF-8.

    Its style, script and pictures are inside; its Content-Security-Policy lets it load nothing and run that one
    script. Without the script it shows the last step. Of a large run it shows parts (`limits.py`) and says which.
    """
    style, script = (resources.files(__package__).joinpath(name).read_text("utf-8") for name in (
        "page.css", "page.js"))
    selection = select(record)
    body = f"""{heatmap.PATTERNS}
{_header(record)}
<main>
{_sequences(selection)}
{_costs(record)}
</main>
{_footer(record, selection)}
<div id="tip" hidden></div>
{data.embed("record", data.public(record, selection))}
{data.embed("states", [data.states(s) for s in selection.parts])}
"""
    return document(record.title, style, body, script)


def _header(record: RunRecord) -> str:
    exact = {True: '<span class="chip good">✓ hardware equals the golden model bit for bit</span>',
             False: '<span class="chip bad">✗ hardware DIFFERS from the golden model</span>',
             None: ""}[record.bit_exact]
    chips = "".join(f'<span class="chip">{text.escape(f"{k} {v}")}</span>' for k, v in (
        ("engine", record.engine), ("preset", record.preset), ("configuration", record.config_hash)))
    tiles = "".join(f'<div class="tile"><b>{value}</b><span>{label}</span></div>' for value, label in _figures(record))
    return (f"<header><h1>{text.escape(record.title)}</h1><p>{chips}{exact}</p>"
            f'<div class="tiles">{tiles}</div></header>')


def _figures(record: RunRecord) -> list[tuple[str, str]]:
    """The run in a few numbers: (value, what it is)."""
    total = totals.of_run(record)
    result = []
    if total.bytes is not None:
        if total.dense_bytes:
            result.append((text.percent(total.moved, total.dense_bytes), f"of the DRAM bytes of dense 12-bit attention "
                           f"({text.size(total.moved)} of {text.size(total.dense_bytes)})"))
        else:
            result.append((text.size(total.moved), "moved from and to DRAM"))
    last = [s.steps[-1] for s in record.sequences]
    for kind, alive, there in (
            ("tokens", sum(len(s.layers[-1].alive) for s in last),
             sum(levels.existing(s, len(q.tokens)) for s, q in zip(last, record.sequences, strict=True))),
            ("heads", sum(len(s.layers[-1].heads_alive) for s in last), sum(s.layers[-1].heads for s in last))):
        result.append((text.percent(alive, there), f"of the {kind} left in the last layer ({alive:,} of {there:,})"))
    if total.refetched:
        result.append((text.percent(total.refetched, total.queries),
                       f"of the query rows fetched LSBs ({total.refetched:,} of {total.queries:,})"))
    if total.cycles is not None:
        result.append((f"{total.cycles:,}", "cycles"))
    return result


def _sequences(selection: Selection) -> str:
    return "\n".join(_sequence(shown, i) for i, shown in enumerate(selection.parts))


def _sequence(shown: Shown, number: int) -> str:
    sequence, last = shown.sequence, shown.sequence.steps[shown.steps[-1]]
    rows = levels.token_rows(last, len(sequence.tokens))
    note = f"<p>{text.escape(sequence.note)}</p>" if sequence.note else ""
    parts = [f'<section class="sequence" data-sequence="{number}"><h2>{text.escape(sequence.label)}</h2>{note}',
             _slider(shown), "<h3>Words, layer by layer</h3>", words.view(shown, rows, number)]
    pictures = [("Importance of heads after each layer", heatmap.heads(levels.head_rows(last.layers)))]
    if last.layers[0].importance is not None:
        pictures.insert(0, ("Importance of tokens after each layer", heatmap.importance(shown, rows)))
    parts += ['<div class="pictures">', *(f"<div><h3>{title}</h3>{svg}</div>" for title, svg in pictures), "</div>",
              heatmap.legend()]
    return "\n".join([*parts, "</section>"])


def _slider(shown: Shown) -> str:
    """What chooses the step, and which one is seen; nothing for a single one."""
    if len(shown.sequence.steps) == 1:
        return ""
    last = len(shown.steps) - 1
    name = text.escape(shown.sequence.steps[shown.steps[-1]].name)
    return (f'<p class="steps"><label>step <input type="range" min="0" max="{last}" value="{last}" hidden></label> '
            f'<b class="step">{name}</b> <noscript>(the last one; a script chooses others)</noscript></p>')


def _costs(record: RunRecord) -> str:
    many = len(record.sequences) > 1
    tables = charts.costs("layer", {f"layer {n}": c for n, c in totals.per_layer(record.sequences).items()})
    longest: Sequence = max(record.sequences, key=lambda s: len(s.steps)).steps
    if not many and len(longest) > 1:
        sequence = record.sequences[0]
        tables += charts.costs("step", dict(_unique([s.name for s in sequence.steps], totals.per_step(sequence))))
    if many:
        tables += charts.costs("sequence", dict(_unique([s.label for s in record.sequences],
                                                        [totals.of_sequence(s) for s in record.sequences])))
    if not tables:
        return ""
    return f'<section class="costs"><h2>Cost</h2><div class="charts">{"".join(tables)}</div></section>'


def _unique(names: Sequence[str], values: Sequence[totals.Cost]) -> list[tuple[str, totals.Cost]]:
    """Pairs, of which names that come again have a number behind."""
    seen: dict[str, int] = {}
    pairs = []
    for name, value in zip(names, values, strict=True):
        seen[name] = seen.get(name, 0) + 1
        pairs.append((name if seen[name] == 1 else f"{name} ({seen[name]})", value))
    return pairs


def _footer(record: RunRecord, selection: Selection) -> str:
    left_out = ""
    if selection.left_out:
        items = "".join(f"<li>{text.escape(x)}</li>" for x in selection.left_out)
        left_out = f'<p class="left-out">The run is large, so this page shows</p><ul class="left-out">{items}</ul>'
    return f"""<footer>{left_out}
<p>Importance of a token: attention probabilities it received, summed over heads, queries and layers (and steps); of a
head: the sum of its absolute outputs. Pruning before a layer keeps the most important so far. Values are
{text.escape(record.importance_source)}. Sums are over the whole run. The data are in this file as JSON, in the
script element <code>record</code>.</p></footer>"""
