"""Fetcher: what it tells of itself while rows are outstanding; SliceFeed: rows are begun as long as there is room."""

import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.fetch.fetcher import Fetcher
from spatten_hw.fetch.report import ERROR_CLASSES
from spatten_hw.fetch.row_feed import SPARE_BEATS, feed_depth
from spatten_hw.fetch.slice_feed import SliceFeed, class_planes
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import pack_one
from spatten_hw.stream.job_layouts import job_layout
from tests.bus.channel_rig import BUILDS
from tests.seeds import numbers

TWO = SpAttenConfig(multipliers=16, chunk=8, max_dim=8, operand_bits=12, max_tokens=64, sram_tokens=16, max_heads=4,
                    max_group=2, slots=2, topk_lanes=2, channels=2, axi_data_bits=64, axi_addr_bits=16, reads=4,
                    pool_beats=16)
#: Beats of K and of V rows: they fill the room exactly, alone or together.
BEATS = [(1, 1), (3, 3), (5, 3), (2, 5)]


@pytest.mark.parametrize("name", ["two slices", "two feeds"])
def test_room(name):
    """A class has room exactly while one row more of it fits beside those begun, whichever of the two came last."""
    c = BUILDS[name]
    rng = numbers("room", name)
    block = Block(SliceFeed, c)
    layout = class_planes(c)
    depth = feed_depth(c) - SPARE_BEATS
    for at, of_class in enumerate(BEATS * 8):
        beats = dict(zip("kv", of_class, strict=True))
        block.reset()
        block.set(k_begun=0, v_begun=0, **{f"{name}_planes": pack_one(layout, {"beats": n})
                                           for name, n in beats.items()})
        block.idle(4)
        reserved = dict.fromkeys("kv", 0)
        chance = (1.0, 0.5)[at // len(BEATS) % 2]
        while True:
            inside = reserved if c.feeds == 2 else dict.fromkeys("kv", sum(reserved.values()))
            room = {name: inside[name] + n <= depth for name, n in beats.items()}
            assert {name: block.get(f"{name}_room") for name in "kv"} == room, (reserved, beats)
            if not any(room.values()):
                break
            begun = str(rng.choice([name for name in "kv" if room[name]])) if rng.random() < chance else ""
            block.set(k_begun=int(begun == "k"), v_begun=int(begun == "v"))
            block.idle(1)
            if begun:
                reserved[begun] += beats[begun]
        # Full, it stays so.
        block.set(k_begun=0, v_begun=0)
        block.idle(2)
        assert not block.get("k_room") and not block.get("v_room") and not block.get("idle")


def waiting():
    """A fetcher at rest whose rows are one beat of one chunk."""
    block = Block(Fetcher, TWO)
    job = pack_one(job_layout(TWO), {"chunks": 1, "q_bits": 8, "k_msb": 8, "v_msb": 8})
    block.set(job=job, back_job=job, counts=1)               # one token, of class 0
    block.idle(TWO.pool_beats + 20)
    assert block.get("idle") and not block.get("busy")
    block.high("idle")
    return block


def check_waits(block, reason, channel):
    """Until its beat comes, the slice of `channel` starves for the row it asked for; then it does not, and all is at
    rest."""
    block.run(60, **{f"ar__{channel}": 1})
    block.idle(8)
    block.high("idle")
    block.high("stall")
    block.idle(40)
    assert block.high("stall") == 40 and block.high("idle") == 0
    assert block.get("waits") == 1 << ERROR_CLASSES.index(reason) and block.get("busy")
    asked = block.taken(f"ar__{channel}").columns()
    block.send(f"r__{channel}", {"data": [0], "id": asked["id"], "resp": [0], "last": [1]})
    block.run(60, **{f"{reason}_chunks__{channel}": 1})
    block.idle(12)
    assert block.get("idle") and not block.get("stall") and not block.get("waits")


@pytest.mark.parametrize("channel", range(TWO.channels))
def test_a_slice_starves_for_values(channel):
    block = waiting()
    block.send(f"v_reads__{channel}", {"addr": [0], "beats": [1], "note": {"members": [1]}})
    check_waits(block, "v", channel)


@pytest.mark.parametrize("channel", range(TWO.channels))
def test_a_slice_starves_for_keys(channel):
    block = waiting()
    block.send("k_walk", {"kv_head": [channel], "members": [1]})
    check_waits(block, "k", channel)
