"""Tasks that end the process that does them, or wait, for tests of workers. Imported by the workers."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.presets import SMALL


@dataclass(frozen=True)
class Poison:
    """Like a `Task`: whoever asks for its key elsewhere than in the test (process `mine`) dies `deaths` times. Its
    deaths are the lines of the file `log`."""

    name: str
    mine: int
    log: Path
    deaths: int
    kind: str = "model"
    config = SMALL

    @property
    def label(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        if os.getpid() != self.mine:
            with self.log.open("a+") as log:
                log.seek(0)
                died = len(log.readlines())
                if died < self.deaths:
                    log.write("died\n")
                    log.flush()
                    os._exit(1)
        return self.name


@dataclass(frozen=True)
class Sleeper(Poison):
    """One that takes an hour in a worker, with a tool beside it; process numbers of both go to `log`."""

    @property
    def key(self) -> str:
        if os.getpid() != self.mine:
            import subprocess
            tool = subprocess.Popen(["sleep", "3600"])
            with self.log.open("a") as log:
                log.write(f"{os.getpid()} {tool.pid}\n")
            time.sleep(3600)
        return self.name
