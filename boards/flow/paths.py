"""Critical paths in terms of the design: which unit, which signals, which lines of the source."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: What Yosys and nextpnr append to the name of a signal for the cells and nets round it.
_CELL_SUFFIX = re.compile(
    r"(?:_(?:LUT4|PFUMX|L6MUX21|CCU2C|TRELLIS_\w+|MULT18X18D|DP16KD|PDPW16KD|DPR16X4C?)(?:_.*)?"
    r"|\$(?:glbnet|PACKER|nextpnr|TRELLIS|DPRAM)\S*|\.\d+\.\d+(?:_.*)?)$")
#: Instances that say nothing to a reader: the measured design inside the fake pins, the inside of a shared block.
_SILENT = {"dut", "block"}


@dataclass(frozen=True)
class Step:
    """A wire of a path: the signal it is named after, where that is declared (may be ""), the nanoseconds of the wire
    and of the logic before it."""

    signal: str
    source: str
    routing: float
    logic: float


@dataclass(frozen=True)
class CriticalPath:
    """The slowest path of a clock (or between two): from the register `start` to `end`, `levels` pieces of logic, and
    nanoseconds in `logic` (with the registers) and `routing`."""

    clock: str
    start: str
    end: str
    levels: int
    logic: float
    routing: float
    steps: tuple[Step, ...]

    @property
    def delay(self) -> float:
        """Nanoseconds."""
        return self.logic + self.routing

    @property
    def unit(self) -> str:
        """The unit it starts in, and where it ends if that is another."""
        first, last = self.start.split(".")[0], self.end.split(".")[0]
        return first if first == last else f"{first} → {last}"

    @property
    def as_json(self) -> dict[str, object]:
        return {"clock": self.clock, "unit": self.unit, "start": self.start, "end": self.end, "levels": self.levels,
                "ns": round(self.delay, 2), "logic_ns": round(self.logic, 2), "routing_ns": round(self.routing, 2),
                "steps": [{"signal": s.signal, "source": s.source, "routing_ns": round(s.routing, 2),
                           "logic_ns": round(s.logic, 2)} for s in self.steps]}

    def text(self) -> str:
        """Lines for a terminal: the path, then each named signal on its way."""
        lines = [f"{self.delay:.2f} ns ({self.logic:.2f} logic, {self.routing:.2f} routing, {self.levels} levels) "
                 f"in {self.unit}: {self.start} → {self.end}"]
        before = None
        for step in self.steps:
            if step.signal != before:
                lines.append(f"  {step.signal}" + (f"  ({step.source})" if step.source else ""))
            before = step.signal
        return "\n".join(lines)


def design_name(name: str) -> str:
    """The signal of the design that a cell or net of the netlist is named after, without silent instances.

    >>> design_name("dut.accelerator.writer.block.builder.locked_TRELLIS_FF_Q_24_DI")
    'writer.builder.locked'
    """
    name = _CELL_SUFFIX.sub("", name)
    bit = re.search(r"\[\d+\]$", name)
    # A backslash marks a name that Verilog would not take without it.
    parts = [part.lstrip("\\") for part in name.split(".") if part not in _SILENT]
    # Everything below the accelerator is named from there.
    if "accelerator" in parts[:-1]:
        parts = parts[parts.index("accelerator") + 1:]
    text = _CELL_SUFFIX.sub("", ".".join(parts))
    return text if bit is None or text.endswith("]") else text + bit.group(0)


def read_paths(report: str, sources: Mapping[str, str] | None = None) -> tuple[CriticalPath, ...]:
    """The critical path of every clock in nextpnr's JSON report, slowest first; not those to and from pins. `sources`:
    net → source references, as they are in a netlist, joined by bars; for other nets those of the report are taken."""
    paths = [_path(entry, sources or {}) for entry in json.loads(report)["critical_paths"]
             if "<async>" not in (entry["from"], entry["to"])]
    return tuple(sorted(paths, key=lambda path: -path.delay))


def _path(entry: dict, sources: Mapping[str, str]) -> CriticalPath:
    steps, before, logic, routing, levels = [], 0.0, 0.0, 0.0, 0
    for piece in entry["path"]:
        if piece["type"] == "routing":
            routing += piece["delay"]
            steps.append(Step(design_name(piece["net"]), _source(_references(piece, sources)), piece["delay"], before))
            before = 0.0
        else:
            logic += piece["delay"]
            before += piece["delay"]
            levels += piece["type"] == "logic"
    first, last = entry["path"][0]["from"]["cell"], entry["path"][-1]["to"]["cell"]
    clock = re.sub(r"^(?:pos|neg)edge |\$glbnet\$", "", entry["from"])
    return CriticalPath(clock, design_name(first), design_name(last), levels, logic, routing, tuple(steps))


def _references(piece: dict, sources: Mapping[str, str]) -> Iterable[str]:
    """Those of a net, or of the signal that it is a bit of."""
    net = piece["net"]
    known = sources.get(net) or sources.get(re.sub(r"\[\d+\]$", "", net), "")
    return known.split("|") if known else piece.get("sources", ())


def _source(sources: Iterable[str]) -> str:
    """The first place in the project or its libraries; what the synthesiser's own cells name is left out."""
    for source in sources:
        if re.match(r"[\w/]+\.py:", source):
            return source
    return ""
