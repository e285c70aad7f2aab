"""Which jobs the simulations of a test run were given: one line of JSON each, for coverage (`sim/verify/bins.py`)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.words import place_of_words
from spatten_hw.interface.descriptor import FIELDS, HEADER_WORDS
from spatten_hw.interface.registers import register_map
from spatten_hw.interface.validate import descriptor_address_bad

from .variant import COVERAGE


def job_log(config: SpAttenConfig, read: Callable[[int, int, int], bytes]) -> JobLog | None:
    """What notes the jobs of a simulation, if the environment asks for coverage. `read`: `Memories.mem_read`."""
    folder = os.environ.get(COVERAGE)
    return JobLog(config, read, Path(folder)) if folder else None


class JobLog:
    """Sees the register writes of a host; at `JOB_PUSH` it reads the descriptor as it lies in memory then."""

    def __init__(self, config: SpAttenConfig, read: Callable[[int, int, int], bytes], folder: Path):
        self.config, self._read = config, read
        self._file = folder / f"jobs-{os.getpid()}.jsonl"
        registers = register_map(config)
        self._offsets = {registers[name].offset: name for name in ("JOB_ADDR_LO", "JOB_ADDR_HI", "JOB_PUSH")}
        self._address = {"JOB_ADDR_LO": 0, "JOB_ADDR_HI": 0}

    def wrote(self, offset: int, value: int) -> None:
        """A register was written."""
        name = self._offsets.get(offset)
        if name in self._address:
            self._address[name] = value
        elif name == "JOB_PUSH":
            self._note(self._address["JOB_ADDR_HI"] << 32 | self._address["JOB_ADDR_LO"])

    def _note(self, address: int) -> None:
        if descriptor_address_bad(self.config, address):
            return  # such a job is refused
        header = self._read(*place_of_words(address, self.config), 8 * HEADER_WORDS)
        words = [int.from_bytes(header[i:i + 8], "little") for i in range(0, len(header), 8)]
        fields = {f.name: words[f.word] >> f.lsb & ((1 << f.width) - 1) for f in FIELDS}
        with self._file.open("a") as out:
            out.write(json.dumps({"build": self.config.name, "dims": list(self.config.dims),
                                  "max_group": self.config.max_group, "operand_bits": self.config.operand_bits,
                                  "job": fields}) + "\n")
