"""LSBs by key in the softmax: which keys of a gang are far, and what far keys add to flat members' scores."""

from functools import cache

import numpy as np
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.block import Block
from spatten_hw.softmax.far_list import FarList
from spatten_hw.softmax.untouched import QUEUE, Untouched
from tests.seeds import numbers

TINY = SpAttenConfig(multipliers=16, chunk=4, max_dim=12, max_tokens=32, sram_tokens=16, topk_lanes=4, channels=2,
                     axi_data_bits=64, max_heads=8, max_group=4, slots=8)
BUILDS = {"four slices": TINY, "one slice": TINY.replace(multipliers=4, channels=1, topk_lanes=1, max_tokens=8,
                                                         sram_tokens=8),
          "queries": TINY.replace(chunk_queries=1)}


@cache
def block_of(kind: type, name: str) -> Block:
    return Block(kind, BUILDS[name])


@pytest.mark.parametrize("name", BUILDS)
def test_far_for_all_members(name):
    """Members in any order, of several gangs at once, second passes in between; rows of one and of many."""
    rng, c = numbers("far", name), BUILDS[name]
    block = block_of(FarList, name)
    for turn in range(40):
        group = int(rng.integers(1, c.max_group + 1))
        count = c.slots // group
        first_slot, first_item = int(rng.integers(c.slots)), int(rng.integers(c.items))
        margin = int(rng.choice([0, 1000, 40000, (1 << 19) - 1]))
        keys = [rng.integers(0, c.max_rows + 1, c.slices) for _ in range(count)]
        for k in keys:
            k[rng.integers(c.slices)] = rng.choice([1, c.max_rows])
        gangs = rng.permutation(np.repeat(np.arange(count), group))
        member = [0] * count
        want = [np.ones((k.max(), c.slices), dtype=bool) for k in keys]
        infos = {n: [] for n in ("slot", "may_refetch", "item", "first", "gang")}
        rows = {n: [] for n in ("y", "live", "first", "last", *["there"] * c.chunk_queries)}
        for g in gangs:
            place = g * group + member[g]
            member[g] += 1
            for noted in (1, 0) if rng.random() < 0.2 else (1,):
                there = live = np.arange(keys[g].max())[:, None] < keys[g]
                if c.chunk_queries:     # a query need not see the last keys of its gang; those are far for it
                    live = np.arange(keys[g].max())[:, None] < keys[g] - np.minimum(keys[g], rng.integers(
                        0, 3, c.slices))
                    rows["there"].extend(there @ (1 << np.arange(c.slices)))
                y = rng.choice([0, 999, 1000, 1001, 39999, 50000, (1 << 19) - 1], live.shape)
                if noted:
                    want[g] &= there & (~live | (y > margin))
                for field, value in (("slot", (first_slot + place) % c.slots), ("may_refetch", noted),
                                     ("item", (first_item + place) % c.items),
                                     ("first", (first_item + g * group) % c.items), ("gang", group)):
                    infos[field].append(value)
                rows["y"].extend(y)
                rows["live"].extend(live @ (1 << np.arange(c.slices)))
                rows["first"].extend(np.arange(len(live)) == 0)
                rows["last"].extend(np.arange(len(live)) == len(live) - 1)
        block.set(enable=1, margin=margin)
        ends = np.cumsum(rows["last"])
        tag = {n: np.array(infos[n]) for n in ("item", "first", "gang")}
        ahead = np.searchsorted(ends, np.arange(len(tag["gang"])) - 8)
        block.send("info", {"slot": np.array(infos["slot"]), "may_refetch": np.array(infos["may_refetch"]),
                            "tag": tag}, after=("rows", np.maximum(0, ahead)))
        # A vector's info comes some cycles before its first row.
        wait = block.cycle + 12 + np.cumsum(rng.random(len(ends)) < 0.3) + np.arange(len(ends))
        block.send("rows", {"y": np.array(rows["y"]), "info": {
            "live": np.array(rows["live"]), "first": np.array(rows["first"]).astype(int),
            **({"there": np.array(rows["there"])} if c.chunk_queries else {}),
            "last": np.array(rows["last"]).astype(int)}}, at=wait)
        block.run(20 * len(ends) + 200, rows=len(ends))
        block.idle(FarList.LATENCY)
        for g in range(count):
            for row in range(len(want[g])):
                slot = (first_slot + g * group) % c.slots
                address = row << c.slot_bits | slot
                block.set(read=address | address << c.slot_bits + c.row_bits)
                block.idle(1)
                far = int(want[g][row] @ (1 << np.arange(c.slices)))
                last = int(row == len(want[g]) - 1)
                found = {"far": [far] * FarList.READERS, "last": [last] * FarList.READERS}
                assert block.get("found") == found, (turn, g, row)


