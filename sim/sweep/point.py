"""A point: the values of its fields settled into tasks, or the reason why there is nothing to measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from spatten_hw.config import ConfigError, SpAttenConfig
from spatten_hw.host.rules import Rules
from spatten_hw.presets import PRESETS, SMALL
from spatten_hw.sim.bench.cases import HEADS, standard_cases
from spatten_hw.sim.bench.operands import widest
from spatten_hw.sim.bench.options import LATENCY

from .choices import Memory, Requests
from .file import Sweep
from .layer import Layer
from .space import Values
from .task import Task


@dataclass
class Point:
    """`columns`: its fields as the table has them; `tasks`: what is measured, by kind; `refused`: kind → why not."""

    number: int
    columns: dict[str, object]
    tasks: dict[str, Task] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class _Refused(Exception):
    """What contradicts what, in words."""


def settle(number: int, values: Values, sweep: Sweep) -> Point:
    """The point of these values. Raises `UserError` for what no point of the sweep can be."""
    written = {f"{section}_{name}" if section == "memory" else name: value
               for section, fields in values.items() for name, value in fields.items()}
    point = Point(number, {name: _cell(value) for name, value in written.items()})
    try:
        config = _config(values["config"])
    except ConfigError as error:
        point.refused = dict.fromkeys(sweep.measure, "; ".join(error.violations))
        return point
    point.columns |= {n: v for n, v in config.fields.items() if n != "name"} | {
        "config": config.name, "config_hash": f"{config.hash:08x}"}
    if "area" in sweep.measure:
        point.tasks["area"] = Task("area", config, area=sweep.area)
    for kind in sweep.measure:
        if kind == "area":
            continue
        try:
            work, memory = _work(values, sweep.source.parent, config), _memory(values["memory"])
            point.columns |= _described(work, memory)
            if why := _not_by(kind, work, memory):
                raise _Refused(why)
            point.tasks[kind] = Task(kind, config, work, memory)
        except _Refused as error:
            point.refused[kind] = str(error)
    return point


def _cell(value: object) -> object:
    """A value as a cell of the table: widths as they are written."""
    if isinstance(value, tuple):
        return "+".join(map(str, value)) if value[1] else str(value[0])
    return value


def _config(values: Mapping[str, Any]) -> SpAttenConfig:
    changes = {n: v for n, v in values.items() if n != "preset"}
    base = PRESETS[values.get("preset", SMALL.name)]
    config = base.replace(**changes, name="custom") if changes else base
    return next((p for p in PRESETS.values() if p.hash == config.hash), config)


def _memory(values: Mapping[str, Any]) -> Memory:
    memory = Memory(values.get("name", "perfect"), values.get("clock", 1.0), values.get("latency", LATENCY))
    if memory.timing and "latency" in values:
        raise _Refused(f"latency = {memory.latency}: is of perfect memory, {memory.name} has timing of its own")
    return memory


def _work(values: Values, folder: Path, config: SpAttenConfig) -> Layer | Requests:
    w: Mapping[str, Any] = values["workload"]
    if "requests" in w:
        if values["policy"]:
            raise _Refused(f"{', '.join(values['policy'])}: requests of a file have a policy of their own")
        heads = w.get("heads", config.max_heads)
        if heads > config.max_heads:
            raise _Refused(f"heads = {heads}: the build has max_heads = {config.max_heads}")
        return _requests(w["requests"], folder, w.get("limit", 0), w.get("order", "file"), heads)
    layer = _case(w, config) if "case" in w else _own(w, config)
    layer = _with_policy(layer, values["policy"], config)
    if wrong := list(layer.complaints(config)):
        raise _Refused("; ".join(wrong))
    return layer


@lru_cache(maxsize=4096)
def _requests(file: str, folder: Path, limit: int, order: str, heads: int) -> Requests:
    path = Path(file) if Path(file).is_file() else folder / file
    return Requests.of(path, limit, order, heads)


def _case(w: Mapping[str, Any], config: SpAttenConfig) -> Layer:
    known = {case.name: case for case in standard_cases(config, heads=w.get("heads"))}
    if w["case"] not in known:
        raise _Refused(f"case {w['case']}: is not one of this build's, which has {', '.join(known)}")
    return Layer.of_case(known[w["case"]], config)


def _own(w: Mapping[str, Any], config: SpAttenConfig) -> Layer:
    dim = w.get("dim", max((d for d in config.dims if d <= 64), default=config.chunk))
    bits, tokens = widest(12, config), w["tokens"]
    layer = Layer("", tokens, dim, w.get("heads", min(HEADS, config.max_heads)), w.get("group", 1),
                  w.get("generate", True), w.get("causal", False), tokens, tokens, bits, (bits, 0), (bits, 0))
    kind = "generate" if layer.generate else "causal" if layer.causal else "summarise"
    return _changed(layer, name=f"{kind}-{tokens}-d{dim}-h{layer.heads}" + (f"-g{layer.group}" * (layer.group > 1)))


def _with_policy(layer: Layer, p: Mapping[str, Any], config: SpAttenConfig) -> Layer:
    """The layer with what a policy says; what it leaves out stays as it is."""
    for name in ("k_bits", "v_bits"):
        if name in p and "bits" in p:
            raise _Refused(f"{name} and bits: say two things of the same; leave one out")
    alive = max(1, round(p["alive"] * layer.tokens)) if "alive" in p else layer.alive
    keep = max(1, round(p["keep"] * alive)) if "keep" in p else min(layer.keep, alive)
    rules = Rules(p.get("lsb_margin", layer.rules.lsb_margin), p.get("keep_mass", layer.rules.keep_mass),
                  p.get("give_back", layer.rules.give_back))
    both = p.get("bits")
    return _changed(layer, alive=alive, keep=keep, rules=rules, q_bits=p.get("q_bits", layer.q_bits),
                    k_bits=both or p.get("k_bits", layer.k_bits), v_bits=both or p.get("v_bits", layer.v_bits),
                    flat=p.get("flat", layer.flat))


def _changed(layer: Layer, **changes: Any) -> Layer:
    return Layer(**{**vars(layer), **changes})


def _not_by(kind: str, work: Layer | Requests, memory: Memory) -> str | None:
    """Why one way of measuring cannot do it."""
    if kind == "model":
        wrong = memory.timing is None and memory.latency != LATENCY
        return f"latency = {memory.latency}: the model is of {LATENCY} cycles alone" if wrong else None
    return work.not_simulated() if isinstance(work, Layer) else None


def _described(work: Layer | Requests, memory: Memory) -> dict[str, object]:
    """Columns of what is worked on, and of the memory."""
    columns: dict[str, object] = {"workload": work.name, "memory": memory.name, "clock_ns": memory.clock,
                                  "latency": None if memory.timing else memory.latency}
    if isinstance(work, Layer):
        columns |= {
            "tokens": work.tokens, "dim": work.dim, "heads": work.heads, "group": work.group,
            "generate": work.generate, "causal": work.causal, "tokens_alive": work.alive, "values_kept": work.keep,
            "q_bits": work.q_bits, "k_bits": _cell(work.k_bits), "v_bits": _cell(work.v_bits),
            "alive": work.alive / work.tokens, "keep": work.keep / work.alive, "flat": work.flat,
            "lsb_margin": work.rules.lsb_margin, "keep_mass": work.rules.keep_mass, "give_back": work.rules.give_back}
    else:
        columns |= {"requests": Path(work.path).name, "limit": work.limit or None, "order": work.order,
                    "heads": work.heads, "generate": True}
    return columns
