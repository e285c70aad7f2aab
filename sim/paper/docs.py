"""The tables of docs/paper.md, each between two comments that name its part:

    <!-- paper: reductions -->
    <!-- end of paper -->

What stands between them is written by `python -m spatten_hw.sim.paper write` and by nobody else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from spatten_hw.sim.rivals.benchmarks import benchmarks
from spatten_hw.sim.rivals.rival import FULL
from spatten_hw.sim.rivals.spatten import SpAtten

from .evaluation import evaluate
from .markdown import HEADER, cells, grid
from .section import Section
from .study import Study
from .topk_cycles import engine_sources

#: Parts whose rows take a simulation: their tables say of which sources of the engines they are.
SIMULATED = ("topk", "sorter")
_BLOCK = re.compile(r"<!-- paper: (?P<name>[\w-]+) -->\n(?P<body>.*?)<!-- end of paper -->", re.DOTALL)
_MEASURED = re.compile(r"Measured on (.*)\.$", re.MULTILINE)


def measured_on(name: str) -> str:
    """What a simulated part is of: sources of the engines, and for `topk` the model's cycles of the rest."""
    text = f"top-k engines of sources {engine_sources()}"
    if name != "topk":
        return text
    cycles = [SpAtten().cost(b.layers, FULL).cycles.sum() for b in benchmarks() if b.generates]
    digest = hashlib.sha256(" ".join(f"{c:.4g}" for c in cycles).encode()).hexdigest()[:12]
    return f"{text}, beside cycles {digest} of the model"


def block(section: Section) -> str:
    """The table of a part as it stands in the page."""
    text = grid([HEADER, *(cells(row) for row in section.rows)]) + "\n"
    if section.name in SIMULATED:
        text += f"\nMeasured on {measured_on(section.name)}.\n"
    return text


def fill(page: str, sections: list[Section]) -> str:
    """The page with the tables of `sections` in their places; parts that have no place are left out."""
    by_name = {s.name: s for s in sections}

    def put(match: re.Match[str]) -> str:
        name = match["name"]
        body = block(by_name[name]) if name in by_name else match["body"]
        return f"<!-- paper: {name} -->\n{body}<!-- end of paper -->"

    return _BLOCK.sub(put, page)


def faults(page: str, sections: list[Section] | None = None) -> Iterator[str]:
    """What is not as the models have it now (`sections`, if they are computed already): one line each. Simulated parts
    are held by the digest of the engines."""
    found = {match["name"]: match["body"] for match in _BLOCK.finditer(page)}
    computed = [name for name in found if name not in SIMULATED]
    for section in evaluate(Study(simulate=False), computed) if sections is None else sections:
        if section.name in computed and found[section.name] != block(section):
            yield f"docs/paper.md: part {section.name} is not what the models say now; make paper"
    for name in SIMULATED:
        if name in found:
            measured = _MEASURED.search(found[name])
            if measured is None or measured[1] != measured_on(name):
                yield f"docs/paper.md: part {name} was measured on other engines, or beside another model; make paper"
