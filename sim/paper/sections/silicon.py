"""Area and power, from what `spatten-hw bench silicon --json` has measured, if that file is given."""

from __future__ import annotations

import json
import math
from pathlib import Path

from spatten_hw.errors import UserError
from spatten_hw.user_text import decode, read_bytes

from ..numbers import numbers, reason
from ..section import MISSING, Row, Section
from ..study import Study

ABOUT = """\
Area and power of preset `full` at the paper's node (40 nm), from the report given with `--silicon`; docs/silicon.md
says how they come to be and how far the scaling can be trusted."""
KEYS = tuple(key for key in numbers() if key.startswith("silicon."))
#: Units that are together what the paper's Figure 13 has one share of.
SHARES = {"score": ("score",), "value": ("prob_value",), "fetcher": ("fetcher",), "softmax": ("softmax",),
          "topk": ("local_topk", "pruner")}
#: The paper's parts of the power, of the report's.
POWER = {"power-logic": ("logic", "logic_leakage"), "power-sram": ("sram", "sram_leakage"), "power-dram": ("dram",)}
PRESET = "full"
#: What a run of the report stands for: benchmarks of the paper, BERT and GPT-2.
RUNS = {"prompt": 22, "generation": 8}


def read(path: Path) -> dict[str, float]:
    """{"silicon.area": mm² …} of a report of preset `full`; watts are means over its runs, weighted as the paper's
    benchmarks are, and left out where it has none. `UserError` if it is no such report."""
    try:
        report = json.loads(decode(read_bytes(path)))
        preset = report["preset"]
        share = {unit["unit"]: float(unit["share"]) for unit in report["units"]}
        found = {"area": float(report["mm2"])}
        found |= {f"share-{name}": sum(share[unit] for unit in units) for name, units in SHARES.items()}
        runs = report.get("power_w") or []
        if runs:
            weights = [RUNS.get(run["run"], 1) for run in runs]
            watts = {name: sum(weight * float(run[part]) for weight, run in zip(weights, runs, strict=True)
                               for part in parts) / sum(weights) for name, parts in POWER.items()}
            found |= watts | {"power": sum(watts.values())}
        if wrong := [name for name, value in found.items() if not 0 <= value < math.inf]:
            raise ValueError(wrong[0])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(f"--silicon {path}: is no report of spatten-hw bench silicon --json") from error
    if preset != PRESET:
        raise UserError(f"--silicon {path}: is of preset '{preset}'; the paper's size is '{PRESET}'")
    return {f"silicon.{name}": value for name, value in found.items()}


def run(study: Study) -> Section:
    """The section."""
    section = Section("silicon", "Area and power", ABOUT)
    found = {} if study.silicon is None else read(study.silicon)
    section.rows = [Row(key, found[key], reason("silicon.all")) if key in found
                    else Row(key, None, reason("silicon.missing"), MISSING) for key in KEYS]
    section.data = dict(found)
    return section
