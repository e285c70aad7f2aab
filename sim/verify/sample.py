"""Which mutants are made: a seeded sample of every unit's sites, listed in a file that the simulations read."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

from spatten_hw import source_tree
from spatten_hw.config import SpAttenConfig
from spatten_hw.verilog import to_rtlil

from .sites import Mutant, Site, sites
from .units import UNITS, unit_of

#: Builds whose designs have between them every site: both top-k engines, grouped queries, several slices and channels.
_TINY = SpAttenConfig(
    name="tiny", multipliers=32, chunk=8, max_dim=24, operand_bits=16, max_tokens=64, sram_tokens=64, max_heads=6,
    max_group=3, slots=8, topk_lanes=4, channels=4, axi_data_bits=256, axi_addr_bits=20, reads=16, pool_beats=16,
    job_queue=4)
REFERENCES = (
    _TINY.replace(name="quad", max_dim=32, operand_bits=12, sram_tokens=32, max_heads=8, max_group=4, slots=4,
                  topk_lanes=8, channels=2, axi_data_bits=64, axi_addr_bits=24, reads=8, job_queue=2),
    _TINY.replace(name="wide", topk="linerate"),
)


def sources_digest() -> str:
    """Of the generator's sources and of what makes mutants of them."""
    return source_tree.sources_digest(Path(__file__).with_name(name) for name in ("operators.py", "sites.py"))[:16]


def all_sites(folder: Path, say: Callable[[str], None]) -> tuple[dict[Site, int], str]:
    """Every site of the reference builds (→ most in one module), and the digest of these designs; kept in `folder`."""
    kept = folder / f"sites-{sources_digest()}.json"
    if kept.exists():
        read = json.loads(kept.read_text())
        return {Site(*fields): n for *fields, n in read["sites"]}, read["design"]
    from spatten_hw.top import Top

    most: dict[Site, int] = {}
    digest = hashlib.sha256()
    for config in REFERENCES:
        say(f"looking for what can be mutated in '{config.name}'")
        text = to_rtlil(Top(config, probe=True), "spatten")
        # Not the lines' numbers: a comment more does not make another design.
        digest.update("\n".join(line for line in text.split("\n") if "attribute \\src" not in line).encode())
        for site, n in sites(text).items():
            most[site] = max(n, most.get(site, 0))
    rows = [[s.file, s.line, s.kind, s.place, n] for s, n in sorted(most.items())]
    kept.write_text(json.dumps({"design": digest.hexdigest()[:16], "sites": rows}, indent=0))
    return most, digest.hexdigest()[:16]


def sample(found: dict[Site, int], count: int, seed: int) -> dict[str, list[Mutant]]:
    """`count` mutants of every unit (fewer if it has not as many), by unit; the same for the same seed."""
    chosen: dict[str, list[Mutant]] = {}
    for unit in UNITS:
        rng = random.Random(f"{seed} {unit.name}")
        own = sorted(s for s in found if unit_of(s.file) == unit)
        pool = [Mutant(s, which) for s in own for which in (("every", "first", "last") if found[s] > 1 else ("every",))]
        rng.shuffle(pool)
        # A second mutant of the same line only once every line has one: a loop unrolled is not more worth than a line.
        times: dict[tuple[str, str], int] = {}
        rank = {}
        for mutant in pool:
            line = (mutant.site.file, mutant.site.line)
            rank[mutant] = times[line] = times.get(line, -1) + 1
        chosen[unit.name] = sorted(pool, key=lambda m: rank[m])[:count]
    return chosen


def write_list(path: Path, chosen: dict[str, list[Mutant]]) -> dict[Mutant, int]:
    """Lists the mutants for the simulations; mutant → its number, from 1 on."""
    numbers: dict[Mutant, int] = {}
    for mutants in chosen.values():
        for mutant in mutants:
            numbers.setdefault(mutant, len(numbers) + 1)
    rows = [[m.site.file, m.site.line, m.site.kind, m.site.place, m.which, n] for m, n in numbers.items()]
    text = json.dumps({"sources": sources_digest(), "mutants": rows}, indent=0)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return numbers


@cache
def read_list(path: Path) -> dict[Mutant, int]:
    """What `write_list` wrote."""
    return {Mutant(Site(*fields), which): number
            for *fields, which, number in json.loads(path.read_text())["mutants"]}
