"""Loader: K and V of every head once and in order, halves in turn and never while they are in use, LSBs with priority.
"""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.loader import Loader
from spatten_hw.sim.harness.block import Block
from tests.seeds import numbers

from .steps import Steps

TINY = SpAttenConfig(multipliers=16, chunk=4, max_dim=16, max_tokens=32, sram_tokens=16, max_heads=9, max_group=2,
                     slots=4, topk_lanes=4, channels=1, axi_data_bits=64)


@cache
def loader() -> Block:
    return Block(Loader, TINY)


class World:
    """Shared path and walker: ends fills in any order, uses halves and gives them back."""

    def __init__(self, block: Block, rng: np.random.Generator, heads: list[int], rows: int, v_lsb: int, quick: bool):
        self.steps, self.rng, self.quick, self.v_lsb = Steps(block), rng, quick, v_lsb
        self.block, self.heads, self.rows, self.dense = block, heads, rows, int(rng.integers(2))
        self.commands: list[dict] = []
        self.filling: list[dict] = []
        self.halves = [SimpleNamespace(head=None, ready=0, values=0, done=False, asked=False) for _ in range(2)]
        self.at = 0                                # head whose items are issued
        self.retired = 0
        self.wanted: list[dict] = []               # LSB fills asked for, in order
        self.lsb_left = 0
        self.before: list[int] = []                # ordinary commands between a wish and its first LSB command

    def chance(self, p: float) -> bool:
        return self.quick or bool(self.rng.random() < p)

    def look(self) -> None:
        block, halves = self.block, self.halves
        assert block.get("ready") == sum(h.ready << n for n, h in enumerate(halves))
        assert block.get("values") == sum(h.values << n for n, h in enumerate(halves))
        assert block.get("lsb_ready") == (self.lsb_left == 0)

    def fill(self, command: dict) -> None:
        """A command has left."""
        half = self.halves[command["half"]]
        if command["lsb"]:
            assert command == self.wanted[sum(c["lsb"] for c in self.commands)]
        elif command["value"]:
            assert half.head == command["kv_head"], "V comes behind its K"
        else:
            assert half.head is None, "a half is filled while it is in use"
            half.head = command["kv_head"]
        if not command["lsb"] and self.wanted and sum(c["lsb"] for c in self.commands) < len(self.wanted):
            self.before[-1] += 1
        self.commands.append(command)
        self.filling.append(command)

    def cycle(self) -> None:
        steps, halves = self.steps, self.halves
        changes = []
        if self.filling and self.chance(0.3):
            end = self.filling.pop(int(self.rng.integers(len(self.filling))))
            self.block.send("filled", {name: [end[name]] for name in ("value", "half", "lsb")})
            changes.append(lambda: self.ended(end))
        here = halves[self.at % 2]
        if here.ready and not here.done and not self.lsb_left and self.chance(0.2):
            if not here.asked and not self.quick and self.rng.random() < 0.5:
                here.asked = True
                steps.pulse(lsb_wanted=1)
                self.block.set(lsb_half=self.at % 2)
                asked = [{"kv_head": here.head, "rows": self.rows, "half": self.at % 2, "value": v, "lsb": 1,
                          "dense": self.dense}
                         for v in range(1 + self.v_lsb)]
                self.wanted += asked
                self.before.append(0)
                changes.append(lambda: setattr(self, "lsb_left", len(asked)))
            else:
                here.done = True
                steps.pulse(done=1 << self.at % 2)
                changes.append(lambda: setattr(here, "ready", 0))
                self.at += 1
        oldest = halves[self.retired % 2]
        if oldest.done and oldest.values and self.chance(0.2):
            steps.pulse(retire=1 << self.retired % 2)
            self.retired += 1
            changes.append(lambda: oldest.__dict__.update(head=None, values=0, done=False, asked=False))
        steps.step(self.look)
        for change in changes:
            change()
        for command in steps.read("fill"):
            self.fill(command)

    def ended(self, end: dict) -> None:
        half = self.halves[end["half"]]
        if end["lsb"]:
            self.lsb_left -= 1
        elif end["value"]:
            half.values = 1
        else:
            half.ready = 1

    def run(self, stall: float) -> None:
        self.steps.receive({"fill": stall}, int(self.rng.integers(1, 1000)))
        self.block.set(heads=sum(1 << h for h in self.heads), rows=self.rows, v_lsb=self.v_lsb, dense=self.dense)
        self.steps.pulse(start=1)
        for _ in range(400 * len(self.heads)):
            self.cycle()
            if self.retired == len(self.heads):
                break
        assert self.retired == len(self.heads), "not all heads were loaded in time"
        for _ in range(10):
            self.cycle()
        plain = [c for c in self.commands if not c["lsb"]]
        assert plain == [{"kv_head": h, "rows": self.rows, "half": n % 2, "value": v, "lsb": 0, "dense": self.dense}
                         for n, h in enumerate(self.heads) for v in (0, 1)]
        assert [c for c in self.commands if c["lsb"]] == self.wanted
        # The one that was waiting to be taken when they were asked for.
        assert all(n <= 1 for n in self.before)


@pytest.mark.parametrize("stall", [0.0, 0.6, 0.9])
def test_fills_every_head_into_free_halves(stall):
    rng, block = numbers("loader", stall), loader()
    asked = 0
    for trial in range(12):
        count = TINY.max_heads if trial == 0 else int(rng.integers(1, TINY.max_heads + 1))
        heads = sorted(rng.choice(TINY.max_heads, count, replace=False).tolist())
        world = World(block, rng, heads, int(rng.integers(1, TINY.max_tokens + 1)), int(rng.integers(2)), False)
        world.run(stall)
        asked += len(world.wanted)
    assert asked > 10


def test_a_command_leaves_every_other_cycle():
    rng, block = numbers("loader rate"), loader()
    world = World(block, rng, [1, 4, 5], 7, 0, True)
    world.run(0.0)
    cycles = block.taken("fill").cycles
    # Both halves are empty: four commands follow one another, and then as the halves come free.
    assert np.diff(cycles[:4]).tolist() == [2, 2, 2]
