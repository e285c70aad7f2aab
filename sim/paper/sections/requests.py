"""The authors' own requests, line by line, from a file that the user has."""

from __future__ import annotations

from spatten_hw.presets import PRESETS
from spatten_hw.sim.rivals.requests import read_requests
from spatten_hw.sim.rivals.rival import EIGHTH, FULL
from spatten_hw.sim.rivals.spatten import SpAtten

from ..section import Section, Table, shown
from ..study import Study
from .reductions import ratios

ABOUT = """\
The file given with `--workload`, each row a query of a head, as a cascade (rows of one layer and iteration are a job).
It shows what the schedules of this page, which have means for each layer, leave out. `spatten-hw bench attention
--workload` runs the same file on the Verilog."""


def run(study: Study) -> Section | None:
    """The section; None without a file."""
    if study.workload is None:
        return None
    read = read_requests(study.workload, PRESETS["full"])
    section = Section("requests", f"Requests of {study.workload.name}", ABOUT)
    found = ratios(read.layers)
    count = float(read.layers.heads.sum())
    cells = [["what", "ours"], *([f"{name}, × less", shown(value)] for name, value in found.items()),
             ["queries that take LSBs, %", shown(100 * float((read.layers.flat * read.layers.heads).sum()) / count)]]
    for title, machine in (("full", FULL), ("eighth", EIGHTH)):
        for where, memory in (("", None), (" on HBM2", study.memory)):
            cycles = float(SpAtten(memory=memory).cost(read.layers, machine).cycles.sum())
            cells.append([f"cycles per request, {title}{where}", f"{cycles / count:.1f}"])
            section.data[f"{title}{where}"] = cycles / count
    section.tables.append(Table(f"{count:,.0f} requests", cells))
    section.data |= found
    return section
