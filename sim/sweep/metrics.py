"""The columns that measurements fill: by kind, with what they say."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from spatten_hw.errors import UserError
from spatten_hw.host.results import BYTE_CLASSES

#: Kinds of measurement, in the order of the table.
KINDS = ("model", "rtl", "area")
_BYTES = {f"bytes_{name}": f"of them, class {name}" for name in BYTE_CLASSES}
#: Kind → columns, without the kind in front, that plots may show, and what they say. Busy cycles and parts of energies
#: are further columns, named as the model and the counters name them.
METRICS: dict[str, dict[str, str]] = {
    "model": {"cycles": "cycles", "cycles_per_query": "cycles per query of a head", "us": "microseconds at the clock",
              "bytes": "bytes from and to memory", **_BYTES, "energy_nj": "energy of memory and chip in nJ"},
    "rtl": {"cycles": "simulated cycles", "cycles_per_query": "cycles per query of a head",
            "us": "microseconds at the clock", "bytes": "bytes counted by the hardware", **_BYTES,
            "bound_cycles": "the most that any unit needs (bench attention)", "dram_nj": "energy of a modelled memory"},
    "area": {"luts": "LUTs", "flip_flops": "flip-flops", "dsps": "multiplier blocks", "brams": "block RAMs",
             "gates": "gate equivalents", "sram_bits": "bits of SRAM beside the gates"},
}


def metric_names(kinds: Iterable[str]) -> list[str]:
    """Metrics of these kinds, as the columns are called."""
    return [f"{kind}_{name}" for kind in KINDS if kind in kinds for name in METRICS[kind]]


def meaning(column: str) -> str:
    """What a metric says, for an axis."""
    kind, _, name = column.partition("_")
    return f"{METRICS[kind][name]} ({kind})"


def check_metric(where: str, name: object, kinds: Sequence[str]) -> None:
    """Refuses what is no metric, or is not measured."""
    known = metric_names(kinds)
    if name in known:
        return
    if name in metric_names(KINDS):
        raise UserError(f"{where}: '{name}' is not measured; add \"{str(name).partition('_')[0]}\" to measure")
    near = difflib.get_close_matches(str(name), known, 1)
    raise UserError(f"{where}: unknown metric '{name}'" + (f" (did you mean '{near[0]}'?)" if near else "")
                    + f"; metrics: {', '.join(known)}")