@pytest.mark.parametrize("name", BUILDS)
def test_far_keys_once_per_flat_member(name):
    rng, c = numbers("untouched", name), BUILDS[name]
    block = block_of(Untouched, name)
    for stall in (0.0, 0.5, 0.9):
        lengths = rng.integers(1, c.max_rows + 1, c.slots)
        far = rng.random((c.slots, c.max_rows, c.slices)) < rng.choice([0.1, 0.6, 1.0])
        table = np.zeros(1 << c.slot_bits + c.row_bits, dtype=object)
        for slot in range(c.slots):
            for row in range(c.max_rows):
                table[row << c.slot_bits | slot] = int(far[slot, row] @ (1 << np.arange(c.slices))) \
                    | int(row == lengths[slot] - 1) << c.slices
        slots = rng.permutation(c.slots)[:6]
        members = rng.integers(1, 1 << c.max_group, len(slots))
        want = [[((slot + i) % c.slots, row) for slot, bits in zip(slots, members, strict=True)
                 for i in range(c.max_group) if bits >> i & 1
                 for row in range(lengths[slot]) if far[slot, row, s]] for s in range(c.slices)]
        block.lookup("read", "found", [int(x) for x in table])
        for s in range(c.slices):
            block.receive(f"o__{s}", stall=stall, seed=s + 1)
        block.send("i", {"slot": slots, "members": members})
        block.run(2000, **{f"o__{s}": len(w) for s, w in enumerate(want)})
        # The last members may have no far key at all.
        block.idle(len(slots) * c.max_group * (c.max_rows + 2) + 10)
        assert block.get("busy") == 0
        for s, expected in enumerate(want):
            got = block.taken(f"o__{s}").columns() if expected else {"slot": np.array([]), "row": np.array([])}
            assert list(zip(got["slot"].tolist(), got["row"].tolist(), strict=True)) == expected


def test_a_slow_slice_holds_up_the_others_late():
    """The walk goes on while there is room for what is on its way: all but one of a queue's places are used."""
    c = BUILDS["four slices"]
    block = block_of(Untouched, "four slices")
    every = (1 << c.slices) - 1
    rows = [every | int(row == c.max_rows - 1) << c.slices for row in range(c.max_rows) for _ in range(c.slots)]
    gangs = {"slot": np.arange(c.slots // 2), "members": np.full(c.slots // 2, (1 << c.max_group) - 1)}
    count = c.slots // 2 * c.max_group * c.max_rows
    for slow in range(c.slices):
        block.reset()
        block.lookup("read", "found", rows)
        for s in range(c.slices):
            block.receive(f"o__{s}", stall=0.9 if s == slow else 0.0, seed=3)
        block.send("i", gangs)
        block.run(40 * count, **{f"o__{s}": count for s in range(c.slices)})
        late, early = (block.taken(f"o__{s}").cycles for s in (slow, (slow + 1) % c.slices))
        waiting = np.arange(1, count + 1) - np.searchsorted(late, early, side="right")
        assert waiting.max() == QUEUE - 1, slow
