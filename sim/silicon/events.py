"""Energy of what an accelerator does, event by event, for models that count events: pJ at the node of `nodes.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spatten_hw.errors import UserError
from spatten_hw.output import write_all

from .chip import UnitSilicon
from .figures import leakage
from .nodes import Factors
from .runs import Run

#: Measured energies of presets, as `bench silicon --record` writes them.
TABLE = Path(__file__).with_name("events.json")
#: What moves with the products of Q×K, with those of Prob×V, and with beats of memory.
ARRAYS = {"qk": "score", "pv": "prob_value"}
BEATS = "fetcher"


@dataclass(frozen=True)
class EventEnergy:
    """pJ per event. `mac`: a multiplication with accumulation of "qk" (12-bit operands) and "pv", all that its unit
    takes beside the clock; `word`: unit → (read, write) of a whole word of its largest memory, and `word_bits`;
    `beat`: a beat that the fetcher brings in; `cycle`: of all clock pins together, in every cycle; `rest`: of the
    other units, beside the clock, per cycle of a prompt; `leakage_w`: of logic and of SRAM. DRAM is not in it
    (`sim/dram/energy.py`)."""

    preset: str
    mac: dict[str, float]
    word: dict[str, tuple[float, float]]
    word_bits: dict[str, int]
    beat: float
    cycle: float
    rest: float
    leakage_w: dict[str, float]


def events(preset: str, units: Sequence[UnitSilicon], runs: Sequence[Run],
           macros: Mapping[str, tuple[float, float, int]], factors: Factors, off: float,
           beat_bytes: int) -> EventEnergy:
    """Of measured units and their runs, a prompt and generation; `macros`: unit → pJ of a read and of a write, and
    bits, of its largest memory."""
    by_name = {unit.unit: unit for unit in units}
    by_run = {run.case.name: run for run in runs}
    prompt, generation = by_run["prompt"], by_run["generation"]

    def moves(unit: str, run: Run) -> float:
        energy = by_name[unit].energy[run.case.name]
        return (energy.logic - energy.clock) * factors.energy
    mac = {name: moves(unit, prompt) * prompt.cycles / prompt.macs[n] for n, (name, unit) in enumerate(ARRAYS.items())}
    rest = sum(moves(unit, prompt) for unit in by_name if unit not in (*ARRAYS.values(), BEATS))
    return EventEnergy(
        preset, mac, {unit: (read, write) for unit, (read, write, _) in macros.items()},
        {unit: bits for unit, (_, _, bits) in macros.items()},
        moves(BEATS, generation) * generation.cycles / (generation.bytes / beat_bytes),
        sum(unit.energy["prompt"].clock for unit in units) * factors.energy, rest,
        {"logic": sum(leakage(unit, off, factors) for unit in units),
         "sram": sum(unit.sram_leakage for unit in units)})


def energy_per_event(preset: str) -> EventEnergy:
    """The energies that were measured of a preset, without any tool. Raises `UserError` if there are none."""
    known = json.loads(TABLE.read_text())
    if preset not in known:
        raise UserError(f"no energies of '{preset}' have been measured; there are those of {', '.join(known)}")
    found: dict[str, Any] = {key: value for key, value in known[preset].items() if key not in MADE_BY}
    return EventEnergy(**found | {"word": {unit: (read, write) for unit, (read, write) in found["word"].items()}})


#: What stands beside the energies: the Verilog that they are of, and the preset whose counts they come from.
MADE_BY = ("verilog_digest", "projected_from")


def record(measured: EventEnergy, digest: str, like: str | None) -> None:
    """Puts the energies of a preset into the table. Raises `UserError` if it cannot be written."""
    known = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    known[measured.preset] = asdict(measured) | {"verilog_digest": digest, "projected_from": like}
    write_all([(TABLE, (json.dumps(_rounded(known), indent=1) + "\n").encode())])


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inside) for inside in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
