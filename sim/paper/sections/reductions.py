"""How much pruning and quantisation save: bytes of DRAM and operations, technique by technique."""

from __future__ import annotations

import numpy as np

from spatten_hw.sim.rivals.benchmarks import bert
from spatten_hw.sim.rivals.dense import dense_bytes
from spatten_hw.sim.rivals.layers import FLOAT_BITS, Layers
from spatten_hw.sim.rivals.rival import FULL
from spatten_hw.sim.rivals.spatten import SpAtten

from ..section import INPUT, Row, Section, Table, shown
from ..study import Study, geometric, means

ABOUT = """\
Ratios of the dense 32-bit layer to the pruned and quantised one, for each benchmark; averages are geometric means over
benchmarks (the paper does not say which it takes; the table has all three). Bytes are those of Q, K and V, bits ×
rows, as the paper counts; "on the bus" is what this accelerator moves: whole beats of 32 bytes, outputs, descriptors and
lists of survivors included, against dense 32-bit attention with its 16-bit outputs."""


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
    found = [ratios(b.layers) for b in study.benchmarks]
    generates = np.array([b.generates for b in study.benchmarks])
    by = {name: np.array([f[name] for f in found]) for name in found[0]}
    ours = {name: geometric(values) for name, values in by.items()}
    eight = [ratios(bert(*b.name.split(), bits=8).layers) for b in study.benchmarks if not b.generates]
    wider = {name: geometric(np.concatenate([[f[name] for f in eight], by[name][generates]])) for name in by}
    flat = sum(float((b.layers.flat * b.layers.heads).sum()) for b in study.benchmarks[22:26])
    items = sum(float(b.layers.heads.sum()) for b in study.benchmarks[22:26])
    section = Section("reductions", "DRAM access and computation", ABOUT)
    section.rows = [
        Row("reduction.tokens", ours["tokens"], "BERT's share is derived from this figure and the next; GPT-2's is the "
            "authors' own schedules", INPUT),
        Row("reduction.tokens-gpt2", geometric(by["tokens"][generates]),
            "the schedules of the authors' request files for WikiText-2, taken for all four texts; Small is pruned 6.0×, "
            "Medium 3.0×, and the harmonic mean, that of bytes, is " + shown(means(by["tokens"][generates])["harmonic"])),
        Row("reduction.heads", ours["heads"], "BERT's share is the paper's average; Medium's heads are the authors' file "
            "(16, 13, 10), Small's file prunes none", INPUT),
        Row("reduction.quantisation", ours["quantisation"], "BERT's width (6 bits) is derived from this figure; with 8 "
            f"bits it would be {shown(wider['quantisation'])}×", INPUT),
        Row("reduction.dram", ours["dram"], f"with 8-bit BERT {shown(wider['dram'])}×; on the bus "
            f"{shown(ours['bus'])}×, since a row of 6 bits (48 bytes) takes two beats of 32 and outputs are counted"),
        Row("reduction.computation", ours["computation"],
            "an input of ours is only how many tokens and heads are left; GPT-2 alone (token and value pruning) saves "
            f"{shown(geometric(by['computation'][generates]))}×, BERT {shown(geometric(by['computation'][~generates]))}×, "
            "which is the paper's figure: its average seems to be of BERT"),
        Row("reduction.flat", 100 * flat / items, "GPT-2-Small, whose file marks each row; Medium's and BERT's widths "
            "are static"),
    ]
    cells = [["technique", "BERT", "GPT-2-Small", "GPT-2-Medium", "all: geometric", "arithmetic", "harmonic"]]
    titles = {"tokens": "tokens and local V", "heads": "heads", "quantisation": "quantisation", "dram": "DRAM, all",
              "bus": "DRAM, on our bus", "computation": "computation"}
    for name, title in titles.items():
        mean = means(by[name])
        cells.append([title, *(shown(geometric(part)) for part in (by[name][:22], by[name][22:26], by[name][26:])),
                      shown(mean["geometric"]), shown(mean["arithmetic"]), shown(mean["harmonic"])])
    section.tables.append(Table("Reduction by technique, ×", cells))
    section.data = {b.name: f for b, f in zip(study.benchmarks, found, strict=True)} | {"means": ours,
                                                                                       "8-bit BERT": wider}
    return section
