"""A measurement: what it is of, the key its result is kept under, and how it is done in whatever process."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spatten_hw.boards.flow.tools import ToolError as FlowError
from spatten_hw.config import ConfigError, SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.presets import PRESETS
from spatten_hw.sim.harness.errors import ToolError
from spatten_hw.source_tree import PACKAGE, sources_digest

from .area import AreaChoice
from .choices import Memory, Requests
from .layer import Layer

#: Raised when results of the same tasks would change, so that old ones are not taken for them.
REVISION = 1
#: Outcomes of a task, of which the last may be another in another run.
OK, REFUSED, FAILED = "ok", "refused", "failed"
#: What beside the generator decides a result: kind → folders and files of sim and boards.
_SOURCES = {"model": ("sim/estimate", "sim/dram", "sim/sweep/model.py"),
            "rtl": ("sim/harness", "sim/golden", "sim/bench", "sim/dram", "sim/sweep/rtl.py", "sim/sweep/layer.py"),
            "area": ("boards/flow", "sim/sweep/area.py")}
#: A process does one task at a time, also where its scheduler gives it threads.
_ONE = threading.Lock()


@dataclass(frozen=True)
class Task:
    """A measurement of a kind (`metrics.KINDS`). `work`, `memory` are None for areas, `area` for the others."""

    kind: str
    config: SpAttenConfig
    work: Layer | Requests | None = None
    memory: Memory | None = None
    area: AreaChoice | None = None

    @property
    def as_json(self) -> dict[str, object]:
        """All that its result depends on but sources."""
        area = self.area and {"by": self.area.by, "target": self.area.target, "liberty": self.area.digest}
        return {"kind": self.kind, "config": {n: v for n, v in self.config.fields.items() if n != "name"},
                "work": self.work and self.work.as_json, "memory": self.memory and self.memory.as_json, "area": area}

    @property
    def key(self) -> str:
        """The name of its result."""
        text = json.dumps([REVISION, self.as_json, sources(self.kind)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def label(self) -> str:
        """What it is, in a few words."""
        config = self.config.name if self.config.name in PRESETS else f"{self.config.hash:08x}"
        parts = [self.kind, config, *([self.work.name] if self.work else []),
                 *([self.memory.name] if self.memory else [])]
        return " ".join(parts)


@cache
def sources(kind: str) -> str:
    """Digest of the sources that decide a kind's results, as this process has them."""
    found: list[Path] = []
    for name in _SOURCES[kind]:
        place = PACKAGE / name
        found += sorted(p for p in place.rglob("*") if p.suffix in (".py", ".json", ".h", ".cpp", ".toml")) if (
            place.is_dir()) else [place]
    return sources_digest(found)[:12]


def run_tasks(tasks: Sequence[Task], expected: Sequence[str]) -> list[dict[str, object]]:
    """The results of tasks, one after the other: "status" (`OK` …), "reason", "metrics", "seconds". `expected`: their
    keys where they were made; another key here means that this process has other sources."""
    return [run_task(task, key) for task, key in zip(tasks, expected, strict=True)]


def run_task(task: Task, expected: str, tell: Callable[[str], None] = lambda text: None) -> dict[str, object]:
    """As `run_tasks`, of one."""
    start = time.monotonic()
    with _ONE:
        try:
            if task.key != expected:
                raise ToolError("this worker has another version of spatten-hw than the sweep; install the same on all")
            metrics, wrong = _measure(task, tell)
            status, reason = (FAILED, "differs from the golden model: " + wrong[0]) if wrong else (OK, "")
        except (ToolError, FlowError) as error:
            status, reason, metrics = FAILED, str(error), {}
        except (UserError, ConfigError) as error:
            status, reason, metrics = REFUSED, str(error), {}
        except Exception as error:  # a bug is one point's, not the sweep's
            status, reason, metrics = FAILED, f"{type(error).__name__}: {error}", {}
    return {"status": status, "reason": " ".join(reason.split()), "metrics": metrics,
            "seconds": round(time.monotonic() - start, 3)}


def _measure(task: Task, tell: Callable[[str], None]) -> tuple[dict[str, object], list[str]]:
    """Columns, and what differs. What a kind needs is imported with it."""
    if task.kind == "area":
        from spatten_hw.sim.bench.digest import verilog_digest

        from .area import measure_area
        assert task.area is not None
        metrics = measure_area(task.config, task.area, tell)
        made = {"verilog_digest": verilog_digest(task.config)} if task.area.by == "synthesis" else {}
        return metrics | made, []
    assert task.work is not None and task.memory is not None
    if task.kind == "rtl":
        from .rtl import measure_rtl
        return measure_rtl(task.config, task.work, task.memory, tell)
    from .model import measure_model
    return measure_model(task.config, task.work, task.memory) | {"model_digest": sources("model")}, []
