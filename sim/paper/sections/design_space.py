"""Other sizes: multipliers, memory channels and K/V memories round the paper's design point."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.shape import longest_prompt
from spatten_hw.presets import PRESETS
from spatten_hw.sim.rivals.rival import FULL, Machine
from spatten_hw.sim.rivals.spatten import SpAtten

from ..figures import lines_svg
from ..numbers import reason
from ..section import Row, Section, Table, shown
from ..study import Study

ABOUT = """\
`full` with other numbers of memory channels and of multipliers per array, by the model; every channel has at least a
slice of 32 multipliers.
The K and V memories hold a prompt's heads: two halves for each, of `sram_tokens` rows. A prompt must fit into half of
one; beyond that, more rows change nothing, since the next head is filled into the other half while one is computed."""
#: Those that are looked at.
CHOSEN = ("bert-base squad-1.1", "bert-base mnli", "gpt2-small wikitext-2", "gpt2-medium wikitext-2")
#: Rows of D = 128 in half of a memory.
SRAM_TOKENS = (32, 64, 128, 256, 512, 1024)
#: (multipliers per array, channels).
SIZES = ((64, 2), (128, 4), (256, 8), (512, 16), (512, 8), (1024, 16), (2048, 16))


def run(study: Study) -> Section:
    """The section."""
    full = PRESETS["full"]
    section = Section("design-space", "Other sizes", ABOUT)
    chosen = [b for b in study.benchmarks if b.name in CHOSEN]
    cells = [["multipliers per array", "channels", *(f"{b.name}, TFLOPS" for b in chosen)]]
    found: list[tuple[float, ...]] = []
    for multipliers, channels in SIZES:
        config = full.replace(name="custom", multipliers=multipliers, channels=channels,
                              topk_lanes=max(full.topk_lanes, multipliers // full.chunk))
        machine = Machine(2 * multipliers, channels * full.beat_bytes)
        ours = SpAtten(config)
        ours.prepare([b.layers for b in chosen], machine)
        done = [ours.cost(b.layers, machine).done_gops(machine) / 1000 for b in chosen]
        found.append((multipliers, channels, *done))
        cells.append([str(multipliers), str(channels), *(shown(value) for value in done)])
    section.tables.append(Table("Throughput by size", cells))
    section.tables.append(_memories(study))
    kilobytes = _kilobytes(full)
    section.rows = [Row("sram.bytes", kilobytes, reason("sram.bytes", rows=full.sram_tokens, dim=full.max_dim))]
    by_size = [f for f in found if f[0] == 32 * f[1]]
    section.figure = lines_svg([f[1] for f in by_size], {b.name: [f[2 + i] for f in by_size]
                                                         for i, b in enumerate(chosen)},
                               "memory channels, 32 multipliers per array and channel", "TFLOPS done")
    names = ("multipliers", "channels", *(b.name for b in chosen))
    section.data = {"sizes": [dict(zip(names, f, strict=True)) for f in found], "sram_kilobytes": kilobytes}
    return section


def _kilobytes(config: SpAttenConfig) -> float:
    """Of the K memory, both halves; V's is as large."""
    return 2 * config.sram_tokens * config.max_dim * config.operand_bits / 8 / 1000


def _memories(study: Study) -> Table:
    """What a larger K and V memory gives."""
    cells = [["K or V SRAM, KB", "longest prompt, D = 64", "of 22 BERT benchmarks fit", "TFLOPS of those"]]
    for tokens in SRAM_TOKENS:
        config = PRESETS["full"].replace(name="custom", sram_tokens=tokens)
        longest = longest_prompt(config, 64)
        fit = [b.layers for b in study.benchmarks[:22] if b.layers.context[0] <= longest]
        # The model's cycles do not depend on this size, so that those of `full` will do.
        done = [SpAtten().cost(layers, FULL).done_gops(FULL) / 1000 for layers in fit]
        cells.append([f"{_kilobytes(config):.0f}", str(longest), str(len(fit)), shown(float(np.mean(done)))])
    return Table("K and V memories", cells)
