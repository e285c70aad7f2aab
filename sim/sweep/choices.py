"""What a task works on besides a layer: requests of a file, a memory."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.sim.bench.memory import MEMORIES
from spatten_hw.sim.bench.options import LATENCY
from spatten_hw.sim.bench.requests import RequestFile
from spatten_hw.sim.dram.timing import DramTiming
from spatten_hw.user_text import read_bytes


@dataclass(frozen=True)
class Requests:
    """The first `limit` requests (0: all) of a CSV with these contents (`digest`), in the file's order or gathered, in
    jobs of up to `heads` heads."""

    path: str
    digest: str
    limit: int
    order: str
    heads: int

    @classmethod
    def of(cls, path: Path, limit: int, order: str, heads: int) -> Requests:
        """Of a file as it is now."""
        return cls(str(path.resolve()), _digest(path), limit, order, heads)

    @property
    def name(self) -> str:
        return Path(self.path).stem + ("-gathered" if self.order == "gathered" else "")

    @property
    def as_json(self) -> dict[str, object]:
        """All that a result depends on."""
        return {name: value for name, value in asdict(self).items() if name != "path"}

    def read(self, config: SpAttenConfig) -> RequestFile:
        """The requests as a build can run them. Raises `UserError`."""
        if _digest(Path(self.path)) != self.digest:
            raise UserError(f"{self.path}: is not the file that the sweep was begun with; begin it again")
        return RequestFile.read(Path(self.path), config, self.limit or None)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()[:16]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); the sweep's workload is there") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


@dataclass(frozen=True)
class Memory:
    """What is behind every channel: a name of `bench memory`, the accelerator's clock in ns, and of perfect memory the
    cycles to a read's first data."""

    name: str = "perfect"
    clock: float = 1.0
    latency: int = LATENCY

    @cached_property
    def timing(self) -> DramTiming | None:
        """The model of DRAM; None: perfect memory."""
        found = MEMORIES[self.name]
        return found and found.replace(host_clock_ns=self.clock)

    @property
    def as_json(self) -> dict[str, object]:
        """All that cycles depend on: those of perfect memory not on the clock."""
        return asdict(self) if self.timing else {"name": self.name, "latency": self.latency}
