"""How much pruning and quantisation save: bytes of DRAM and operations, technique by technique."""

from __future__ import annotations

import numpy as np

from spatten_hw.sim.rivals.dense import dense_bytes
from spatten_hw.sim.rivals.layers import FLOAT_BITS, Layers
from spatten_hw.sim.rivals.rival import FULL
from spatten_hw.sim.rivals.spatten import SpAtten

from ..figures import comparison_svg
from ..numbers import reason
from ..section import INPUT, Row, Section, Table, shown
from ..study import Study, geometric, means

ABOUT = """\
Ratios of the dense 32-bit layer to the pruned and quantised one, for each benchmark; averages are geometric means over
benchmarks (the paper does not say which it takes; the table has all three). Bytes are those of Q, K and V, bits ×
rows, as the paper counts; "on the bus" is what this accelerator moves: whole beats of 32 bytes, outputs, descriptors
and lists of survivors included, against dense 32-bit attention with its 16-bit outputs."""


def kv(layers: Layers) -> float:
    """Bits of K and V."""
    return float((layers.operand_bits["k"] + layers.operand_bits["v"]).sum())


def ratios(layers: Layers) -> dict[str, float]:
    """Of one benchmark, by technique."""
    wide = {"k_bits": FLOAT_BITS, "v_bits": FLOAT_BITS, "k_lsb_bits": 0, "v_lsb_bits": 0}
    moved = SpAtten().estimates(layers, FULL).total_bytes
    # Dense, a prompt's V rows are read once however few a query keeps.
    heads = layers.with_(heads=layers.model_heads, **wide)
    return {
        "tokens": kv(layers.dense().with_(**wide)) / kv(heads),
        "heads": float(layers.model_heads.sum() / layers.heads.sum()),
        "quantisation": kv(layers.with_(**wide)) / kv(layers),
        "dram": float(layers.dense(FLOAT_BITS).bytes.sum() / layers.bytes.sum()),
        "bus": float(dense_bytes(layers, FLOAT_BITS).sum() / moved.sum()),
        "computation": float(layers.dense().operations.sum() / layers.operations.sum()),
    }


def run(study: Study) -> Section:
    """The section."""
    SpAtten().prepare([b.layers for b in study.benchmarks], FULL)
    found = [ratios(b.layers) for b in study.benchmarks]
    generates = np.array([b.generates for b in study.benchmarks])
    by = {name: np.array([f[name] for f in found]) for name in found[0]}
    ours = {name: geometric(values) for name, values in by.items()}
    narrow = [b.layers.with_(q_bits=8, k_bits=8, v_bits=8) for b in study.benchmarks if not b.generates]
    SpAtten().prepare(narrow, FULL)
    eight = [ratios(layers) for layers in narrow]
    wider = {name: geometric(np.concatenate([[f[name] for f in eight], by[name][generates]])) for name in by}
    flat = sum(float((b.layers.flat * b.layers.heads).sum()) for b in study.benchmarks[22:26])
    items = sum(float(b.layers.heads.sum()) for b in study.benchmarks[22:26])
    section = Section("reductions", "DRAM access and computation", ABOUT)
    gpt2, bert = by["tokens"][generates], by["computation"][~generates]
    section.rows = [
        Row("reduction.tokens", ours["tokens"], reason("reduction.tokens"), INPUT),
        Row("reduction.tokens-gpt2", geometric(gpt2), reason("reduction.tokens-gpt2", small=shown(gpt2[0]),
                                                             medium=shown(gpt2[-1]),
                                                             harmonic=shown(means(gpt2)["harmonic"]))),
        Row("reduction.heads", ours["heads"], reason("reduction.heads"), INPUT),
        Row("reduction.quantisation", ours["quantisation"],
            reason("reduction.quantisation", wider=shown(wider["quantisation"])), INPUT),
        Row("reduction.dram", ours["dram"], reason(
            "reduction.dram", gpt2=shown(geometric(by["dram"][generates])), small=shown(by["dram"][22]),
            medium=shown(by["dram"][-1]), wider=shown(wider["dram"]), bus=shown(ours["bus"])), INPUT),
        Row("reduction.computation", ours["computation"], reason(
            "reduction.computation", bert=shown(geometric(bert)), gpt2=shown(geometric(by["computation"][generates])))),
        Row("reduction.flat", 100 * flat / items, reason("reduction.flat")),
    ]
    cells = [["technique", "BERT", "GPT-2-Small", "GPT-2-Medium", "all: geometric", "arithmetic", "harmonic"]]
    titles = {"tokens": "tokens and local V", "heads": "heads", "quantisation": "quantisation", "dram": "DRAM, all",
              "bus": "DRAM, on our bus", "computation": "computation"}
    for name, title in titles.items():
        mean = means(by[name])
        cells.append([title, *(shown(geometric(part)) for part in (by[name][:22], by[name][22:26], by[name][26:])),
                      shown(mean["geometric"]), shown(mean["arithmetic"]), shown(mean["harmonic"])])
    section.tables.append(Table("Reduction by technique, ×", cells))
    section.figure = comparison_svg({"tokens, local V": section.rows[0], "… GPT-2": section.rows[1],
                                     "heads": section.rows[2], "quantisation": section.rows[3],
                                     "DRAM": section.rows[4], "computation": section.rows[5]}, "× less")
    section.data = {b.name: f for b, f in zip(study.benchmarks, found, strict=True)} | {"means": ours,
                                                                                       "8-bit BERT": wider}
    return section
